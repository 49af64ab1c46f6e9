//! Periods: ranges, rolling windows, shifts and days.

use jiff::civil::date;

use super::run;
use crate::domain::calendar::ShiftId;
use crate::domain::production::batch::{BatchInput, recompute};
use crate::domain::production::config::{LossPolicy, MicroStopSide};
use crate::domain::production::figure::{Figure, FigureState, Flag, Window};
use crate::domain::production::testkit::{LineBuilder, S, at, classify, dets, hole, timer};
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};

fn line() -> LineBuilder {
    LineBuilder::new().stopped_above(60 * S).micro_above(10 * S).cycle(S)
}

fn range(figure: &Figure) -> (Ms, Ms) {
    (figure.from, figure.to)
}

#[test]
fn a_figure_is_final_once_its_period_ends_at_or_before_the_watermark() {
    let ledger = run(line().lateness(60 * S), dets([0, 100 * S]), vec![]);
    assert_eq!(ledger.figure_range(Span::new(0, 40 * S)).state, FigureState::Final);
    assert_eq!(ledger.figure_range(Span::new(0, 40 * S + 1)).state, FigureState::Provisional);
}

#[test]
fn outside_is_before_the_first_detection_and_after_the_clock() {
    let ledger = run(line(), dets([10 * S, 15 * S]), vec![]);
    let figure = ledger.figure_range(Span::new(0, 20 * S));
    assert_eq!((figure.buckets_ms.running, figure.outside_ms), (5 * S, 15 * S));
    assert_eq!(figure.pieces.total, 2);
}

#[test]
fn stops_and_micro_stops_count_where_they_start() {
    let ledger = run(line(), dets([0, 15 * S, 90 * S, 95 * S]), vec![]);
    let counts = |from, to| {
        let figure = ledger.figure_range(Span::new(from, to));
        (figure.micro_stops, figure.stops)
    };
    assert_eq!(counts(0, 90 * S), (1, 1));
    assert_eq!(counts(1, 15 * S), (0, 0));
    assert_eq!(counts(15 * S, 16 * S), (0, 1));
    assert_eq!(counts(16 * S, 95 * S), (0, 0));
}

#[test]
fn micro_stops_lower_the_factor_that_the_policy_of_their_own_time_names() {
    let availability = LossPolicy { micro_stop_side: MicroStopSide::Availability, ..LossPolicy::default() };
    let configs = vec![line().build(), line().policy(availability).version(2, 30 * S).build()];
    let input = BatchInput { line: "l1".into(), configs, detections: dets([0, 40 * S]), inputs: vec![] };
    let ledger = recompute(&input);
    assert_eq!(ledger.sums(Span::new(0, 40 * S)).apt_ms, 30 * S);
    assert_eq!(ledger.figure_range(Span::new(0, 40 * S)).availability, Some(0.75));
}

#[test]
fn a_rolling_window_is_the_current_slice_and_those_before_and_ends_after_the_clock() {
    let clock = 1_000_000 * S + 3_456;
    let ledger = run(line(), dets([clock - 301 * S, clock - 294 * S, clock]), vec![]);
    let figure = ledger.figure_window(Window::FiveMinutes).expect("a clock");
    assert_eq!(range(&figure), (1_000_000 * S - 290 * S, clock + 1));
    assert_eq!((figure.pieces.total, figure.outside_ms), (1, 1));
    assert_eq!(figure.buckets_ms.stopped, 293_456);
    let day = ledger.figure_window(Window::Day24).expect("a clock");
    assert_eq!(day.from, 1_000_000 * S + 10 * S - 24 * HOUR_MS);
    assert_eq!(day.pieces.total, 3);
}

#[test]
fn there_are_no_windows_without_a_clock_and_no_shift_between_shifts() {
    let shifts = || line().shift("day", "06:00", "14:00");
    assert_eq!(run(shifts(), vec![], vec![]).figure_window(Window::Hour), None);
    let ledger = run(shifts(), dets([at("2026-01-05T13:00:00Z")]), vec![timer(at("2026-01-05T14:00:00Z"))]);
    assert_eq!(ledger.figure_window(Window::Shift), None);
    assert!(ledger.figure_window(Window::BusinessDay).is_some());
}

#[test]
fn the_current_shift_is_whole_and_what_is_to_come_is_outside() {
    let zero = at("2026-01-05T06:30:00Z");
    let line = line().shift("day", "06:00", "14:00");
    let ledger = run(line, dets([zero, zero + 5 * S]), vec![]);
    let figure = ledger.figure_window(Window::Shift).expect("in a shift");
    assert_eq!(range(&figure), (at("2026-01-05T06:00:00Z"), at("2026-01-05T14:00:00Z")));
    assert_eq!((figure.buckets_ms.running, figure.outside_ms), (5 * S, 8 * HOUR_MS - 5 * S));
    assert_eq!((figure.pieces.total, figure.performance, figure.state), (2, Some(0.4), FigureState::Provisional));
}

#[test]
fn a_business_day_has_its_own_milliseconds_only() {
    // The night of the 5th begins at 22:00 and is of that date; before it lies the local day.
    let line = line().shift("night", "22:00", "06:00");
    let zero = at("2026-01-05T00:00:00Z");
    let ledger = run(line, dets([zero]), vec![timer(zero + 48 * HOUR_MS)]);
    let figure = ledger.day_figure(date(2026, 1, 5)).expect("a day");
    // 00:00 to 06:00 is of the night of the 4th.
    assert_eq!(range(&figure), (zero + 6 * HOUR_MS, zero + 30 * HOUR_MS));
    assert_eq!(figure.outside_ms, 0);
    assert_eq!((figure.buckets_ms.unscheduled, figure.buckets_ms.stopped), (16 * HOUR_MS, 8 * HOUR_MS));
}

