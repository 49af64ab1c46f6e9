//! Small lines, detections and random scenarios, for tests of anything that knows a line.
//!
//! Tests of the library and test binaries both compile this file, so it says `andon`, never `crate`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use andon::domain::calendar::{BreakRule, Calendar, CalendarRules, Days, ExceptionRule, ShiftRule, zone};
use andon::domain::production::batch::BatchInput;
use andon::domain::production::config::{Area, LineConfig, LossPolicy, ReasonKind, Role};
use andon::domain::production::detection::{CameraStatus, Detection, Health, Record};
use andon::domain::production::input::{Classification, LineInput};
use andon::domain::time::{BEGINNING, FOREVER, HOUR_MS, MINUTE_MS, Ms, parse_rfc3339};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use proptest::prelude::*;

/// A second, in milliseconds.
pub const S: Ms = 1000;

/// An instant of RFC 3339 text.
pub fn at(text: &str) -> Ms {
    parse_rfc3339(text).expect("an RFC 3339 time")
}

/// One piece of product 1, seen by no camera in particular.
pub fn det(detection_id: i64, detected_at: Ms, area_id: i32) -> Detection {
    Detection { detection_id, detected_at, area_id, product_id: 1, quantity: 1, camera_id: None, confidence: None }
}

/// A piece in area 1 at each of `times`, numbered from 1.
pub fn dets(times: impl IntoIterator<Item = Ms>) -> Vec<Detection> {
    (1..).zip(times).map(|(id, time)| det(id, time, 1)).collect()
}

pub fn status(camera_id: i32, at: Ms, status: Health) -> CameraStatus {
    CameraStatus { camera_id, at, status, reason: None }
}

pub fn online(camera_id: i32, at: Ms) -> LineInput {
    LineInput::CameraStatus { status: status(camera_id, at, Health::Online), late: false }
}

pub fn offline(camera_id: i32, at: Ms) -> LineInput {
    LineInput::CameraStatus { status: status(camera_id, at, Health::Offline), late: false }
}

pub fn timer(at: Ms) -> LineInput {
    LineInput::Timer { at }
}

pub fn split(at: Ms) -> LineInput {
    LineInput::Split { at, author: "lead".into() }
}

pub fn hole(from: Ms, to: Ms) -> LineInput {
    LineInput::Hole { from, to, author: "lead".into() }
}

/// A reason for the stop that covered [from, to).
pub fn classify(from: Ms, to: Ms, reason: &str) -> LineInput {
    LineInput::Classification(Classification {
        from,
        to,
        until_exit_after: None,
        reason_code: Some(reason.into()),
        comment: None,
        author: "lead".into(),
    })
}

/// A reason given at `clock` to the stop that was open since `from`.
pub fn classify_open(from: Ms, clock: Ms, reason: &str) -> LineInput {
    LineInput::Classification(Classification {
        from,
        to: FOREVER,
        until_exit_after: Some(clock),
        reason_code: Some(reason.into()),
        comment: None,
        author: "lead".into(),
    })
}

fn time(text: &str) -> Time {
    text.parse().expect("a wall time such as 06:00")
}

/// A line's configuration, from a plain one on: version 1 from the beginning, one output area 1 without a camera,
/// scheduled around the clock in UTC, stops above 60 s, no micro-stops, no ideal cycle, 10 min of lateness, and the
/// reasons `jam` (unplanned), `cleaning` (planned) and `changeover` (changeover).
#[derive(Clone, Debug)]
pub struct LineBuilder {
    config: LineConfig,
    rules: CalendarRules,
}

impl Default for LineBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl LineBuilder {
    pub fn new() -> Self {
        let rules = CalendarRules::always(TimeZone::UTC);
        let config = LineConfig {
            version: 1,
            policy_version: 1,
            valid_from: BEGINNING,
            areas: vec![area(1, Role::Output)],
            product_cycles_ns: BTreeMap::new(),
            ideal_cycle_ns: None,
            downtime_threshold_ms: 60 * S,
            micro_stop_threshold_ms: None,
            cycle_credit: false,
            allowed_lateness_ms: 10 * MINUTE_MS,
            heartbeat_ms: None,
            retention_months: None,
            policy: LossPolicy::default(),
            reasons: [
                ("jam".to_owned(), ReasonKind::Unplanned),
                ("cleaning".to_owned(), ReasonKind::Planned),
                ("changeover".to_owned(), ReasonKind::Changeover),
            ]
            .into(),
            calendar: Arc::new(Calendar::always(TimeZone::UTC)),
        };
        Self { config, rules }
    }

