//! When a line is blind: every exit camera is offline.

use std::collections::BTreeMap;

use super::spans;
use super::versions::Versions;
use crate::domain::production::detection::{Detection, Health};
use crate::domain::production::input::LineInput;
use crate::domain::time::{Ms, Span};

/// A camera's signs of life by time, one for an instant.
type Signs = BTreeMap<Ms, Health>;

/// The part of `seen` in which all exit cameras of the version in force are offline.
pub fn blind(versions: &Versions, detections: &[Detection], inputs: &[LineInput], clock: Ms, seen: Span) -> Vec<Span> {
    let signs = signs_of_life(detections, inputs);
    let silent = Signs::new();
    let mut blind = Vec::new();
    for (stretch, config) in versions.stretches(seen) {
        let cameras = config.exit_cameras();
        if cameras.is_empty() {
            continue;
        }
        let mut all_offline = vec![stretch];
        for camera in cameras {
            let signs = signs.get(&camera).unwrap_or(&silent);
            all_offline = spans::intersection(&all_offline, &offline(signs, config.heartbeat_ms, clock, stretch));
        }
        blind.extend(all_offline);
    }
    spans::union(blind)
}

/// A status is a sign, and so is a detection, wherever the camera saw it. At one instant offline wins.
fn signs_of_life(detections: &[Detection], inputs: &[LineInput]) -> BTreeMap<i32, Signs> {
    let mut signs: BTreeMap<i32, Signs> = BTreeMap::new();
    for detection in detections {
        if let Some(camera) = detection.camera_id {
            signs.entry(camera).or_default().insert(detection.detected_at, Health::Online);
        }
    }
    for input in inputs {
        if let LineInput::CameraStatus { status, late: false } = input {
            let sign = signs.entry(status.camera_id).or_default().entry(status.at).or_insert(status.status);
            if status.status == Health::Offline {
                *sign = Health::Offline;
            }
        }
    }
    signs
}

/// When one camera is offline within `stretch`.
fn offline(signs: &Signs, heartbeat: Option<Ms>, clock: Ms, stretch: Span) -> Vec<Span> {
    let mut offline = Vec::new();
    let first = signs.keys().next().copied().unwrap_or(stretch.to);
    if heartbeat.is_some() {
        offline.push(Span::new(stretch.from, first));
    }
    let nexts = signs.keys().skip(1).copied().map(Some).chain([None]);
    for ((&at, &health), next) in signs.iter().zip(nexts) {
        let silence = next.unwrap_or(clock) - at;
        if health == Health::Offline || heartbeat.is_some_and(|allowed| silence > allowed) {
            offline.push(Span::new(at, next.unwrap_or(stretch.to)));
        }
    }
    spans::intersection(&spans::union(offline), &[stretch])
}
