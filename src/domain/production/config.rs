//! What judges a line: one version of its configuration, ready for the core.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::calendar::Calendar;
use crate::domain::time::Ms;

/// What an area is on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Input,
    Process,
    Output,
    Reject,
}

/// An area of the camera's picture and its place on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    pub id: i32,
    pub name: String,
    pub role: Role,
    /// Cameras that watch it (`camera_area`).
    pub cameras: Vec<i32>,
}

/// How pieces become good and total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityBasis {
    /// With reject areas: good = output, total = output + reject; else not measured.
    #[default]
    Auto,
    /// With input areas: good = output, total = input; else not measured.
    InputOutput,
    /// Never measured.
    None,
}

/// Whether a changeover costs availability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeoverPolicy {
    #[default]
    Stopped,
    Planned,
}

/// Which factor a micro-stop lowers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MicroStopSide {
    #[default]
    Performance,
    Availability,
}

/// The tenant's answers to the questions that vendors answer differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossPolicy {
    pub quality: QualityBasis,
    pub changeover: ChangeoverPolicy,
    pub micro_stop_side: MicroStopSide,
}

/// Of what kind a reason is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    #[default]
    Unplanned,
    Planned,
    Changeover,
}

impl ReasonKind {
    /// Whether time with such a reason is booked as `planned_stop`.
    pub fn is_planned(self, policy: &LossPolicy) -> bool {
        match self {
            ReasonKind::Unplanned => false,
            ReasonKind::Planned => true,
            ReasonKind::Changeover => policy.changeover == ChangeoverPolicy::Planned,
        }
    }
}

/// Everything that judges a line from `valid_from` until the next version begins.
#[derive(Clone, Debug)]
pub struct LineConfig {
    /// Configuration version, counted per tenant from 1.
    pub version: u32,
    /// Version of the loss policy, counted per tenant from 1.
    pub policy_version: u32,
    /// When it begins to hold; [`crate::domain::time::BEGINNING`] for a line's first.
    pub valid_from: Ms,
    /// In the line's order.
    pub areas: Vec<Area>,
    /// Ideal cycle of each product in nanoseconds per piece, where the product has a `production_std`.
    pub product_cycles_ns: BTreeMap<i32, i64>,
    /// The line's own ideal cycle in nanoseconds per piece, from `performance`.
    pub ideal_cycle_ns: Option<i64>,
    /// A piece of a gap longer than this is `stopped`.
    pub downtime_threshold_ms: Ms,
    /// A piece longer than this and not stopped is a `micro_stop`; none: never.
    pub micro_stop_threshold_ms: Option<Ms>,
    /// Whether the first ideal cycle after an exit counts as running.
    pub cycle_credit: bool,
    pub allowed_lateness_ms: Ms,
    /// A camera without a sign of life for longer than this is offline; none: not demanded.
    pub heartbeat_ms: Option<Ms>,
    /// Older detections are refused; none: kept for ever.
    pub retention_months: Option<u32>,
    pub policy: LossPolicy,
    /// Kind of every reason by its code.
    pub reasons: BTreeMap<String, ReasonKind>,
    pub calendar: Arc<Calendar>,
}

/// Pieces per minute to nanoseconds per piece, rounded half up. Rates that are not positive and finite give `None`.
pub fn cycle_ns(pieces_per_minute: f64) -> Option<i64> {
    if !pieces_per_minute.is_finite() || pieces_per_minute <= 0.0 {
        return None;
    }
    let ns = (60e9 / pieces_per_minute + 0.5).floor();
    (1.0..9e15).contains(&ns).then_some(ns as i64)
}

impl LineConfig {
    /// Whether a detection in `area` is an exit: output areas, or all areas of a line without any.
    pub fn is_exit(&self, area: i32) -> bool {
        let has_output = self.areas.iter().any(|a| a.role == Role::Output);
        self.areas.iter().any(|a| a.id == area && (!has_output || a.role == Role::Output))
    }

    /// The part that an area plays in the counts: its role, and of a line without output areas the last that is no
    /// reject area in the line's order plays the output. None: an area that this version does not have.
    pub fn part_of(&self, area: i32) -> Option<Role> {
        let own = self.areas.iter().find(|a| a.id == area)?.role;
        let has_output = self.areas.iter().any(|a| a.role == Role::Output);
        let last = self.areas.iter().rfind(|a| a.role != Role::Reject);
        let stands_in = !has_output && last.is_some_and(|last| last.id == area);
        Some(if stands_in { Role::Output } else { own })
    }

    /// The cameras assigned to exit areas; empty: the line has no `no_data`.
    pub fn exit_cameras(&self) -> Vec<i32> {
        let mut cameras: Vec<i32> =
            self.areas.iter().filter(|a| self.is_exit(a.id)).flat_map(|a| a.cameras.iter().copied()).collect();
        cameras.sort_unstable();
        cameras.dedup();
        cameras
    }

    /// Whether any area is watched by `camera`.
    pub fn knows_camera(&self, camera: i32) -> bool {
        self.areas.iter().any(|a| a.cameras.contains(&camera))
    }

    /// Ideal cycle for a product in nanoseconds per piece: the product's, else the line's.
    pub fn cycle_of(&self, product: i32) -> Option<i64> {
        self.product_cycles_ns.get(&product).copied().or(self.ideal_cycle_ns)
    }
}