#[test]
fn the_holes_of_a_day_are_in_no_bucket_and_not_outside() {
    // The night shift begins to be one at 02:00 of the 6th, and until 06:00 the 5th goes on.
    let zero = at("2026-01-05T00:00:00Z");
    let second = line().shift("night", "22:00", "06:00").version(2, zero + 26 * HOUR_MS);
    let configs = vec![line().build(), second.build()];
    let inputs = vec![timer(zero + 48 * HOUR_MS)];
    let input = BatchInput { line: "l1".into(), configs, detections: dets([zero]), inputs };
    let ledger = recompute(&input);
    let figure = ledger.day_figure(date(2026, 1, 5)).expect("a day");
    assert_eq!(range(&figure), (zero, zero + 30 * HOUR_MS));
    assert_eq!((figure.buckets_ms.stopped, figure.outside_ms), (28 * HOUR_MS, 0));
    let next = ledger.day_figure(date(2026, 1, 6)).expect("a day");
    assert_eq!(range(&next), (zero + 24 * HOUR_MS, zero + 54 * HOUR_MS));
    assert_eq!((next.buckets_ms.stopped, next.buckets_ms.unscheduled), (4 * HOUR_MS, 16 * HOUR_MS));
    assert_eq!(next.outside_ms, 6 * HOUR_MS);
}

#[test]
fn a_shift_of_one_name_and_date_on_both_sides_of_a_version_is_one() {
    let day = |end| line().shift("day", "06:00", end);
    let edge = at("2026-01-05T13:00:00Z");
    let configs = vec![day("14:00").build(), day("15:00").version(2, edge).build()];
    let zero = at("2026-01-05T06:00:00Z");
    let inputs = vec![timer(at("2026-01-05T16:00:00Z"))];
    let input = BatchInput { line: "l1".into(), configs, detections: dets([zero]), inputs };
    let figure = recompute(&input).shift_figure(&ShiftId { name: "day".into(), date: date(2026, 1, 5) }).expect("it");
    assert_eq!(range(&figure), (zero, at("2026-01-05T15:00:00Z")));
    assert_eq!((figure.config_versions, figure.policy_versions), (vec![1, 2], vec![1, 2]));
    assert_eq!(figure.buckets_ms.stopped, 9 * HOUR_MS);
}

#[test]
fn a_blind_period_gives_oee_as_an_interval() {
    let inputs = || vec![hole(60 * S, 120 * S), timer(120 * S)];
    let ledger = run(line(), dets((0..60).map(|second| second * S)), inputs());
    let figure = ledger.figure_range(Span::new(0, 120 * S));
    assert_eq!(figure.completeness, Some(0.5));
    assert_eq!((figure.oee, figure.oee_interval), (Some(1.0), Some([0.5, 1.0])));

    let blind = ledger.figure_range(Span::new(60 * S, 120 * S));
    assert_eq!((blind.oee, blind.oee_interval, blind.completeness), (None, Some([0.0, 1.0]), Some(0.0)));

    assert_eq!(ledger.figure_range(Span::new(0, 60 * S)).oee_interval, None);
    let no_cycle = LineBuilder::new();
    assert_eq!(run(no_cycle, dets([0]), inputs()).figure_range(Span::new(0, 120 * S)).oee_interval, None);
}

#[test]
fn empty_and_impossible_periods() {
    let ledger = run(line(), dets([0, S]), vec![timer(20 * MINUTE_MS)]);
    let no_piece = ledger.figure_range(Span::new(MINUTE_MS, 2 * MINUTE_MS));
    assert_eq!((no_piece.availability, no_piece.performance), (Some(0.0), Some(0.0)));
    assert_eq!((no_piece.quality, no_piece.oee), (None, Some(0.0)));

    let no_apt = ledger.figure_range(Span::new(S, 2 * MINUTE_MS));
    assert_eq!((no_apt.performance, no_apt.oee), (None, Some(0.0)));
    assert_eq!(no_apt.flags, [Flag::QualityNotMeasured, Flag::NoProductionTime]);

    let ledger = run(line(), dets([0, 90 * S]), vec![classify(0, 90 * S, "cleaning")]);
    let no_pbt = ledger.figure_range(Span::new(0, 90 * S));
    assert_eq!((no_pbt.availability, no_pbt.performance, no_pbt.quality, no_pbt.oee), (None, None, None, None));

    let fast = run(line().cycle(5 * S), dets([0, S, 2 * S]), vec![]).figure_range(Span::new(0, 2 * S));
    assert_eq!((fast.performance, fast.oee), (Some(5.0), Some(5.0)));
    assert!(fast.flags.contains(&Flag::StandardTooLow));

    let no_cycle = run(LineBuilder::new(), dets([0, S]), vec![]).figure_range(Span::new(0, S));
    assert_eq!((no_cycle.availability, no_cycle.performance, no_cycle.oee), (Some(1.0), None, None));
    assert_eq!(no_cycle.quality, Some(1.0));
}

#[test]
fn a_report_has_the_stops_that_overlap_and_one_figure() {
    let ledger = run(line(), dets([0, 90 * S, 95 * S, 200 * S]), vec![]);
    let report = ledger.report(Span::new(90 * S, 96 * S));
    assert_eq!(report.stops.iter().map(|stop| stop.started_at).collect::<Vec<_>>(), [95 * S]);
    assert_eq!(report.figures.iter().map(|f| (f.window, f.pieces.total)).collect::<Vec<_>>(), [(Window::Range, 2)]);
    let json = serde_json::to_value(&report).expect("json");
    assert_eq!(json["figures"][0]["window"], "range");
    assert_eq!(json["stops"][0]["downtime_id"], "l1:95000");
}
