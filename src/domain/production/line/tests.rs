//! The line against itself: order, repeats, batch cuts and restarts change nothing. Against the plain recomputation:
//! `tests/spec`.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::calendar::{Calendar, CalendarRules, Days, ShiftRule, zone};
use crate::domain::production::changes::MinuteRow;
use crate::domain::production::config::{Area, LossPolicy, Role};
use crate::domain::production::detection::{CameraStatus, Detection, Health};
use crate::domain::production::figure::Window;
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::production::sums::{Bucket, Sums};

const T0: Ms = 1_767_225_600_000;

fn config(heartbeat_ms: Option<Ms>, shifts: bool) -> LineConfig {
    let mut rules = CalendarRules::always(zone("Europe/Madrid").unwrap());
    if shifts {
        rules.shifts = vec![ShiftRule {
            name: "all".into(),
            start: jiff::civil::time(1, 10, 0, 0),
            end: jiff::civil::time(2, 20, 0, 0),
            days: Days::EVERY,
        }];
    }
    LineConfig {
        version: 1,
        policy_version: 1,
        valid_from: BEGINNING,
        areas: vec![
            Area { id: 1, name: "out".into(), role: Role::Output, cameras: vec![11, 12] },
            Area { id: 2, name: "in".into(), role: Role::Input, cameras: vec![13] },
            Area { id: 3, name: "bad".into(), role: Role::Reject, cameras: vec![] },
        ],
        product_cycles_ns: BTreeMap::from([(7, 2_000_000_000)]),
        ideal_cycle_ns: Some(1_000_000_000),
        downtime_threshold_ms: 60_000,
        micro_stop_threshold_ms: Some(5_000),
        cycle_credit: false,
        allowed_lateness_ms: 600_000,
        heartbeat_ms,
        retention_months: None,
        policy: LossPolicy::default(),
        reasons: BTreeMap::new(),
        calendar: Arc::new(Calendar::new(rules).unwrap()),
    }
}

fn piece(id: i64, at: Ms, area: i32) -> Detection {
    Detection {
        detection_id: id,
        detected_at: T0 + at,
        area_id: area,
        product_id: 1,
        quantity: 1,
        camera_id: None,
        confidence: None,
    }
}

/// What the world holds after applying changes one after another.
#[derive(Clone, Debug, Default, PartialEq)]
struct World {
    stops: BTreeMap<Ms, Stop>,
    minutes: BTreeMap<Ms, MinuteRow>,
    detections: Vec<Detection>,
}

impl World {
    fn take(&mut self, changes: Changes) {
        for row in changes.minutes {
            self.minutes.insert(row.minute, row);
        }
        for change in changes.stops {
            let before = self.stops.insert(change.stop.started_at, change.stop.clone());
            let told = before.map_or(0, |b| b.revision);
            assert_eq!(change.stop.revision, told + u32::from(!change.resend), "revisions count up by one");
        }
        self.detections.extend(changes.detections.into_iter().map(|(d, _)| d));
    }

    /// Stops as they stand, without how often they were told. An open one is told every 10 s only, so its length
    /// depends on when the line was asked.
    fn standing(&self) -> Vec<Stop> {
        let live = self.stops.values().filter(|s| s.status != StopStatus::Retracted);
        live.cloned()
            .map(|s| match s.status {
                StopStatus::Open => Stop { revision: 0, duration_ms: 0, segments: Vec::new(), ..s },
                _ => Stop { revision: 0, ..s },
            })
            .collect()
    }

    fn total(&self) -> Sums {
        let mut all = Sums::default();
        self.minutes.values().for_each(|row| all += &row.sums);
        all
    }
}

fn stamp(at: Ms) -> Stamp {
    Stamp { appended_at: at }
}

#[test]
fn a_gap_over_the_threshold_is_one_stop_and_closes_with_the_next_exit() {
    let mut line = Line::new("l1", vec![config(None, false)]);
    let mut world = World::default();
    for (id, at) in [(1, 0), (2, 2_000), (3, 4_000)] {
        assert_eq!(line.detection(&piece(id, at, 1), stamp(T0 + at)), Outcome::Applied);
    }
    world.take(line.drain());
    assert!(world.stops.is_empty());
    assert!(line.tick(T0 + 4_000 + 60_000));
    world.take(line.drain());
    assert!(world.stops.is_empty(), "exactly the threshold is no stop");
    assert_eq!(line.next_deadline(), Some(T0 + 64_001));
    assert!(line.tick(T0 + 64_001));
    world.take(line.drain());
    let stop = &world.stops[&(T0 + 4_000)];
    assert_eq!((stop.status, stop.started_at, stop.duration_ms), (StopStatus::Open, T0 + 4_000, 60_001));
    line.detection(&piece(4, 100_000, 1), stamp(T0 + 100_000));
    world.take(line.drain());
    let stop = &world.stops[&(T0 + 4_000)];
    assert_eq!((stop.status, stop.ended_at, stop.revision), (StopStatus::Closed, Some(T0 + 100_000), 2));
    assert_eq!(line.imbalance_ms(), 0);
    let figure = line.figure(Window::FiveMinutes).unwrap();
    assert_eq!((figure.buckets_ms.running, figure.buckets_ms.stopped, figure.stops), (4_000, 96_000, 1));
    assert_eq!(figure.pieces.total, 4);
}

