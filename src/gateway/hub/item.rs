//! Items that no other shape has: what a tile says of a line.

use serde::Serialize;

use crate::domain::production::changes::{LineState, StateNow};
use crate::domain::time::{Ms, as_rfc3339, as_rfc3339_option};
use crate::gateway::directory::LineInfo;

/// An item of `feed_state`: what a line does, with what a screen needs to judge it, so that a wall display of states
/// needs one subscription.
#[derive(Debug, Serialize)]
pub struct StateItem<'a> {
    pub line: &'a str,
    pub title: &'a str,
    pub group: Option<&'a str>,
    pub state: LineState,
    #[serde(with = "as_rfc3339")]
    pub since: Ms,
    /// The line clock.
    #[serde(with = "as_rfc3339")]
    pub as_of: Ms,
    /// When the broker took this word of the line's: a snapshot can repeat what was told long ago.
    #[serde(with = "as_rfc3339_option")]
    pub published_at: Option<Ms>,
    /// Nanoseconds per piece; null: the line has no ideal rate of its own.
    pub ideal_cycle_ns: Option<i64>,
    /// Pieces per minute.
    pub performance: Option<f64>,
    pub oee_target: Option<f64>,
    pub availability_target: Option<f64>,
    pub downtime_threshold_ms: Option<Ms>,
    pub micro_stop_threshold_ms: Option<Ms>,
}

// === impl StateItem ===

impl<'a> StateItem<'a> {
    /// `info` is not known while a line is being added: the topics can be ahead of the tenant's file as cached here.
    pub fn new(line: &'a str, now: &StateNow, published_at: Option<Ms>, info: Option<&'a LineInfo>) -> StateItem<'a> {
        StateItem {
            line,
            title: info.map_or(line, |info| &info.title),
            group: info.and_then(|info| info.group.as_deref()),
            state: now.state,
            since: now.since,
            as_of: now.as_of,
            published_at,
            ideal_cycle_ns: info.and_then(|info| info.ideal_cycle_ns),
            performance: info.and_then(|info| info.performance),
            oee_target: info.and_then(|info| info.oee_target),
            availability_target: info.and_then(|info| info.availability_target),
            downtime_threshold_ms: info.and_then(|info| info.downtime_threshold_ms),
            micro_stop_threshold_ms: info.and_then(|info| info.micro_stop_threshold_ms),
        }
    }
}
