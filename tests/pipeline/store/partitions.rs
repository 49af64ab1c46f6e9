//! Months of detections: made ahead, made for the past on demand, dropped by retention.

use andon::domain::production::line::{Line, STATE_VERSION, Stamp};
use andon::domain::time::{BEGINNING, Ms, Span, parse_rfc3339, rfc3339};
use andon::store::LineCommit;

use super::{NEW_YEAR, Plant, detections, file, on_both};
use crate::support::{Site, until};

on_both!(
    months_are_made_as_they_are_needed,
    expired_months_are_dropped_and_only_they,
    a_daily_round_drops_what_retention_has_passed_and_makes_what_comes,
    a_line_that_has_been_silent_for_longer_keeps_its_state,
    of_two_processes_one_looks_after_a_tenant,
    the_longest_name_works,
);

fn day(text: &str) -> Ms {
    parse_rfc3339(&format!("{text}T00:00:00Z")).unwrap()
}

async fn rows_of(plant: &Plant, partition: &str) -> i64 {
    plant.count(format!("SELECT COUNT(*) FROM detection_line_l1 PARTITION ({partition})")).await
}

async fn partitions(plant: &Plant, line: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT CAST(partition_name AS CHAR) FROM information_schema.partitions
         WHERE table_schema = DATABASE() AND table_name = ? ORDER BY partition_ordinal_position",
    )
    .bind(format!("detection_line_{line}"))
    .fetch_all(&mut plant.connection().await)
    .await
    .unwrap()
}

async fn months_are_made_as_they_are_needed(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    // This month and the next two are there before anything came.
    assert_eq!(partitions(&plant, "l1").await.iter().filter(|name| name.starts_with('p')).count(), 3);
    for (from, count) in
        [("2024-05-10", 5), ("1999-12-31", 200), ("2024-03-01", 3), ("2024-05-31", 4), ("2400-02-29", 2)]
    {
        let changes = detections(day(from), count);
        plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
        owner.moved(&changes);
    }
    for (partition, rows) in
        [("p202405", 9), ("p199912", 200), ("p202403", 3), ("p240002", 2), ("gmax", 0), ("g199912", 0)]
    {
        assert_eq!(rows_of(&plant, partition).await, rows, "{partition}");
    }
    // A year of gaps is one partition.
    assert!(partitions(&plant, "l1").await.len() < 25);
}

async fn expired_months_are_dropped_and_only_they(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    for from in ["2024-01-31", "2024-02-10", "2024-03-01"] {
        let changes = detections(day(from), 150);
        plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
        owner.moved(&changes);
    }
    assert_eq!(plant.db.drop_expired("l1", day("2024-03-20")).await.unwrap(), 2);
    assert_eq!(plant.db.drop_expired("l1", day("2024-03-20")).await.unwrap(), 0);
    let left = plant.db.detections("l1", Span::new(0, day("2030-01-01")), true).await.unwrap();
    assert_eq!((left.len(), left[0].0.detected_at), (150, day("2024-03-01")));
    // A dropped month can come back, and its neighbours keep to themselves.
    let changes = detections(day("2024-02-20"), 10);
    plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
    assert_eq!((rows_of(&plant, "p202402").await, rows_of(&plant, "p202403").await), (10, 150));
}

async fn the_longest_name_works(site: Site) {
    let plant = Plant::new(site).await;
    let line = "l".repeat(48);
    let owner = plant.take_over(&line).await;
    let changes = detections(day("2024-01-31"), 150);
    plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
    assert!(partitions(&plant, &line).await.contains(&"p202401".to_owned()));
}

/// Of its two lines the first keeps two months.
async fn with_retention(plant: &Plant) {
    let mut spec = file(&plant.tenant, 60);
    spec.lines[0].retention_months = Some(2);
    plant.store.apply_spec(&spec, NEW_YEAR + 1, "tester", false).await.unwrap();
}

