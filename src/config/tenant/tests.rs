use jiff::civil::date;
use proptest::prelude::*;

use super::line::cycles_ms;
use super::*;
use crate::domain::calendar::{Schedule, ShiftId};
use crate::domain::production::config::{ChangeoverPolicy, MicroStopSide, QualityBasis};
use crate::domain::time::{BEGINNING, Span, parse_rfc3339, rfc3339};

/// The file of the documentation.
const DEMO: &str = include_str!("../../../deploy/examples/demo.toml");

/// The least that a tenant is.
const LEAST: &str = "[tenant]\nname = \"t\"\ntime_zone = \"UTC\"\n";

fn with(rest: &str) -> Result<TenantSpec, SpecError> {
    TenantSpec::parse(&format!("{LEAST}{rest}"))
}

fn refusal(rest: &str) -> String {
    with(rest).unwrap_err().to_string()
}

#[test]
fn the_example_says_what_it_says() {
    let spec = TenantSpec::parse(DEMO).unwrap();
    assert_eq!((spec.tenant.name.as_str(), spec.tenant.company.as_str()), ("demo", "Demo Foods"));
    let line = spec.line("l1").unwrap();
    assert_eq!((line.title.as_str(), line.group.as_deref()), ("Filler 1", Some("filling")));
    assert_eq!((line.repair_at, line.oee_cadence_ms), (WallTime::parse("04:00"), 1000));
    let codes: Vec<_> = spec.reasons.iter().map(|r| (r.code.as_str(), r.parent.as_deref())).collect();
    assert_eq!(codes, [("jam", Some("mechanical")), ("mechanical", None)]);

    let config = spec.line_config("l1", 4, 2, BEGINNING).unwrap();
    assert_eq!((config.version, config.policy_version, config.valid_from), (4, 2, BEGINNING));
    assert_eq!((config.downtime_threshold_ms, config.micro_stop_threshold_ms), (60_000, Some(5_000)));
    assert_eq!((config.allowed_lateness_ms, config.heartbeat_ms), (600_000, Some(30_000)));
    assert_eq!((config.ideal_cycle_ns, config.cycle_of(7)), (Some(600_000_000), Some(500_000_000)));
    assert_eq!((config.retention_months, config.cycle_credit), (Some(24), false));
    assert_eq!(config.areas.len(), 1);
    assert_eq!((config.areas[0].role, config.exit_cameras()), (Role::Output, vec![11, 12]));
    assert_eq!(config.policy, LossPolicy::default());
    assert_eq!(config.reasons["jam"], ReasonKind::Unplanned);

    let night = ShiftId { name: "night".into(), date: date(2026, 12, 23) };
    let at = |text| parse_rfc3339(text).unwrap();
    let span = config.calendar.shift_span(&night).unwrap();
    assert_eq!(span, Span::new(at("2026-12-23T21:00:00Z"), at("2026-12-24T05:00:00Z")));
    assert_eq!(config.calendar.slot(at("2026-12-24T01:15:00Z")).schedule, Schedule::Break);
    assert_eq!(config.calendar.slot(at("2026-12-25T22:00:00Z")).schedule, Schedule::Unscheduled, "holiday");
    assert_eq!(config.calendar.slot(at("2026-12-26T10:59:59Z")).shift.unwrap().name.as_ref(), "extra");
}

#[test]
fn what_is_left_out_has_its_default() {
    let spec =
        with("[[line]]\nname = \"l1\"\n[[line.area]]\nid = 1\nrole = \"reject\"\n[[product]]\nid = 3\n").unwrap();
    assert_eq!((spec.tenant.company.as_str(), spec.tenant.locale), ("t", Locale::Es));
    assert_eq!((spec.products[0].code.as_str(), spec.products[0].name.as_str()), ("3", "3"));
    let line = &spec.lines[0];
    assert_eq!((line.title.as_str(), line.areas[0].name.as_str()), ("l1", "1"));
    assert_eq!(line.downtime_threshold_ms(), Some(60_000));
    assert_eq!((line.micro_stop_threshold_ms(), line.heartbeat_s, line.retention_months), (None, None, None));
    assert_eq!((line.allowed_lateness_s.ms(), line.oee_cadence_ms), (600_000, 1000));
    assert_eq!((line.cycle_credit, line.repair_at), (false, WallTime::parse("04:00")));
    let config = spec.line_config("l1", 1, 1, BEGINNING).unwrap();
    assert_eq!((config.ideal_cycle_ns, config.cycle_of(3)), (None, None));
    assert_eq!(config.calendar.slot(0).schedule, Schedule::Scheduled);
    assert_eq!(spec.line_config("l2", 1, 1, 0).unwrap_err(), SpecError::UnknownLine("l2".to_owned()));
}

