//! Wall clock and instants, in integers.
//!
//! A *local millisecond* is what the wall shows, counted as if the wall were in UTC: instant + offset. Over a
//! stretch of time a zone is a list of segments with one offset each, and every question of the calendar is
//! arithmetic on them. The instant of a wall time is **the first at which the wall shows it or a later one**: that
//! is the first occurrence of a repeated time and the instant of the change for a skipped one, and it never falls
//! as the wall time grows.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use crate::domain::time::{HOUR_MS, Ms, Span};

pub(super) const DAY_MS: Ms = 24 * HOUR_MS;

/// A zone over a stretch of time: consecutive spans of one offset each.
#[derive(Debug)]
pub(super) struct Wall {
    segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    span: Span,
    /// Local − UTC, milliseconds.
    offset: Ms,
}

fn timestamp(at: Ms) -> Timestamp {
    let at = at.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn offset_ms(offset: Offset) -> Ms {
    Ms::from(offset.seconds()) * 1000
}

/// The local millisecond at which a date begins on the wall.
pub(super) fn local_midnight(date: Date) -> Ms {
    let midnight = DateTime::from_parts(date, Time::midnight());
    Offset::UTC.to_timestamp(midnight).map_or_else(|_| extreme_midnight(date), Timestamp::as_millisecond)
}

/// The first and last dates of the calendar library have midnights that it cannot turn into instants.
fn extreme_midnight(date: Date) -> Ms {
    if date < Date::ZERO { Timestamp::MIN.as_millisecond() } else { Timestamp::MAX.as_millisecond() }
}

/// The date on the wall at a local millisecond.
pub(super) fn local_date(local: Ms) -> Date {
    Offset::UTC.to_datetime(timestamp(local)).date()
}

// === impl Wall ===

impl Wall {
    /// The zone over `span`.
    pub(super) fn new(zone: &TimeZone, span: Span) -> Self {
        let mut segments = Vec::with_capacity(2);
        let start = timestamp(span.from);
        let mut open = Segment { span, offset: offset_ms(zone.to_offset(start)) };
        for change in zone.following(start) {
            // A change inside a millisecond holds from the next whole one on.
            let at = change.timestamp().as_millisecond();
            let offset = offset_ms(change.offset());
            if at >= span.to {
                break;
            }
            if offset != open.offset && at > open.span.from {
                segments.push(Segment { span: Span::new(open.span.from, at), ..open });
                open = Segment { span: Span::new(at, span.to), offset };
            }
        }
        segments.push(open);
        Self { segments }
    }

    /// The first instant at which the wall shows `local` or later; at the earliest the start of the stretch, at
    /// the latest its end.
    pub(super) fn instant(&self, local: Ms) -> Ms {
        let mut end = Ms::MIN;
        for segment in &self.segments {
            let at = segment.span.from.max(local - segment.offset);
            if at < segment.span.to {
                return at;
            }
            end = segment.span.to;
        }
        end
    }

    /// The instants of a local interval; empty where a clock change swallows it.
    pub(super) fn instants(&self, local: Span) -> Span {
        Span::new(self.instant(local.from), self.instant(local.to))
    }

    /// The stretch in parts of one local date each, in order; a date may come twice where the clock goes back over
    /// midnight.
    pub(super) fn local_days(&self) -> Vec<(Date, Span)> {
        let mut days: Vec<(Date, Span)> = Vec::new();
        for segment in &self.segments {
            let mut from = segment.span.from;
            while from < segment.span.to {
                let local = from + segment.offset;
                let midnight = (local.div_euclid(DAY_MS) + 1) * DAY_MS - segment.offset;
                let to = midnight.min(segment.span.to);
                let date = local_date(local);
                match days.last_mut() {
                    Some((last, span)) if *last == date => span.to = to,
                    _ => days.push((date, Span::new(from, to))),
                }
                from = to;
            }
        }
        days
    }

    /// Full hours of the wall and changes of the offset, strictly inside the stretch.
    pub(super) fn hour_edges(&self) -> Vec<Ms> {
        let mut edges = Vec::new();
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                edges.push(segment.span.from);
            }
            let mut local = ((segment.span.from + segment.offset).div_euclid(HOUR_MS) + 1) * HOUR_MS;
            while local - segment.offset < segment.span.to {
                edges.push(local - segment.offset);
                local += HOUR_MS;
            }
        }
        edges
    }
}
