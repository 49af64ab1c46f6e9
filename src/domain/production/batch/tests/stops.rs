//! Stops: status, splits, classifications, planned reasons and segments.

use super::{run, told};
use crate::domain::production::batch::{BatchInput, Ledger, recompute};
use crate::domain::production::config::{ChangeoverPolicy, LossPolicy, Role};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::production::testkit::{
    LineBuilder, S, at, classify, classify_open, det, dets, offline, split, timer,
};
use crate::domain::time::{HOUR_MS, Ms, Span};

fn line() -> LineBuilder {
    LineBuilder::new().stopped_above(10 * S)
}

/// Stops as (start, end, reason) in seconds.
fn reasons(ledger: &Ledger) -> Vec<(Ms, Option<Ms>, Option<&str>)> {
    let seconds = |stop: &Stop| (stop.started_at / S, stop.ended_at.map(|end| end / S));
    ledger.stops.iter().map(|s| (seconds(s).0, seconds(s).1, s.reason_code.as_deref())).collect()
}

#[test]
fn a_stop_is_open_while_it_reaches_the_clock() {
    let ledger = run(line(), dets([0, 20 * S]), vec![timer(50 * S)]);
    let [closed, open] = &ledger.stops[..] else { panic!("two stops, not {:?}", ledger.stops) };
    assert_eq!(
        (closed.downtime_id.as_str(), closed.status, closed.ended_at, closed.duration_ms),
        ("l1:0", StopStatus::Closed, Some(20 * S), 20 * S)
    );
    assert_eq!(
        (open.downtime_id.as_str(), open.status, open.ended_at, open.duration_ms),
        ("l1:20000", StopStatus::Open, None, 30 * S)
    );
    assert_eq!((open.revision, open.shift.as_deref(), open.business_date.as_str()), (0, None, "1970-01-01"));
}

#[test]
fn what_begins_at_the_clock_closes_a_stop() {
    let zero = at("2026-01-05T13:59:00Z");
    let edge = at("2026-01-05T14:00:00Z");
    let status = |inputs| run(line().shift("day", "06:00", "14:00"), dets([zero]), inputs).stops[0].status;
    assert_eq!(status(vec![timer(edge - 1)]), StopStatus::Open);
    assert_eq!(status(vec![timer(edge)]), StopStatus::Closed);

    let ledger = run(line().cameras(1, &[11]), dets([0]), vec![offline(11, 20 * S)]);
    assert_eq!(ledger.stops[0].status, StopStatus::Closed);
}

#[test]
fn splits_make_halves_of_any_length_while_they_lie_inside() {
    let splits = vec![split(29 * S), split(12 * S), split(12 * S), split(0), split(30 * S), split(35 * S)];
    let ledger = run(line(), dets([0, 30 * S, 40 * S]), splits);
    assert_eq!(told(&ledger), "0..12 stopped | 12..29 stopped | 29..30 stopped | 30..40 running");
    let ids: Vec<&str> = ledger.stops.iter().map(|stop| stop.downtime_id.as_str()).collect();
    assert_eq!(ids, ["l1:0", "l1:12000", "l1:29000"]);
    assert_eq!(ledger.sums(Span::new(0, 40 * S)).stops, 3);
}

#[test]
fn each_half_of_a_split_can_have_its_own_reason() {
    let inputs = vec![split(12 * S), classify(0, 12 * S, "jam"), classify(12 * S, 30 * S, "cleaning")];
    let ledger = run(line(), dets([0, 30 * S]), inputs);
    assert_eq!(reasons(&ledger), [(0, Some(12), Some("jam")), (12, Some(30), Some("cleaning"))]);
    assert_eq!(told(&ledger), "0..12 stopped | 12..30 planned_stop");
}

#[test]
fn the_latest_given_reason_wins_for_every_stop_that_it_touches() {
    let given = vec![classify(0, 60 * S, "jam"), classify(20 * S, 40 * S, "changeover")];
    let ledger = run(line(), dets([0, 20 * S, 40 * S, 60 * S, 80 * S]), given);
    let expected = [
        (0, Some(20), Some("jam")),
        (20, Some(40), Some("changeover")),
        (40, Some(60), Some("jam")),
        (60, Some(80), None),
    ];
    assert_eq!(reasons(&ledger), expected);
}

#[test]
fn halves_of_a_stop_that_a_late_exit_divides_inherit_its_reason() {
    let given = vec![classify(0, 60 * S, "jam")];
    let ledger = run(line(), dets([0, 60 * S, 20 * S]), given);
    assert_eq!(reasons(&ledger), [(0, Some(20), Some("jam")), (20, Some(60), Some("jam"))]);
}