#[test]
fn the_policy_and_never_are_words() {
    let spec = with(
        "[loss_policy]\nquality = \"input_output\"\nchangeover = \"planned\"\nmicro_stop_side = \"availability\"\n\
         [[line]]\nname = \"l1\"\nrepair_at = \"\"\n",
    )
    .unwrap();
    let policy = LossPolicy {
        quality: QualityBasis::InputOutput,
        changeover: ChangeoverPolicy::Planned,
        micro_stop_side: MicroStopSide::Availability,
    };
    assert_eq!((spec.loss_policy, spec.lines[0].repair_at), (policy, None));
    assert_eq!(TenantSpec::from_json(&spec.to_json().unwrap()).unwrap(), spec);
}

#[test]
fn thresholds_in_cycles_are_rounded_half_up_to_milliseconds() {
    let spec = with(
        "[[line]]\nname = \"l1\"\nperformance = 90.0\ndowntime_threshold_cycles = 10\nmicro_stop_threshold_cycles = 2.5\n",
    )
    .unwrap();
    let config = spec.line_config("l1", 1, 1, BEGINNING).unwrap();
    // 666,666,667 ns a piece.
    assert_eq!((config.downtime_threshold_ms, config.micro_stop_threshold_ms), (6_667, Some(1_667)));
    assert_eq!(cycles_ms(0.5, 1_000_000), Some(1), "half a millisecond goes up");
    assert_eq!(cycles_ms(0.499_999, 1_000_000), None, "less than half is nothing");
    assert_eq!(cycles_ms(1.5, 1_000_000), Some(2));
    assert_eq!(cycles_ms(2.5, 1_000_000), Some(3));
    assert_eq!(cycles_ms(f64::NAN, 1_000_000), None);
}

#[test]
fn an_unknown_key_or_a_wrong_type_is_refused_with_path_and_line() {
    for (rest, start) in [
        ("colour = 1\n", "tenant.colour: line 4: unknown field `colour`, expected one of"),
        ("[[lines]]\nname = \"x\"\n", "lines: line 4: unknown field `lines`"),
        (
            "[[line]]\nname = \"l1\"\n[[line.area]]\nid = 1\nrole = \"exit\"\n",
            "line[0].area[0].role: line 8: unknown variant `exit`",
        ),
        (
            "[[line]]\nname = \"l1\"\nmicro_stop_threshold_s = -1\n",
            "line[0].micro_stop_threshold_s: line 6: invalid value",
        ),
        (
            "[[line]]\nname = \"l1\"\nheartbeat_s = 0.0005\n",
            "line[0].heartbeat_s: line 6: invalid value: floating point `0.0005`, expected seconds, not negative, in whole milliseconds",
        ),
        (
            "[[shift]]\nname = \"a\"\nstart = \"24:00\"\nend = \"06:00\"\n",
            "shift[0].start: line 6: invalid value: string \"24:00\", expected a wall time",
        ),
        ("[[shift]]\nname = \"a\"\nstart = \"06:00\"\n", "shift[0]: line 4: missing field `end`"),
        ("[[exception]]\ndate = \"2026-02-30\"\n", "exception[0].date: line 5: "),
        (
            "[[line]]\nname = \"l1\"\nrepair_at = \"4\"\n",
            "line[0].repair_at: line 6: invalid value: string \"4\", expected a wall time such as \"04:00\", or \"\" for never",
        ),
        ("[loss_policy]\nquality = \"best\"\n", "loss_policy.quality: line 5: unknown variant `best`"),
        ("locale = \"fr\"\n", "tenant.locale: line 4: unknown variant `fr`, expected `es` or `en`"),
        ("= 3\n", "line 4: "),
    ] {
        let error = refusal(rest);
        assert!(error.starts_with(start), "{rest}: {error}");
    }
    assert!(TenantSpec::from_json("{\"tenant\":{\"name\":1}}").unwrap_err().to_string().starts_with("tenant.name: "));
}

