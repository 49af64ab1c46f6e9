//! Gaps, cycle credit, thresholds, the calendar's part, and versions.

use super::{run, told, told_from};
use crate::domain::production::batch::{BatchInput, recompute};
use crate::domain::production::config::Role;
use crate::domain::production::detection::Detection;
use crate::domain::production::testkit::{LineBuilder, S, at, det, dets, hole, online, timer};
use crate::domain::time::Span;

fn line() -> LineBuilder {
    LineBuilder::new().stopped_above(60 * S).micro_above(10 * S)
}

#[test]
fn nothing_heard_is_an_empty_ledger() {
    let ledger = run(line(), vec![], vec![]);
    assert_eq!((ledger.first, ledger.clock), (None, None));
    assert!(ledger.pieces.is_empty() && ledger.minutes().is_empty());
}

#[test]
fn statuses_alone_move_the_clock_and_open_no_ledger() {
    let ledger = run(line(), vec![], vec![online(11, 5 * S)]);
    assert_eq!((ledger.first, ledger.clock), (None, Some(5 * S)));
    assert!(ledger.pieces.is_empty());
}

#[test]
fn each_gap_is_judged_by_its_length() {
    let ledger = run(line(), dets([0, 10 * S, 20_001, 80_001, 140_002]), vec![]);
    assert_eq!(
        told(&ledger),
        "0..10 running | 10..20.001 micro_stop | 20.001..80.001 micro_stop | 80.001..140.002 stopped"
    );
}

#[test]
fn without_a_micro_stop_threshold_what_is_not_stopped_runs() {
    let ledger = run(LineBuilder::new(), dets([0, 60 * S, 120_001]), vec![]);
    assert_eq!(told(&ledger), "0..60 running | 60..120.001 stopped");
}

#[test]
fn the_open_gap_reaches_the_clock_that_a_timer_moves() {
    let ledger = run(line(), dets([0, 5 * S]), vec![timer(65 * S)]);
    assert_eq!(told(&ledger), "0..5 running | 5..65 micro_stop");
    let ledger = run(line(), dets([0, 5 * S]), vec![timer(65_001)]);
    assert_eq!(told(&ledger), "0..5 running | 5..65.001 stopped");
}

#[test]
fn only_output_areas_are_exits_and_any_area_opens_the_ledger() {
    let line = line().areas(&[Role::Process, Role::Output, Role::Output]);
    let ledger = run(line, vec![det(1, 0, 1), det(2, 7 * S, 2), det(3, 8 * S, 1), det(4, 20 * S, 3)], vec![]);
    assert_eq!(told(&ledger), "0..7 running | 7..20 micro_stop");
}

#[test]
fn a_line_without_output_areas_uses_all_its_areas() {
    let line = line().areas(&[Role::Process, Role::Reject]);
    let ledger = run(line, vec![det(1, 0, 1), det(2, 7 * S, 2), det(3, 9 * S, 1)], vec![]);
    assert_eq!(told(&ledger), "0..7 running | 7..9 running");
}

#[test]
fn repeats_of_an_identity_are_one_and_the_same_id_at_another_time_is_another() {
    let ledger = run(line(), vec![det(1, 0, 1), det(1, 5 * S, 1), det(1, 5 * S, 1)], vec![]);
    assert_eq!(ledger.sums(Span::new(0, 10 * S)).total, 2);
}

#[test]
fn cycle_credit_runs_for_quantity_times_cycle_and_the_rest_is_judged_alone() {
    let line = line().cycle(2 * S).cycle_credit();
    let batch_of_three = Detection { quantity: 3, ..det(1, 0, 1) };
    let ledger = run(line, vec![batch_of_three, det(2, 67 * S, 1), det(3, 68 * S, 1)], vec![]);
    assert_eq!(told(&ledger), "0..6 running | 6..67 stopped | 67..68 running");
}

#[test]
fn of_several_exits_at_one_instant_the_longest_credit_holds() {
    let line = line().cycle(2 * S).product_cycle(7, 5 * S).cycle_credit();
    let other = Detection { product_id: 7, ..det(2, 0, 1) };
    let ledger = run(line, vec![det(1, 0, 1), other, det(3, 20 * S, 1)], vec![]);
    assert_eq!(told(&ledger), "0..5 running | 5..20 micro_stop");
}

