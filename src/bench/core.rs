//! The state machine alone: detections per second and core, in order and out of it.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::bench::load::{AREAS, LineLoad, Shape};
use crate::domain::calendar::Calendar;
use crate::domain::production::config::{Area, LineConfig, LossPolicy, Role};
use crate::domain::production::detection::Detection;
use crate::domain::production::line::{Line, Stamp};
use crate::domain::time::{BEGINNING, FOREVER};

/// Where the load begins: 2025-03-30T02:00:00Z.
const START: i64 = 1_743_300_000_000;
/// Detections between two drains, as in a backlog's micro-batch.
const BATCH: usize = 20_000;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct CoreFigure {
    pub load: &'static str,
    pub detections: usize,
    pub seconds: f64,
    pub per_second: f64,
    /// Milliseconds that are in no bucket or in two; anything but 0 is a defect.
    pub imbalance_ms: i64,
}

/// Runs both loads over `count` detections each.
pub fn run(count: usize) -> Vec<CoreFigure> {
    let in_order = Shape { late_percent: 0, repeat_percent: 1 };
    let mixed = Shape { late_percent: 25, repeat_percent: 1 };
    vec![measure("in order", in_order, count), measure("25 % late", mixed, count)]
}

fn measure(load: &'static str, shape: Shape, count: usize) -> CoreFigure {
    let detections: Vec<Detection> = LineLoad::new(42, 1, START, shape).take(count).map(|(_, d)| d).collect();
    let mut line = Line::new("l1", vec![config()]);
    let stamp = Stamp { appended_at: FOREVER };
    let started = Instant::now();
    for batch in detections.chunks(BATCH) {
        for detection in batch {
            std::hint::black_box(line.detection(detection, stamp));
        }
        std::hint::black_box(line.drain());
    }
    let seconds = started.elapsed().as_secs_f64();
    let per_second = count as f64 / seconds;
    CoreFigure { load, detections: count, seconds, per_second, imbalance_ms: line.imbalance_ms() }
}

/// Input, output and reject area with a camera each; stops over 60 s, micro-stops over 10 s, 10 min of lateness.
fn config() -> LineConfig {
    let roles = [Role::Input, Role::Output, Role::Reject];
    let areas = AREAS.iter().zip(roles);
    LineConfig {
        version: 1,
        policy_version: 1,
        valid_from: BEGINNING,
        areas: areas
            .map(|((id, name, _), role)| Area { id: *id, name: (*name).to_owned(), role, cameras: vec![10 + id] })
            .collect(),
        product_cycles_ns: [(1, 1_500_000_000), (2, 1_800_000_000), (3, 2_100_000_000)].into(),
        ideal_cycle_ns: Some(1_500_000_000),
        downtime_threshold_ms: 60_000,
        micro_stop_threshold_ms: Some(10_000),
        cycle_credit: false,
        allowed_lateness_ms: 600_000,
        heartbeat_ms: None,
        retention_months: None,
        policy: LossPolicy::default(),
        reasons: Default::default(),
        calendar: Arc::new(Calendar::always(jiff::tz::TimeZone::UTC)),
    }
}
