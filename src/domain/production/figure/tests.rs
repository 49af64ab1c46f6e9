//! Ratios, intervals and totals of sums made by hand.

use super::*;

const S: Ms = 1000;
const NS: i64 = 1_000_000_000;

/// A minute that ends at the clock, under version 1.
fn frame(line: &str) -> Frame {
    Frame {
        line: Some(line.into()),
        window: Window::Range,
        from: 0,
        to: 60 * S,
        as_of: 60 * S,
        watermark: 0,
        revision: 0,
        config_versions: vec![1],
        policy_versions: vec![1],
        holes_ms: 0,
        has_cycle: true,
    }
}

/// Seconds of running, stopped and blind time; pieces of 1 s, all good.
fn sums(running: Ms, stopped: Ms, no_data: Ms, pieces: i64) -> Sums {
    let mut sums = Sums { apt_ms: running * S, total: pieces, good: pieces, seen: pieces, ..Sums::default() };
    sums.buckets[Bucket::Running as usize] = running * S;
    sums.buckets[Bucket::Stopped as usize] = stopped * S;
    sums.buckets[Bucket::NoData as usize] = no_data * S;
    sums.ideal_ns = pieces * NS;
    sums
}

#[test]
fn pieces_of_which_none_is_in_the_total_leave_quality_and_oee_open() {
    let none_counted = Sums { total: 0, good: 0, ..sums(60, 0, 0, 30) };
    let told = ratios(&none_counted);
    assert_eq!((told.performance, told.quality, told.oee), (Some(0.5), None, None));
}

#[test]
fn the_interval_weighs_by_measured_quality() {
    let blind = Sums { good: 15, ..sums(30, 0, 30, 30) };
    assert_eq!(oee_interval(&blind, true), Some([0.25, 0.5]));
    assert_eq!(oee_interval(&blind, false), None);
    assert_eq!(oee_interval(&Sums { without_cycle: 1, ..blind }, true), None);
}

#[test]
fn pieces_outside_pbt_are_in_no_ratio() {
    let mut sums = sums(60, 0, 0, 60);
    (sums.total, sums.outside_pbt, sums.good, sums.good_outside, sums.seen) = (100, 40, 70, 40, 60);
    assert_eq!(ratios(&sums).quality, Some(0.5));
    assert_eq!(Figure::new(frame("l1"), &sums).pieces.outside_pbt, 40);
}

#[test]
fn a_total_accounts_for_the_time_of_every_line() {
    let early = Frame { as_of: 40 * S, config_versions: vec![3], watermark: 60 * S, ..frame("l2") };
    let total = Figure::total(&[(frame("l1"), sums(60, 0, 0, 60)), (early, sums(20, 20, 0, 10))]).expect("lines");
    assert_eq!((total.line.as_deref(), total.outside_ms, total.buckets_ms.running), (None, 20 * S, 80 * S));
    assert_eq!((total.as_of, total.state), (40 * S, FigureState::Provisional));
    assert_eq!((total.config_versions, total.policy_versions), (vec![1, 3], vec![1]));
    assert_eq!(total.oee, Some(0.7));
}

#[test]
fn a_total_is_final_once_all_its_lines_are() {
    let done = Frame { watermark: 60 * S, ..frame("l1") };
    let total = Figure::total(&[(done.clone(), sums(60, 0, 0, 60)), (done, sums(60, 0, 0, 60))]);
    assert_eq!(total.map(|figure| figure.state), Some(FigureState::Final));
    assert_eq!(Figure::total(&[]), None);
}
