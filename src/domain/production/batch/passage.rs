//! The plain route a stretch at a time: what a period comes to without all that a line was ever told in memory.
//!
//! An exit divides a line's life. The pieces before it are settled once everything up to it is known (and a heartbeat
//! more, where a camera's silence decides), and nothing of before it decides what comes after but the last sign of
//! life of each camera and the words of people. So what was told is gone over up to the last such exit, summed, and
//! only what begins at that exit is kept for the next stretch.

use std::collections::BTreeMap;

use super::versions::Versions;
use super::{BatchInput, recompute};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{CameraStatus, Detection, Health};
use crate::domain::production::input::LineInput;
use crate::domain::production::stop::Stop;
use crate::domain::production::sums::Sums;
use crate::domain::time::{BEGINNING, FOREVER, Ms, Span};

/// A line's way through stretches of what it was told, with the sums of some periods.
#[derive(Clone, Debug)]
pub struct Passage {
    /// What is not settled, with the words of people, which stay.
    input: BatchInput,
    versions: Versions,
    /// The longest silence that any version allows a camera.
    heartbeat_ms: Ms,
    /// All that is asked about.
    period: Span,
    /// What it comes to so far.
    whole: Sums,
    /// Sets of its milliseconds, each with what it comes to so far.
    parts: Vec<(Vec<Span>, Sums)>,
    /// Before it everything is summed and every stop told.
    settled: Ms,
}

// === impl Passage ===

impl Passage {
    /// From the start of `period`, or of what `input` and the stretches begin with where that is later; `input` has the
    /// words of people (all inputs but statuses and timers). The stretches have to begin at an exit of the line at or
    /// before the start of `period`, or with its first detection.
    pub fn new(input: BatchInput, period: Span, parts: Vec<Vec<Span>>) -> Self {
        let versions = Versions::new(input.configs.clone(), &input.inputs);
        let heartbeat_ms = input.configs.iter().filter_map(|config| config.heartbeat_ms).max().unwrap_or(0);
        let parts = parts.into_iter().map(|own| (own, Sums::default())).collect();
        Self { input, versions, heartbeat_ms, period, whole: Sums::default(), parts, settled: BEGINNING }
    }

    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Whose signs of life count: the exit cameras of all versions.
    pub fn cameras(&self) -> Vec<i32> {
        self.input.configs.iter().flat_map(LineConfig::exit_cameras).collect()
    }

    /// The longest silence that any version allows a camera.
    pub fn heartbeat_ms(&self) -> Ms {
        self.heartbeat_ms
    }

    /// Before it everything is summed and every stop told.
    pub fn settled(&self) -> Ms {
        self.settled
    }

    /// Whether all of the period is settled.
    pub fn is_through(&self) -> bool {
        self.settled >= self.period.to
    }

    /// Detections and inputs that are not settled.
    pub fn held(&self) -> usize {
        self.input.detections.len() + self.input.inputs.len()
    }

    /// What the period comes to so far.
    pub fn whole(&self) -> &Sums {
        &self.whole
    }

    /// What each part comes to so far.
    pub fn parts(&self) -> impl Iterator<Item = (&[Span], &Sums)> {
        self.parts.iter().map(|(own, sums)| (own.as_slice(), sums))
    }

    /// Takes a stretch in, after which everything before `until` is told, and settles what it can: the stops of the
    /// period that this settled, by start. `until` is the line clock at most.
    pub fn take(&mut self, detections: &[Detection], statuses: &[LineInput], until: Ms) -> Vec<Stop> {
        if self.is_through() {
            return Vec::new();
        }
        self.input.detections.extend_from_slice(detections);
        self.input.inputs.extend_from_slice(statuses);
        let exits = self.input.detections.iter().filter(|d| self.versions.at(d.detected_at).is_exit(d.area_id));
        let known = exits.map(|exit| exit.detected_at).filter(|at| at + self.heartbeat_ms <= until);
        let Some(exit) = known.max().filter(|at| *at > self.settled) else { return Vec::new() };
        let stops = self.settle(exit, until);
        self.forget(exit);
        stops
    }

    /// Settles the rest: nothing more is told up to the line clock.
    pub fn end(&mut self, clock: Ms) -> Vec<Stop> {
        if self.is_through() { Vec::new() } else { self.settle(FOREVER, clock) }
    }

    fn settle(&mut self, to: Ms, clock: Ms) -> Vec<Stop> {
        self.input.inputs.push(LineInput::Timer { at: clock });
        let ledger = recompute(&self.input);
        self.input.inputs.pop();
        let open = Span::new(self.settled, to);
        if let Some(span) = self.period.intersect(&open) {
            self.whole += &ledger.sums(span);
        }
        for (own, sums) in &mut self.parts {
            for span in own.iter().filter_map(|span| span.intersect(&open)) {
                *sums += &ledger.sums(span);
            }
        }
        self.settled = to;
        ledger.stops_in(self.period).filter(|stop| open.contains(stop.started_at)).cloned().collect()
    }

    /// Leaves out what decides nothing from an exit on.
    fn forget(&mut self, exit: Ms) {
        let mut last_seen: BTreeMap<i32, Ms> = BTreeMap::new();
        for detection in self.input.detections.iter().filter(|d| d.detected_at < exit) {
            if let Some(camera) = detection.camera_id {
                let last = last_seen.entry(camera).or_insert(detection.detected_at);
                *last = detection.detected_at.max(*last);
            }
        }
        let mut last_said: BTreeMap<i32, Ms> = last_seen.clone();
        for input in &self.input.inputs {
            if let LineInput::CameraStatus { status, late: false } = input
                && status.at < exit
            {
                let last = last_said.entry(status.camera_id).or_insert(status.at);
                *last = status.at.max(*last);
            }
        }
        self.input.detections.retain(|detection| detection.detected_at >= exit);
        self.input.inputs.retain(|input| match input {
            LineInput::CameraStatus { status, late } => {
                !late && (status.at >= exit || last_said.get(&status.camera_id) == Some(&status.at))
            }
            LineInput::Timer { .. } => false,
            _ => true,
        });
        // A detection is a sign of its camera's life; as a status it is one of the line's life no more.
        self.input.inputs.extend(last_seen.into_iter().map(|(camera_id, at)| sign(camera_id, at)));
    }
}

/// That a camera was there: what is left of the detections before a stretch.
pub fn sign(camera_id: i32, at: Ms) -> LineInput {
    let status = CameraStatus { camera_id, at, status: Health::Online, reason: None };
    LineInput::CameraStatus { status, late: false }
}
