//! A stop as the world sees it: the same shape in topics, tables, REST, frames and `recompute`.

use serde::{Deserialize, Serialize};

use crate::domain::time::{Ms, as_rfc3339, as_rfc3339_option};

/// Where a stop stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopStatus {
    /// Reaches the line clock.
    Open,
    Closed,
    /// Turned out not to have been; a tombstone follows on the topic.
    Retracted,
}

impl StopStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            StopStatus::Open => "open",
            StopStatus::Closed => "closed",
            StopStatus::Retracted => "retracted",
        }
    }
}

/// A part of a stop inside one shift, business day and wall-clock hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    #[serde(with = "as_rfc3339")]
    pub from: Ms,
    #[serde(with = "as_rfc3339")]
    pub to: Ms,
    /// Name of the shift; none outside shifts.
    pub shift: Option<String>,
    /// ISO date.
    pub business_date: String,
}

/// One `stopped` piece of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// `{line}:{start in epoch ms}`.
    pub downtime_id: String,
    pub line: String,
    /// Counts up with every commit that changed status, start, end, reason or planned flag; 0 in a recomputation,
    /// which knows of no telling before its own.
    pub revision: u32,
    pub status: StopStatus,
    #[serde(with = "as_rfc3339")]
    pub started_at: Ms,
    /// None while open.
    #[serde(with = "as_rfc3339_option")]
    pub ended_at: Option<Ms>,
    /// To the end, or to the line clock while open.
    pub duration_ms: Ms,
    pub reason_code: Option<String>,
    pub comment: Option<String>,
    /// Whether the loss policy books its time as `planned_stop`.
    pub planned: bool,
    /// Shift of the start.
    pub shift: Option<String>,
    /// Business date of the start, ISO.
    pub business_date: String,
    /// Sums to the stop.
    pub segments: Vec<Segment>,
}

/// The id of a stop.
pub fn downtime_id(line: &str, started_at: Ms) -> String {
    format!("{line}:{started_at}")
}

/// The start in a stop's id.
pub fn started_at(downtime_id: &str) -> Option<Ms> {
    downtime_id.rsplit_once(':')?.1.parse().ok()
}
