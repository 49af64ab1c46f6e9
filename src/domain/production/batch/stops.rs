//! From stopped pieces to stops: splits, classifications, and the segments for reports.

use super::Piece;
use super::gaps::Exit;
use super::versions::Versions;
use crate::domain::calendar::ShiftId;
use crate::domain::production::input::{Classification, LineInput};
use crate::domain::production::stop::{Segment, Stop, StopStatus, downtime_id};
use crate::domain::production::sums::Bucket;
use crate::domain::time::{FOREVER, Ms, Span};

/// Where stops are found.
pub struct Found<'a> {
    pub line: &'a str,
    pub versions: &'a Versions,
    pub clock: Ms,
    /// Whether what lies before the clock goes on at the clock: no exit there, and nothing that rule 1 books.
    pub goes_on: bool,
}

impl Found<'_> {
    /// The pieces, stops cut by splits and booked as their reasons say, and the stops.
    pub fn stops(&self, pieces: Vec<(Span, Bucket)>, exits: &[Exit], inputs: &[LineInput]) -> (Vec<Piece>, Vec<Stop>) {
        let spans = cut_by_splits(&pieces, inputs);
        let reasons = latest_classifications(&spans, exits, inputs);
        let stops: Vec<Stop> = spans.iter().zip(reasons).map(|(span, reason)| self.stop(*span, reason)).collect();

        let mut booked = Vec::with_capacity(pieces.len());
        let mut next = 0;
        for (span, bucket) in pieces {
            if bucket != Bucket::Stopped {
                booked.push(Piece { span, bucket, stop: None });
                continue;
            }
            while let Some(part) = spans.get(next).filter(|part| part.from < span.to) {
                let bucket = if stops[next].planned { Bucket::PlannedStop } else { Bucket::Stopped };
                booked.push(Piece { span: *part, bucket, stop: Some(next) });
                next += 1;
            }
        }
        (booked, stops)
    }

    fn stop(&self, span: Span, classification: Option<&Classification>) -> Stop {
        let config = self.versions.at(span.from);
        let slot = config.calendar.slot(span.from);
        let open = self.goes_on && span.to == self.clock;
        let reason_code = classification.and_then(|c| c.reason_code.clone());
        let kind = reason_code.as_ref().and_then(|code| config.reasons.get(code)).copied().unwrap_or_default();
        Stop {
            downtime_id: downtime_id(self.line, span.from),
            line: self.line.to_owned(),
            revision: 0,
            status: if open { StopStatus::Open } else { StopStatus::Closed },
            started_at: span.from,
            ended_at: (!open).then_some(span.to),
            duration_ms: span.len(),
            reason_code,
            comment: classification.and_then(|c| c.comment.clone()),
            planned: kind.is_planned(&config.policy),
            shift: slot.shift.map(|shift| shift.name.to_string()),
            business_date: slot.date.to_string(),
            segments: self.segments(span),
        }
    }

    /// A stop cut where shift, business date or wall-clock hour change.
    fn segments(&self, stop: Span) -> Vec<Segment> {
        let mut cut: Vec<(Span, Option<ShiftId>, jiff::civil::Date)> = Vec::new();
        for (stretch, config) in self.versions.stretches(stop) {
            let edges = config.calendar.hour_edges(stop);
            for slot in config.calendar.slots(stretch) {
                let inside = edges.iter().copied().filter(|edge| slot.span.contains(*edge));
                let mut from = slot.span.from;
                for to in inside.chain([slot.span.to]) {
                    let on_edge = edges.binary_search(&from).is_ok();
                    match cut.last_mut() {
                        Some((last, shift, date)) if !on_edge && *shift == slot.shift && *date == slot.date => {
                            last.to = to;
                        }
                        _ if from < to => cut.push((Span::new(from, to), slot.shift.clone(), slot.date)),
                        _ => {}
                    }
                    from = to;
                }
            }
        }
        let segment = |(span, shift, date): (Span, Option<ShiftId>, jiff::civil::Date)| Segment {
            from: span.from,
            to: span.to,
            shift: shift.map(|shift| shift.name.to_string()),
            business_date: date.to_string(),
        };
        cut.into_iter().map(segment).collect()
    }
}

/// The spans of all stops. A split counts where it lies inside a stopped piece, whatever length that leaves.
fn cut_by_splits(pieces: &[(Span, Bucket)], inputs: &[LineInput]) -> Vec<Span> {
    let mut splits: Vec<Ms> = inputs
        .iter()
        .filter_map(|input| match input {
            LineInput::Split { at, .. } => Some(*at),
            _ => None,
        })
        .collect();
    splits.sort_unstable();
    splits.dedup();

    let mut spans = Vec::new();
    for (span, _) in pieces.iter().filter(|(_, bucket)| *bucket == Bucket::Stopped) {
        let first = splits.partition_point(|at| *at <= span.from);
        let last = splits.partition_point(|at| *at < span.to).max(first);
        let mut from = span.from;
        for to in splits[first..last].iter().copied().chain([span.to]) {
            spans.push(Span::new(from, to));
            from = to;
        }
    }
    spans
}

/// For each stop the latest given classification whose interval it overlaps.
fn latest_classifications<'a>(
    stops: &[Span],
    exits: &[Exit],
    inputs: &'a [LineInput],
) -> Vec<Option<&'a Classification>> {
    let mut latest = vec![None; stops.len()];
    for input in inputs {
        let LineInput::Classification(classification) = input else { continue };
        let covered = Span::new(classification.from, end_of_cover(classification, exits));
        let first = stops.partition_point(|stop| stop.to <= covered.from);
        for (stop, latest) in stops.iter().zip(&mut latest).skip(first) {
            if stop.from >= covered.to {
                break;
            }
            *latest = Some(classification);
        }
    }
    latest
}

fn end_of_cover(classification: &Classification, exits: &[Exit]) -> Ms {
    match classification.until_exit_after {
        None => classification.to,
        Some(clock) => exits.get(exits.partition_point(|exit| exit.at <= clock)).map_or(FOREVER, |exit| exit.at),
    }
}
