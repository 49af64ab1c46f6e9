//! Recorded lines through the plain route: what is known of the recordings must come out.
//!
//! The recordings are not ours to copy: they lie beside the checkout, or where `ANDON_TEST_DATA` says.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use andon::domain::production::batch::{BatchInput, Ledger, recompute};
use andon::domain::production::detection::Detection;
use andon::domain::time::{Ms, Span, parse_rfc3339};
use flate2::read::GzDecoder;

use super::testkit::{LineBuilder, S, det};

/// The text of a recording, or nothing and a word about it where it is absent.
fn recording(name: &str) -> Option<String> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("ANDON_TEST_DATA").map_or(beside, PathBuf::from).join(name);
    let Ok(file) = File::open(&path) else {
        eprintln!("skipped: no recording at {}", path.display());
        return None;
    };
    let mut text = String::new();
    let mut file = BufReader::new(file);
    let read = match name.ends_with(".gz") {
        true => GzDecoder::new(file).read_to_string(&mut text),
        false => file.read_to_string(&mut text),
    };
    read.expect("a readable recording");
    Some(text)
}

fn ledger(stopped_above: Ms, detections: Vec<Detection>) -> Ledger {
    let config = LineBuilder::new().stopped_above(stopped_above).build();
    recompute(&BatchInput { line: "l1".into(), configs: vec![config], detections, inputs: vec![] })
}

fn whole(ledger: &Ledger) -> Span {
    Span::new(ledger.first.expect("detections"), ledger.clock.expect("detections") + 1)
}

#[test]
fn a_bottling_filler_stands_as_often_as_its_gaps_say() {
    let Some(text) = recording("filler-line/counts.csv") else { return };
    let row = |(id, line): (i64, &str)| {
        let (at, count) = line.split_once(',').expect("two columns");
        Detection { quantity: count.parse().expect("a count"), ..det(id, parse_rfc3339(at).expect("a time"), 1) }
    };
    let detections: Vec<Detection> = (1..).zip(text.lines().skip(1)).map(row).collect();
    for (above, stops) in [(10 * S, 42), (60 * S, 17), (300 * S, 4)] {
        let ledger = ledger(above, detections.clone());
        let sums = ledger.sums(whole(&ledger));
        assert_eq!((sums.stops, sums.total), (stops, 140_453));
        assert_eq!(ledger.stops.iter().map(|stop| stop.duration_ms / S).max(), Some(456));
    }
}

#[test]
fn lane_cameras_give_the_same_in_arrival_order_and_by_time() {
    let Some(text) = recording("lane-cameras/detections.csv.gz") else { return };
    let row = |(id, line): (i64, &str)| {
        let at = line.split(',').next().expect("a column");
        det(id, parse_rfc3339(&format!("{at}Z")).expect("a time"), 1)
    };
    let arrived: Vec<Detection> = (1..).zip(text.lines().skip(1)).map(row).collect();
    let mut by_time = arrived.clone();
    by_time.sort_by_key(|detection| detection.detected_at);
    let behind = arrived.windows(2).filter(|pair| pair[1].detected_at < pair[0].detected_at).count();
    assert!(behind > arrived.len() / 10, "{behind} of {} out of order", arrived.len());

    let (arrived, by_time) = (ledger(60 * S, arrived), ledger(60 * S, by_time));
    let period = whole(&arrived);
    assert_eq!(arrived.report(period), by_time.report(period));
    let figure = &arrived.report(period).figures[0];
    // The millisecond of the clock is outside.
    assert_eq!((figure.outside_ms, figure.stops), (1, arrived.stops.len() as i64));
}
