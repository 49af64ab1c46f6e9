//! What there is right now: tiles from memory alone, and cameras.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::kpi::due;
use crate::domain::production::changes::LineState;
use crate::domain::production::detection::Health;
use crate::domain::production::figure::{Figure, Window};
use crate::domain::production::stop::Stop;
use crate::domain::time::{HOUR_MS, Ms, Span, as_rfc3339, as_rfc3339_option};
use crate::gateway::widgets::scope::{Failure, Item, Scope};
use crate::store::CameraSign;

/// How far back a camera is looked for.
const LOOK_BACK_MS: Ms = 24 * HOUR_MS;

#[derive(Serialize)]
struct Tile<'a> {
    line: &'a str,
    title: &'a str,
    state: LineState,
    #[serde(with = "as_rfc3339")]
    since: Ms,
    #[serde(with = "as_rfc3339")]
    as_of: Ms,
    /// Good pieces of the shift; none between shifts.
    made: Option<i64>,
    due: Option<f64>,
    oee: Option<f64>,
    oee_target: Option<f64>,
    /// The stop that the line is in.
    stop: Option<&'a Stop>,
}

#[derive(Serialize)]
struct Camera<'a> {
    line: &'a str,
    title: &'a str,
    camera_id: i32,
    areas: &'a [&'a str],
    /// `online`, `offline`, or `unknown`: not heard of for a day.
    health: &'static str,
    /// Its own last word.
    #[serde(with = "as_rfc3339_option")]
    told_at: Option<Ms>,
    /// Its last detection.
    #[serde(with = "as_rfc3339_option")]
    seen_at: Option<Ms>,
    /// What of the last hour nobody saw, of the whole line.
    no_data_ms: Option<Ms>,
}

/// A tile for each line.
pub fn andon(scope: &Scope<'_>) -> Vec<Item> {
    let mut items = vec![scope.about(None, &json!({}))];
    for info in &scope.lines {
        let Some(facts) = scope.board.facts(&info.name) else { continue };
        let holds = |figure: &Figure| figure.from <= facts.state.as_of && facts.state.as_of < figure.to;
        let shift = scope.board.latest(&info.name, Window::Shift).filter(holds);
        let stop = scope.board.open_stop(&info.name);
        let tile = Tile {
            line: &info.name,
            title: &info.title,
            state: facts.state.state,
            since: facts.state.since,
            as_of: facts.state.as_of,
            made: shift.as_ref().map(|figure| figure.pieces.good),
            due: shift.as_ref().and_then(|figure| due(figure, info)),
            oee: shift.as_ref().and_then(|figure| figure.oee),
            oee_target: info.oee_target,
            stop: stop.as_ref(),
        };
        items.push(Item::of(&info.name, &tile));
    }
    items
}

/// Each camera of each line, whether it sees and since when it was heard.
pub async fn cameras(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let mut items = vec![scope.about(None, &json!({}))];
    for info in &scope.lines {
        let Some(facts) = scope.board.facts(&info.name) else { continue };
        let clock = facts.state.as_of;
        let Some(spec) = scope.tenant.spec.iter().flat_map(|spec| &spec.lines).find(|spec| spec.name == info.name)
        else {
            continue;
        };
        let mut areas: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
        for area in &spec.areas {
            for camera in &area.cameras {
                areas.entry(*camera).or_default().push(&area.name);
            }
        }
        let heartbeat_ms = spec.heartbeat_s.map(|seconds| seconds.ms());
        let signs = scope.database.camera_signs(&info.name, Span::new(clock - LOOK_BACK_MS, clock + 1)).await?;
        let hour = scope.board.latest(&info.name, Window::Hour);
        for (camera_id, areas) in &areas {
            let sign = signs.iter().find(|sign| sign.camera_id == *camera_id);
            let camera = Camera {
                line: &info.name,
                title: &info.title,
                camera_id: *camera_id,
                areas,
                health: health(sign, heartbeat_ms, clock),
                told_at: sign.and_then(|sign| sign.status).map(|(_, at)| at),
                seen_at: sign.and_then(|sign| sign.seen),
                no_data_ms: hour.as_ref().map(|figure| figure.buckets_ms.no_data),
            };
            items.push(Item::of(format!("{}/{camera_id}", info.name), &camera));
        }
    }
    Ok(items)
}

/// Any record that names a camera is a sign of its life; at one instant `offline` wins.
fn health(sign: Option<&CameraSign>, heartbeat_ms: Option<Ms>, clock: Ms) -> &'static str {
    let Some(sign) = sign else { return if heartbeat_ms.is_some() { "offline" } else { "unknown" } };
    let told = sign.status.map(|(_, at)| at);
    let last = told.max(sign.seen);
    let is_silent = heartbeat_ms.is_some_and(|most| last.is_none_or(|last| clock - last > most));
    let says_offline = sign.status.is_some_and(|(health, at)| health == Health::Offline && sign.seen <= Some(at));
    match last {
        _ if is_silent || says_offline => "offline",
        None => "unknown",
        Some(_) => "online",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_judged_by_its_last_sign() {
        let sign = |status, seen| CameraSign { camera_id: 1, status, seen };
        let of = |sign: &CameraSign, heartbeat| health(Some(sign), heartbeat, 100);
        assert_eq!(of(&sign(None, Some(90)), None), "online");
        assert_eq!(of(&sign(Some((Health::Offline, 95)), Some(90)), None), "offline");
        assert_eq!(of(&sign(Some((Health::Offline, 90)), Some(90)), None), "offline");
        assert_eq!(of(&sign(Some((Health::Offline, 90)), Some(91)), None), "online");
        assert_eq!(of(&sign(Some((Health::Online, 95)), None), None), "online");
        assert_eq!(of(&sign(Some((Health::Online, 95)), None), Some(5)), "online");
        assert_eq!(of(&sign(Some((Health::Online, 95)), None), Some(4)), "offline");
        assert_eq!((health(None, None, 100), health(None, Some(4), 100)), ("unknown", "offline"));
    }
}
