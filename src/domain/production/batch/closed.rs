//! Rule 1: the time in which a line is not asked to run, or not seen.

use super::versions::Versions;
use super::{cameras, spans};
use crate::domain::calendar::Schedule;
use crate::domain::production::detection::Detection;
use crate::domain::production::input::LineInput;
use crate::domain::production::sums::Bucket;
use crate::domain::time::{Ms, Span};

/// An interval that rule 1 books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    pub span: Span,
    /// Unscheduled, planned stop or no data.
    pub bucket: Bucket,
}

/// All such intervals from the first detection to the clock, its own millisecond included; sorted, without overlap.
pub fn find(versions: &Versions, detections: &[Detection], inputs: &[LineInput], covered: Span) -> Vec<Closed> {
    let seen = Span::new(covered.from, covered.to + 1);
    let (unscheduled, breaks) = calendar(versions, seen);
    let off = spans::union(unscheduled.iter().chain(&breaks).copied().collect());
    let no_data = spans::difference(&unseen(versions, detections, inputs, covered.to, seen), &off);

    let mut closed: Vec<Closed> = Vec::new();
    for (spans, bucket) in
        [(unscheduled, Bucket::Unscheduled), (breaks, Bucket::PlannedStop), (no_data, Bucket::NoData)]
    {
        closed.extend(spans.into_iter().map(|span| Closed { span, bucket }));
    }
    closed.sort_unstable_by_key(|c| c.span);
    closed
}

/// Unscheduled time and breaks, by the calendar of the version in force.
fn calendar(versions: &Versions, seen: Span) -> (Vec<Span>, Vec<Span>) {
    let (mut unscheduled, mut breaks) = (Vec::new(), Vec::new());
    for (stretch, config) in versions.stretches(seen) {
        for slot in config.calendar.slots(stretch) {
            match slot.schedule {
                Schedule::Unscheduled => unscheduled.push(slot.span),
                Schedule::Break => breaks.push(slot.span),
                Schedule::Scheduled => {}
            }
        }
    }
    (spans::union(unscheduled), spans::union(breaks))
}

/// What cameras did not see, and what a command recorded as missing.
fn unseen(versions: &Versions, detections: &[Detection], inputs: &[LineInput], clock: Ms, seen: Span) -> Vec<Span> {
    let holes = inputs.iter().filter_map(|input| match input {
        LineInput::Hole { from, to, .. } => Span::new(*from, *to).intersect(&seen),
        _ => None,
    });
    spans::union(cameras::blind(versions, detections, inputs, clock, seen).into_iter().chain(holes).collect())
}