#[test]
fn an_exit_that_comes_late_splits_the_stop_and_a_second_retracts_it() {
    let mut line = Line::new("l1", vec![config(None, false)]);
    let mut world = World::default();
    line.detection(&piece(1, 0, 1), stamp(T0));
    line.detection(&piece(2, 100_000, 1), stamp(T0));
    world.take(line.drain());
    assert_eq!(world.standing().len(), 1);
    line.detection(&piece(3, 30_000, 1), stamp(T0));
    world.take(line.drain());
    assert_eq!(world.stops[&T0].status, StopStatus::Retracted);
    assert_eq!(world.stops[&(T0 + 30_000)].duration_ms, 70_000);
    line.detection(&piece(4, 60_000, 1), stamp(T0));
    world.take(line.drain());
    assert!(world.standing().is_empty());
    assert_eq!(world.total().bucket(Bucket::MicroStop), 100_000);
}

#[test]
fn refusals_come_in_their_order() {
    use crate::domain::production::detection::Refusal;
    let mut line = Line::new("l1", vec![LineConfig { retention_months: Some(1), ..config(None, false) }]);
    let mut at = |d: Detection, appended_at: Ms| line.detection(&d, stamp(appended_at));
    let strange = Detection { area_id: 9, quantity: 0, ..piece(1, 900_000_000, 9) };
    assert_eq!(at(strange, T0), Outcome::Refused(Refusal::UnknownArea));
    assert_eq!(at(Detection { quantity: 0, ..piece(1, 300_001, 1) }, T0), Outcome::Refused(Refusal::Future));
    assert_eq!(at(Detection { quantity: 0, ..piece(1, 300_000, 1) }, T0), Outcome::Refused(Refusal::BadQuantity));
    assert_eq!(at(piece(1, -31 * 86_400_000 - 1, 1), T0), Outcome::Refused(Refusal::Expired));
    assert_eq!(at(piece(1, -31 * 86_400_000, 1), T0), Outcome::Applied, "a month before is kept to the ms");
    assert_eq!(at(piece(1, 0, 1), T0), Outcome::Applied);
    assert_eq!(at(piece(1, 0, 1), T0), Outcome::Duplicate);
    assert_eq!(at(piece(1, 0, 2), T0), Outcome::Refused(Refusal::IdConflict));
    assert_eq!(at(piece(2, -600_001, 2), T0), Outcome::Late);
    assert_eq!(at(piece(2, -600_000, 2), T0), Outcome::Applied);
}

#[test]
fn a_long_silence_is_written_minute_by_minute() {
    let mut line = Line::new("l1", vec![config(None, false)]);
    let mut world = World::default();
    let three_days = 3 * 24 * 3_600_000;
    line.detection(&piece(1, 0, 1), stamp(T0));
    line.detection(&piece(2, three_days, 2), stamp(T0 + three_days));
    world.take(line.drain());
    assert_eq!(world.total().bucket(Bucket::Stopped), three_days);
    line.detection(&piece(3, three_days + 1_000, 1), stamp(T0 + three_days));
    world.take(line.drain());
    assert_eq!(world.total().bucket(Bucket::Stopped), three_days + 1_000);
    assert_eq!(world.total().accounted_ms(), three_days + 1_000);
    assert_eq!(world.total().stops, 1);
    assert_eq!(line.imbalance_ms(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Piece(Detection),
    Status(CameraStatus),
}

impl Step {
    fn at(&self) -> Ms {
        match self {
            Step::Piece(d) => d.detected_at,
            Step::Status(s) => s.at,
        }
    }

    fn apply(&self, line: &mut Line) -> Outcome {
        match self {
            Step::Piece(d) => line.detection(d, stamp(T0 + 90_000_000)),
            Step::Status(s) => line.camera_status(s, stamp(T0 + 90_000_000)),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let gap = prop_oneof![6 => 0i64..4_000, 2 => 4_000i64..40_000, 1 => 40_000i64..200_000];
    let camera = prop_oneof![Just(None), Just(Some(11)), Just(Some(12)), Just(Some(13))];
    prop_oneof![
        8 => (gap.clone(), 1..4i32, 1..4i32, camera, prop_oneof![Just(1), Just(7)]).prop_map(
            |(gap, area, quantity, camera_id, product_id)| Step::Piece(Detection {
                quantity, camera_id, product_id, ..piece(0, gap, area)
            })
        ),
        1 => (gap, 11..13i32, any::<bool>()).prop_map(|(gap, camera_id, online)| Step::Status(CameraStatus {
            camera_id,
            at: T0 + gap,
            status: if online { Health::Online } else { Health::Offline },
            reason: None,
        })),
    ]
}

/// Steps in event order: each step's time is the gap to the one before.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60).prop_map(|mut steps| {
        let mut at = 0;
        for (index, step) in steps.iter_mut().enumerate() {
            at += step.at() - T0;
            match step {
                Step::Piece(d) => (d.detected_at, d.detection_id) = (T0 + at, index as i64),
                Step::Status(s) => s.at = T0 + at,
            }
        }
        steps
    })
}

/// Shuffles so that nothing is late when it arrives: each step may be overtaken by what is less than the lateness on.
fn shuffled(steps: &[Step], jitter: &[u32]) -> Vec<Step> {
    let mut keyed: Vec<(Ms, usize)> =
        steps.iter().enumerate().map(|(i, s)| (s.at() + Ms::from(jitter[i % jitter.len()]), i)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, i)| steps[i].clone()).collect()
}

