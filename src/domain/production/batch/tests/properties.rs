//! What must hold for any line: conservation of time, sums that add, order and repeats that do not matter.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::domain::production::batch::{BatchInput, Ledger, recompute};
use crate::domain::production::figure::Window;
use crate::domain::production::input::LineInput;
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::production::sums::Sums;
use crate::domain::production::testkit::{Step, scenarios};
use crate::domain::time::{Ms, Span};

/// An instant around a ledger: a share of its length from an hour before its beginning to an hour after its end.
fn instant(ledger: &Ledger, share: f64) -> Ms {
    const HOUR: Ms = 3_600_000;
    let from = ledger.first.unwrap_or(0) - HOUR;
    let to = ledger.clock.unwrap_or(0) + HOUR;
    from + ((to - from) as f64 * share) as Ms
}

fn results(input: &BatchInput) -> (Ledger, Vec<String>) {
    let ledger = recompute(input);
    let windows = Window::LIVE.iter().map(|window| format!("{:?}", ledger.figure_window(*window)));
    let told = windows.chain([format!("{:?} {:?} {:?}", ledger.stops, ledger.pieces, ledger.minutes())]).collect();
    (ledger, told)
}

/// The random lines are worth nothing if they never come to what the rules are about.
#[test]
fn random_lines_come_to_everything() {
    let mut runner = TestRunner::deterministic();
    let lives = scenarios(60);
    let mut buckets = [0; 6];
    let (mut all, mut late, mut repeated) = (Sums::default(), 0, 0);
    let (mut planned, mut reasons, mut split, mut open, mut intervals) = (0, 0, 0, 0, 0);
    for _ in 0..200 {
        let scenario = lives.new_tree(&mut runner).expect("a scenario").current();
        let input = scenario.batch_input();
        let ledger = recompute(&input);
        let figure = ledger.figure_range(Span::new(instant(&ledger, 0.0), instant(&ledger, 1.0)));
        for piece in &ledger.pieces {
            buckets[piece.bucket as usize] += 1;
        }
        all += &ledger.sums(Span::new(figure.from, figure.to));
        intervals += usize::from(figure.oee_interval.is_some());
        planned += ledger.stops.iter().filter(|stop| stop.planned).count();
        reasons += ledger.stops.iter().filter(|stop| stop.reason_code.is_some()).count();
        open += ledger.stops.iter().filter(|stop| stop.status == StopStatus::Open).count();
        let abut = |pair: &&[Stop]| pair[0].ended_at == Some(pair[1].started_at) && pair[1].segments.len() == 1;
        split += ledger.stops.windows(2).filter(abut).count();
        let records = scenario.steps.iter().filter_map(|step| match step {
            Step::Record(record) => Some(record),
            Step::Input(_) => None,
        });
        let identities: HashSet<String> = records.clone().map(|record| format!("{record:?}")).collect();
        repeated += records.count() - identities.len();
        let statuses = input.inputs.iter().filter(|input| matches!(input, LineInput::CameraStatus { .. })).count();
        late += identities.len() - statuses - input.detections.len();
    }
    assert!(buckets.iter().all(|count| *count > 100), "pieces by bucket: {buckets:?}");
    let counted = [all.total, all.good, all.reject, all.outside_pbt, all.ideal_ns, all.without_cycle, all.unmeasured];
    assert!(counted.iter().all(|count| *count > 100), "{all:?}");
    assert!(all.total != all.good, "{all:?}");
    let seen = [planned, reasons, split, open, intervals, late, repeated];
    assert!(seen.iter().all(|count| *count > 20), "planned, reasons, split, open, intervals, late, repeated: {seen:?}");
}