    /// Areas 1, 2, … with these roles, in place of what was.
    pub fn areas(mut self, roles: &[Role]) -> Self {
        self.config.areas = (1..).zip(roles).map(|(id, role)| area(id, *role)).collect();
        self
    }

    /// Cameras that watch an area.
    pub fn cameras(mut self, area: i32, cameras: &[i32]) -> Self {
        for known in self.config.areas.iter_mut().filter(|known| known.id == area) {
            known.cameras = cameras.to_vec();
        }
        self
    }

    pub fn stopped_above(mut self, threshold: Ms) -> Self {
        self.config.downtime_threshold_ms = threshold;
        self
    }

    pub fn micro_above(mut self, threshold: Ms) -> Self {
        self.config.micro_stop_threshold_ms = Some(threshold);
        self
    }

    /// The line's ideal cycle.
    pub fn cycle(mut self, ms: Ms) -> Self {
        self.config.ideal_cycle_ns = Some(ms * 1_000_000);
        self
    }

    /// The line's ideal cycle, to the nanosecond.
    pub fn cycle_s(mut self, seconds: f64) -> Self {
        self.config.ideal_cycle_ns = Some((seconds * 1e9).round() as i64);
        self
    }

    pub fn product_cycle(mut self, product: i32, ms: Ms) -> Self {
        self.config.product_cycles_ns.insert(product, ms * 1_000_000);
        self
    }

    pub fn cycle_credit(mut self) -> Self {
        self.config.cycle_credit = true;
        self
    }

    pub fn heartbeat(mut self, ms: Ms) -> Self {
        self.config.heartbeat_ms = Some(ms);
        self
    }

    pub fn lateness(mut self, ms: Ms) -> Self {
        self.config.allowed_lateness_ms = ms;
        self
    }

    pub fn policy(mut self, policy: LossPolicy) -> Self {
        self.config.policy = policy;
        self
    }

    pub fn zone(mut self, name: &str) -> Self {
        self.rules.zone = zone(name).expect("a zone");
        self
    }

    /// A shift of every day.
    pub fn shift(mut self, name: &str, start: &str, end: &str) -> Self {
        let shift = ShiftRule { name: name.into(), start: time(start), end: time(end), days: Days::EVERY };
        self.rules.shifts.push(shift);
        self
    }

    /// A break of every day, of any shift.
    pub fn pause(mut self, start: &str, end: &str) -> Self {
        let pause = BreakRule { shift: None, start: time(start), end: time(end), days: Days::EVERY };
        self.rules.breaks.push(pause);
        self
    }

    pub fn holiday(mut self, date: Date) -> Self {
        self.rules.exceptions.push(ExceptionRule { date, shifts: Vec::new() });
        self
    }

    /// A later version of configuration and policy.
    pub fn version(mut self, number: u32, valid_from: Ms) -> Self {
        (self.config.version, self.config.policy_version, self.config.valid_from) = (number, number, valid_from);
        self
    }

    pub fn build(self) -> LineConfig {
        let calendar = Arc::new(Calendar::new(self.rules).expect("shifts apart"));
        LineConfig { calendar, ..self.config }
    }
}

fn area(id: i32, role: Role) -> Area {
    Area { id, name: format!("area {id}"), role, cameras: Vec::new() }
}

/// Line `l1` under one configuration.
pub fn input(line: LineBuilder, detections: Vec<Detection>, inputs: Vec<LineInput>) -> BatchInput {
    BatchInput { line: "l1".into(), configs: vec![line.build()], detections, inputs }
}

/// What happens to a line, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Arrives in the topic.
    Record(Record),
    /// Any other stored input; never a camera status.
    Input(LineInput),
}

/// A line's life, in order of arrival: with records out of order, late, and twice.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub line: String,
    pub configs: Vec<LineConfig>,
    pub steps: Vec<Step>,
}

