//! What a plant promises: the same for the same seed, in order of arrival, and like a plant.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::domain::calendar::Schedule;
use crate::domain::production::detection::Health;
use crate::domain::time::{HOUR_MS, MINUTE_MS, parse_rfc3339};

const FILE: &str = r#"
[tenant]
name = "demo"
time_zone = "Europe/Madrid"

[[shift]]
name = "morning"
start = "06:00"
end = "14:00"
days = ["mon", "tue", "wed", "thu", "fri"]
lines = ["l1", "l2"]

[[break]]
shift = "morning"
start = "10:00"
end = "10:20"

[[product]]
id = 7
production_std = 120.0

[[product]]
id = 8
production_std = 60.0

[[reason]]
code = "mechanical"
[[reason]]
code = "jam"
parent = "mechanical"
[[reason]]
code = "cleaning"
kind = "planned"
[[reason]]
code = "format"
kind = "changeover"

[[line]]
name = "l1"
performance = 100.0
micro_stop_threshold_s = 5
  [[line.area]]
  id = 1
  role = "output"
  cameras = [11, 12]
  [[line.area]]
  id = 2
  role = "reject"
  cameras = [13]

[[line]]
name = "l2"
performance = 60.0
  [[line.area]]
  id = 1
  role = "input"
  cameras = [21]
  [[line.area]]
  id = 2
  role = "process"
  cameras = [22]
  [[line.area]]
  id = 3
  role = "output"
  cameras = [23]
  [[line.area]]
  id = 4
  role = "output"
  cameras = [24]

[[line]]
name = "l3"
heartbeat_s = 30
  [[line.area]]
  id = 1
  role = "process"
  cameras = [31]
"#;

fn spec() -> TenantSpec {
    TenantSpec::parse(FILE).unwrap()
}

/// A Monday, 06:00 in Madrid.
fn monday() -> Ms {
    parse_rfc3339("2026-11-16T05:00:00Z").unwrap()
}

fn settings(seed: u64) -> Settings {
    Settings { seed, start: monday(), first_id: 1, rate: None }
}

fn run(settings: &Settings, lines: &[&str], hours: Ms) -> Vec<(usize, Arrival)> {
    let plant = Plant::new(&spec(), lines, settings).unwrap();
    plant.take_while(|(_, arrival)| arrival.at < settings.start + hours * HOUR_MS).collect()
}

fn event_time(record: &Record) -> Ms {
    match record {
        Record::Detection(detection) => detection.detected_at,
        Record::Status(status) => status.at,
    }
}

fn detections(arrivals: &[(usize, Arrival)]) -> Vec<Detection> {
    arrivals
        .iter()
        .filter_map(|(_, arrival)| if let Record::Detection(d) = &arrival.record { Some(*d) } else { None })
        .collect()
}

/// Without the repeats.
fn once(mut detections: Vec<Detection>) -> Vec<Detection> {
    let mut seen = HashSet::new();
    detections.retain(|d| seen.insert(d.detection_id));
    detections.sort_by_key(|d| d.detected_at);
    detections
}

const ALL: [&str; 3] = ["l1", "l2", "l3"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_same_seed_gives_the_same_plant_and_another_seed_another(seed in any::<u64>()) {
        let first = run(&settings(seed), &ALL, 2);
        prop_assert!(first.len() > 1_000);
        prop_assert!(first == run(&settings(seed), &ALL, 2));
        prop_assert!(first != run(&settings(seed.wrapping_add(1)), &ALL, 2));
    }

    #[test]
    fn records_come_in_the_order_of_arrival_and_not_before_they_happen(seed in any::<u64>()) {
        let arrivals = run(&settings(seed), &ALL, 9);
        prop_assert!(arrivals.is_sorted_by_key(|(_, arrival)| arrival.at));
        for (_, arrival) in &arrivals {
            prop_assert!(arrival.at >= event_time(&arrival.record));
        }
    }

    #[test]
    fn an_id_means_one_detection_and_one_in_a_hundred_comes_twice(seed in any::<u64>()) {
        for line in ALL {
            let all = detections(&run(&settings(seed), &[line], 8));
            let mut by_id: HashMap<i64, Vec<Detection>> = HashMap::new();
            for detection in &all {
                by_id.entry(detection.detection_id).or_default().push(*detection);
            }
            prop_assert!(by_id.values().all(|same| same.len() <= 2 && same.iter().all(|d| d == &same[0])));
            let repeats = (all.len() - by_id.len()) as f64 / all.len() as f64;
            prop_assert!((0.003..0.02).contains(&repeats), "{repeats}");
        }
    }

    #[test]
    fn a_line_is_calm_outside_shifts_and_in_breaks(seed in any::<u64>()) {
        let spec = spec();
        let calendar = spec.line_config("l2", 1, 1, BEGINNING).unwrap().calendar;
        let seen = detections(&run(&settings(seed), &["l2"], 30));
        prop_assert!(seen.len() > 10_000);
        for detection in seen {
            prop_assert_eq!(calendar.slot(detection.detected_at).schedule, Schedule::Scheduled);
        }
    }

    #[test]
    fn a_line_keeps_its_numbers_when_another_is_simulated_beside_it(seed in any::<u64>()) {
        let alone: Vec<Arrival> = run(&settings(seed), &["l1"], 1).into_iter().map(|(_, arrival)| arrival).collect();
        let together = run(&settings(seed), &["l1", "l3"], 1);
        let of_l1: Vec<Arrival> = together.into_iter().filter(|(line, _)| *line == 0).map(|(_, arrival)| arrival).collect();
        prop_assert!(alone == of_l1);
    }
}