fn figures(line: &Line) -> Vec<Option<crate::domain::production::figure::Figure>> {
    Window::LIVE.into_iter().map(|w| line.figure(w)).collect()
}

/// The line after a restart, from what the store would give back.
fn restarted(line: &Line, world: &World, configs: Vec<LineConfig>) -> Line {
    let bytes = line.snapshot();
    let needs = Needs::of(STATE_VERSION, &bytes).unwrap();
    let detections = world.detections.iter().filter(|d| d.detected_at >= needs.detections_from).copied().collect();
    let minutes: Vec<MinuteRow> =
        world.minutes.values().filter(|row| row.minute >= needs.minutes_from - 60_000).cloned().collect();
    Line::restore("l1", configs, STATE_VERSION, &bytes, detections, &minutes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn order_repeats_batches_and_restarts_change_nothing(
        steps in steps(),
        jitter in prop::collection::vec(0u32..590_000, 1..12),
        cuts in prop::collection::vec((1usize..9, any::<bool>()), 1..8),
        repeats in prop::collection::vec(0usize..60, 0..10),
        heartbeat in prop_oneof![Just(None), Just(Some(30_000))],
        shifts in any::<bool>(),
        silence in prop_oneof![Just(0i64), 1i64..200_000, Just(100_000_000i64)],
    ) {
        let configs = vec![config(heartbeat, shifts)];
        let mut plain = Line::new("l1", configs.clone());
        let mut plain_world = World::default();
        for step in &steps {
            prop_assert_eq!(step.apply(&mut plain), repeated(&steps, step));
        }
        let clock = plain.clock().unwrap_or(T0);
        plain.tick(clock + silence);
        plain_world.take(plain.drain());

        let mut line = Line::new("l1", configs.clone());
        let mut world = World::default();
        let mut arrivals = shuffled(&steps, &jitter);
        for &index in &repeats {
            let again = steps[index % steps.len()].clone();
            let place = arrivals.iter().position(|s| s.at() == again.at()).unwrap_or(0) + 1;
            arrivals.insert(place.min(arrivals.len()), again);
        }
        let mut at = 0;
        for &(length, restart) in cuts.iter().cycle() {
            if at >= arrivals.len() {
                break;
            }
            for step in &arrivals[at..(at + length).min(arrivals.len())] {
                let outcome = step.apply(&mut line);
                prop_assert!(matches!(outcome, Outcome::Applied | Outcome::Duplicate), "{:?}", outcome);
            }
            at += length;
            world.take(line.drain());
            prop_assert_eq!(line.imbalance_ms(), 0);
            if restart {
                line = restarted(&line, &world, configs.clone());
            }
        }
        line.tick(clock + silence);
        world.take(line.drain());

        prop_assert_eq!(world.standing(), plain_world.standing());
        let rows = |w: &World| w.minutes.values().filter(|r| !r.sums.is_zero() || !r.pieces.is_empty()).cloned().collect::<Vec<_>>();
        prop_assert_eq!(rows(&world), rows(&plain_world));
        prop_assert_eq!(figures(&line), figures(&plain));
        if let (Some(first), Some(clock)) = (line.first(), line.clock()) {
            prop_assert_eq!(world.total().accounted_ms(), clock - first);
        }
        prop_assert_eq!(line.state(), plain.state());
    }
}

/// A status drawn twice for one instant is a repeat of its identity.
fn repeated(steps: &[Step], step: &Step) -> Outcome {
    let Step::Status(status) = step else { return Outcome::Applied };
    let same = steps.iter().filter(|s| matches!(s, Step::Status(t) if t == status));
    let first = same.clone().next().is_some_and(|s| std::ptr::eq(s, step));
    if first { Outcome::Applied } else { Outcome::Duplicate }
}