#[test]
fn wrong_values_are_refused_with_key_and_fix() {
    let line = "[[line]]\nname = \"l1\"\n";
    let on_line = |key: &str| format!("{line}{key}\n");
    for (rest, expected) in [
        ("[[line]]\nname = \"L 1\"\n".to_owned(), "line[L 1].name: \"L 1\" is no name: write 1 to 48 of a-z, 0-9 and _"),
        (format!("{line}{line}"), "line: name l1 is there twice: give each its own, or take one out"),
        (on_line("performance = 0"), "line[l1].performance: is no rate: write a finite number above 0 in pieces per minute, or leave the key out"),
        (on_line("performance = inf"), "line[l1].performance: is no rate"),
        (on_line("performance = nan"), "line[l1].performance: is no rate"),
        (on_line("oee_target = 75"), "line[l1].oee_target: is not a share: write a number above 0 and at most 1"),
        (on_line("availability_target = 0"), "line[l1].availability_target: is not a share"),
        (on_line("retention_months = 0"), "line[l1].retention_months: is out of range: write 1 to 1200"),
        (on_line("heartbeat_s = 0"), "line[l1].heartbeat_s: is out of range: write seconds from 0.001 to 2592000"),
        (on_line("allowed_lateness_s = 2592001"), "line[l1].allowed_lateness_s: is out of range: write seconds from 0 to 2592000"),
        (on_line("oee_cadence_ms = 0"), "line[l1].oee_cadence_ms: is out of range: write 1 to 3600000"),
        (on_line("downtime_threshold_s = 0"), "line[l1].downtime_threshold_s: is out of range"),
        (on_line("micro_stop_threshold_s = 0"), "line[l1].micro_stop_threshold_s: is out of range"),
        (on_line("micro_stop_threshold_s = 60"), "line[l1].micro_stop_threshold_s: 60000 ms is not below the downtime threshold of 60000 ms: write less"),
        (on_line("performance = 1\nmicro_stop_threshold_cycles = 1"), "line[l1].micro_stop_threshold_cycles: 60000 ms is not below"),
        (on_line("performance = 1\ndowntime_threshold_cycles = 2\ndowntime_threshold_s = 9"), "line[l1].downtime_threshold_cycles: downtime_threshold_s is there too: keep one of the two"),
        (on_line("downtime_threshold_cycles = 2"), "line[l1].downtime_threshold_cycles: the line has no ideal cycle to count in: add performance, or write downtime_threshold_s"),
        (on_line("performance = 1\ndowntime_threshold_cycles = 0"), "line[l1].downtime_threshold_cycles: 0 is out of range"),
        (on_line("title = \" x\""), "line[l1].title: \" x\" is no usable text"),
        (on_line("[[line.area]]\nid = 1\nrole = \"output\"\n[[line.area]]\nid = 1\nrole = \"input\""), "line[l1].area: id 1 is there twice"),
        (on_line("[[line.area]]\nid = 1\nrole = \"output\"\ncameras = [3, 3]"), "line[l1].area[1].cameras: camera 3 is there twice"),
        (on_line("[[line.area]]\nid = 1\nrole = \"output\"\nrect = [5, 0, 5, 9]"), "line[l1].area[1].rect: is no rectangle: write x1, y1, x2, y2 with 0 <= x1 < x2"),
        (on_line("[[line.area]]\nid = 1\nrole = \"output\"\nrect = [-1, 0, 5, 9]"), "line[l1].area[1].rect: is no rectangle"),
        ("[[product]]\nid = 1\n[[product]]\nid = 1\ncode = \"b\"\n".to_owned(), "product: id 1 is there twice"),
        ("[[product]]\nid = 1\ncode = \"b\"\n[[product]]\nid = 2\ncode = \"b\"\n".to_owned(), "product: code b is there twice"),
        ("[[product]]\nid = 1\nproduction_std = -1\n".to_owned(), "product[1].production_std: is no rate"),
        ("[[product]]\nid = 1\nweight_g = 0\n".to_owned(), "product[1].weight_g: is not a number above 0"),
        ("[[product]]\nid = 1\ncolor = \"blue\"\n".to_owned(), "product[1].color: is no colour: write # and six hexadecimal digits"),
        ("[[reason]]\ncode = \"a\"\nparent = \"a\"\n".to_owned(), "reason[a].parent: the reasons above it lead back to it: leave the key out"),
        ("[[reason]]\ncode = \"a\"\n[[reason]]\ncode = \"a\"\n".to_owned(), "reason: code a is there twice"),
        (format!("[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\nlines = [\"l2\"]\n{line}"), "shift[a].lines: there is no line \"l2\": name a [[line]] of this file"),
        (format!("[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\nlines = []\n{line}"), "shift[a].lines: names no line: name some, or leave the key out for every line"),
        ("[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\ndays = []\n".to_owned(), "shift[a].days: names no day"),
        ("[[break]]\nname = \"meal\"\nshift = \"a\"\nstart = \"06:00\"\nend = \"07:00\"\n".to_owned(), "break[meal].shift: there is no shift \"a\""),
        ("[[exception]]\ndate = \"2026-12-25\"\nshifts = [\"a\"]\n".to_owned(), "exception[2026-12-25].shifts: there is no shift \"a\""),
        ("[[extra_shift]]\ndate = \"2026-12-25\"\nname = \"x\"\nstart = \"06:00\"\nend = \"07:00\"\nlines = [\"l9\"]\n".to_owned(), "extra_shift[2026-12-25 x].lines: there is no line \"l9\""),
        (format!("{line}[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\n[[shift]]\nname = \"b\"\nstart = \"13:59\"\nend = \"20:00\"\n"), "shift: on line l1: shifts \"a\" and \"b\" overlap on Monday"),
        (format!("{line}[[extra_shift]]\ndate = \"2026-12-25\"\nname = \"x\"\nstart = \"22:00\"\nend = \"06:00\"\n[[extra_shift]]\ndate = \"2026-12-26\"\nname = \"y\"\nstart = \"05:00\"\nend = \"09:00\"\n"), "extra_shift: on line l1: extra shifts \"x\" of 2026-12-25 and \"y\" of 2026-12-26 overlap"),
    ] {
        let error = refusal(&rest);
        assert!(error.starts_with(expected), "{rest}: {error}");
        assert_eq!(error.lines().count(), 1, "one cause, one problem: {error}");
    }
    let tenant =
        TenantSpec::parse("[tenant]\nname = \"\"\ntime_zone = \"Mars/Base\"\ndatabase_url = \"pg://x:s3cret@y\"\n");
    let told = tenant.unwrap_err().to_string();
    let keys: Vec<_> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(keys, ["tenant.name", "tenant.company", "tenant.time_zone", "tenant.database_url"], "{told}");
    assert!(!told.contains("s3cret"));
}