proptest! {
    #[test]
    fn every_millisecond_is_in_one_bucket(
        scenario in scenarios(60), a in 0.0..1.0f64, b in 0.0..1.0f64
    ) {
        let ledger = recompute(&scenario.batch_input());
        let mut at = ledger.first;
        for piece in &ledger.pieces {
            prop_assert_eq!(Some(piece.span.from), at);
            prop_assert!(!piece.span.is_empty());
            at = Some(piece.span.to);
        }
        if ledger.first.is_some() {
            prop_assert_eq!(at, ledger.clock);
        }

        let (a, b) = (instant(&ledger, a.min(b)), instant(&ledger, a.max(b)));
        let figure = ledger.figure_range(Span::new(a, b));
        let buckets = figure.buckets_ms;
        let accounted = buckets.unscheduled + buckets.planned_stop + buckets.no_data
            + buckets.running + buckets.micro_stop + buckets.stopped;
        prop_assert_eq!(accounted + figure.outside_ms, b - a);
        let covered = Span::new(ledger.first.unwrap_or(0), ledger.clock.unwrap_or(0));
        let inside = covered.intersect(&Span::new(a, b)).map_or(0, |span| span.len());
        prop_assert_eq!(accounted, if ledger.first.is_some() { inside } else { 0 });
    }

    #[test]
    fn sums_of_neighbours_add(scenario in scenarios(60), mut cuts in prop::collection::vec(0.0..1.0f64, 2..6)) {
        let ledger = recompute(&scenario.batch_input());
        cuts.sort_by(f64::total_cmp);
        let cuts: Vec<Ms> = cuts.into_iter().map(|share| instant(&ledger, share)).collect();
        let mut added = Sums::default();
        for pair in cuts.windows(2) {
            added += &ledger.sums(Span::new(pair[0], pair[1]));
        }
        prop_assert_eq!(added, ledger.sums(Span::new(cuts[0], cuts[cuts.len() - 1])));
    }

    #[test]
    fn minutes_add_to_the_whole(scenario in scenarios(60)) {
        let ledger = recompute(&scenario.batch_input());
        let mut added = Sums::default();
        let mut pieces = 0;
        for row in ledger.minutes() {
            added += &row.sums;
            pieces += row.pieces.iter().map(|count| count.quantity).sum::<i64>();
        }
        let whole = Span::new(instant(&ledger, 0.0), instant(&ledger, 1.0));
        prop_assert_eq!(added, ledger.sums(whole));
        prop_assert_eq!(pieces, ledger.detections_in(whole).iter().map(|d| i64::from(d.quantity)).sum::<i64>());
    }

    #[test]
    fn order_and_repeats_of_detections_change_nothing(scenario in scenarios(60), seed in any::<u64>()) {
        let input = scenario.batch_input();
        let mut mixed = input.clone();
        let mut state = seed;
        mixed.detections.extend(input.detections.iter().step_by(3));
        mixed.detections.sort_by_cached_key(|d| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(d.detection_id as u64 | 1);
            state >> 33
        });
        prop_assert_eq!(results(&input).1, results(&mixed).1);
    }

    #[test]
    fn stops_are_what_the_ledger_says(scenario in scenarios(60)) {
        let ledger = recompute(&scenario.batch_input());
        let of_stops: Vec<_> = ledger.pieces.iter().filter_map(|piece| Some((piece.stop?, piece.span))).collect();
        prop_assert_eq!(of_stops.len(), ledger.stops.len());
        for ((index, span), stop) in of_stops.iter().zip(&ledger.stops) {
            prop_assert_eq!(&ledger.stops[*index], stop);
            prop_assert_eq!((span.from, span.len()), (stop.started_at, stop.duration_ms));
            prop_assert_eq!(stop.ended_at.is_none(), stop.status == StopStatus::Open);
            prop_assert!(stop.status == StopStatus::Closed || Some(span.to) == ledger.clock);
            let mut at = stop.started_at;
            for segment in &stop.segments {
                prop_assert_eq!(segment.from, at);
                prop_assert!(segment.from < segment.to && segment.to - segment.from <= 3_600_000);
                at = segment.to;
            }
            prop_assert_eq!(at, span.to);
            prop_assert_eq!(&stop.segments[0].shift, &stop.shift);
            prop_assert_eq!(&stop.segments[0].business_date, &stop.business_date);
        }
    }
}
