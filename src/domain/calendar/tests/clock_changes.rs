//! Nights, breaks, days and hours where the clock changes.

use jiff::civil::date;

use super::*;

fn night(calendar: &Calendar, year: i16, month: i8, day: i8) -> Span {
    calendar.shift_span(&id("night", date(year, month, day))).unwrap()
}

#[test]
fn madrid_nights_last_seven_and_nine_hours() {
    let calendar = nights("Europe/Madrid");
    assert_eq!(night(&calendar, 2026, 3, 27).len(), 8 * HOUR_MS);
    assert_eq!(night(&calendar, 2026, 3, 28), span("2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z"));
    assert_eq!(night(&calendar, 2026, 10, 24), span("2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z"));
    assert_eq!(night(&calendar, 2026, 10, 25).len(), 8 * HOUR_MS);
}

#[test]
fn new_york_nights_last_seven_and_nine_hours() {
    let calendar = nights("America/New_York");
    assert_eq!(night(&calendar, 2026, 3, 7), span("2026-03-08T03:00:00Z", "2026-03-08T10:00:00Z"));
    assert_eq!(night(&calendar, 2026, 10, 31), span("2026-11-01T02:00:00Z", "2026-11-01T11:00:00Z"));
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    let calendar = nights("Australia/Lord_Howe");
    assert_eq!(night(&calendar, 2026, 4, 4), span("2026-04-04T11:00:00Z", "2026-04-04T19:30:00Z"));
    assert_eq!(night(&calendar, 2026, 10, 3), span("2026-10-03T11:30:00Z", "2026-10-03T19:00:00Z"));
}

#[test]
fn years_beyond_the_listed_changes_follow_the_zones_rule() {
    let calendar = nights("Europe/Madrid");
    assert_eq!(night(&calendar, 2099, 3, 28).len(), 7 * HOUR_MS);
    assert_eq!(night(&calendar, 2099, 10, 24).len(), 9 * HOUR_MS);
}

#[test]
fn a_repeated_wall_time_is_its_first_occurrence_and_a_skipped_one_the_change() {
    let half_past_two = time(2, 30, 0, 0);
    let early = shift("early", half_past_two, hour(10));
    let late = shift("late", hour(20), half_past_two);
    let calendar = Calendar::new(rules_in("Europe/Madrid", vec![early, late])).unwrap();
    let on = |name, month, day| calendar.shift_span(&id(name, date(2026, month, day))).unwrap();
    assert_eq!(on("late", 10, 24), span("2026-10-24T18:00:00Z", "2026-10-25T00:30:00Z"));
    assert_eq!(on("early", 10, 25), span("2026-10-25T00:30:00Z", "2026-10-25T09:00:00Z"));
    assert_eq!(on("late", 3, 28), span("2026-03-28T19:00:00Z", "2026-03-29T01:00:00Z"));
    assert_eq!(on("early", 3, 29), span("2026-03-29T01:00:00Z", "2026-03-29T08:00:00Z"));
}

#[test]
fn a_shift_inside_the_skipped_hour_is_not_there() {
    let short = shift("short", time(2, 10, 0, 0), time(2, 50, 0, 0));
    let calendar = Calendar::new(rules_in("Europe/Madrid", vec![short])).unwrap();
    assert_eq!(calendar.shift_span(&id("short", date(2026, 3, 29))), None);
    assert_eq!(calendar.shift_span(&id("short", date(2026, 3, 28))).unwrap().len(), 40 * MINUTE_MS);
}

#[test]
fn breaks_stretch_shrink_and_vanish_with_the_clock() {
    let mut rules = rules_in("Europe/Madrid", vec![shift("night", hour(22), hour(6))]);
    rules.breaks = vec![
        pause(Some("night"), time(2, 30, 0, 0), hour(3)),
        pause(Some("night"), time(1, 45, 0, 0), time(2, 15, 0, 0)),
    ];
    let calendar = Calendar::new(rules).unwrap();
    let breaks = |within: Span| -> Vec<Span> {
        calendar.slots(within).into_iter().filter(|s| s.schedule == Schedule::Break).map(|s| s.span).collect()
    };
    assert_eq!(
        breaks(span("2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z")),
        [span("2026-10-24T23:45:00Z", "2026-10-25T00:15:00Z"), span("2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z")]
    );
    assert_eq!(
        breaks(span("2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z")),
        [span("2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z")]
    );
}

#[test]
fn a_skipped_day_has_no_milliseconds() {
    // Apia went from 29 to 31 December 2011 at 2011-12-30T10:00Z.
    let calendar = Calendar::always(zone("Pacific/Apia").unwrap());
    let day = |day| calendar.day(date(2011, 12, day));
    assert_eq!(day(29), [span("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z")]);
    assert_eq!(day(30), []);
    assert_eq!(day(31), [span("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z")]);
}

#[test]
fn a_shift_of_a_skipped_day_is_what_the_clock_leaves_of_it() {
    let calendar = Calendar::new(rules_in(
        "Pacific/Apia",
        vec![shift("day", hour(6), hour(14)), shift("night", hour(22), hour(6))],
    ))
    .unwrap();
    let change = at("2011-12-30T10:00:00Z");
    assert_eq!(night(&calendar, 2011, 12, 29), Span::new(change - 2 * HOUR_MS, change));
    assert_eq!(calendar.shift_span(&id("day", date(2011, 12, 30))), None);
    assert_eq!(night(&calendar, 2011, 12, 30), Span::new(change, change + 6 * HOUR_MS));
    assert_eq!(calendar.day(date(2011, 12, 30)), [night(&calendar, 2011, 12, 30)]);
}

#[test]
fn a_day_that_the_clock_comes_back_to_has_a_hole() {
    // St. John's went from 00:01 back to 23:01 of the day before at 2006-10-29T02:31Z.
    let calendar = Calendar::always(zone("America/St_Johns").unwrap());
    assert_eq!(
        calendar.day(date(2006, 10, 28)),
        [span("2006-10-28T02:30:00Z", "2006-10-29T02:30:00Z"), span("2006-10-29T02:31:00Z", "2006-10-29T03:30:00Z")]
    );
    assert_eq!(
        calendar.day(date(2006, 10, 29)),
        [span("2006-10-29T02:30:00Z", "2006-10-29T02:31:00Z"), span("2006-10-29T03:30:00Z", "2006-10-30T03:30:00Z")]
    );
}

#[test]
fn the_repeated_hour_counts_as_two_and_a_change_is_an_edge() {
    let edges = |zone_name: &str, from, to| Calendar::always(zone(zone_name).unwrap()).hour_edges(span(from, to));
    let times = |texts: &[&str]| texts.iter().map(|text| at(text)).collect::<Vec<_>>();
    assert_eq!(
        edges("Europe/Madrid", "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z"),
        times(&["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]),
        "edges are strictly inside"
    );
    assert_eq!(
        edges("Australia/Lord_Howe", "2026-04-04T13:30:00Z", "2026-04-04T17:00:00Z"),
        times(&["2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"])
    );
    assert_eq!(
        edges("Australia/Lord_Howe", "2026-10-03T14:00:00Z", "2026-10-03T16:30:00Z"),
        times(&["2026-10-03T14:30:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"])
    );
    assert_eq!(
        edges("Asia/Kathmandu", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"),
        times(&["2026-01-01T00:15:00Z", "2026-01-01T01:15:00Z"])
    );
    assert_eq!(edges("UTC", "2026-01-01T00:30:00Z", "2026-01-01T00:30:00Z"), times(&[]));
}