#[test]
fn a_gap_that_no_exit_opened_has_no_credit() {
    let line = line().areas(&[Role::Process, Role::Output]).cycle(9 * S).cycle_credit();
    let ledger = run(line, vec![det(1, 0, 1), det(2, 61 * S, 2), det(3, 62 * S, 2)], vec![]);
    assert_eq!(told(&ledger), "0..61 stopped | 61..62 running");
}

#[test]
fn credit_is_rounded_down_to_milliseconds() {
    let mut config = line().cycle_credit().build();
    config.ideal_cycle_ns = Some(1_999_999);
    let input = BatchInput { line: "l1".into(), configs: vec![config], detections: dets([0, 20 * S]), inputs: vec![] };
    assert_eq!(told(&recompute(&input)), "0..0.001 running | 0.001..20 micro_stop");
}

#[test]
fn breaks_and_unscheduled_time_cut_pieces_and_each_is_compared_by_itself() {
    let line = line().shift("day", "06:00", "14:00").pause("10:00", "10:30");
    let zero = at("2026-01-05T09:59:30Z");
    let ledger = run(line, dets([zero, at("2026-01-05T10:31:05Z")]), vec![timer(at("2026-01-05T14:00:40Z"))]);
    assert_eq!(
        told_from(&ledger, zero),
        "0..30 micro_stop | 30..1830 planned_stop | 1830..1895 stopped | 1895..14430 stopped | 14430..14470 unscheduled"
    );
}

#[test]
fn abutting_shifts_midnight_and_hours_cut_nothing() {
    let line = line().shift("late", "16:00", "00:00").shift("night", "00:00", "08:00");
    let zero = at("2026-01-05T23:59:30Z");
    let ledger = run(line, dets([zero, at("2026-01-06T00:00:31Z")]), vec![]);
    assert_eq!(told_from(&ledger, zero), "0..61 stopped");
}

#[test]
fn a_recorded_hole_is_no_data_without_cameras_and_yields_to_the_calendar() {
    let line = line().shift("day", "06:00", "14:00").pause("10:00", "10:30");
    let zero = at("2026-01-05T09:50:00Z");
    let ledger = run(line, dets([zero]), vec![timer(zero + 3600 * S), hole(zero + 300 * S, zero + 3000 * S)]);
    assert_eq!(
        told_from(&ledger, zero),
        "0..300 stopped | 300..600 no_data | 600..2400 planned_stop | 2400..3000 no_data | 3000..3600 stopped"
    );
}

/// A line under two versions, the second from `from`.
fn two_versions(first: LineBuilder, second: LineBuilder, from: i64, times: &[i64]) -> BatchInput {
    let configs = vec![first.build(), second.version(2, from).build()];
    BatchInput { line: "l1".into(), configs, detections: dets(times.iter().copied()), inputs: vec![] }
}

#[test]
fn a_piece_takes_the_thresholds_in_force_at_its_start() {
    let second = LineBuilder::new().stopped_above(5 * S);
    let input = two_versions(LineBuilder::new(), second, 30 * S, &[0, 29 * S, 36 * S, 42 * S]);
    assert_eq!(told(&recompute(&input)), "0..29 running | 29..36 running | 36..42 stopped");
}

#[test]
fn the_calendar_is_cut_where_a_version_begins() {
    let zero = at("2026-01-05T13:00:00Z");
    let first = LineBuilder::new().shift("day", "06:00", "14:00");
    let second = LineBuilder::new().shift("day", "06:00", "13:10");
    let from = at("2026-01-05T13:20:00Z");
    let input = two_versions(first, second, from, &[zero, at("2026-01-05T13:30:00Z")]);
    assert_eq!(told_from(&recompute(&input), zero), "0..1200 stopped | 1200..1800 unscheduled");
}

#[test]
fn roles_and_credit_are_those_of_the_exits_own_time() {
    let first = LineBuilder::new().areas(&[Role::Process, Role::Output]).stopped_above(5 * S);
    let second = LineBuilder::new().areas(&[Role::Output, Role::Process]).stopped_above(5 * S).cycle(4 * S);
    let configs = vec![first.build(), second.cycle_credit().version(2, 10 * S).build()];
    // Area 1 becomes the outlet at 10 s.
    let detections = vec![det(1, 0, 1), det(2, 4 * S, 1), det(3, 10 * S, 1), det(4, 12 * S, 2), det(5, 20 * S, 1)];
    let input = BatchInput { line: "l1".into(), configs, detections, inputs: vec![] };
    assert_eq!(told(&recompute(&input)), "0..10 stopped | 10..14 running | 14..20 stopped");
}
