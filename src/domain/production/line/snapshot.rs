//! A line's state between batches: small, since everything recent is in the store anyway.
//!
//! The checkpoint holds what cannot be read elsewhere; the detections since [`Needs::detections_from`] and the
//! minutes since [`Needs::minutes_from`] complete it. All three were written by one transaction.

use serde::{Deserialize, Serialize};

use crate::domain::production::changes::{MinuteRow, ShiftRecord, StateNow};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::Detection;
use crate::domain::production::line::accounts::{Accounts, Period};
use crate::domain::production::line::cameras::Cameras;
use crate::domain::production::line::ledger::Boundary;
use crate::domain::production::line::slices::BadSlices;
use crate::domain::production::line::stops::Stops;
use crate::domain::production::line::tail::Tail;
use crate::domain::production::line::{Idle, Line};
use crate::domain::time::{BEGINNING, Ms, Span};

/// Version of the form below. A newer binary reads older forms; an older one refuses newer ones. Each has a fixture.
///
/// 1. The first.
/// 2. `versions`: the configurations by which the line was booked; the last signs of cameras that are at no exit.
pub const STATE_VERSION: u32 = 2;

/// A checkpoint that cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum BadState {
    #[error(
        "read the line's state: it is of version {found}, this binary knows up to {STATE_VERSION}: run an Andon at \
         least as new as the one that wrote it"
    )]
    Newer { found: u32 },
    #[error("read the line's state: {0}")]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    Slices(#[from] BadSlices),
}

/// What the store must give beside the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Detections that are not late, from here on.
    pub detections_from: Ms,
    /// Minute rows, from here on.
    pub minutes_from: Ms,
}

#[derive(Serialize, Deserialize)]
struct State {
    first: Option<Ms>,
    clock: Option<Ms>,
    clock_record: Option<(Ms, Ms)>,
    opening: Option<Boundary>,
    cameras: Cameras,
    no_data: Vec<Span>,
    periods: Vec<Period>,
    periods_until: Ms,
    stops: Stops,
    state: Option<StateNow>,
    idle_until: Idle,
    records: Vec<ShiftRecord>,
    last_hash: String,
    pruned_to: Option<Ms>,
    ring_from: Ms,
    #[serde(default)]
    settled_to: Option<Ms>,
    /// Number and beginning of every version that was taken over. None before form 2: all that are there.
    #[serde(default)]
    versions: Option<Vec<(u32, Ms)>>,
}

fn read(version: u32, bytes: &[u8]) -> Result<State, BadState> {
    if version > STATE_VERSION {
        return Err(BadState::Newer { found: version });
    }
    Ok(serde_json::from_slice(bytes)?)
}

impl Needs {
    /// What a checkpoint needs.
    ///
    /// # Errors
    /// [`BadState`] when the bytes are not of a known form.
    pub fn of(version: u32, bytes: &[u8]) -> Result<Needs, BadState> {
        let state = read(version, bytes)?;
        Ok(Needs { detections_from: state.pruned_to.unwrap_or(BEGINNING), minutes_from: state.ring_from })
    }
}

impl Line {
    /// The checkpoint of a drained line, of version [`STATE_VERSION`].
    pub fn snapshot(&self) -> Vec<u8> {
        let state = State {
            first: self.first,
            clock: self.clock,
            clock_record: self.clock_record,
            opening: self.boundaries.front().copied(),
            cameras: self.cameras.clone(),
            no_data: self.no_data.clone(),
            periods: self.accounts.periods.clone(),
            periods_until: self.periods_until,
            stops: self.stops.clone(),
            state: self.state,
            idle_until: self.idle_until,
            records: self.records.clone(),
            last_hash: self.last_hash.clone(),
            pruned_to: self.pruned_to,
            settled_to: self.settled_to,
            ring_from: self.accounts.ring_from(),
            versions: Some(self.timeline.versions().iter().map(|v| (v.config.version, v.config.valid_from)).collect()),
        };
        // Every part is a plain value: there is nothing in it that JSON cannot hold.
        serde_json::to_vec(&state).unwrap_or_default()
    }

    /// The line as it was at a checkpoint, with the versions taken over that were saved since.
    ///
    /// # Errors
    /// [`BadState`] when the checkpoint or a minute cannot be read.
    pub fn restore(
        name: &str,
        configs: Vec<LineConfig>,
        version: u32,
        bytes: &[u8],
        detections: Vec<Detection>,
        minutes: &[MinuteRow],
    ) -> Result<Line, BadState> {
        let state = read(version, bytes)?;
        let (known, newer) = told_apart(configs, state.versions.as_deref());
        let mut line = Line::new(name, known);
        line.first = state.first;
        line.clock = state.clock;
        line.clock_record = state.clock_record;
        line.tail = Tail::from_stored(detections);
        line.cameras = state.cameras;
        line.cameras.adopt(&line.timeline);
        line.no_data = state.no_data;
        line.periods_until = state.periods_until;
        line.stops = state.stops;
        line.state = state.state;
        line.idle_until = state.idle_until;
        line.records = state.records;
        line.last_hash = state.last_hash;
        line.pruned_to = state.pruned_to;
        line.settled_to = state.settled_to;
        line.boundaries.extend(state.opening);
        if let Some(opening) = state.opening {
            line.reread_boundaries(state.pruned_to.unwrap_or(opening.at));
        }
        if let (Some(clock), Some(_)) = (state.clock, state.first) {
            line.accounts = Accounts::rebuild(Span::new(state.ring_from, clock), minutes, state.periods)?;
            line.keep_slices();
            if let Some(last) = line.boundaries.back().copied() {
                line.open_booked = line.pieces(&last, clock);
            }
        }
        // Saved while nobody owned the line, or just before its owner was killed.
        line.reconfigure(newer);
        Ok(line)
    }
}

/// The versions by which the line was booked, from when they were taken to hold, and those that it does not know yet.
fn told_apart(configs: Vec<LineConfig>, booked: Option<&[(u32, Ms)]>) -> (Vec<LineConfig>, Vec<LineConfig>) {
    let Some(booked) = booked else { return (configs, Vec::new()) };
    let (mut known, newer): (Vec<_>, Vec<_>) =
        configs.into_iter().partition(|config| booked.iter().any(|(version, _)| *version == config.version));
    for config in &mut known {
        let from = booked.iter().find(|(version, _)| *version == config.version).map(|(_, from)| *from);
        config.valid_from = from.unwrap_or(config.valid_from);
    }
    if known.is_empty() { (newer, known) } else { (known, newer) }
}
