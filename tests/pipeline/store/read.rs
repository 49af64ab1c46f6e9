//! Reads that are more than a table's rows.

use andon::domain::production::changes::{Changes, ShiftRecord, StopChange};
use andon::domain::production::detection::{CameraStatus, Health};
use andon::domain::production::figure::{Figure, Frame, Window};
use andon::domain::production::input::{Classification, LineInput};
use andon::domain::production::stop::{Stop, StopStatus, downtime_id};
use andon::domain::production::sums::Sums;
use andon::domain::time::{FOREVER, Ms, Span};
use andon::store::{AuditEntry, CommandBody, NewCommand, QueryEntry};

use super::{NEW_YEAR, Plant, on_both};
use crate::support::Site;

on_both!(
    stops_are_those_that_overlap_the_span,
    a_closed_shift_is_kept_to_the_last_digit,
    words_and_statuses_are_found_again,
    a_command_that_cannot_be_read_holds_up_no_other,
    what_happened_is_noted,
);

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

async fn words_and_statuses_are_found_again(site: Site) {
    let plant = Plant::new(site).await;
    let owner = plant.take_over("l1").await;
    let words = |from: Ms, to: Ms| Classification {
        from: NEW_YEAR + from,
        to: if to == Ms::MAX { FOREVER } else { NEW_YEAR + to },
        until_exit_after: None,
        reason_code: Some("jam".to_owned()),
        comment: None,
        author: "ana".to_owned(),
    };
    let status = |camera_id, at: Ms, status| CameraStatus { camera_id, at: NEW_YEAR + at, status, reason: None };
    let stored = status(11, 5, Health::Offline);
    let inputs = vec![
        LineInput::Classification(words(100, 200)),
        LineInput::CameraStatus { status: stored.clone(), late: false },
        LineInput::Classification(words(0, 10)),
        LineInput::Classification(words(50, Ms::MAX)),
    ];
    let changes = Changes { inputs, ..Changes::default() };
    plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
    let found = plant.db.classifications("l1", Span::new(NEW_YEAR + 10, NEW_YEAR + 101)).await.unwrap();
    assert_eq!(found, [words(100, 200), words(50, Ms::MAX)]);
    assert!(plant.db.classifications("l2", Span::new(0, FOREVER)).await.unwrap().is_empty());
    let asked =
        [status(11, 5, Health::Online), status(12, 5, Health::Offline), stored.clone(), status(11, 6, Health::Offline)];
    assert_eq!(plant.db.known_statuses("l1", &asked).await.unwrap(), [stored]);
    assert!(plant.db.known_statuses("l1", &asked[..2]).await.unwrap().is_empty());
}

async fn a_command_that_cannot_be_read_holds_up_no_other(site: Site) {
    let plant = Plant::new(site).await;
    let sql = "INSERT INTO command (idempotency_key, line, kind, payload, author, created_at)
               VALUES ('x', 'l1', 'future', '{\"kind\":\"future\"}', 'ana', UTC_TIMESTAMP(3))";
    sqlx::raw_sql(sql).execute(&mut plant.connection().await).await.unwrap();
    let split = NewCommand {
        idempotency_key: "y".to_owned(),
        line: "l1".to_owned(),
        body: CommandBody::Split { at: NEW_YEAR },
        author: "ana".to_owned(),
    };
    plant.db.submit(&split).await.unwrap();
    let bodies: Vec<CommandBody> = plant.db.pending().await.unwrap().into_iter().map(|c| c.body).collect();
    assert!(matches!(&bodies[..], [CommandBody::Unreadable { .. }, known] if *known == split.body), "{bodies:?}");
}

async fn what_happened_is_noted(site: Site) {
    let plant = Plant::new(site).await;
    let details = serde_json::json!({"path": "/x", "why": "rights'"});
    let entry =
        AuditEntry { username: Some("ana"), action: "denied", details: Some(&details), ..AuditEntry::default() };
    plant.store.audit(&entry).await.unwrap();
    let query = QueryEntry {
        tenant: Some(plant.tenant.clone()),
        user_id: None,
        request: "/api/v1/metrics/oee?line=l1".to_owned(),
        line: Some("l1".to_owned()),
        span: Some(Span::new(NEW_YEAR, NEW_YEAR + HOUR)),
        interval: Some("hour".to_owned()),
        duration_ms: 12,
        at: NEW_YEAR + 2 * HOUR,
    };
    plant.store.record_queries(&[query.clone(), query]).await.unwrap();
    use sqlx::Connection;
    let mut global = sqlx::MySqlConnection::connect(&plant.site.global_url()).await.unwrap();
    let stored: String =
        sqlx::query_scalar("SELECT CAST(details AS CHAR) FROM audit_log").fetch_one(&mut global).await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stored).unwrap(), details);
    let asked: Vec<(Option<i32>, String)> =
        sqlx::query_as("SELECT tenant_id, CAST(CONCAT_WS(' ', end_date, created_at) AS CHAR) FROM user_query")
            .fetch_all(&mut global)
            .await
            .unwrap();
    let expected = (Some(1), "2026-01-01 01:00:00.000 2026-01-01 02:00:00.000".to_owned());
    assert_eq!(asked, [expected.clone(), expected]);
}
