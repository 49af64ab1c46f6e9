//! Published OEE calculations, built as detections, calendars and reasons and recomputed: the exact figures to 1e-4.

use andon::domain::production::batch::{BatchInput, Ledger, recompute};
use andon::domain::production::config::{ChangeoverPolicy, LineConfig, LossPolicy, QualityBasis, Role};
use andon::domain::production::detection::Detection;
use andon::domain::production::figure::{Figure, Flag, Window, ratios};
use andon::domain::production::indices::Indices;
use andon::domain::production::input::LineInput;
use andon::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};
use jiff::civil::date;

use super::testkit::{LineBuilder, at, classify, det, timer};

/// A shift from midnight: running, then one long stop, then breaks to its end.
#[derive(Clone, Copy)]
struct Example {
    shift_min: f64,
    breaks_min: f64,
    run_min: f64,
    cycle_s: f64,
    total: i32,
    reject: i32,
}

/// Availability, performance, quality, OEE; none: not published.
type Expected = [Option<f64>; 4];

fn ms(minutes: f64) -> Ms {
    (minutes * MINUTE_MS as f64).round() as Ms
}

fn zero() -> Ms {
    at("2026-01-05T00:00:00Z")
}

/// Areas 1 (output) and 2 (reject), stops above 5 min, an ideal cycle in seconds.
fn line(cycle_s: f64) -> LineBuilder {
    LineBuilder::new().areas(&[Role::Output, Role::Reject]).stopped_above(5 * MINUTE_MS).cycle_s(cycle_s)
}

/// Exits from `from` for `length`, no two more than 5 min apart, that carry `good` pieces together.
fn running(from: Ms, length: Ms, good: i32) -> Vec<Detection> {
    let step = 5 * MINUTE_MS;
    let times: Vec<Ms> = (0..).map(|n| from + n * step).take_while(|at| *at < from + length).collect();
    let exits = times.len() as i32 + 1;
    assert!(good >= exits, "every exit carries a piece");
    let quantity = |index: i32| good / exits + i32::from(index < good % exits);
    let times = times.into_iter().chain([from + length]);
    (0..).zip(times).map(|(index, at)| Detection { quantity: quantity(index), ..det(at, at, 1) }).collect()
}

fn ledger(configs: Vec<LineConfig>, detections: Vec<Detection>, inputs: Vec<LineInput>) -> Ledger {
    recompute(&BatchInput { line: "l1".into(), configs, detections, inputs })
}

