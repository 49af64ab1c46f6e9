//! From a gap to its pieces: the three rules of the ledger, in one place.

use serde::{Deserialize, Serialize};

use crate::domain::calendar::Schedule;
use crate::domain::production::line::timeline::Timeline;
use crate::domain::production::sums::Bucket;
use crate::domain::time::{Ms, Span};

/// Where a gap begins: an exit, or the first accepted detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boundary {
    pub at: Ms,
    /// Running time that the exits of this instant earn with `cycle_credit`; 0 without.
    pub credit_ms: Ms,
    /// False: only the line's first detection, which no exit opened.
    pub exit: bool,
}

/// A part of a gap in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub span: Span,
    /// By the rules; a stop whose reason is planned stays `Stopped` here.
    pub bucket: Bucket,
    /// A stop with a reason that the policy calls planned: booked as planned stop.
    pub planned: bool,
}

/// What cuts gaps beside the calendar.
#[derive(Clone, Copy, Debug)]
pub struct Cuts<'a> {
    /// Time without sight: sorted, apart from each other.
    pub no_data: &'a [Span],
    /// Instants that divide stops, sorted.
    pub splits: &'a [Ms],
}

/// The pieces of the gap that `opening` begins and `to` ends, in order, covering it. `planned` is not yet told.
pub fn pieces(timeline: &Timeline, cuts: Cuts<'_>, opening: &Boundary, to: Ms) -> Vec<Piece> {
    let gap = Span::new(opening.at, to);
    let mut out = Vec::new();
    if gap.is_empty() {
        return out;
    }
    let credit_end = opening.at + opening.credit_ms;
    for (span, bucket) in rule_one(timeline, cuts.no_data, gap) {
        match bucket {
            Some(bucket) => out.push(Piece { span, bucket, planned: false }),
            None => rules_two_and_three(timeline, cuts.splits, span, credit_end, &mut out),
        }
    }
    out
}

/// Rule 1: what is unscheduled, break or blind; `None` is left to the other rules. Neighbours of a kind are one.
fn rule_one(timeline: &Timeline, no_data: &[Span], gap: Span) -> Vec<(Span, Option<Bucket>)> {
    let mut parts: Vec<(Span, Option<Bucket>)> = Vec::new();
    let mut push = |span: Span, bucket: Option<Bucket>| match parts.last_mut() {
        Some((last, kind)) if *kind == bucket && last.to == span.from => last.to = span.to,
        _ => parts.push((span, bucket)),
    };
    let first_blind = no_data.partition_point(|blind| blind.to <= gap.from);
    for part in timeline.slots(gap) {
        let span = part.slot.span;
        match part.slot.schedule {
            Schedule::Unscheduled => push(span, Some(Bucket::Unscheduled)),
            Schedule::Break => push(span, Some(Bucket::PlannedStop)),
            Schedule::Scheduled => {
                let mut at = span.from;
                for blind in no_data[first_blind..].iter().take_while(|blind| blind.from < span.to) {
                    let Some(dark) = blind.intersect(&Span::new(at, span.to)) else { continue };
                    if at < dark.from {
                        push(Span::new(at, dark.from), None);
                    }
                    push(dark, Some(Bucket::NoData));
                    at = dark.to;
                }
                if at < span.to {
                    push(Span::new(at, span.to), None);
                }
            }
        }
    }
    parts
}

/// Rule 2, the credit of the exit that opened the gap, and rule 3, the length of what remains.
fn rules_two_and_three(timeline: &Timeline, splits: &[Ms], free: Span, credit_end: Ms, out: &mut Vec<Piece>) {
    let worked = credit_end.clamp(free.from, free.to);
    if worked > free.from {
        out.push(Piece { span: Span::new(free.from, worked), bucket: Bucket::Running, planned: false });
    }
    if worked == free.to {
        return;
    }
    let rest = Span::new(worked, free.to);
    let config = &timeline.at(rest.from).config;
    let bucket = if rest.len() > config.downtime_threshold_ms {
        Bucket::Stopped
    } else if config.micro_stop_threshold_ms.is_some_and(|micro| rest.len() > micro) {
        Bucket::MicroStop
    } else {
        Bucket::Running
    };
    let mut from = rest.from;
    if bucket == Bucket::Stopped {
        for &at in splits.iter().filter(|at| rest.from < **at && **at < rest.to) {
            out.push(Piece { span: Span::new(from, at), bucket, planned: false });
            from = at;
        }
    }
    out.push(Piece { span: Span::new(from, rest.to), bucket, planned: false });
}