#[test]
fn a_circle_of_reasons_is_found_wherever_it_is_entered() {
    let told = refusal(
        "[[reason]]\ncode = \"a\"\nparent = \"b\"\n[[reason]]\ncode = \"b\"\nparent = \"c\"\n\
         [[reason]]\ncode = \"c\"\nparent = \"b\"\n",
    );
    let keys: Vec<_> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(keys, ["reason[b].parent", "reason[c].parent"], "a is outside the circle");
}

#[test]
fn shifts_that_share_hours_may_be_on_different_lines() {
    let spec = with(
        "[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\nlines = [\"l1\"]\n\
         [[shift]]\nname = \"a\"\nstart = \"07:00\"\nend = \"15:00\"\nlines = [\"l2\"]\n\
         [[exception]]\ndate = \"2026-01-02\"\nshifts = [\"a\"]\nlines = [\"l2\"]\n\
         [[line]]\nname = \"l1\"\n[[line]]\nname = \"l2\"\n[[line]]\nname = \"l3\"\n",
    )
    .unwrap();
    let hours = |line: &str, day: i8| {
        let config = spec.line_config(line, 1, 1, BEGINNING).unwrap();
        let shift = ShiftId { name: "a".into(), date: date(2026, 1, day) };
        config.calendar.shift_span(&shift).map(|span| (rfc3339(span.from), rfc3339(span.to)))
    };
    let from_to =
        |from: &str, to: &str| Some((format!("2026-01-{from}:00:00.000Z"), format!("2026-01-{to}:00:00.000Z")));
    assert_eq!((hours("l1", 1), hours("l1", 2)), (from_to("01T06", "01T14"), from_to("02T06", "02T14")));
    assert_eq!((hours("l2", 1), hours("l2", 2)), (from_to("01T07", "01T15"), None));
    assert_eq!(hours("l3", 1), None);
}

