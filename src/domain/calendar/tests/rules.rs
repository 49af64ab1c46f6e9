//! The rules one by one, in UTC where the zone does not matter. 1 January 2026 is a Thursday.

use jiff::civil::Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
use jiff::civil::date;

use super::*;

const WEEKDAYS: [Weekday; 5] = [Monday, Tuesday, Wednesday, Thursday, Friday];

#[test]
fn without_shifts_a_line_works_around_the_clock_except_on_holidays() {
    let rules = CalendarRules { exceptions: vec![holiday(date(2026, 1, 6))], ..rules_in("Europe/Madrid", vec![]) };
    let calendar = Calendar::new(rules).unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-05T12:00:00Z", "2026-01-07T12:00:00Z")),
        [
            "01-05T12:00 01-05T23:00 S 2026-01-05",
            "01-05T23:00 01-06T23:00 U 2026-01-06",
            "01-06T23:00 01-07T12:00 S 2026-01-07"
        ]
    );
}

#[test]
fn a_night_belongs_to_the_date_on_which_it_starts_and_midnight_cuts_only_outside() {
    let night = ShiftRule { days: on(&WEEKDAYS), ..shift("night", hour(22), hour(6)) };
    let calendar = Calendar::new(CalendarRules { shifts: vec![night], ..utc() }).unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-02T20:00:00Z", "2026-01-05T23:00:00Z")),
        [
            "01-02T20:00 01-02T22:00 U 2026-01-02",
            "01-02T22:00 01-03T06:00 S 2026-01-02 night 2026-01-02",
            "01-03T06:00 01-04T00:00 U 2026-01-03",
            "01-04T00:00 01-05T00:00 U 2026-01-04",
            "01-05T00:00 01-05T22:00 U 2026-01-05",
            "01-05T22:00 01-05T23:00 S 2026-01-05 night 2026-01-05",
        ]
    );
    assert_eq!(
        calendar.day(date(2026, 1, 2)),
        [span("2026-01-02T06:00:00Z", "2026-01-03T06:00:00Z")],
        "from the end of the night of 1 January to the end of that of the 2nd"
    );
}

#[test]
fn a_day_has_a_hole_where_a_shift_of_the_date_before_comes_back() {
    let calendar = Calendar::new(CalendarRules {
        shifts: vec![shift("early", hour(2), hour(4))],
        extra_shifts: vec![extra("long", date(2026, 1, 1), hour(22), hour(8))],
        ..utc()
    })
    .unwrap();
    assert_eq!(
        calendar.day(date(2026, 1, 2)),
        [span("2026-01-02T02:00:00Z", "2026-01-02T04:00:00Z"), span("2026-01-02T08:00:00Z", "2026-01-03T00:00:00Z")]
    );
    assert_eq!(
        calendar.day(date(2026, 1, 1)),
        [span("2026-01-01T00:00:00Z", "2026-01-02T02:00:00Z"), span("2026-01-02T04:00:00Z", "2026-01-02T08:00:00Z")]
    );
}

#[test]
fn a_shift_as_long_as_a_day_goes_on_without_a_seam_but_with_dates() {
    let calendar = Calendar::new(CalendarRules { shifts: vec![shift("all", hour(6), hour(6))], ..utc() }).unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z")),
        ["01-01T12:00 01-02T06:00 S 2026-01-01 all 2026-01-01", "01-02T06:00 01-02T12:00 S 2026-01-02 all 2026-01-02"]
    );
}

#[test]
fn a_break_of_a_shift_counts_in_that_shift_only() {
    let calendar = Calendar::new(CalendarRules {
        shifts: vec![shift("day", hour(6), hour(14)), shift("night", hour(22), hour(6))],
        breaks: vec![pause(Some("night"), hour(2), time(2, 30, 0, 0)), pause(Some("night"), hour(7), hour(8))],
        ..utc()
    })
    .unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-01T22:00:00Z", "2026-01-02T14:00:00Z")),
        [
            "01-01T22:00 01-02T02:00 S 2026-01-01 night 2026-01-01",
            "01-02T02:00 01-02T02:30 B 2026-01-01 night 2026-01-01",
            "01-02T02:30 01-02T06:00 S 2026-01-01 night 2026-01-01",
            "01-02T06:00 01-02T14:00 S 2026-01-02 day 2026-01-02",
        ]
    );
}