#[test]
fn a_reason_given_to_an_open_stop_reaches_to_the_first_exit_after_that_clock() {
    let line = || line().shift("day", "06:00", "14:00").pause("10:00", "10:05");
    let zero = at("2026-01-05T09:59:00Z");
    let clock = zero + 30 * S;
    let exits = dets([zero, zero + 600 * S, zero + 700 * S]);
    let ledger = run(line(), exits, vec![classify_open(zero, clock, "jam")]);
    let given: Vec<_> = ledger.stops.iter().map(|s| (s.started_at - zero, s.reason_code.as_deref())).collect();
    assert_eq!(given, [(0, Some("jam")), (360 * S, Some("jam")), (600 * S, None)]);
    // An exit at that very clock was known then; the next one counts.
    let ledger = run(line(), dets([zero, clock]), vec![classify_open(zero, clock, "jam"), timer(zero + 50 * S)]);
    assert_eq!(ledger.stops[1].reason_code.as_deref(), Some("jam"));
}

#[test]
fn a_planned_reason_rebooks_the_time_and_the_stop_stays() {
    let ledger = run(line(), dets([0, 30 * S]), vec![classify(0, 30 * S, "cleaning")]);
    assert_eq!(told(&ledger), "0..30 planned_stop");
    let stop = &ledger.stops[0];
    assert_eq!((stop.downtime_id.as_str(), stop.planned, stop.status), ("l1:0", true, StopStatus::Closed));
    assert_eq!(ledger.sums(Span::new(0, 30 * S)).stops, 0);
}

#[test]
fn a_changeover_is_planned_where_the_policy_in_force_at_the_start_says_so() {
    let planned = LossPolicy { changeover: ChangeoverPolicy::Planned, ..LossPolicy::default() };
    let configs = vec![line().build(), line().policy(planned).version(2, 30 * S).build()];
    let inputs = vec![classify(0, 80 * S, "changeover")];
    let input = BatchInput { line: "l1".into(), configs, detections: dets([0, 40 * S, 80 * S]), inputs };
    assert_eq!(told(&recompute(&input)), "0..40 stopped | 40..80 planned_stop");
}

#[test]
fn an_unknown_reason_is_unplanned() {
    let ledger = run(line(), dets([0, 30 * S]), vec![classify(0, 30 * S, "unheard_of")]);
    assert_eq!(reasons(&ledger), [(0, Some(30), Some("unheard_of"))]);
    assert!(!ledger.stops[0].planned);
}

#[test]
fn a_reason_stays_with_its_interval_when_no_stop_is_there() {
    let line = line().areas(&[Role::Process, Role::Output]);
    let ledger = run(line, vec![det(1, 0, 2), det(2, 5 * S, 2)], vec![classify(0, 5 * S, "cleaning")]);
    assert_eq!(told(&ledger), "0..5 running");
}

/// Segments as (minutes since the start, length in minutes, shift, date).
fn segments(stop: &Stop) -> Vec<(Ms, Ms, Option<&str>, &str)> {
    let minutes = |ms: Ms| ms / 60_000;
    let told = stop.segments.iter().map(|s| {
        (minutes(s.from - stop.started_at), minutes(s.to - s.from), s.shift.as_deref(), s.business_date.as_str())
    });
    told.collect()
}

#[test]
fn segments_are_cut_at_shifts_days_and_hours() {
    let line = line().shift("late", "14:00", "21:30").shift("night", "21:30", "05:30");
    let from = at("2026-01-05T20:45:00Z");
    let ledger = run(line, dets([from, from + 2 * HOUR_MS]), vec![]);
    assert_eq!(
        segments(&ledger.stops[0]),
        [
            (0, 15, Some("late"), "2026-01-05"),
            (15, 30, Some("late"), "2026-01-05"),
            (45, 30, Some("night"), "2026-01-05"),
            (75, 45, Some("night"), "2026-01-05"),
        ]
    );
}

#[test]
fn the_hour_of_a_clock_change_that_is_repeated_makes_two_segments() {
    let line = line().zone("Europe/Madrid").shift("night", "22:00", "06:00");
    let from = at("2026-10-24T23:30:00Z");
    let ledger = run(line, dets([from, from + 3 * HOUR_MS]), vec![]);
    let lengths: Vec<Ms> = segments(&ledger.stops[0]).iter().map(|s| s.1).collect();
    assert_eq!(lengths, [30, 60, 60, 30]);
    assert!(segments(&ledger.stops[0]).iter().all(|s| s.3 == "2026-10-24"));
}

#[test]
fn a_version_edge_cuts_no_segment_where_the_shift_goes_on() {
    let day = || line().shift("day", "06:00", "14:00");
    let from = at("2026-01-05T08:10:00Z");
    let configs = vec![day().build(), day().version(2, from + 600 * S).build()];
    let input = BatchInput { line: "l1".into(), configs, detections: dets([from, from + 1200 * S]), inputs: vec![] };
    assert_eq!(segments(&recompute(&input).stops[0]), [(0, 20, Some("day"), "2026-01-05")]);
}
