//! Random lives of random lines.

use andon::domain::production::config::{ChangeoverPolicy, LineConfig, LossPolicy, MicroStopSide, QualityBasis, Role};
use andon::domain::production::detection::{Detection, Health, Record};
use andon::domain::time::{BEGINNING, HOUR_MS, MINUTE_MS, Ms};
use proptest::prelude::*;

use super::scenario::{Scenario, Step, event_time};
use super::{LineBuilder, S, at, classify, classify_open, det, hole, split, status, timer};

/// Where scenarios begin: an ordinary Monday morning, and the nights of both clock changes of Madrid.
const BEGINNINGS: [&str; 3] = ["2026-01-05T04:00:00Z", "2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z"];

/// What the areas of a line can be.
pub const LAYOUTS: [&[Role]; 6] = [
    &[Role::Output],
    &[Role::Process, Role::Process, Role::Reject],
    &[Role::Input, Role::Output],
    &[Role::Input, Role::Process, Role::Output, Role::Reject],
    &[Role::Output, Role::Output, Role::Reject],
    &[Role::Process, Role::Output, Role::Process],
];

/// A random life of line `l1`: up to three configurations and up to `steps` steps over a few hours.
pub fn scenarios(steps: usize) -> impl Strategy<Value = Scenario> {
    let lines = (0..BEGINNINGS.len(), 0..8 * HOUR_MS, 0..LAYOUTS.len());
    let configs = prop::collection::vec((builders(), 0..4 * HOUR_MS), 1..=3);
    let happenings = prop::collection::vec(happening(), 1..=steps);
    (lines, configs, happenings).prop_map(|((beginning, offset, layout), versions, happenings)| {
        let start = at(BEGINNINGS[beginning]) + offset / 1000 * 1000;
        let areas = LAYOUTS[layout];
        let configs = configs_of(versions, areas, start);
        let steps = steps_of(&happenings, areas.len(), start);
        Scenario { line: "l1".into(), configs, steps }
    })
}

/// The versions of a line; a role may change from one to the next, the areas stay.
fn configs_of(versions: Vec<(LineBuilder, Ms)>, areas: &[Role], start: Ms) -> Vec<LineConfig> {
    let mut begins: Vec<Ms> = versions.iter().map(|(_, after)| start + after).collect();
    begins.sort_unstable();
    let mut configs = Vec::new();
    for (number, (builder, after)) in (1..).zip(versions) {
        let builder = builder.with_roles(areas, number > 1 && after % 3 == 0);
        let valid_from = if number == 1 { BEGINNING } else { begins[number as usize - 1] };
        configs.push(builder.version(number, valid_from).build());
    }
    configs
}

impl LineBuilder {
    /// Gives areas 1, 2, … their roles, or turned by one, and keeps the cameras that they had.
    pub(crate) fn with_roles(self, roles: &[Role], turned: bool) -> Self {
        let cameras: Vec<(i32, Vec<i32>)> =
            self.config.areas.iter().map(|area| (area.id, area.cameras.clone())).collect();
        let mut roles = roles.to_vec();
        let by = usize::from(turned) % roles.len();
        roles.rotate_left(by);
        cameras.iter().fold(self.areas(&roles), |line, (area, cameras)| line.cameras(*area, cameras))
    }
}

/// Random configurations of a line with four areas and any calendar.
pub fn builders() -> impl Strategy<Value = LineBuilder> {
    let thresholds = (2..180_i64, prop::option::weighted(0.75, 1..100_i64), 0..10_i64);
    let cycles = (prop::option::of(500..9000_i64), prop::option::of(500..9000_i64), any::<bool>());
    let cameras = (0..4_usize, prop::option::weighted(0.3, 5..200_i64));
    let policy = (0..3_usize, any::<bool>(), any::<bool>());
    let calendar = (0..4_usize, any::<bool>());
    (thresholds, cycles, cameras, policy, calendar).prop_map(
        |((stopped, micro, lateness_min), (line, product, credit), (cameras, heartbeat), policy, (plan, pause))| {
            let mut builder = LineBuilder::new()
                .areas(&[Role::Process; 4])
                .stopped_above(stopped * S)
                .lateness(lateness_min * MINUTE_MS)
                .policy(policy_of(policy));
            if let Some(percent) = micro {
                builder = builder.micro_above(stopped * S * percent / 100);
            }
            builder.config.ideal_cycle_ns = line.map(|ms| ms * 1_000_001);
            builder = product.map_or(builder.clone(), |ms| builder.product_cycle(2, ms));
            builder.config.cycle_credit = credit;
            builder.config.heartbeat_ms = heartbeat.map(|s| s * S);
            for area in 1..=4 {
                // 0: none anywhere; 1: one for all; 2: one each; 3: two each, neighbours share one.
                let watched: &[i32] = match cameras {
                    0 => &[],
                    1 => &[11],
                    2 => &[10 + area],
                    _ => &[10 + area, 11 + area],
                };
                builder = builder.cameras(area, watched);
            }
            calendar_of(builder, plan, pause)
        },
    )
}

