//! A line's life as a list of steps, and what a store would hold of it.

use std::collections::HashSet;

use andon::domain::production::batch::BatchInput;
use andon::domain::production::config::LineConfig;
use andon::domain::production::detection::{Health, Record};
use andon::domain::production::input::LineInput;
use andon::domain::time::Ms;

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
