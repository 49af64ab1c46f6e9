use jiff::civil::{Date, Time, Weekday, date, time};

use super::*;
use crate::domain::time::{HOUR_MS, parse_rfc3339};

fn at(text: &str) -> Ms {
    parse_rfc3339(text).unwrap()
}

fn span(from: &str, to: &str) -> Span {
    Span::new(at(from), at(to))
}

fn shift(name: &str, start: Time, end: Time) -> ShiftRule {
    ShiftRule { name: name.into(), start, end, days: Days::EVERY }
}

fn rules(zone_name: &str, shifts: Vec<ShiftRule>) -> CalendarRules {
    CalendarRules { shifts, ..CalendarRules::always(zone(zone_name).unwrap()) }
}

fn id(name: &str, date: Date) -> ShiftId {
    ShiftId { name: name.into(), date }
}

#[test]
fn a_night_lasts_seven_or_nine_hours_where_the_clock_changes() {
    let night = shift("night", time(22, 0, 0, 0), time(6, 0, 0, 0));
    let calendar = Calendar::new(rules("Europe/Madrid", vec![night])).unwrap();
    let hours = |date| calendar.shift_span(&id("night", date)).unwrap().len() / HOUR_MS;
    assert_eq!(hours(date(2026, 3, 27)), 8);
    assert_eq!(hours(date(2026, 3, 28)), 7);
    assert_eq!(hours(date(2026, 10, 24)), 9);
    assert_eq!(
        calendar.shift_span(&id("night", date(2026, 10, 24))),
        Some(span("2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z"))
    );
}

#[test]
fn a_line_without_rules_is_scheduled_in_local_days() {
    let calendar = Calendar::always(zone("Europe/Madrid").unwrap());
    let slot = calendar.slot(at("2026-01-01T12:00:00Z"));
    assert_eq!(slot.span, span("2025-12-31T23:00:00Z", "2026-01-01T23:00:00Z"));
    assert_eq!((slot.schedule, slot.shift, slot.date), (Schedule::Scheduled, None, date(2026, 1, 1)));
}

#[test]
fn overlapping_shifts_are_refused_over_the_end_of_the_week() {
    let sunday =
        ShiftRule { days: Days::from_iter([Weekday::Sunday]), ..shift("sunday", time(22, 0, 0, 0), time(6, 0, 0, 0)) };
    let monday =
        ShiftRule { days: Days::from_iter([Weekday::Monday]), ..shift("monday", time(5, 0, 0, 0), time(9, 0, 0, 0)) };
    let refused = Calendar::new(rules("UTC", vec![monday, sunday])).unwrap_err();
    assert_eq!(
        refused,
        CalendarError::ShiftsOverlap { first: "sunday".into(), second: "monday".into(), day: Weekday::Sunday }
    );
}