fn policy_of((quality, changeover, side): (usize, bool, bool)) -> LossPolicy {
    LossPolicy {
        quality: [QualityBasis::Auto, QualityBasis::InputOutput, QualityBasis::None][quality],
        changeover: if changeover { ChangeoverPolicy::Planned } else { ChangeoverPolicy::Stopped },
        micro_stop_side: if side { MicroStopSide::Availability } else { MicroStopSide::Performance },
    }
}

fn calendar_of(builder: LineBuilder, plan: usize, pause: bool) -> LineBuilder {
    let builder = builder.zone("Europe/Madrid");
    let builder = match plan {
        0 => builder,
        1 => builder.shift("early", "06:00", "14:00").shift("late", "14:00", "22:00").shift("night", "22:00", "06:00"),
        2 => builder.shift("day", "07:30", "10:15").shift("evening", "10:45", "02:20"),
        _ => builder.shift("short", "05:00", "06:10").shift("next", "06:10", "07:40").shift("night", "21:30", "03:00"),
    };
    if pause { builder.pause("06:30", "06:50").pause("02:05", "02:40").pause("23:00", "23:01") } else { builder }
}

/// A random step, before it has a place in time.
#[derive(Clone, Debug)]
struct Happening {
    /// Of the walk since the step before.
    pause: Ms,
    /// How far before the walk's place the event lies.
    behind: Ms,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Detection {
        area: usize,
        product: i32,
        quantity: i32,
        camera: Option<i32>,
    },
    Status {
        camera: i32,
        offline: bool,
    },
    /// The record so many steps back once more.
    Again {
        back: usize,
    },
    Timer,
    Classification {
        long: Ms,
        open: bool,
        reason: usize,
    },
    Split,
    Hole {
        long: Ms,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    let pause = prop_oneof![
        2 => Just(0),
        10 => 1..12_000_i64,
        5 => 12_000..150_000_i64,
        2 => 150_000..1_500_000_i64,
        1 => (1..40_i64).prop_map(|n| n * 10_000),
    ];
    let behind = prop_oneof![
        12 => Just(0),
        5 => 1..30_000_i64,
        3 => 30_000..400_000_i64,
        1 => 400_000..2_000_000_i64,
    ];
    let camera = || 11..16_i32;
    let what = prop_oneof![
        20 => (0..4_usize, 1..4_i32, 1..4_i32, prop::option::of(camera()))
            .prop_map(|(area, product, quantity, camera)| What::Detection { area, product, quantity, camera }),
        4 => (camera(), any::<bool>()).prop_map(|(camera, offline)| What::Status { camera, offline }),
        2 => (1..9_usize).prop_map(|back| What::Again { back }),
        2 => Just(What::Timer),
        2 => (1..900_000_i64, any::<bool>(), 0..4_usize)
            .prop_map(|(long, open, reason)| What::Classification { long, open, reason }),
        1 => Just(What::Split),
        1 => (1..300_000_i64).prop_map(|long| What::Hole { long }),
    ];
    (pause, behind, what).prop_map(|(pause, behind, what)| Happening { pause, behind, what })
}

fn steps_of(happenings: &[Happening], areas: usize, start: Ms) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut records: Vec<Record> = Vec::new();
    let mut walk = start;
    let mut clock: Option<Ms> = None;
    for (id, happening) in (1..).zip(happenings) {
        walk += happening.pause;
        let event = walk - happening.behind;
        let step = match happening.what {
            What::Detection { area, product, quantity, camera } => {
                let detection = det(id, event, (area % areas) as i32 + 1);
                let detection = Detection { product_id: product, quantity, camera_id: camera, ..detection };
                Step::Record(Record::Detection(detection))
            }
            What::Status { camera, offline } => {
                let health = if offline { Health::Offline } else { Health::Online };
                Step::Record(Record::Status(status(camera, event, health)))
            }
            What::Again { back } => match records.iter().rev().nth(back - 1) {
                Some(record) => Step::Record(record.clone()),
                None => continue,
            },
            What::Timer => {
                clock = clock.max(Some(walk));
                Step::Input(timer(walk))
            }
            What::Classification { long, open, reason } => {
                // There is no stop to speak of before the first detection, nor after the clock.
                let Some(clock) = clock.filter(|_| records.iter().any(is_detection)) else { continue };
                let from = event.min(clock);
                let code = ["jam", "cleaning", "changeover", "unheard_of"][reason];
                Step::Input(if open { classify_open(from, clock, code) } else { classify(from, from + long, code) })
            }
            What::Split => Step::Input(split(event)),
            What::Hole { long } => Step::Input(hole(event, event + long)),
        };
        if let Step::Record(record) = &step {
            records.push(record.clone());
            clock = clock.max(Some(event_time(record)));
        }
        steps.push(step);
    }
    steps
}

fn is_detection(record: &Record) -> bool {
    matches!(record, Record::Detection(_))
}