/// A spec with a bit of everything, every value within its limits.
fn specs() -> impl Strategy<Value = TenantSpec> {
    let line = (
        1..1_000_000_i64,
        proptest::option::of(1e-3..1e6_f64),
        proptest::option::of(1..=1200_u32),
        proptest::option::of((0..24_i8, 0..60_i8, 0..60_i8)),
        any::<bool>(),
        0..1_000_000_i64,
        proptest::collection::btree_set(any::<i32>(), 0..4),
    );
    let shift = (0..24_i8, 0..60_i8, 1..8_usize);
    (proptest::collection::vec(line, 0..4), shift, proptest::option::of(0.1..1e9_f64)).prop_map(
        |(lines, (hour, minute, days), weight)| {
            let mut spec = TenantSpec::parse(DEMO).unwrap();
            spec.products[0].weight_g = weight;
            spec.shifts[0].start = WallTime(jiff::civil::time(hour, minute, 0, 0));
            spec.shifts[0].days.truncate(days);
            let template = spec.lines[0].clone();
            for (index, (above, rate, months, repair, credit, lateness, cameras)) in lines.into_iter().enumerate() {
                let mut line = template.clone();
                line.name = format!("m{index}");
                line.micro_stop_threshold_s = Some(Seconds::from_ms(above));
                line.downtime_threshold_s = Some(Seconds::from_ms(above * 2));
                line.performance = rate;
                line.retention_months = months;
                line.repair_at = repair.map(|(h, m, s)| WallTime(jiff::civil::time(h, m, s, 0)));
                line.cycle_credit = credit;
                line.allowed_lateness_s = Seconds::from_ms(lateness);
                line.areas[0].cameras = cameras.into_iter().collect();
                spec.lines.push(line);
            }
            spec
        },
    )
}

proptest! {
    #[test]
    fn a_spec_survives_json_and_toml(spec in specs()) {
        prop_assert_eq!(&TenantSpec::from_json(&spec.to_json().unwrap()).unwrap(), &spec);
        prop_assert_eq!(&TenantSpec::parse(&toml::to_string(&spec).unwrap()).unwrap(), &spec);
    }

    #[test]
    fn cycles_to_milliseconds_is_the_nearest_with_halves_up(millionths in 1..10_000_000_000_i64, ns in 1..100_000_000_000_i64) {
        let ms = cycles_ms(millionths as f64 / 1e6, ns).unwrap_or(0);
        let exact = i128::from(millionths) * i128::from(ns);
        let twice_off = 2 * (exact - i128::from(ms) * 1_000_000_000_000);
        prop_assert!((-1_000_000_000_000..1_000_000_000_000).contains(&twice_off), "{ms}: off by {twice_off}");
    }

    #[test]
    fn any_text_is_answered_without_a_panic(text in "(\\[\\[?(line|shift|tenant|break)\\]?\\]\n|name = \"[a-z]{0,3}\"\n|start = \"[0-9:]{0,5}\"\n|\\PC{0,5}\n){0,8}") {
        if let Err(error) = with(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
