//! Reads that are more than a table's rows.

use andon::domain::production::changes::{Changes, ShiftRecord, StopChange};
use andon::domain::production::figure::{Figure, Frame, Window};
use andon::domain::production::stop::{Stop, StopStatus, downtime_id};
use andon::domain::production::sums::Sums;
use andon::domain::time::{Ms, Span};

use super::{NEW_YEAR, Plant, on_both};
use crate::support::Site;

on_both!(stops_are_those_that_overlap_the_span, a_closed_shift_is_kept_to_the_last_digit);

const HOUR: Ms = 3_600_000;

fn stop(from: Ms, to: Option<Ms>, status: StopStatus) -> StopChange {
    let stop = Stop {
        downtime_id: downtime_id("l1", from),
        line: "l1".to_owned(),
        revision: 1,
        status,
        started_at: from,
        ended_at: to,
        duration_ms: to.unwrap_or(from) - from,
        reason_code: None,
        comment: None,
        planned: false,
        shift: None,
        business_date: "2026-01-01".to_owned(),
        segments: Vec::new(),
    };
    StopChange { stop, resend: false }
}

async fn stops_are_those_that_overlap_the_span(site: Site) {
    let plant = Plant::new(site).await;
    let owner = plant.take_over("l1").await;
    let at = |hours: Ms| NEW_YEAR + hours * HOUR;
    let stops = vec![
        stop(at(0), Some(at(1)), StopStatus::Closed),
        stop(at(2), Some(at(6)), StopStatus::Closed),
        stop(at(3), Some(at(4)), StopStatus::Retracted),
        stop(at(8), Some(at(9)), StopStatus::Closed),
        stop(at(10), None, StopStatus::Open),
    ];
    let changes = Changes { stops, ..Changes::default() };
    plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
    let starts = async |from, to, cursor, limit| -> Vec<Ms> {
        let found = plant.db.stops("l1", Span::new(at(from), at(to)), cursor, limit).await.unwrap();
        found.iter().map(|stop| (stop.started_at - NEW_YEAR) / HOUR).collect()
    };
    assert_eq!(starts(4, 8, None, 10).await, [2]);
    assert_eq!(starts(1, 2, None, 10).await, [] as [Ms; 0]);
    assert_eq!(starts(2, 9, None, 10).await, [2, 8]);
    assert_eq!(starts(20, 30, None, 10).await, [10]);
    assert_eq!(starts(0, 30, None, 2).await, [0, 2]);
    assert_eq!(starts(0, 30, Some(at(2)), 2).await, [8, 10]);
    assert_eq!(starts(-5, 0, None, 10).await, [] as [Ms; 0]);
    // The retracted one is found by its name only; a line or a stop that is not there is none.
    let retracted = plant.db.stop(&downtime_id("l1", at(3))).await.unwrap().unwrap();
    assert_eq!(retracted.status, StopStatus::Retracted);
    for id in ["l1:5", "nowhere:5", "l1` --:5", ""] {
        assert_eq!(plant.db.stop(id).await.unwrap(), None, "{id:?}");
    }
}

async fn a_closed_shift_is_kept_to_the_last_digit(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    let record = |revision: u32| {
        let mut sums = Sums { total: 7_919, good: 7_907, ideal_ns: 4_751_400_000_003, seen: 7_919, ..Sums::default() };
        sums.buckets = [0, 60_000, 1_234_567, 20_000_001, 33, 7_505_399];
        sums.apt_ms = 20_000_034;
        let frame = Frame {
            line: Some("l1".to_owned()),
            window: Window::Shift,
            from: NEW_YEAR,
            to: NEW_YEAR + 8 * HOUR,
            as_of: NEW_YEAR + 9 * HOUR,
            watermark: NEW_YEAR + 8 * HOUR + 1,
            revision,
            config_versions: vec![1],
            policy_versions: vec![1],
            holes_ms: 0,
            has_cycle: true,
        };
        ShiftRecord {
            line: "l1".to_owned(),
            shift: "noche".to_owned(),
            business_date: "2025-12-31".to_owned(),
            from: NEW_YEAR,
            to: NEW_YEAR + 8 * HOUR,
            revision,
            figure: Figure::new(frame, &sums),
            watermark: NEW_YEAR + 8 * HOUR + 1,
            previous_hash: if revision == 1 { String::new() } else { "a".repeat(64) },
            hash: "b".repeat(64),
        }
    };
    for revision in [1, 2] {
        let changes = Changes { shift_records: vec![record(revision)], ..Changes::default() };
        plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
        owner.moved(&changes);
    }
    let span = Span::new(NEW_YEAR + HOUR, NEW_YEAR + 2 * HOUR);
    assert_eq!(plant.db.shift_records("l1", span).await.unwrap(), [record(1), record(2)]);
    let after = Span::new(NEW_YEAR + 8 * HOUR, NEW_YEAR + 9 * HOUR);
    assert!(plant.db.shift_records("l1", after).await.unwrap().is_empty());
    // A record is never written over.
    let changes = Changes { shift_records: vec![record(2)], ..Changes::default() };
    plant.db.commit(&[owner.commit(&changes)]).await.unwrap_err();
}