/// The state of a line whose clock is at `at`.
fn state_at(at: Ms) -> Vec<u8> {
    let config = file("t", 60).line_config("l1", 1, 1, BEGINNING).unwrap();
    let mut line = Line::new("l1", vec![config]);
    let (piece, _) = detections(at, 1).detections[0];
    line.detection(&piece, Stamp { appended_at: at });
    line.drain();
    line.snapshot()
}

/// Detections on these days for both lines, and the lines' clocks at `clock`.
async fn filled(plant: &Plant, days: &[&str], clock: &str) {
    let state = state_at(day(clock));
    for line in ["l1", "l2"] {
        let mut owner = plant.take_over(line).await;
        for from in days {
            let changes = detections(day(from), 150);
            let commit = LineCommit { state: &state, state_version: STATE_VERSION, ..owner.commit(&changes) };
            plant.db.commit(&[commit]).await.unwrap();
            owner.moved(&changes);
        }
    }
}

async fn days_left(plant: &Plant, line: &str) -> Vec<String> {
    let left = plant.db.detections(line, Span::new(0, day("2030-01-01")), true).await.unwrap();
    let mut days: Vec<String> = left.iter().map(|(d, _)| rfc3339(d.detected_at)[..10].to_owned()).collect();
    days.dedup();
    days
}

const DAYS: [&str; 4] = ["2024-03-31", "2024-04-30", "2024-05-01", "2024-07-10"];

async fn a_daily_round_drops_what_retention_has_passed_and_makes_what_comes(site: Site) {
    let plant = Plant::new(site).await;
    with_retention(&plant).await;
    filled(&plant, &DAYS, "2024-07-10").await;
    let done = plant.db.maintain(day("2024-07-11")).await.unwrap().expect("nobody else is at it");
    assert_eq!((done.dropped, done.failed.len()), (vec![("l1".to_owned(), 2)], 0));
    assert_eq!(days_left(&plant, "l1").await, DAYS[2..]);
    assert_eq!(days_left(&plant, "l2").await, DAYS, "a line without retention keeps all");
    let made = partitions(&plant, "l2").await;
    assert!(["p202407", "p202408", "p202409"].iter().all(|month| made.contains(&(*month).to_owned())), "{made:?}");
    let again = plant.db.maintain(day("2024-07-12")).await.unwrap().expect("nobody else is at it");
    assert!(again.dropped.is_empty() && again.failed.is_empty(), "{again:?}");
}

async fn a_line_that_has_been_silent_for_longer_keeps_its_state(site: Site) {
    let plant = Plant::new(site).await;
    with_retention(&plant).await;
    filled(&plant, &DAYS[..2], "2024-04-30").await;
    let done = plant.db.maintain(day("2026-07-11")).await.unwrap().expect("nobody else is at it");
    assert_eq!(done.dropped, [("l1".to_owned(), 1)]);
    // Its next owner goes on from the detections of its last minutes.
    assert_eq!(days_left(&plant, "l1").await, ["2024-04-30"]);
}

async fn of_two_processes_one_looks_after_a_tenant(site: Site) {
    use sqlx::Connection;
    let plant = Plant::new(site).await;
    let mut other = plant.connection().await;
    let lock = "SELECT CAST(GET_LOCK(CONCAT('andon.daily.', MD5(DATABASE())), 0) AS SIGNED)";
    let got: i64 = sqlx::query_scalar(lock).fetch_one(&mut other).await.unwrap();
    assert_eq!(got, 1);
    assert!(plant.db.maintain(day("2026-07-11")).await.unwrap().is_none());
    // It goes with the process that had it.
    other.close().await.unwrap();
    until("the lock to be free", async || {
        let done = plant.db.maintain(day("2026-07-11")).await.map_err(|why| why.to_string())?;
        done.map(|_| ()).ok_or_else(|| "another is at it".to_owned())
    })
    .await;
    assert!(plant.db.maintain(day("2026-07-11")).await.unwrap().is_some(), "and with the round that took it");
}
