//! What would have been: the same as what is, had it been saved; and the same a stretch at a time as at once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::production::batch::{BatchInput, Comparison, LISTED, Ledger, Report, Supposition, recompute, sign};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::Detection;
use crate::domain::production::input::LineInput;
use crate::domain::production::stop::Stop;
use crate::domain::production::testkit::{LAYOUTS, LineBuilder, S, builders, dets, input, scenarios, timer};
use crate::domain::time::{BEGINNING, Ms, Span};

fn line() -> LineBuilder {
    LineBuilder::new().stopped_above(60 * S).cycle(S)
}

/// Gaps of 40 and 50 seconds before the second 200, and the same after it.
fn stored() -> BatchInput {
    input(line(), dets([0, 40 * S, 90 * S, 200 * S, 240 * S, 290 * S]), vec![])
}

fn report(input: &BatchInput) -> Report {
    recompute(input).report(Span::new(0, 300 * S))
}

#[test]
fn a_supposed_threshold_gives_what_it_gives_once_saved() {
    let supposed = line().stopped_above(30 * S).version(2, 200 * S).build();
    let mut saved = stored();
    saved.configs.push(supposed.clone());
    saved.inputs.push(LineInput::Version { version: 2, at: 200 * S });
    let told = report(&stored().supposing(supposed));
    assert_eq!(told, report(&saved));
    assert_eq!((report(&stored()).stops.len(), told.stops.len()), (1, 3));
}

#[test]
fn versions_that_began_later_than_what_is_supposed_are_as_if_they_had_never_been() {
    let supposed = line().stopped_above(30 * S).version(4, 100 * S).build();
    let mut later = stored();
    later.configs.push(line().stopped_above(1_000 * S).version(2, 50 * S).build());
    later.configs.push(line().stopped_above(2_000 * S).version(3, 250 * S).build());
    // The line took the second version over only after what is supposed begins.
    later.inputs.push(LineInput::Version { version: 2, at: 150 * S });
    later.inputs.push(LineInput::Version { version: 3, at: 250 * S });
    assert_eq!(report(&later.supposing(supposed.clone())), report(&stored().supposing(supposed)));
}

#[test]
fn a_configuration_supposed_from_the_beginning_is_the_only_one() {
    let supposed = line().stopped_above(30 * S).build();
    let alone = BatchInput { configs: vec![supposed.clone()], ..stored() };
    assert_eq!(report(&stored().supposing(supposed)), report(&alone));
}

/// The comparison of a period, worked out from stretches of `stretch` as a store hands them out: from the last exit
/// before the period on, with the last signs of life before that.
fn compared(input: &BatchInput, config: LineConfig, period: Span, stretch: Ms) -> Comparison {
    let clock = recompute(input).clock.unwrap_or(0);
    let is_status = |input: &&LineInput| matches!(input, LineInput::CameraStatus { .. });
    let is_word = |input: &&LineInput| !matches!(input, LineInput::CameraStatus { .. } | LineInput::Timer { .. });
    let words: Vec<LineInput> = input.inputs.iter().filter(is_word).cloned().collect();
    let statuses: Vec<LineInput> = input.inputs.iter().filter(is_status).cloned().collect();
    let mut detections = input.detections.clone();
    detections.sort_by_key(|d| (d.detected_at, d.detection_id));

    let words = BatchInput { detections: Vec::new(), inputs: words, ..input.clone() };
    let mut supposition = Supposition::new(words, config, period);
    let last_exit = |areas: Vec<(Span, Vec<i32>)>| {
        let exits = detections
            .iter()
            .rev()
            .filter(|d| areas.iter().any(|(span, areas)| span.contains(d.detected_at) && areas.contains(&d.area_id)));
        exits.map(|exit| exit.detected_at).max()
    };
    let starts = supposition.exit_areas(Span::new(BEGINNING, period.from + 1)).map(last_exit);
    let first = detections.first().map_or(clock, |first| first.detected_at);
    let mut at = match starts {
        [Some(before), Some(after)] => before.min(after),
        _ => first,
    };

    let mut signs: BTreeMap<i32, Ms> = BTreeMap::new();
    for detection in detections.iter().filter(|d| d.detected_at < at) {
        signs.extend(detection.camera_id.map(|camera| (camera, detection.detected_at)));
    }
    let signs = signs.into_iter().map(|(camera, at)| sign(camera, at));
    let earlier = statuses.iter().filter(|status| status.at() < at).cloned();
    supposition.take(&[], &signs.chain(earlier).collect::<Vec<_>>(), at);

    while at <= clock && !supposition.is_through() {
        let span = Span::new(at, (at + stretch).min(clock + 1));
        let told: Vec<Detection> = detections.iter().filter(|d| span.contains(d.detected_at)).copied().collect();
        let said: Vec<LineInput> = statuses.iter().filter(|status| span.contains(status.at())).cloned().collect();
        supposition.take(&told, &said, span.to.min(clock));
        at = span.to;
    }
    supposition.end(clock)
}

