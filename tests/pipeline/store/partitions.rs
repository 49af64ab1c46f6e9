//! Months of detections: made ahead, made for the past on demand, dropped by retention.

use andon::domain::time::{Ms, Span, parse_rfc3339};

use super::{Plant, detections, on_both};
use crate::support::Site;

on_both!(months_are_made_as_they_are_needed, expired_months_are_dropped_and_only_they, the_longest_name_works);

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
