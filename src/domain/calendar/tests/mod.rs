//! The calendar against its rules: by example ([`clock_changes`], [`rules`]) and against a naive model ([`model`]).

mod clock_changes;
mod model;
mod rules;

use jiff::civil::{Date, Time, Weekday, time};

use super::*;
use crate::domain::time::{HOUR_MS, MINUTE_MS, parse_rfc3339};

fn at(text: &str) -> Ms {
    parse_rfc3339(text).unwrap()
}

fn span(from: &str, to: &str) -> Span {
    Span::new(at(from), at(to))
}

fn hour(hour: i8) -> Time {
    time(hour, 0, 0, 0)
}

fn shift(name: &str, start: Time, end: Time) -> ShiftRule {
    ShiftRule { name: name.into(), start, end, days: Days::EVERY }
}

fn on(days: &[Weekday]) -> Days {
    days.iter().copied().collect()
}

fn pause(shift: Option<&str>, start: Time, end: Time) -> BreakRule {
    BreakRule { shift: shift.map(Into::into), start, end, days: Days::EVERY }
}

fn holiday(date: Date) -> ExceptionRule {
    ExceptionRule { date, shifts: Vec::new() }
}

fn extra(name: &str, date: Date, start: Time, end: Time) -> ExtraShift {
    ExtraShift { date, name: name.into(), start, end }
}

fn id(name: &str, date: Date) -> ShiftId {
    ShiftId { name: name.into(), date }
}

fn rules_in(zone_name: &str, shifts: Vec<ShiftRule>) -> CalendarRules {
    CalendarRules { shifts, ..CalendarRules::always(zone(zone_name).unwrap()) }
}

/// Around the clock in UTC, for rules in which zones do not matter.
fn utc() -> CalendarRules {
    rules_in("UTC", Vec::new())
}

fn nights(zone_name: &str) -> Calendar {
    Calendar::new(rules_in(zone_name, vec![shift("night", hour(22), hour(6))])).unwrap()
}

/// Slots in short: from, to, what they are. `U` unscheduled, `B` break, `S` scheduled.
fn told(calendar: &Calendar, within: Span) -> Vec<String> {
    let short = |ms: Ms| crate::domain::time::rfc3339(ms)[5..16].to_owned();
    let one = |slot: Slot| {
        let letter = match slot.schedule {
            Schedule::Unscheduled => "U",
            Schedule::Break => "B",
            Schedule::Scheduled => "S",
        };
        let shift = slot.shift.map_or_else(String::new, |id| format!(" {} {}", id.name, id.date));
        format!("{} {} {letter} {}{shift}", short(slot.span.from), short(slot.span.to), slot.date)
    };
    calendar.slots(within).into_iter().map(one).collect()
}
