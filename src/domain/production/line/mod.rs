//! The state machine of one line: detections, statuses, timers and people's words in, changes out.
//!
//! The idea: a gap between two exits is cut into pieces by a pure function ([`ledger::pieces`]), and the books
//! ([`accounts::Accounts`]) hold exactly the pieces of all gaps up to the line clock. Whatever happens (an exit in
//! order or out of it, a camera that went dark, a reason, a split, a new version) is "the pieces of these gaps
//! before" against "after", and only the difference is booked. So cost follows the change, not the history, and the
//! result does not depend on the order in which things became known.
//!
//! What lies before [`Line::keep_from`] can only be changed by words and commands; for those the engine brings the
//! minutes and stops concerned back from the store ([`Line::recall`]).

pub mod accounts;
mod apply;
mod cameras;
mod commands;
mod drain;
mod figures;
pub mod ledger;
#[cfg(test)]
mod model;
pub mod slices;
mod snapshot;
mod stops;
mod tail;
#[cfg(test)]
mod tests;
pub mod timeline;
#[cfg(test)]
mod upgrade;

use std::collections::VecDeque;

use crate::domain::production::changes::{Changes, ShiftRecord, StateNow};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{CameraStatus, Detection};
use crate::domain::production::input::LineInput;
use crate::domain::time::{BEGINNING, MINUTE_MS, Ms, Span};

pub use apply::{Outcome, Stamp};
pub use commands::{CommandError, Recall, doubtful_words, resolved_words};
pub use snapshot::{BadState, Needs, STATE_VERSION};
pub use tail::same_content;

use accounts::Accounts;
use cameras::Cameras;
use ledger::{Boundary, Cuts, Piece};
use stops::Stops;
use tail::Tail;
use timeline::{Timeline, Version};

/// See the module.
#[derive(Clone, Debug)]
pub struct Line {
    name: String,
    timeline: Timeline,
    /// Event time of the first accepted detection: the ledger begins here.
    first: Option<Ms>,
    /// Greatest event time of accepted detections, statuses and timers.
    clock: Option<Ms>,
    /// The record that set the clock last: (its event time, the broker's timestamp).
    clock_record: Option<(Ms, Ms)>,
    tail: Tail,
    /// Identity of the detection that is in the tail but not in the books yet, while it is being applied.
    uncounted: Option<(Ms, i64)>,
    /// Exit instants, sorted; before them where the oldest kept gap begins.
    boundaries: VecDeque<Boundary>,
    cameras: Cameras,
    /// Dark time from the oldest kept gap on.
    no_data: Vec<Span>,
    /// What is booked of the gap that reaches the clock.
    open_booked: Vec<Piece>,
    accounts: Accounts,
    stops: Stops,
    /// The state last told.
    state: Option<StateNow>,
    idle_until: Idle,
    /// Closed shifts whose record may still be revised, oldest first.
    records: Vec<ShiftRecord>,
    /// Hash of the line's last shift record.
    last_hash: String,
    /// Up to where shifts and days are kept in the books.
    periods_until: Ms,
    /// What lies before has been forgotten: it stands as it was told.
    pruned_to: Option<Ms>,
    /// The greatest watermark before the last drain or version: what was late by it stays late, though a version allow
    /// more.
    settled_to: Option<Ms>,
    out: Changes,
}

/// End of the last booked time that was not running: since when a running line runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Idle {
    Until(Option<Ms>),
    /// What was known has been taken back: to be looked for in the kept gaps.
    Unknown,
}

