//! What cameras send, and why a record can be refused.

use serde::{Deserialize, Serialize};

use crate::domain::time::Ms;

/// One sighting of `quantity` pieces in an area. Identity: (`detection_id`, `detected_at`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    pub detection_id: i64,
    /// Event time.
    pub detected_at: Ms,
    pub area_id: i32,
    pub product_id: i32,
    /// Pieces; counting sensors report batches. Refused unless positive.
    pub quantity: i32,
    pub camera_id: Option<i32>,
    /// 0 to 1, as the camera gave it; kept, never judged.
    pub confidence: Option<f32>,
}

/// Whether a camera sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Online,
    Offline,
}

/// A camera's word about itself. Heartbeats are repeats of `online`. Identity: (`camera_id`, `at`, `status`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraStatus {
    pub camera_id: i32,
    /// Event time.
    pub at: Ms,
    pub status: Health,
    pub reason: Option<String>,
}

/// What a line's topic carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Detection(Detection),
    Status(CameraStatus),
}

/// Why a record went to the dead letters; in the order in which the reasons are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    Undecodable,
    UnknownArea,
    UnknownCamera,
    Future,
    BadQuantity,
    Expired,
    IdConflict,
}

impl Refusal {
    /// Every reason, in the order of the checks.
    pub const ALL: [Refusal; 7] = [
        Refusal::Undecodable,
        Refusal::UnknownArea,
        Refusal::UnknownCamera,
        Refusal::Future,
        Refusal::BadQuantity,
        Refusal::Expired,
        Refusal::IdConflict,
    ];

    /// The word in the `reason` header and in the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Undecodable => "undecodable",
            Refusal::UnknownArea => "unknown_area",
            Refusal::UnknownCamera => "unknown_camera",
            Refusal::Future => "future",
            Refusal::BadQuantity => "bad_quantity",
            Refusal::Expired => "expired",
            Refusal::IdConflict => "id_conflict",
        }
    }
}
