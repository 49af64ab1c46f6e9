//! Gaps between exits, and what rules 1 to 3 make of them.

use super::closed::Closed;
use super::versions::Versions;
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::Detection;
use crate::domain::production::sums::Bucket;
use crate::domain::time::{FOREVER, Ms, Span};

/// An instant at which pieces left the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    pub at: Ms,
    /// How long the line counts as running from here on, whatever comes: the longest of the exits at this instant.
    pub credit_ms: Ms,
}

/// The exits of a line by time, one for an instant. `detections` are sorted by time.
pub fn exits(versions: &Versions, detections: &[Detection]) -> Vec<Exit> {
    let mut exits: Vec<Exit> = Vec::new();
    for detection in detections {
        let config = versions.at(detection.detected_at);
        if !config.is_exit(detection.area_id) {
            continue;
        }
        let credit_ms = credit(config, detection);
        match exits.last_mut() {
            Some(last) if last.at == detection.detected_at => last.credit_ms = last.credit_ms.max(credit_ms),
            _ => exits.push(Exit { at: detection.detected_at, credit_ms }),
        }
    }
    exits
}

/// Quantity × ideal cycle, rounded down to ms; 0 without cycle credit or without a cycle.
fn credit(config: &LineConfig, exit: &Detection) -> Ms {
    let cycle_ns = config.cycle_of(exit.product_id).filter(|_| config.cycle_credit).unwrap_or(0);
    let credit = i128::from(exit.quantity) * i128::from(cycle_ns) / 1_000_000;
    Ms::try_from(credit).unwrap_or(FOREVER).min(FOREVER)
}

/// Consecutive spans with their buckets over all of `covered`, gap by gap.
pub fn pieces(versions: &Versions, exits: &[Exit], closed: &[Closed], covered: Span) -> Vec<(Span, Bucket)> {
    let opening = Exit { at: covered.from, credit_ms: 0 };
    let opened: Vec<Exit> = [opening].into_iter().chain(exits.iter().copied()).collect();
    let ends = exits.iter().map(|exit| exit.at).chain([covered.to]);

    let mut pieces = Vec::new();
    let mut rest_of_closed = closed;
    for (exit, end) in opened.iter().zip(ends) {
        let gap = Span::new(exit.at, end);
        let credited = exit.at.saturating_add(exit.credit_ms);
        let mut at = gap.from;
        while at < gap.to {
            let past = rest_of_closed.partition_point(|c| c.span.to <= at);
            rest_of_closed = &rest_of_closed[past..];
            let next = rest_of_closed.first();
            let until = match next {
                Some(closed) if closed.span.from <= at => {
                    let until = closed.span.to.min(gap.to);
                    pieces.push((Span::new(at, until), closed.bucket));
                    until
                }
                _ => {
                    let until = next.map_or(gap.to, |closed| closed.span.from.min(gap.to));
                    remaining(versions, Span::new(at, until), credited, &mut pieces);
                    until
                }
            };
            at = until;
        }
    }
    pieces
}

/// Rules 2 and 3 for a part of a gap that rule 1 left.
fn remaining(versions: &Versions, part: Span, credited: Ms, pieces: &mut Vec<(Span, Bucket)>) {
    let begin = credited.clamp(part.from, part.to);
    if part.from < begin {
        pieces.push((Span::new(part.from, begin), Bucket::Running));
    }
    if begin < part.to {
        let piece = Span::new(begin, part.to);
        pieces.push((piece, judge(versions.at(begin), piece.len())));
    }
}

/// Rule 3.
fn judge(config: &LineConfig, length: Ms) -> Bucket {
    if length > config.downtime_threshold_ms {
        Bucket::Stopped
    } else if config.micro_stop_threshold_ms.is_some_and(|threshold| length > threshold) {
        Bucket::MicroStop
    } else {
        Bucket::Running
    }
}