/// The event time of a record.
pub fn event_time(record: &Record) -> Ms {
    match record {
        Record::Detection(detection) => detection.detected_at,
        Record::Status(status) => status.at,
    }
}

impl Scenario {
    /// What is stored of it: duplicates and late records left out by the plainest reading of the rules.
    pub fn batch_input(&self) -> BatchInput {
        let mut clock: Option<Ms> = None;
        let mut detections = Vec::new();
        let mut inputs = Vec::new();
        let mut known = HashSet::new();
        for step in &self.steps {
            let record = match step {
                Step::Record(record) => record,
                Step::Input(input) => {
                    if let LineInput::Timer { at } = input {
                        clock = clock.max(Some(*at));
                    }
                    inputs.push(input.clone());
                    continue;
                }
            };
            let identity = match record {
                Record::Detection(d) => (true, d.detection_id, d.detected_at, Health::Online),
                Record::Status(s) => (false, i64::from(s.camera_id), s.at, s.status),
            };
            let late = clock.is_some_and(|clock| event_time(record) < clock - self.lateness(clock));
            if !known.insert(identity) || late {
                continue;
            }
            clock = clock.max(Some(event_time(record)));
            match record {
                Record::Detection(detection) => detections.push(*detection),
                Record::Status(status) => {
                    inputs.push(LineInput::CameraStatus { status: status.clone(), late: false });
                }
            }
        }
        BatchInput { line: self.line.clone(), configs: self.configs.clone(), detections, inputs }
    }

    fn lateness(&self, clock: Ms) -> Ms {
        let config = self.configs.iter().rfind(|config| config.valid_from <= clock);
        config.map_or(0, |config| config.allowed_lateness_ms)
    }
}

/// Where scenarios begin: an ordinary Monday morning, and the nights of both clock changes of Madrid.
const BEGINNINGS: [&str; 3] = ["2026-01-05T04:00:00Z", "2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z"];

const LAYOUTS: [&[Role]; 6] = [
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
    fn with_roles(self, roles: &[Role], turned: bool) -> Self {
        let cameras: Vec<(i32, Vec<i32>)> =
            self.config.areas.iter().map(|area| (area.id, area.cameras.clone())).collect();
        let mut roles = roles.to_vec();
        let by = usize::from(turned) % roles.len();
        roles.rotate_left(by);
        cameras.iter().fold(self.areas(&roles), |line, (area, cameras)| line.cameras(*area, cameras))
    }
}

fn builders() -> impl Strategy<Value = LineBuilder> {
    let thresholds = (2..90_i64, prop::option::of(1..89_i64), 0..10_i64);
    let cycles = (prop::option::of(500..9000_i64), prop::option::of(500..9000_i64), any::<bool>());
    let cameras = (0..4_usize, prop::option::of(5..90_i64));
    let policy = (0..3_usize, any::<bool>(), any::<bool>());
    let calendar = (0..4_usize, any::<bool>());
    (thresholds, cycles, cameras, policy, calendar).prop_map(
        |((stopped, micro, lateness_min), (line, product, credit), (cameras, heartbeat), policy, (plan, pause))| {
            let mut builder = LineBuilder::new()
                .areas(&[Role::Process; 4])
                .stopped_above(stopped * S)
                .lateness(lateness_min * MINUTE_MS)
                .policy(policy_of(policy));
            if let Some(micro) = micro.filter(|micro| *micro < stopped) {
                builder = builder.micro_above(micro * S);
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
    use andon::domain::production::config::{ChangeoverPolicy, MicroStopSide, QualityBasis};
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
            What::Timer => Step::Input(timer(walk)),
            What::Classification { long, open, reason } => {
                let code = ["jam", "cleaning", "changeover", "unheard_of"][reason];
                let given = if open { classify_open(event, walk, code) } else { classify(event, event + long, code) };
                Step::Input(given)
            }
            What::Split => Step::Input(split(event)),
            What::Hole { long } => Step::Input(hole(event, event + long)),
        };
        if let Step::Record(record) = &step {
            records.push(record.clone());
        }
        steps.push(step);
    }
    steps
}
