//! What a line tells the world after a batch: rows to write and records to publish, absolute values throughout.

use serde::{Deserialize, Serialize};

use crate::domain::production::detection::Detection;
use crate::domain::production::figure::Figure;
use crate::domain::production::input::LineInput;
use crate::domain::production::stop::Stop;
use crate::domain::production::sums::Sums;
use crate::domain::time::{Ms, as_rfc3339};

/// Pieces of one area and product in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PieceCount {
    pub area_id: i32,
    pub product_id: i32,
    pub quantity: i64,
}

/// One row of `rollup_minute_{line}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteRow {
    /// Start of the UTC minute.
    pub minute: Ms,
    pub sums: Sums,
    /// Sorted by area, then product.
    pub pieces: Vec<PieceCount>,
    /// The minute's six 10 s slices in the core's own encoding; opaque to the store.
    pub slices: Vec<u8>,
}

/// What a line does right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    Running,
    MicroStop,
    Stopped,
    PlannedStop,
    NoData,
    Unscheduled,
}

impl LineState {
    pub fn as_str(self) -> &'static str {
        match self {
            LineState::Running => "running",
            LineState::MicroStop => "micro_stop",
            LineState::Stopped => "stopped",
            LineState::PlannedStop => "planned_stop",
            LineState::NoData => "no_data",
            LineState::Unscheduled => "unscheduled",
        }
    }
}

/// The state of a line and since when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateNow {
    pub state: LineState,
    #[serde(with = "as_rfc3339")]
    pub since: Ms,
    /// The line clock.
    #[serde(with = "as_rfc3339")]
    pub as_of: Ms,
}

/// A closed shift, as written to `shift_record`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShiftRecord {
    pub line: String,
    pub shift: String,
    /// ISO date on which the shift starts.
    pub business_date: String,
    pub from: Ms,
    pub to: Ms,
    /// From 1; later changes add a revision.
    pub revision: u32,
    pub figure: Figure,
    pub watermark: Ms,
    /// Hash of the line's record before; empty for its first.
    pub previous_hash: String,
    /// SHA-256, hex, of the canonical JSON (sorted keys, no blanks) of all the rest.
    pub hash: String,
}

/// A stop to write and to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopChange {
    pub stop: Stop,
    /// Sent again with a new duration only: published, and written without a new revision.
    pub resend: bool,
}

/// What a batch changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Accepted detections to store; `true`: late.
    pub detections: Vec<(Detection, bool)>,
    /// Other inputs to store, in order.
    pub inputs: Vec<LineInput>,
    pub stops: Vec<StopChange>,
    pub minutes: Vec<MinuteRow>,
    pub shift_records: Vec<ShiftRecord>,
    /// Set when the state changed.
    pub state: Option<StateNow>,
}
