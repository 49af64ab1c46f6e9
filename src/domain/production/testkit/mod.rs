//! Small lines, detections and random scenarios, for tests of anything that knows a line.
//!
//! Tests of the library and test binaries both compile this folder, so it says `andon`, never `crate`.

mod random;
mod scenario;

use std::collections::BTreeMap;
use std::sync::Arc;

use andon::domain::calendar::{BreakRule, Calendar, CalendarRules, Days, ExceptionRule, ShiftRule, zone};
use andon::domain::production::batch::BatchInput;
use andon::domain::production::config::{Area, LineConfig, LossPolicy, ReasonKind, Role};
use andon::domain::production::detection::{CameraStatus, Detection, Health};
use andon::domain::production::input::{Classification, LineInput};
use andon::domain::time::{BEGINNING, FOREVER, MINUTE_MS, Ms, parse_rfc3339};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

pub use self::random::{LAYOUTS, builders, scenarios};
pub use self::scenario::{Scenario, Step, event_time};

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