#[test]
fn the_takt_is_that_of_the_product() {
    let seen = once(detections(&run(&settings(1), &["l1"], 4)));
    for (product, ideal_ms) in [(7, 500.0), (8, 1000.0)] {
        let times: Vec<Ms> =
            seen.iter().filter(|d| d.product_id == product && d.quantity == 1).map(|d| d.detected_at).collect();
        if times.len() < 200 {
            continue;
        }
        let mut gaps: Vec<Ms> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();
        let median = gaps[gaps.len() / 2] as f64;
        assert!((ideal_ms * 0.95..ideal_ms * 1.35).contains(&median), "{median} for {ideal_ms}");
    }
    assert!(seen.iter().any(|d| d.quantity > 1));
    assert!(seen.iter().all(|d| d.quantity >= 1 && d.confidence.is_some_and(|c| (0.0..=1.0).contains(&c))));
}

#[test]
fn stops_and_changeovers_show_as_gaps_and_know_their_cause() {
    let spec = spec();
    let mut plant = Plant::new(&spec, &["l2"], &settings(5)).unwrap();
    let until = monday() + 100 * HOUR_MS;
    let arrivals: Vec<_> = plant.by_ref().take_while(|(_, arrival)| arrival.at < until).collect();
    let seen = once(detections(&arrivals));
    let halts: Vec<&Halt> = plant.lines()[0].halts().filter(|halt| halt.span.to < until - HOUR_MS).collect();
    assert!(halts.len() > 10, "{}", halts.len());
    for halt in &halts {
        let inside = seen.iter().any(|d| d.detected_at > halt.span.from && d.detected_at < halt.span.to);
        assert!(!inside && halt.span.len() > MINUTE_MS, "{halt:?}");
        let fitting: &[&str] = if halt.kind == HaltKind::Changeover { &["format"] } else { &["jam", "cleaning"] };
        assert!(halt.reason_code.as_deref().is_some_and(|code| fitting.contains(&code)), "{halt:?}");
    }
    let changeovers = halts.iter().filter(|halt| halt.kind == HaltKind::Changeover);
    for halt in changeovers {
        // Pieces on their way when the line stood are still of the product before.
        let entering = |d: &&Detection| d.area_id == 1;
        let before = seen.iter().filter(entering).rfind(|d| d.detected_at < halt.span.from).map(|d| d.product_id);
        let after = seen.iter().filter(entering).find(|d| d.detected_at >= halt.span.to + 1_000).map(|d| d.product_id);
        assert_ne!(before, after, "{halt:?}");
    }
    let micro = seen.windows(2).filter(|pair| (10_000..60_000).contains(&(pair[1].detected_at - pair[0].detected_at)));
    assert!(micro.count() > 20);
}

#[test]
fn a_piece_passes_the_line_and_few_are_rejected() {
    let seen = once(detections(&run(&settings(2), &["l2"], 9)));
    let in_area =
        |area: i32| seen.iter().filter(|d| d.area_id == area).map(|d| i64::from(d.quantity)).sum::<i64>() as f64;
    assert!((0.9..1.0).contains(&((in_area(3) + in_area(4)) / in_area(1))));
    assert!((0.7..1.3).contains(&(in_area(3) / in_area(4))), "outputs are parallel");
    let first_out = seen.iter().find(|d| d.area_id >= 3).unwrap();
    assert!(first_out.detected_at > seen[0].detected_at + 5_000);

    let seen = once(detections(&run(&settings(2), &["l1"], 9)));
    let rejected = seen.iter().filter(|d| d.area_id == 2).count() as f64 / seen.len() as f64;
    assert!((0.004..0.05).contains(&rejected), "{rejected}");
}

