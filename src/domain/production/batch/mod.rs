//! The plain route from stored inputs to ledger, stops and figures: everything sorted, then the rules in their order.
//!
//! It knows no increments, and shares no code with [`super::line`] that decides anything, so that one can be checked
//! against the other. A rule has a file: [`closed`] what is unscheduled, a break or blind (rule 1), [`gaps`] gaps,
//! cycle credit and thresholds (rules 2 and 3), [`stops`] splits, classifications and segments, [`counting`] pieces
//! and the basis of quality, [`figures`] the periods. [`passage`] takes the route a stretch at a time, [`supposed`] twice:
//! as it was and as it would have been.
//!
//! Where the rules leave a choice, this is what holds here:
//! - The millisecond *at* the clock is not in the ledger, yet what holds there is known. A stop that reaches the
//!   clock is closed when an exit lies on it, or when unscheduled, break or blind time begins there.
//! - A camera of which heartbeats are demanded is offline between two signs of life that lie further apart than
//!   they may, from the first of the two on; up to the clock after the last.
//! - The heartbeat, like the set of exit cameras, is that of the version in force at each millisecond; cycle credit
//!   that of the exit.
//! - A hole that a command recorded is blind time on a line without cameras too.
//! - A reason that the version in force at a stop's start does not know is unplanned.

mod cameras;
mod closed;
mod counting;
mod figures;
mod gaps;
mod passage;
mod spans;
mod stops;
mod supposed;
mod versions;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use self::closed::Closed;
use self::versions::Versions;
use crate::domain::production::changes::{MinuteRow, PieceCount};
use crate::domain::production::config::{LineConfig, MicroStopSide};
use crate::domain::production::detection::Detection;
use crate::domain::production::input::LineInput;
use crate::domain::production::stop::Stop;
use crate::domain::production::sums::{Bucket, Sums};
use crate::domain::time::{MINUTE_MS, Ms, Span};

pub use self::figures::Report;
pub use self::passage::sign;
pub use self::supposed::{Both, Comparison, Day, LISTED, Listed, StopChanges, Supposition};

/// All that decides a line's state, as stored.
#[derive(Clone, Debug)]
pub struct BatchInput {
    pub line: String,
    /// At least one, the first from [`crate::domain::time::BEGINNING`]. Where the line recorded from when it took a
    /// version over ([`LineInput::Version`]), that is when it begins to hold.
    pub configs: Vec<LineConfig>,
    /// Accepted detections in any order, repeats allowed; late ones only where a repair took them in.
    pub detections: Vec<Detection>,
    /// In the order in which they were given. Late statuses are passed over.
    pub inputs: Vec<LineInput>,
}

/// An interval of the ledger that is in one bucket. Neighbours can be in the same: an exit lies between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub span: Span,
    pub bucket: Bucket,
    /// For a `stopped` piece of rule 3, planned by its reason or not: its place in [`Ledger::stops`].
    pub stop: Option<usize>,
}

/// What a line has been through.
#[derive(Clone, Debug)]
pub struct Ledger {
    line: String,
    versions: Versions,
    /// The first accepted detection, where the ledger begins; none: it is empty.
    pub first: Option<Ms>,
    /// The line clock, where the ledger ends; none: nothing was ever heard.
    pub clock: Option<Ms>,
    /// Consecutive, from `first` to `clock`.
    pub pieces: Vec<Piece>,
    /// By start. Revision 0: a recomputation knows of no telling before its own.
    pub stops: Vec<Stop>,
    /// Each once, by time.
    detections: Vec<Detection>,
    /// Rule 1 of [`first`, `clock`], the clock's own millisecond included.
    closed: Vec<Closed>,
}

/// Everything that follows from the stored inputs of a line.
///
/// # Panics
/// On an input without a configuration.
pub fn recompute(input: &BatchInput) -> Ledger {
    let versions = Versions::new(input.configs.clone(), &input.inputs);
    let detections = in_order_once(&input.detections);
    let clock = clock(&detections, &input.inputs);
    let first = detections.first().map(|d| d.detected_at);
    let mut ledger = Ledger {
        line: input.line.clone(),
        versions,
        first,
        clock,
        pieces: Vec::new(),
        stops: Vec::new(),
        detections,
        closed: Vec::new(),
    };
    if let (Some(first), Some(clock)) = (first, clock) {
        ledger.fill(Span::new(first, clock), &input.inputs);
    }
    ledger
}

/// Sorted by time, without repeats of an identity.
fn in_order_once(detections: &[Detection]) -> Vec<Detection> {
    let mut known = HashSet::with_capacity(detections.len());
    let mut once: Vec<Detection> =
        detections.iter().filter(|d| known.insert((d.detected_at, d.detection_id))).copied().collect();
    once.sort_by_key(|d| (d.detected_at, d.detection_id));
    once
}