/// The stops of a period by start.
fn by_start(ledger: &Ledger, period: Span) -> BTreeMap<Ms, Stop> {
    ledger.stops_in(period).map(|stop| (stop.started_at, stop.clone())).collect()
}

/// Holds a comparison against two recomputations of everything.
fn same_as_at_once(told: &Comparison, before: &Ledger, after: &Ledger, period: Span) -> Result<(), TestCaseError> {
    prop_assert_eq!(&told.total.before, &before.figure_range(period));
    prop_assert_eq!(&told.total.after, &after.figure_range(period));
    let mut own = 0;
    for day in &told.days {
        let length = |figure: &crate::domain::production::figure::Figure| {
            let b = figure.buckets_ms;
            figure.outside_ms + b.unscheduled + b.planned_stop + b.no_data + b.running + b.micro_stop + b.stopped
        };
        prop_assert_eq!(length(&day.before), length(&day.after));
        own += length(&day.before);
        // A day that lies in the period as a whole is that of the line.
        if let Some(whole) = before.day_figure(day.date)
            && period.from <= whole.from
            && whole.to <= period.to
        {
            prop_assert_eq!(&day.before, &whole);
        }
    }
    prop_assert_eq!(own, period.len());

    let (was, would) = (by_start(before, period), by_start(after, period));
    let appearing: Vec<&Stop> = would.values().filter(|stop| !was.contains_key(&stop.started_at)).collect();
    let vanishing: Vec<&Stop> = was.values().filter(|stop| !would.contains_key(&stop.started_at)).collect();
    prop_assert_eq!(told.stops.appearing.items.iter().collect::<Vec<_>>(), appearing);
    prop_assert_eq!(told.stops.vanishing.items.iter().collect::<Vec<_>>(), vanishing);
    let differs = |stop: &&Stop| {
        let other = would.get(&stop.started_at);
        other.is_some_and(|other| (other.ended_at, other.planned) != (stop.ended_at, stop.planned))
    };
    prop_assert_eq!(told.stops.changed, was.values().filter(differs).count() as u64);
    Ok(())
}

proptest! {
    /// A preview is what a recomputation gives once the version is in force.
    #[test]
    fn what_is_supposed_a_stretch_at_a_time_is_what_is_once_it_is_in_force(
        scenario in scenarios(80),
        supposed in builders(),
        layout in 0..LAYOUTS.len(),
        shares in (0.0..1.0f64, 0.0..1.0f64),
        stretch in 1_000..3_600_000_i64,
    ) {
        let input = scenario.batch_input();
        let before = recompute(&input);
        let (first, clock) = (before.first.unwrap_or(0) - 3_600_000, before.clock.unwrap_or(0) + 3_600_000);
        let instant = |share: f64| first + ((clock - first) as f64 * share) as Ms;
        let period = Span::new(instant(shares.0.min(shares.1)), instant(shares.0.max(shares.1)) + 1);
        // A line keeps its areas, whatever their roles.
        let areas = input.configs[0].areas.len();
        let layout = LAYOUTS.into_iter().cycle().skip(layout).find(|layout| layout.len() == areas);
        let supposed = supposed.with_roles(layout.expect("the line's own is one"), false);
        let supposed = supposed.version(9, period.from).build();

        let mut saved = input.clone();
        // Nothing begins after it that would take its place.
        saved.configs.retain(|config| config.valid_from < period.from);
        saved.configs.push(supposed.clone());
        saved.inputs.push(LineInput::Version { version: 9, at: period.from });
        let told = compared(&input, supposed, period, stretch);
        same_as_at_once(&told, &before, &recompute(&saved), period)?;
    }
}

#[test]
fn what_is_settled_is_not_held() {
    let config = line().version(2, 0).build();
    let words = input(line(), vec![], vec![]);
    let mut supposition = Supposition::new(words, config, Span::new(0, 1_000_000 * S));
    let mut most = 0;
    for stretch in 0..100 {
        let from = stretch * 1_000 * S;
        let told: Vec<Detection> = dets((0..1_000).map(|n| from + n * S));
        supposition.take(&told, &[], from + 1_000 * S);
        most = most.max(supposition.held());
    }
    assert!(most < 10, "{most} of 100,000 detections are held for both sides");
    let told = supposition.end(100_000 * S);
    assert_eq!(told.total.before.pieces.total, 100_000);
}

#[test]
fn stops_beyond_those_listed_are_counted() {
    let supposed = line().stopped_above(5 * S).version(2, 0).build();
    let stored = input(line(), dets((0..300).map(|n| n * 10 * S)), vec![timer(3_000 * S)]);
    let period = Span::new(0, 3_000 * S);
    let told = compared(&stored, supposed, period, 100 * S);
    assert_eq!((told.stops.appearing.count, told.stops.appearing.items.len()), (300, LISTED));
    assert_eq!((told.stops.vanishing.count, told.stops.changed), (0, 0));
    assert_eq!((told.total.before.stops, told.total.after.stops), (0, 300));
}