#[test]
fn a_break_of_a_shift_goes_by_the_days_of_the_shift() {
    let friday = BreakRule { days: on(&[Friday]), ..pause(Some("night"), hour(2), hour(3)) };
    let night = shift("night", hour(22), hour(6));
    let calendar = Calendar::new(CalendarRules { shifts: vec![night], breaks: vec![friday], ..utc() }).unwrap();
    assert_eq!(calendar.slot(at("2026-01-02T02:30:00Z")).schedule, Schedule::Scheduled, "the night of Thursday");
    assert_eq!(calendar.slot(at("2026-01-03T02:30:00Z")).schedule, Schedule::Break, "the night of Friday");
}

#[test]
fn a_break_of_no_shift_counts_inside_shifts_on_its_own_days() {
    let friday = BreakRule { days: on(&[Friday]), ..pause(None, time(5, 30, 0, 0), time(6, 30, 0, 0)) };
    let shifts = vec![shift("day", hour(6), hour(14)), shift("night", hour(22), time(5, 45, 0, 0))];
    let calendar = Calendar::new(CalendarRules { shifts, breaks: vec![friday], ..utc() }).unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-02T05:00:00Z", "2026-01-02T07:00:00Z")),
        [
            "01-02T05:00 01-02T05:30 S 2026-01-01 night 2026-01-01",
            "01-02T05:30 01-02T05:45 B 2026-01-01 night 2026-01-01",
            "01-02T05:45 01-02T06:00 U 2026-01-02",
            "01-02T06:00 01-02T06:30 B 2026-01-02 day 2026-01-02",
            "01-02T06:30 01-02T07:00 S 2026-01-02 day 2026-01-02",
        ]
    );
    assert_eq!(calendar.slot(at("2026-01-03T06:15:00Z")).schedule, Schedule::Scheduled, "not on Saturday");
}

#[test]
fn breaks_that_overlap_or_abut_are_one_slot() {
    let quarter = |minute| time(10, minute, 0, 0);
    let calendar = Calendar::new(CalendarRules {
        shifts: vec![shift("day", hour(6), hour(14))],
        breaks: vec![
            pause(Some("day"), quarter(0), quarter(20)),
            pause(None, quarter(10), quarter(30)),
            pause(None, quarter(30), quarter(40)),
            pause(None, quarter(12), quarter(15)),
        ],
        ..utc()
    })
    .unwrap();
    let slot = calendar.slot(at("2026-01-01T10:13:00Z"));
    assert_eq!((slot.span, slot.schedule), (span("2026-01-01T10:00:00Z", "2026-01-01T10:40:00Z"), Schedule::Break));
}

#[test]
fn a_break_alone_does_nothing_to_a_line_without_shifts() {
    let calendar = Calendar::new(CalendarRules { breaks: vec![pause(None, hour(10), hour(11))], ..utc() }).unwrap();
    assert_eq!(calendar.slot(at("2026-01-01T10:30:00Z")).span.len(), 24 * HOUR_MS);
}

#[test]
fn a_holiday_takes_the_shifts_of_its_business_date_and_not_the_night_before() {
    let shifts = vec![shift("day", hour(6), hour(14)), shift("night", hour(22), hour(6))];
    let all = CalendarRules { shifts, exceptions: vec![holiday(date(2026, 1, 2))], ..utc() };
    let calendar = Calendar::new(all.clone()).unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-02T00:00:00Z", "2026-01-03T08:00:00Z")),
        [
            "01-02T00:00 01-02T06:00 S 2026-01-01 night 2026-01-01",
            "01-02T06:00 01-03T00:00 U 2026-01-02",
            "01-03T00:00 01-03T06:00 U 2026-01-03",
            "01-03T06:00 01-03T08:00 S 2026-01-03 day 2026-01-03",
        ]
    );
    let named = ExceptionRule { date: date(2026, 1, 2), shifts: vec!["night".into()] };
    let calendar = Calendar::new(CalendarRules { exceptions: vec![named], ..all }).unwrap();
    assert!(calendar.shift_span(&id("day", date(2026, 1, 2))).is_some());
    assert!(calendar.shift_span(&id("night", date(2026, 1, 2))).is_none());
}