fn is_anything(row: &MinuteRow) -> bool {
    !row.sums.is_zero() || !row.pieces.is_empty()
}

/// The greatest event time.
fn clock(detections: &[Detection], inputs: &[LineInput]) -> Option<Ms> {
    let heard = inputs.iter().filter_map(|input| match input {
        LineInput::CameraStatus { status, late: false } => Some(status.at),
        LineInput::Timer { at } => Some(*at),
        _ => None,
    });
    heard.chain(detections.last().map(|d| d.detected_at)).max()
}

// === impl Ledger ===

impl Ledger {
    fn fill(&mut self, covered: Span, inputs: &[LineInput]) {
        self.closed = closed::find(&self.versions, &self.detections, inputs, covered);
        let exits = gaps::exits(&self.versions, &self.detections);
        let pieces = gaps::pieces(&self.versions, &exits, &self.closed, covered);
        let goes_on = exits.last().is_none_or(|exit| exit.at != covered.to) && self.closed_at(covered.to).is_none();
        let found = stops::Found { line: &self.line, versions: &self.versions, clock: covered.to, goes_on };
        (self.pieces, self.stops) = found.stops(pieces, &exits, inputs);
    }

    /// What rule 1 says of a millisecond from the first detection to the clock.
    fn closed_at(&self, at: Ms) -> Option<Bucket> {
        let index = self.closed.partition_point(|c| c.span.to <= at);
        self.closed.get(index).filter(|c| c.span.contains(at)).map(|c| c.bucket)
    }

    /// The sums of any period; what lies before the first detection or after the clock has none.
    pub fn sums(&self, period: Span) -> Sums {
        let mut sums = Sums::default();
        let from = self.pieces.partition_point(|piece| piece.span.to <= period.from);
        for piece in self.pieces[from..].iter().take_while(|piece| piece.span.from < period.to) {
            self.add_piece(&mut sums, piece, period);
        }
        for detection in self.detections_in(period) {
            let config = self.versions.at(detection.detected_at);
            sums += &counting::count(config, detection, self.closed_at(detection.detected_at).is_some());
        }
        sums
    }

    fn add_piece(&self, sums: &mut Sums, piece: &Piece, period: Span) {
        let Some(part) = piece.span.intersect(&period) else { return };
        let starts_here = period.contains(piece.span.from);
        sums.buckets[piece.bucket as usize] += part.len();
        match piece.bucket {
            Bucket::Running => sums.apt_ms += part.len(),
            Bucket::MicroStop => {
                sums.apt_ms += self.on_performance_side(part);
                sums.micro_stops += i64::from(starts_here);
            }
            Bucket::Stopped => sums.stops += i64::from(starts_here),
            Bucket::Unscheduled | Bucket::PlannedStop | Bucket::NoData => {}
        }
    }

    /// Milliseconds of a micro-stop that the policy of their own time leaves to performance.
    fn on_performance_side(&self, part: Span) -> Ms {
        let stretches = self.versions.stretches(part);
        let performance = stretches.iter().filter(|(_, c)| c.policy.micro_stop_side == MicroStopSide::Performance);
        performance.map(|(span, _)| span.len()).sum()
    }

    fn detections_in(&self, period: Span) -> &[Detection] {
        let from = self.detections.partition_point(|d| d.detected_at < period.from);
        let to = self.detections.partition_point(|d| d.detected_at < period.to).max(from);
        &self.detections[from..to]
    }

    /// The rollup by UTC minute of every minute in which anything is, `slices` left empty. Long for a line whose
    /// first detection is years back: a row for every minute since.
    pub fn minutes(&self) -> Vec<MinuteRow> {
        let (Some(first), Some(clock)) = (self.first, self.clock) else { return Vec::new() };
        let minutes = first.div_euclid(MINUTE_MS)..=clock.div_euclid(MINUTE_MS);
        minutes.map(|number| self.minute(number * MINUTE_MS)).filter(is_anything).collect()
    }

    fn minute(&self, minute: Ms) -> MinuteRow {
        let span = Span::new(minute, minute + MINUTE_MS);
        let mut pieces: BTreeMap<(i32, i32), i64> = BTreeMap::new();
        for d in self.detections_in(span) {
            *pieces.entry((d.area_id, d.product_id)).or_default() += i64::from(d.quantity);
        }
        let pieces = pieces.into_iter();
        let pieces = pieces.map(|((area_id, product_id), quantity)| PieceCount { area_id, product_id, quantity });
        MinuteRow { minute, sums: self.sums(span), pieces: pieces.collect(), slices: Vec::new() }
    }

    /// The stops of which any part lies in a period, by start.
    pub fn stops_in(&self, period: Span) -> impl Iterator<Item = &Stop> {
        self.stops.iter().filter(move |stop| {
            let span = Span::new(stop.started_at, stop.started_at + stop.duration_ms);
            span.intersect(&period).is_some()
        })
    }
}
