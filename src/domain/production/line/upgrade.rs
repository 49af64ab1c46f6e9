//! States of every form that was ever written: an older one goes on exactly, a newer one is refused.
//!
//! `fixtures/state-v{n}.json` is the checkpoint in the middle of [`life`] as the code of form n wrote it. They are never
//! written again: a change of the form is a new [`STATE_VERSION`] with a fixture of its own.

use super::*;
use crate::domain::production::batch::{self, BatchInput};
use crate::domain::production::changes::MinuteRow;
use crate::domain::production::config::Role;
use crate::domain::production::detection::Health;
use crate::domain::production::input::LineInput;
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::production::testkit::{LineBuilder, S, at, det, status};

/// Every form, oldest first.
const FIXTURES: [(u32, &str); 2] =
    [(1, include_str!("fixtures/state-v1.json")), (2, include_str!("fixtures/state-v2.json"))];

fn configs() -> Vec<LineConfig> {
    let line = LineBuilder::new()
        .areas(&[Role::Output, Role::Input, Role::Reject])
        .cameras(1, &[11, 12])
        .micro_above(5 * S)
        .cycle(1_500)
        .product_cycle(2, 2_500)
        .heartbeat(600 * S)
        .lateness(120 * S)
        .zone("Europe/Madrid")
        .shift("early", "06:00", "14:00")
        .shift("late", "14:00", "22:00")
        .pause("13:30", "13:45");
    vec![line.build()]
}

/// What the store holds of a life.
#[derive(Default)]
struct Stored {
    detections: Vec<Detection>,
    inputs: Vec<LineInput>,
    stops: std::collections::BTreeMap<Ms, Stop>,
    minutes: std::collections::BTreeMap<Ms, MinuteRow>,
}

impl Stored {
    fn take(&mut self, changes: Changes) {
        self.detections.extend(changes.detections.iter().filter(|(_, late)| !late).map(|(d, _)| *d));
        self.inputs.extend(changes.inputs);
        self.stops.extend(changes.stops.into_iter().map(|change| (change.stop.started_at, change.stop)));
        self.minutes.extend(changes.minutes.into_iter().map(|row| (row.minute, row)));
    }
}

const START: &str = "2026-01-05T11:50:00Z";

/// The first or the second half of a shift with all that a state can hold: pieces, exits out of order, a camera that
/// is away, heartbeats, a reason given to an open stop, a split, a hole, a break, the change of the shift.
fn live(line: &mut Line, stored: &mut Stored, second: bool) {
    let start = at(START);
    let stamp = Stamp { appended_at: start + 24 * crate::domain::time::HOUR_MS };
    let half = if second { 65 * MINUTE_MS } else { 0 };
    for number in 0..200_i64 {
        // Two seconds a piece, a micro-stop now and then, out of order by threes, and six minutes of nothing.
        let pause = if number >= 100 { 360 * S } else { 0 } + (number / 40) * 12 * S;
        let time = start + half + number * 2 * S + pause - (number % 3) * 3 * S;
        let area = [1, 1, 2, 1, 3][(number % 5) as usize];
        let camera_id = (number % 7 < 4).then_some(11 + (number % 2) as i32);
        let id = number + i64::from(second) * 1_000;
        let piece = Detection { camera_id, product_id: 1 + (number % 2) as i32, ..det(id, time, area) };
        if number == 100 {
            line.tick(start + half + 500 * S);
            stored.take(line.drain());
            let open = stored.stops.values().rfind(|stop| stop.status == StopStatus::Open).map(|stop| stop.started_at);
            line.classify(open.expect("an open stop"), Some("cleaning".into()), None, "lead").expect("a known reason");
            line.split(open.expect("an open stop") + 100 * S, "lead").expect("inside the stop");
            stored.take(line.drain());
        }
        line.detection(&piece, stamp);
        if number == 150 {
            line.camera_status(&status(11, time, Health::Offline), stamp);
            line.camera_status(&status(12, time + S, Health::Offline), stamp);
            line.camera_status(&status(12, time + 30 * S, Health::Online), stamp);
        }
    }
    let clock = line.clock().expect("a clock");
    line.hole(Span::new(clock - 40 * S, clock - 30 * S), "lead").expect("in reach");
    stored.take(line.drain());
    line.tick(clock + 200 * S);
    stored.take(line.drain());
}

fn plain(stop: &Stop) -> Stop {
    match stop.status {
        StopStatus::Open => Stop { revision: 0, duration_ms: 0, segments: Vec::new(), ..stop.clone() },
        _ => Stop { revision: 0, ..stop.clone() },
    }
}

fn half_a_life() -> (Line, Stored) {
    let (mut line, mut stored) = (Line::new("l1", configs()), Stored::default());
    live(&mut line, &mut stored, false);
    (line, stored)
}

#[test]
fn a_state_of_every_form_goes_on_exactly() {
    for (version, text) in FIXTURES {
        let (_, mut stored) = half_a_life();
        let needs = Needs::of(version, text.trim().as_bytes()).unwrap();
        let recent = stored.detections.iter().filter(|d| d.detected_at >= needs.detections_from).copied().collect();
        let minutes: Vec<MinuteRow> = stored.minutes.range(needs.minutes_from..).map(|(_, row)| row.clone()).collect();
        let state = text.trim().as_bytes();
        let mut line = Line::restore("l1", configs(), version, state, recent, &minutes).unwrap();
        assert_eq!(line.imbalance_ms(), 0);
        live(&mut line, &mut stored, true);

        let (detections, inputs) = (stored.detections.clone(), stored.inputs.clone());
        let ledger = batch::recompute(&BatchInput { line: "l1".into(), configs: configs(), detections, inputs });
        assert_eq!(line.clock(), ledger.clock, "state of version {version}");
        let told = stored.stops.values().filter(|stop| stop.status != StopStatus::Retracted).map(plain);
        assert_eq!(told.collect::<Vec<_>>(), ledger.stops.iter().map(plain).collect::<Vec<_>>());
        let rows = stored.minutes.values().filter(|row| !row.sums.is_zero() || !row.pieces.is_empty());
        let rows: Vec<MinuteRow> = rows.map(|row| MinuteRow { slices: Vec::new(), ..row.clone() }).collect();
        assert_eq!(rows, ledger.minutes(), "state of version {version}");
        for window in crate::domain::production::figure::Window::LIVE {
            assert_eq!(line.figure(window), ledger.figure_window(window), "{window:?} of version {version}");
        }
    }
}

#[test]
fn the_form_is_that_of_the_newest_fixture() {
    let (line, _) = half_a_life();
    let written = String::from_utf8(line.snapshot()).unwrap();
    let (version, fixture) = FIXTURES[FIXTURES.len() - 1];
    assert_eq!(version, STATE_VERSION, "the newest form has a fixture");
    assert_eq!(written, fixture.trim(), "the form has changed: count STATE_VERSION up and keep this as its fixture");
}

#[test]
fn a_newer_state_is_refused_and_says_what_to_do() {
    let refused = Line::restore("l1", configs(), STATE_VERSION + 1, b"{}", Vec::new(), &[]).map(|_| ()).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains(&format!("version {}", STATE_VERSION + 1)), "{text}");
    assert!(text.contains(&format!("up to {STATE_VERSION}")) && text.contains("at least as new"), "{text}");
    assert!(matches!(Needs::of(STATE_VERSION + 1, b"{}"), Err(BadState::Newer { .. })));
}
