//! Stored inputs that are no detections: what else decides a line's state, with its place in the line's order.
//!
//! The row in `line_input` is (`seq`, `kind`, `at`, `payload` JSON, `after_offset`); replaying detections and
//! these in order gives the same state, and nothing is read from a clock on the way.

use serde::{Deserialize, Serialize};

use crate::domain::production::detection::CameraStatus;
use crate::domain::time::Ms;

/// A reason and comment for the stop that covers an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// Covered interval, resolved when the owner took the command up.
    pub from: Ms,
    /// End of the covered interval; of a stop that was open, see `until_exit_after`.
    pub to: Ms,
    /// Given while the stop was open: the line clock at that moment. The interval then ends with the first exit
    /// after it (which a record out of order may still move), and `to` is [`crate::domain::time::FOREVER`].
    #[serde(default)]
    pub until_exit_after: Option<Ms>,
    /// None takes an earlier reason away.
    pub reason_code: Option<String>,
    pub comment: Option<String>,
    /// User name, for the audit.
    pub author: String,
}

/// The payload of a stored input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LineInput {
    /// A camera's word; `late` ones are kept but not used.
    CameraStatus {
        status: CameraStatus,
        late: bool,
    },
    /// The clock went on in silence, to `at`.
    Timer {
        at: Ms,
    },
    Classification(Classification),
    /// Divides the stop around `at`.
    Split {
        at: Ms,
        author: String,
    },
    /// A configuration version begins to hold at `at`.
    Version {
        version: u32,
        at: Ms,
    },
    /// Input that is known to be missing: [from, to) is `no_data`.
    Hole {
        from: Ms,
        to: Ms,
        author: String,
    },
}

impl LineInput {
    /// The word in the `kind` column.
    pub fn kind(&self) -> &'static str {
        match self {
            LineInput::CameraStatus { .. } => "camera_status",
            LineInput::Timer { .. } => "timer",
            LineInput::Classification(_) => "classification",
            LineInput::Split { .. } => "split",
            LineInput::Version { .. } => "version",
            LineInput::Hole { .. } => "hole",
        }
    }

    /// The event time in the `at` column.
    pub fn at(&self) -> Ms {
        match self {
            LineInput::CameraStatus { status, .. } => status.at,
            LineInput::Timer { at } | LineInput::Split { at, .. } | LineInput::Version { at, .. } => *at,
            LineInput::Classification(c) => c.from,
            LineInput::Hole { from, .. } => *from,
        }
    }
}