impl Line {
    /// A line that has seen nothing. `configs`: all its versions.
    pub fn new(name: &str, configs: Vec<LineConfig>) -> Line {
        let timeline = Timeline::new(configs);
        let mut line = Line {
            name: name.to_owned(),
            cameras: Cameras::new(&timeline),
            timeline,
            first: None,
            clock: None,
            clock_record: None,
            tail: Tail::default(),
            uncounted: None,
            boundaries: VecDeque::new(),
            no_data: Vec::new(),
            open_booked: Vec::new(),
            accounts: Accounts::default(),
            stops: Stops::default(),
            state: None,
            idle_until: Idle::Until(None),
            records: Vec::new(),
            last_hash: String::new(),
            periods_until: BEGINNING,
            pruned_to: None,
            settled_to: None,
            out: Changes::default(),
        };
        line.keep_slices();
        line
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line clock; none before the first record.
    pub fn clock(&self) -> Option<Ms> {
        self.clock
    }

    /// Event time of the first accepted detection.
    pub fn first(&self) -> Option<Ms> {
        self.first
    }

    /// Line clock minus allowed lateness.
    pub fn watermark(&self) -> Option<Ms> {
        self.clock.map(|clock| clock - self.timeline.at(clock).config.allowed_lateness_ms)
    }

    /// Where the clock would be at wall time `now`, going on at its pace since the record that set it.
    pub fn clock_at(&self, now: Ms) -> Option<Ms> {
        self.clock_record.map(|(event, stamp)| event + (now - stamp).max(0))
    }

    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Detections in memory: bounded by the lateness.
    pub fn tail_len(&self) -> usize {
        self.tail.len()
    }

    /// Nothing before this can be changed by a record any more.
    pub fn keep_from(&self) -> Option<Ms> {
        Some((self.watermark()? - self.reach() - MINUTE_MS).div_euclid(MINUTE_MS) * MINUTE_MS)
    }

    /// What a record in time can still reclassify begins at most one threshold or heartbeat before it.
    fn reach(&self) -> Ms {
        let reach = |v: &Version| v.config.downtime_threshold_ms.max(v.config.heartbeat_ms.unwrap_or(0));
        self.timeline.versions().iter().map(reach).max().unwrap_or(0)
    }

    /// Slices are kept for as long as a record can change them, and while a batch goes on.
    fn keep_slices(&mut self) {
        let lateness = self.timeline.versions().iter().map(|v| v.config.allowed_lateness_ms).max().unwrap_or(0);
        self.accounts.keep(lateness + self.reach() + drain::BATCH_MS);
    }

    /// Whether the next drain has inputs to store, though no record came since.
    pub fn has_inputs(&self) -> bool {
        !self.out.inputs.is_empty()
    }

    /// Detections accepted since the last drain, with their late flag.
    pub fn accepted(&self) -> &[(Detection, bool)] {
        &self.out.detections
    }

    /// Camera statuses accepted since the last drain, late ones too.
    pub fn accepted_statuses(&self) -> impl Iterator<Item = &CameraStatus> {
        self.out.inputs.iter().filter_map(|input| match input {
            LineInput::CameraStatus { status, .. } => Some(status),
            _ => None,
        })
    }

    /// First exit after `at`.
    fn exit_after(&self, at: Ms) -> Option<Ms> {
        let index = self.boundaries.partition_point(|b| b.at <= at);
        self.boundaries.range(index..).find(|b| b.exit).map(|b| b.at)
    }

    /// Pieces of a gap, with the planned flag of its stops.
    fn pieces(&self, opening: &Boundary, to: Ms) -> Vec<Piece> {
        let cuts = Cuts { no_data: &self.no_data, splits: &self.stops.splits };
        let mut pieces = ledger::pieces(&self.timeline, cuts, opening, to);
        if self.stops.has_words() {
            for piece in pieces.iter_mut().filter(|p| p.bucket == crate::domain::production::sums::Bucket::Stopped) {
                piece.planned = self.judge_stop(&self.stops, piece.span).2;
            }
        }
        pieces
    }

    /// Reason, comment and planned flag of a stop.
    fn judge_stop(&self, stops: &Stops, span: Span) -> (Option<String>, Option<String>, bool) {
        let Some(words) = stops.words_of(span, |clock| self.exit_after(clock)) else {
            return (None, None, false);
        };
        let config = &self.timeline.at(span.from).config;
        let kind = words.reason_code.as_ref().and_then(|code| config.reasons.get(code)).copied().unwrap_or_default();
        (words.reason_code.clone(), words.comment.clone(), kind.is_planned(&config.policy))
    }
}
