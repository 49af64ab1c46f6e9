//! Pieces: what is good, what is total, what P runs over.

use super::run;
use crate::domain::production::batch::{BatchInput, recompute};
use crate::domain::production::config::{LossPolicy, QualityBasis, Role};
use crate::domain::production::detection::Detection;
use crate::domain::production::sums::Sums;
use crate::domain::production::testkit::{LineBuilder, S, at, classify, det, dets, hole, timer};
use crate::domain::time::Span;

const WHOLE: Span = Span { from: -1_000_000_000, to: 1_000_000_000 };

/// The sums of `quantities` in areas 1, 2, …, one second apart, each of the product of its area.
fn sums(line: LineBuilder, quantities: &[i32]) -> Sums {
    let detections = (1..)
        .zip(quantities)
        .map(|(area, quantity)| Detection {
            product_id: area,
            quantity: *quantity,
            ..det(i64::from(area), i64::from(area) * S, area)
        })
        .collect();
    run(line.cycle(S), detections, vec![timer(100 * S)]).sums(WHOLE)
}

fn quality(quality: QualityBasis) -> LossPolicy {
    LossPolicy { quality, ..LossPolicy::default() }
}

const ALL_ROLES: [Role; 4] = [Role::Input, Role::Process, Role::Output, Role::Reject];

/// (total, good, reject, pieces that P runs over, unmeasured)
fn told(sums: Sums) -> (i64, i64, i64, i64, i64) {
    (sums.total, sums.good, sums.reject, sums.ideal_ns / 1_000_000_000, sums.unmeasured)
}

#[test]
fn auto_with_rejects_counts_output_and_reject() {
    let sums = sums(LineBuilder::new().areas(&ALL_ROLES), &[1000, 500, 90, 10]);
    assert_eq!(told(sums), (100, 90, 10, 100, 0));
    assert_eq!((sums.seen, sums.without_cycle), (100, 0));
}

#[test]
fn auto_without_rejects_does_not_measure() {
    let sums = sums(LineBuilder::new().areas(&[Role::Input, Role::Output]), &[1000, 90]);
    assert_eq!(told(sums), (90, 90, 0, 90, 90));
}

#[test]
fn input_output_counts_the_input_as_total_and_runs_p_over_the_output() {
    let line = LineBuilder::new().areas(&ALL_ROLES).policy(quality(QualityBasis::InputOutput));
    let sums = sums(line, &[100, 500, 90, 7]);
    assert_eq!(told(sums), (100, 90, 7, 90, 0));
    assert_eq!(sums.seen, 197);
}

#[test]
fn input_output_without_input_areas_does_not_measure() {
    let line = LineBuilder::new().areas(&[Role::Output, Role::Reject]).policy(quality(QualityBasis::InputOutput));
    assert_eq!(told(sums(line, &[90, 10])), (90, 90, 10, 90, 90));
}

#[test]
fn none_does_not_measure_and_still_counts_rejects() {
    let line = LineBuilder::new().areas(&ALL_ROLES).policy(quality(QualityBasis::None));
    assert_eq!(told(sums(line, &[100, 500, 90, 10])), (90, 90, 10, 90, 90));
}

#[test]
fn parallel_outlets_add() {
    let sums = sums(LineBuilder::new().areas(&[Role::Output, Role::Output]), &[30, 12]);
    assert_eq!(told(sums), (42, 42, 0, 42, 42));
}

#[test]
fn without_output_areas_the_last_area_that_is_no_reject_counts() {
    let sums = sums(LineBuilder::new().areas(&[Role::Process, Role::Process, Role::Reject]), &[50, 40, 2]);
    assert_eq!(told(sums), (42, 40, 2, 42, 0));
}

#[test]
fn each_product_has_its_own_cycle_else_the_lines_else_none() {
    let line = LineBuilder::new().areas(&[Role::Output, Role::Output]).product_cycle(2, 3 * S);
    assert_eq!(sums(line, &[10, 10]).ideal_ns, 40_000_000_000);

    let line = LineBuilder::new().product_cycle(2, 3 * S);
    let detections = vec![det(1, 0, 1), Detection { product_id: 2, ..det(2, S, 1) }];
    let sums = run(line, detections, vec![timer(5 * S)]).sums(WHOLE);
    assert_eq!((sums.ideal_ns, sums.without_cycle), (3_000_000_000, 1));
}

#[test]
fn pieces_in_breaks_unscheduled_and_blind_time_are_outside() {
    let line = LineBuilder::new().areas(&[Role::Output, Role::Reject]).cycle(S);
    let line = line.shift("day", "06:00", "14:00").pause("10:00", "10:30");
    let times = ["09:59:59", "10:00:00", "10:29:59", "10:30:00", "11:00:00", "13:59:59", "14:00:00"];
    let instant = |time: &str| at(&format!("2026-01-05T{time}Z"));
    let good = dets(times.map(instant));
    let bad = times.iter().zip(100..).map(|(time, id)| det(id, instant(time), 2));
    let detections: Vec<Detection> = good.into_iter().chain(bad).collect();
    let blind = vec![hole(instant("11:00:00"), instant("11:00:01"))];
    let sums = run(line, detections, blind).sums(Span::new(instant("00:00:00"), instant("23:00:00")));
    assert_eq!((sums.total, sums.outside_pbt, sums.good, sums.good_outside, sums.reject), (14, 8, 7, 4, 7));
    assert_eq!((sums.seen, sums.ideal_ns), (6, 6_000_000_000));
}

#[test]
fn a_planned_reason_takes_no_piece_away() {
    let sums = run(LineBuilder::new(), dets([0, 90 * S]), vec![classify(0, 90 * S, "cleaning")]).sums(WHOLE);
    assert_eq!((sums.total, sums.outside_pbt, sums.seen), (2, 0, 2));
}

#[test]
fn role_cycle_and_basis_are_those_of_the_detections_own_time() {
    let first = LineBuilder::new().areas(&[Role::Process, Role::Output]).cycle(S);
    let second = LineBuilder::new().areas(&[Role::Output, Role::Reject]).cycle(2 * S).version(2, 10 * S);
    let detections = vec![det(1, 9 * S, 1), det(2, 9 * S, 2), det(3, 10 * S, 1), det(4, 10 * S, 2)];
    let configs = vec![first.build(), second.build()];
    let input = BatchInput { line: "l1".into(), configs, detections, inputs: vec![timer(20 * S)] };
    assert_eq!(told(recompute(&input).sums(WHOLE)), (3, 2, 1, 5, 1));
}