#[test]
fn a_holiday_of_named_shifts_is_none_for_a_line_without_shifts() {
    let named = ExceptionRule { date: date(2026, 1, 2), shifts: vec!["night".into()] };
    let calendar = Calendar::new(CalendarRules { exceptions: vec![named], ..utc() }).unwrap();
    assert_eq!(calendar.slot(at("2026-01-02T12:00:00Z")).schedule, Schedule::Scheduled);
}

#[test]
fn an_extra_shift_adds_time_even_on_a_holiday_with_the_breaks_of_its_name() {
    let calendar = Calendar::new(CalendarRules {
        shifts: vec![shift("day", hour(6), hour(14))],
        breaks: vec![pause(Some("extra"), hour(9), hour(10))],
        exceptions: vec![holiday(date(2026, 1, 2))],
        extra_shifts: vec![extra("extra", date(2026, 1, 2), hour(8), hour(12))],
        ..utc()
    })
    .unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z")),
        [
            "01-02T00:00 01-02T08:00 U 2026-01-02",
            "01-02T08:00 01-02T09:00 S 2026-01-02 extra 2026-01-02",
            "01-02T09:00 01-02T10:00 B 2026-01-02 extra 2026-01-02",
            "01-02T10:00 01-02T12:00 S 2026-01-02 extra 2026-01-02",
            "01-02T12:00 01-03T00:00 U 2026-01-02",
        ]
    );
}

#[test]
fn an_extra_shift_yields_to_a_regular_one_and_keeps_the_rest() {
    let calendar = Calendar::new(CalendarRules {
        shifts: vec![shift("day", hour(8), hour(12))],
        extra_shifts: vec![extra("extra", date(2026, 1, 2), hour(6), hour(14))],
        ..utc()
    })
    .unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-02T05:00:00Z", "2026-01-02T15:00:00Z")),
        [
            "01-02T05:00 01-02T06:00 U 2026-01-02",
            "01-02T06:00 01-02T08:00 S 2026-01-02 extra 2026-01-02",
            "01-02T08:00 01-02T12:00 S 2026-01-02 day 2026-01-02",
            "01-02T12:00 01-02T14:00 S 2026-01-02 extra 2026-01-02",
            "01-02T14:00 01-02T15:00 U 2026-01-02",
        ]
    );
    let extra = id("extra", date(2026, 1, 2));
    assert_eq!(
        calendar.shift_spans(&extra),
        [span("2026-01-02T06:00:00Z", "2026-01-02T08:00:00Z"), span("2026-01-02T12:00:00Z", "2026-01-02T14:00:00Z")]
    );
    assert_eq!(calendar.shift_span(&extra), Some(span("2026-01-02T06:00:00Z", "2026-01-02T14:00:00Z")));
}

#[test]
fn an_extra_shift_of_a_regular_ones_name_and_date_lengthens_it() {
    let calendar = Calendar::new(CalendarRules {
        shifts: vec![shift("day", hour(8), hour(12))],
        extra_shifts: vec![extra("day", date(2026, 1, 2), hour(8), hour(15))],
        ..utc()
    })
    .unwrap();
    assert_eq!(calendar.slot(at("2026-01-02T09:00:00Z")).span, span("2026-01-02T08:00:00Z", "2026-01-02T15:00:00Z"));
}

#[test]
fn on_a_line_without_shifts_an_extra_shift_counts_on_holidays_only() {
    let calendar = Calendar::new(CalendarRules {
        breaks: vec![pause(None, hour(1), hour(2))],
        exceptions: vec![holiday(date(2026, 1, 2))],
        extra_shifts: vec![
            extra("before", date(2026, 1, 1), hour(20), hour(3)),
            extra("after", date(2026, 1, 2), hour(22), hour(3)),
        ],
        ..utc()
    })
    .unwrap();
    assert_eq!(
        told(&calendar, span("2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z")),
        [
            "01-01T00:00 01-02T00:00 S 2026-01-01",
            "01-02T00:00 01-02T01:00 S 2026-01-01 before 2026-01-01",
            "01-02T01:00 01-02T02:00 B 2026-01-01 before 2026-01-01",
            "01-02T02:00 01-02T03:00 S 2026-01-01 before 2026-01-01",
            "01-02T03:00 01-02T22:00 U 2026-01-02",
            "01-02T22:00 01-03T00:00 S 2026-01-02 after 2026-01-02",
            "01-03T00:00 01-04T00:00 S 2026-01-03",
        ]
    );
}