#[test]
fn a_blind_camera_says_so_and_sees_nothing() {
    let arrivals = run(&settings(3), &["l1"], 48);
    let mut blind_since: HashMap<i32, Ms> = HashMap::new();
    let mut spells = Vec::new();
    for (_, arrival) in &arrivals {
        let Record::Status(status) = &arrival.record else { continue };
        match status.status {
            Health::Offline => drop(blind_since.insert(status.camera_id, status.at)),
            Health::Online => {
                spells.extend(blind_since.remove(&status.camera_id).map(|from| (status.camera_id, from, status.at)))
            }
        }
    }
    assert!(spells.len() >= 4, "{spells:?}");
    for detection in detections(&arrivals) {
        let blind = spells.iter().any(|(camera, from, to)| {
            detection.camera_id == Some(*camera) && (*from..*to).contains(&detection.detected_at)
        });
        assert!(!blind, "{detection:?}");
    }
}

#[test]
fn a_late_camera_is_seconds_to_minutes_behind() {
    // The second line of a plant has it.
    let arrivals = run(&settings(4), &["l1", "l2"], 9);
    let delays: Vec<Ms> = arrivals
        .iter()
        .filter_map(|(_, arrival)| match &arrival.record {
            Record::Detection(d) if d.camera_id == Some(24) => Some(arrival.at - d.detected_at),
            _ => None,
        })
        .collect();
    let behind = |least: Ms| delays.iter().filter(|delay| **delay > least).count();
    assert!(behind(1_000) > delays.len() / 2);
    assert!(behind(MINUTE_MS) > 0, "nothing was held up");
}

#[test]
fn heartbeats_come_often_enough_where_they_are_demanded() {
    let arrivals = run(&settings(6), &["l3"], 3);
    let mut beats: Vec<Ms> = arrivals
        .iter()
        .filter_map(|(_, arrival)| match &arrival.record {
            Record::Status(status) if status.status == Health::Online => Some(status.at),
            _ => None,
        })
        .collect();
    beats.sort_unstable();
    let apart = beats.windows(2).filter(|pair| pair[1] - pair[0] > 30_000).count();
    assert!(beats.len() > 900 && apart <= 3, "{} beats, {apart} times silent", beats.len());
    assert!(run(&settings(6), &["l2"], 1).iter().all(|(_, arrival)| matches!(arrival.record, Record::Detection(_))));
}

#[test]
fn a_rate_sets_the_detections_per_second() {
    let fast = Settings { rate: Some(50.0), ..settings(7) };
    let hour = run(&fast, &["l2"], 1);
    let mut by_minute: HashMap<Ms, usize> = HashMap::new();
    for (_, arrival) in &hour {
        *by_minute.entry(arrival.at / MINUTE_MS).or_default() += 1;
    }
    let mut counts: Vec<usize> = by_minute.into_values().collect();
    counts.sort_unstable();
    let count = counts[counts.len() / 2];
    assert!((2_700..3_300).contains(&count), "{count}");
}

#[test]
fn a_line_that_is_never_scheduled_ends() {
    let file = FILE.replace("start = \"10:00\"\nend = \"10:20\"", "start = \"06:00\"\nend = \"14:00\"");
    let spec = TenantSpec::parse(&file).unwrap();
    assert_eq!(Plant::new(&spec, &["l2"], &settings(1)).unwrap().count(), 0);
}

#[test]
fn an_unknown_line_is_refused() {
    assert!(Plant::new(&spec(), &["l9"], &settings(1)).is_err());
}

#[test]
fn a_camera_that_sees_says_so_when_it_is_asked() {
    let mut plant = Plant::new(&spec(), &["l1", "l2", "l3"], &settings(6)).unwrap();
    let went_blind = |(place, arrival): &(usize, Arrival)| match &arrival.record {
        Record::Status(status) => *place == 0 && status.status == Health::Offline,
        Record::Detection(_) => false,
    };
    let (_, arrival) = plant.by_ref().find(went_blind).unwrap();
    let told = plant.signs_of_life(arrival.at);
    let cameras: Vec<(usize, i32)> = told
        .iter()
        .filter_map(|(place, record)| match record {
            Record::Status(status) if status.at == arrival.at && status.status == Health::Online => {
                Some((*place, status.camera_id))
            }
            _ => None,
        })
        .collect();
    assert_eq!(cameras, [(0, 13), (1, 21), (2, 31)], "11 and 12 are blind");
}