/// `HH:MM:SS` of minutes since midnight.
fn wall(minutes: f64) -> String {
    let seconds = ms(minutes) / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

impl Example {
    fn ledger(&self) -> Ledger {
        let end = zero() + ms(self.shift_min);
        let mut line = line(self.cycle_s).shift("day", "00:00", &wall(self.shift_min));
        if self.breaks_min > 0.0 {
            line = line.pause(&wall(self.shift_min - self.breaks_min), &wall(self.shift_min));
        }
        let mut detections = running(zero(), ms(self.run_min), self.total - self.reject);
        if self.reject > 0 {
            detections.push(Detection { quantity: self.reject, ..det(0, zero(), 2) });
        }
        ledger(vec![line.build()], detections, vec![timer(end)])
    }

    fn figure(&self) -> Figure {
        self.ledger().figure_range(Span::new(zero(), zero() + ms(self.shift_min)))
    }
}

fn assert_close(what: &str, actual: Option<f64>, expected: f64) {
    let actual = actual.unwrap_or(f64::NAN);
    assert!((actual - expected).abs() <= 1e-4, "{what}: {actual} is not {expected}");
}

fn check(id: &str, figure: &Figure, expected: Expected) {
    let actual = [figure.availability, figure.performance, figure.quality, figure.oee];
    for ((name, actual), expected) in ["A", "P", "Q", "OEE"].iter().zip(actual).zip(expected) {
        if let Some(expected) = expected {
            assert_close(&format!("{id} {name}"), actual, expected);
        }
    }
    assert_eq!(figure.outside_ms, 0, "{id}");
}

fn all(availability: f64, performance: f64, quality: f64, oee: f64) -> Expected {
    [Some(availability), Some(performance), Some(quality), Some(oee)]
}

const VORNE_FAST_GUIDE: Example =
    Example { shift_min: 480.0, breaks_min: 60.0, run_min: 373.0, cycle_s: 1.0, total: 19271, reject: 423 };

#[test]
fn single_shifts() {
    let shift = |planned: f64, run_min: f64, cycle_s: f64, total: i32, reject: i32| Example {
        shift_min: planned,
        breaks_min: 0.0,
        run_min,
        cycle_s,
        total,
        reject,
    };
    let examples = [
        ("vorne-fast-guide", VORNE_FAST_GUIDE, all(0.8881, 0.8611, 0.978, 0.7479)),
        (
            "vorne-ws-435",
            Example { shift_min: 480.0, breaks_min: 45.0, ..shift(435.0, 405.0, 30.0, 700, 25) },
            all(0.931, 0.8642, 0.9643, 0.7759),
        ),
        ("prodsmart-wikipedia", shift(450.0, 390.0, 90.0, 242, 21), all(0.8667, 0.9308, 0.9132, 0.7367)),
        ("waycalculator", shift(480.0, 420.0, 60.0, 400, 20), all(0.875, 0.9524, 0.95, 0.7917)),
        ("formulab-typical", shift(480.0, 420.0, 24.0, 1000, 50), all(0.875, 0.9524, 0.95, 0.7917)),
        ("infraspeak", shift(480.0, 433.0, 1.3, 19690, 420), all(0.9021, 0.9853, 0.9787, 0.8698)),
        ("hand-round", shift(480.0, 400.0, 30.0, 700, 0), all(0.8333, 0.875, 1.0, 0.7292)),
        ("fabrico-A", shift(420.0, 380.0, 1.0, 100, 0), [Some(0.9048), None, None, None]),
        ("shopfloor-copilot-A", shift(450.0, 415.0, 1.0, 100, 0), [Some(0.9222), None, None, None]),
        // Losses of 130, 50 and 45 min: 800 min of running, 750 ideal ones, 705 of them good.
        ("bertsch-losses", shift(930.0, 800.0, 60.0, 750, 45), all(0.8602, 0.9375, 0.94, 0.7581)),
        // A is given as 0.327 = 147.15 min of 450; P and Q as 0.842 and 0.886.
        (
            "willmott-line-study",
            shift(450.0, 147.15, 147.15 * 60.0 * 0.842 / 1000.0, 1000, 114),
            all(0.327, 0.842, 0.886, 0.2439),
        ),
        ("willmott-line-study, 147 min", shift(450.0, 147.0, 1.0, 1000, 114), [Some(0.3267), None, Some(0.886), None]),
        ("world-class", shift(1000.0, 900.0, 900.0 * 60.0 * 0.95 / 1000.0, 1000, 1), all(0.9, 0.95, 0.999, 0.8541)),
    ];
    for (id, example, expected) in examples {
        check(id, &example.figure(), expected);
    }
}

#[test]
fn a_shift_asked_for_by_name_or_by_its_edges_gives_the_same_figure() {
    let ledger = VORNE_FAST_GUIDE.ledger();
    let by_edges = ledger.figure_range(Span::new(zero(), zero() + 8 * HOUR_MS));
    let by_day = ledger.day_figure(date(2026, 1, 5)).expect("a day");
    assert_eq!(by_day.oee, by_edges.oee);
    let shift = andon::domain::calendar::ShiftId { name: "day".into(), date: date(2026, 1, 5) };
    let by_name = ledger.shift_figure(&shift).expect("a shift");
    assert_eq!(Figure { window: Window::Range, ..by_name }, by_edges);
}

/// 54 hours of shifts, meals and a breakdown that was entered as a break: planned time by reasons, not by calendar.
fn vorne_54_hours() -> (Ledger, Span) {
    let planned = (zero() + ms(1820.0), zero() + ms(1820.0 + 460.0));
    let mut detections = running(zero(), ms(1820.0), 1626 - 8);
    detections.push(Detection { quantity: 8, ..det(0, zero(), 2) });
    // One standstill: a split divides the meals from the stop.
    let split = LineInput::Split { at: planned.1, author: "lead".into() };
    let end = zero() + ms(3240.0);
    let inputs = vec![timer(end), split, classify(planned.0, planned.1, "cleaning")];
    (ledger(vec![line(57.6369).build()], detections, inputs), Span::new(zero(), end))
}

#[test]
fn planned_reasons_take_time_out_like_breaks() {
    let (ledger, period) = vorne_54_hours();
    let figure = ledger.figure_range(period);
    check("vorne-ws-54h", &figure, all(0.6547, 0.8582, 0.9951, 0.5591));
    assert_eq!(figure.buckets_ms.planned_stop, ms(460.0));
    assert_eq!(figure.stops, 1);
}

#[test]
fn teep_is_of_the_whole_time() {
    let ws_435 = Example { shift_min: 480.0, breaks_min: 45.0, run_min: 405.0, cycle_s: 30.0, total: 700, reject: 25 };
    for (id, example, teep) in [("vorne-fast-guide", VORNE_FAST_GUIDE, 0.6544), ("vorne-ws-435", ws_435, 0.7031)] {
        let sums = example.ledger().sums(Span::new(zero(), zero() + ms(480.0)));
        assert_close(id, Indices::new(&sums).teep, teep);
    }
    let (ledger, period) = vorne_54_hours();
    assert_close("vorne-ws-54h", Indices::new(&ledger.sums(period)).teep, 0.4797);
}

#[test]
fn a_roll_up_is_of_sums_not_of_percentages() {
    let m1 = Example { shift_min: 100.0, breaks_min: 0.0, run_min: 90.0, cycle_s: 60.0, total: 80, reject: 0 };
    let m2 = Example { shift_min: 300.0, breaks_min: 0.0, run_min: 150.0, cycle_s: 60.0, total: 150, reject: 15 };
    assert_close("m1", m1.figure().oee, 0.80);
    assert_close("m2", m2.figure().oee, 0.45);
    let mut sums = m1.ledger().sums(Span::new(zero(), zero() + ms(100.0)));
    sums += &m2.ledger().sums(Span::new(zero(), zero() + ms(300.0)));
    assert_close("both", ratios(&sums).oee, 0.5375);
}

#[test]
fn edges_where_systems_differ() {
    // Planned = 0: null, not 0.
    let day = || line(1.0).shift("day", "06:00", "14:00");
    let unplanned = ledger(vec![day().build()], running(zero(), HOUR_MS, 100), vec![]);
    let figure = unplanned.figure_range(Span::new(zero(), zero() + HOUR_MS));
    check("planned = 0", &figure, [None; 4]);
    assert_eq!((figure.availability, figure.oee, figure.pieces.outside_pbt), (None, None, figure.pieces.total));

    // Total = 0: OEE 0, Q null.
    let idle = VORNE_FAST_GUIDE.ledger().figure_range(Span::new(zero() + ms(374.0), zero() + ms(420.0)));
    assert_eq!((idle.pieces.total, idle.quality, idle.oee), (0, None, Some(0.0)));

    // Faster than ideal: kept, flagged.
    let fast =
        Example { shift_min: 100.0, breaks_min: 0.0, run_min: 50.0, cycle_s: 60.0, total: 100, reject: 0 }.figure();
    assert_eq!((fast.performance, fast.oee), (Some(2.0), Some(1.0)));
    assert_eq!(fast.flags, [Flag::StandardTooLow]);

    // More good than total: kept, flagged.
    let policy = LossPolicy { quality: QualityBasis::InputOutput, ..LossPolicy::default() };
    let line = LineBuilder::new().areas(&[Role::Output, Role::Input]).stopped_above(5 * MINUTE_MS).cycle_s(6.0);
    let mut detections = running(zero(), HOUR_MS, 110);
    detections.push(Detection { quantity: 100, ..det(0, zero(), 2) });
    let ledger = ledger(vec![line.policy(policy).build()], detections, vec![timer(zero() + HOUR_MS + 1)]);
    let figure = ledger.figure_range(Span::new(zero(), zero() + HOUR_MS + 1));
    assert_eq!((figure.quality, &figure.flags[..]), (Some(1.1), &[Flag::QualityAboveOne][..]));
}

/// A shift of 480 min that ends in stops of these lengths and reasons.
fn attributed(stops: &[(f64, &str)], changeover: ChangeoverPolicy) -> Figure {
    let lost: f64 = stops.iter().map(|(minutes, _)| minutes).sum();
    let mut detections = running(zero(), ms(480.0 - lost), 200);
    let mut from = zero() + ms(480.0 - lost);
    let mut inputs = vec![timer(zero() + ms(480.0))];
    for (minutes, reason) in stops {
        let to = from + ms(*minutes);
        inputs.push(classify(from, to, reason));
        if to < zero() + ms(480.0) {
            detections.push(det(to, to, 1));
        }
        from = to;
    }
    let policy = LossPolicy { changeover, ..LossPolicy::default() };
    let config = line(1.0).policy(policy).build();
    ledger(vec![config], detections, inputs).figure_range(Span::new(zero(), zero() + ms(480.0)))
}

#[test]
fn downtime_is_attributed_by_the_kind_of_its_reason() {
    use ChangeoverPolicy::{Planned, Stopped};
    let availability = |figure: &Figure| figure.availability;
    assert_close("unplanned", availability(&attributed(&[(60.0, "jam")], Stopped)), 0.875);
    assert_close("changeover", availability(&attributed(&[(90.0, "changeover")], Stopped)), 0.8125);
    assert_close("none", availability(&attributed(&[], Stopped)), 1.0);

    let both = attributed(&[(30.0, "cleaning"), (30.0, "jam")], Stopped);
    assert_close("planned and unplanned", both.availability, 0.9333);
    assert_eq!((both.buckets_ms.planned_stop, both.buckets_ms.running), (ms(30.0), ms(420.0)));

    let three = attributed(&[(100.0, "cleaning"), (40.0, "jam"), (20.0, "changeover")], Stopped);
    assert_eq!((three.buckets_ms.planned_stop, three.buckets_ms.stopped), (ms(100.0), ms(60.0)));
    let as_planned = attributed(&[(100.0, "cleaning"), (40.0, "jam"), (20.0, "changeover")], Planned);
    assert_eq!((as_planned.buckets_ms.planned_stop, as_planned.buckets_ms.stopped), (ms(120.0), ms(40.0)));
}

#[test]
fn a_stop_is_of_the_business_date_on_which_its_shift_starts() {
    let line = || line(1.0).shift("night", "22:00", "06:00").shift("day", "06:00", "14:00");
    let stopped_on = |ledger: &Ledger, day| ledger.day_figure(day).expect("a day").buckets_ms.stopped;
    for (from, to, own) in [
        ("2026-05-27T01:30:00Z", "2026-05-27T02:00:00Z", date(2026, 5, 26)),
        ("2026-05-27T09:00:00Z", "2026-05-27T09:15:00Z", date(2026, 5, 27)),
    ] {
        let (from, to) = (at(from), at(to));
        let ledger = ledger(vec![line().build()], vec![det(1, from, 1), det(2, to, 1)], vec![]);
        assert_eq!(stopped_on(&ledger, own), to - from);
        assert_eq!(stopped_on(&ledger, own.tomorrow().expect("a date")), 0);
        assert_eq!(ledger.stops[0].business_date, own.to_string());
        assert!(ledger.stops[0].segments.iter().all(|segment| segment.business_date == own.to_string()));
    }
}
