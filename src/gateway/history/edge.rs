//! A part of a minute, by the plain route over as many stored inputs as decide it.
//!
//! A millisecond's bucket follows from the exits on both sides of it and from what the cameras last said before. So
//! detections are read back to the exit before and on to the exit after, and further back to the last word of a
//! camera that was offline, as a detection may have shown it alive since. All other inputs are read.

use std::collections::BTreeMap;

use crate::domain::production::batch::{self, BatchInput};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{Detection, Health};
use crate::domain::production::input::LineInput;
use crate::domain::production::sums::Sums;
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};
use crate::store::{StoreError, TenantDb};

/// How far is looked at first.
const FIRST_REACH_MS: Ms = 10 * MINUTE_MS;
/// Each further look reaches so many times as far.
const GROWTH: Ms = 6;
/// Farther than any line's life.
const LAST_REACH_MS: Ms = 200 * 366 * 24 * HOUR_MS;

/// The sums of `part`, which lies in one minute.
pub async fn sums(database: &TenantDb, line: &str, configs: &[LineConfig], part: Span) -> Result<Sums, StoreError> {
    let inputs: Vec<LineInput> = database.inputs(line).await?.into_iter().map(|stored| stored.input).collect();
    let heartbeat = configs.iter().filter_map(|config| config.heartbeat_ms).max().unwrap_or(0);
    let alive_from = offline_since(&inputs, part.from).unwrap_or(part.from).min(part.from - heartbeat - 1);
    let before = before(database, line, configs, part.from, alive_from).await?;
    let after = after(database, line, configs, part.from).await?;
    let detections = before.into_iter().chain(after).collect();
    let input = BatchInput { line: line.to_owned(), configs: configs.to_vec(), detections, inputs };
    // Off the threads that serve others: a long gap has many detections of other areas.
    let summed = tokio::task::spawn_blocking(move || batch::recompute(&input).sums(part)).await;
    summed.map_err(|_| StoreError::Transient("the sums of a part of a minute were given up".to_owned()))
}

/// The earliest instant since which a camera was offline at `at` by its own word alone.
fn offline_since(inputs: &[LineInput], at: Ms) -> Option<Ms> {
    let mut last: BTreeMap<i32, (Ms, bool)> = BTreeMap::new();
    for input in inputs {
        let LineInput::CameraStatus { status, late: false } = input else { continue };
        if status.at > at {
            continue;
        }
        let is_offline = status.status == Health::Offline;
        let entry = last.entry(status.camera_id).or_insert((status.at, is_offline));
        // At one instant offline wins.
        if status.at > entry.0 || (status.at == entry.0 && is_offline) {
            *entry = (status.at, is_offline);
        }
    }
    last.into_values().filter(|(_, is_offline)| *is_offline).map(|(since, _)| since).min()
}

fn is_exit(configs: &[LineConfig], detection: &Detection) -> bool {
    let in_force = configs.iter().rev().find(|config| config.valid_from <= detection.detected_at);
    in_force.or(configs.first()).is_some_and(|config| config.is_exit(detection.area_id))
}

async fn read(database: &TenantDb, line: &str, span: Span) -> Result<Vec<Detection>, StoreError> {
    let stored = database.detections(line, span, false).await?;
    Ok(stored.into_iter().map(|(detection, _)| detection).collect())
}

/// Detections before `at`, back to an exit and to `alive_from`; all there are when there is no exit.
async fn before(
    database: &TenantDb,
    line: &str,
    configs: &[LineConfig],
    at: Ms,
    alive_from: Ms,
) -> Result<Vec<Detection>, StoreError> {
    let mut reach = FIRST_REACH_MS;
    loop {
        let from = (at - reach).min(alive_from);
        let found = read(database, line, Span::new(from, at)).await?;
        if reach >= LAST_REACH_MS || found.iter().any(|detection| is_exit(configs, detection)) {
            return Ok(found);
        }
        reach = (reach * GROWTH).min(LAST_REACH_MS);
    }
}

/// Detections from `at` on, to an exit beyond its minute; all there are when there is none.
async fn after(database: &TenantDb, line: &str, configs: &[LineConfig], at: Ms) -> Result<Vec<Detection>, StoreError> {
    let minute_end = at.div_euclid(MINUTE_MS) * MINUTE_MS + MINUTE_MS;
    let mut reach = FIRST_REACH_MS;
    loop {
        let found = read(database, line, Span::new(at, at + reach)).await?;
        let beyond = |detection: &Detection| detection.detected_at >= minute_end && is_exit(configs, detection);
        if reach >= LAST_REACH_MS || found.iter().any(beyond) {
            return Ok(found);
        }
        reach = (reach * GROWTH).min(LAST_REACH_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::production::detection::CameraStatus;

    fn status(camera_id: i32, at: Ms, status: Health) -> LineInput {
        LineInput::CameraStatus { status: CameraStatus { camera_id, at, status, reason: None }, late: false }
    }

    #[test]
    fn the_last_word_of_each_camera_counts() {
        let inputs = [
            status(1, 10, Health::Offline),
            status(1, 20, Health::Online),
            status(2, 30, Health::Offline),
            status(3, 25, Health::Offline),
            status(3, 60, Health::Online),
        ];
        assert_eq!(offline_since(&inputs, 15), Some(10));
        assert_eq!(offline_since(&inputs, 24), None);
        assert_eq!(offline_since(&inputs, 50), Some(25));
        assert_eq!(offline_since(&inputs, 70), Some(30));
    }
}
