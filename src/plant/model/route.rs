//! The way of a piece through the areas of a line.
//!
//! Areas of role `input` are parallel lanes, and so are those of `output` and of `reject`: a piece passes one of each.
//! Areas of role `process` lie one after another. A rejected piece passes a reject area in place of an output; where
//! there is none, it is just not seen again.

use super::chance::Chance;
use crate::domain::production::config::{Area, LineConfig, Role};

/// An area on the way.
#[derive(Clone, Debug)]
pub struct Station {
    pub area_id: i32,
    pub cameras: Vec<i32>,
    /// Running time from the head of the line to here, milliseconds.
    pub after_ms: f64,
}

#[derive(Debug)]
pub struct Route {
    inputs: Vec<Station>,
    processes: Vec<Station>,
    outputs: Vec<Station>,
    rejects: Vec<Station>,
    reject_rate: f64,
}

// === impl Route ===

impl Route {
    /// Distances and the reject rate are the line's own, by chance.
    pub fn new(config: &LineConfig, chance: &mut Chance) -> Route {
        let of = |role: Role| config.areas.iter().filter(move |area| area.role == role);
        let at = |area: &Area, after_ms: f64| Station { area_id: area.id, cameras: area.cameras.clone(), after_ms };
        let inputs: Vec<Station> = of(Role::Input).map(|area| at(area, 0.0)).collect();
        let mut distance = 0.0;
        let mut processes = Vec::new();
        for area in of(Role::Process) {
            distance += chance.uniform(3_000.0, 9_000.0);
            processes.push(at(area, distance));
        }
        let end =
            if inputs.is_empty() && processes.is_empty() { 0.0 } else { distance + chance.uniform(3_000.0, 9_000.0) };
        Route {
            inputs,
            processes,
            outputs: of(Role::Output).map(|area| at(area, end)).collect(),
            rejects: of(Role::Reject).map(|area| at(area, end)).collect(),
            reject_rate: chance.uniform(0.008, 0.03),
        }
    }

    /// Whether a piece passes nothing.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.processes.is_empty() && self.outputs.is_empty() && self.rejects.is_empty()
    }

    /// How often a good piece is seen.
    pub fn sightings(&self) -> f64 {
        let seen = usize::from(!self.inputs.is_empty()) + self.processes.len() + usize::from(!self.outputs.is_empty());
        seen.max(1) as f64
    }

    /// The stations of the next piece.
    pub fn of_a_piece(&self, chance: &mut Chance) -> Vec<Station> {
        let only_outputs = self.rejects.is_empty() && self.inputs.is_empty() && self.processes.is_empty();
        let rejected = !only_outputs && chance.happens(self.reject_rate);
        let input = chance.pick(&self.inputs);
        let end = if rejected { chance.pick(&self.rejects) } else { chance.pick(&self.outputs) };
        // A way of its own inside the conveyor: stations are not passed to the millisecond.
        let wobble = chance.uniform(0.0, 120.0);
        let passed = input.into_iter().chain(&self.processes).chain(end);
        passed.map(|station| Station { after_ms: station.after_ms + wobble, ..station.clone() }).collect()
    }
}