#[test]
fn overlapping_shifts_are_refused_over_the_end_of_the_week() {
    let sunday = ShiftRule { days: on(&[Sunday]), ..shift("sunday", hour(22), hour(6)) };
    let monday = ShiftRule { days: on(&[Monday]), ..shift("monday", hour(5), hour(9)) };
    let refused = Calendar::new(CalendarRules { shifts: vec![monday.clone(), sunday.clone()], ..utc() }).unwrap_err();
    assert_eq!(refused, CalendarError::ShiftsOverlap { first: "sunday".into(), second: "monday".into(), day: Sunday });
    let later = ShiftRule { start: hour(6), ..monday };
    assert!(Calendar::new(CalendarRules { shifts: vec![later, sunday], ..utc() }).is_ok(), "abutting is no overlap");
}

#[test]
fn shifts_of_different_days_do_not_overlap() {
    let weekday = ShiftRule { days: on(&WEEKDAYS), ..shift("day", hour(6), hour(14)) };
    let saturday = ShiftRule { days: on(&[Saturday]), ..shift("day", hour(7), hour(12)) };
    let calendar = Calendar::new(CalendarRules { shifts: vec![weekday, saturday], ..utc() }).unwrap();
    assert_eq!(calendar.shift_span(&id("day", date(2026, 1, 2))).unwrap().len(), 8 * HOUR_MS);
    assert_eq!(calendar.shift_span(&id("day", date(2026, 1, 3))).unwrap().len(), 5 * HOUR_MS);
    assert_eq!(calendar.shift_span(&id("day", date(2026, 1, 4))), None);
}

#[test]
fn a_shift_that_is_there_twice_on_a_day_is_refused() {
    let shifts = vec![shift("day", hour(6), hour(8)), shift("day", hour(9), hour(10))];
    let refused = Calendar::new(CalendarRules { shifts, ..utc() }).unwrap_err();
    assert_eq!(refused, CalendarError::ShiftTwice { name: "day".into(), day: Monday });
}

#[test]
fn overlapping_extra_shifts_are_refused_over_midnight() {
    let first = extra("first", date(2026, 1, 2), hour(22), hour(6));
    let second = extra("second", date(2026, 1, 3), hour(5), hour(9));
    let refused = Calendar::new(CalendarRules { extra_shifts: vec![second.clone(), first.clone()], ..utc() });
    assert!(matches!(refused, Err(CalendarError::ExtraShiftsOverlap { first, .. }) if first.as_ref() == "first"));
    let second = ExtraShift { start: hour(6), ..second };
    assert!(Calendar::new(CalendarRules { extra_shifts: vec![second, first], ..utc() }).is_ok());
}

#[test]
fn zones_come_by_their_names() {
    assert!(zone("Europe/Madrid").is_ok());
    assert_eq!(zone("Mars/Base").unwrap_err(), CalendarError::UnknownZone("Mars/Base".to_owned()));
}

#[test]
fn every_instant_has_a_slot() {
    let calendar = nights("Europe/Madrid");
    for far in [Ms::MIN, Ms::MIN / 4, -300_000_000_000_000, 300_000_000_000_000, Ms::MAX / 4, Ms::MAX - 1] {
        let slot = calendar.slot(far);
        assert!(slot.span.contains(far), "{far}: {slot:?}");
        assert_eq!(slot.schedule, Schedule::Unscheduled);
    }
    assert_eq!(calendar.slots(Span::new(5, 5)), []);
    assert_eq!(calendar.slots(Span::new(5, 4)), []);
    assert_eq!(calendar.day(Date::MIN).len() + calendar.day(Date::MAX).len(), 2, "known to be unscheduled");
}
