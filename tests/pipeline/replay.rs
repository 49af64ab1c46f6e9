//! Recorded lines through Kafka, the engine and the database: what the stream has told equals what `recompute` says,
//! also when the process is killed on the way.

use std::path::PathBuf;
use std::time::Duration;

use andon::domain::production::stop::{Stop, StopStatus};
use andon::domain::production::sums::Sums;
use andon::domain::time::{FOREVER, Span};
use andon::store::{Store, TenantDb};
use serde_json::Value;

use crate::support::{Site, until};

/// A recording beside the checkout or where `ANDON_TEST_DATA` says; none: it is absent, which fails only in CI.
pub(super) fn recording(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("ANDON_TEST_DATA").map_or(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no recording at {}", path.display());
    assert!(std::env::var_os("CI").is_none(), "the recordings must be there in CI");
    None
}

fn file(tenant: &str, lines: &[&str], areas: &[i32]) -> String {
    let mut text = format!("[tenant]\nname = \"{tenant}\"\ncompany = \"T\"\ntime_zone = \"UTC\"\nlocale = \"en\"\n");
    for line in lines {
        text += &format!(
            "[[line]]\nname = \"{line}\"\ntitle = \"{line}\"\nperformance = 600.0\navailability_target = 0.9\n\
             oee_target = 0.75\ndowntime_threshold_s = 60\nmicro_stop_threshold_s = 10\n"
        );
        for id in areas {
            text += &format!("  [[line.area]]\n  id = {id}\n  name = \"a{id}\"\n  role = \"output\"\n");
        }
    }
    text
}

/// A site with a tenant of these lines.
pub(super) fn plant(site: &Site, lines: &[&str], areas: &[i32]) -> String {
    let tenant = site.tenant("replay");
    let path = std::env::temp_dir().join(format!("{tenant}.toml"));
    std::fs::write(&path, file(&tenant, lines, areas)).expect("a writable temporary folder");
    site.andon_ok(&["migrate"]);
    site.andon_ok(&["tenant", "apply", path.to_str().expect("a plain path")]);
    std::fs::remove_file(path).expect("removed");
    tenant
}

/// The arguments of a command on a line.
pub(super) fn on<'a>(command: &'a str, tenant: &'a str, line: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![command, "--tenant", tenant, "--line", line];
    arguments.extend(more);
    arguments
}

pub(super) async fn database(site: &Site, tenant: &str) -> std::sync::Arc<TenantDb> {
    let store = Store::connect(&site.global_url()).await.expect("the database is up");
    store.tenant(tenant).await.expect("there")
}

pub(super) async fn read_to(db: &TenantDb, line: &str, offset: i64) {
    until("all records committed", async || {
        let there = db.checkpoint(line).await.map_err(|why| why.to_string())?;
        let at = there.map_or(-1, |c| c.next_offset);
        if at >= offset { Ok(()) } else { Err(format!("at offset {at} of {offset}")) }
    })
    .await;
}

fn plain(stop: &Stop) -> Stop {
    match stop.status {
        // It grows with the clock while it is open; told again every 10 s.
        StopStatus::Open => Stop { revision: 0, duration_ms: 0, segments: Vec::new(), ..stop.clone() },
        _ => Stop { revision: 0, ..stop.clone() },
    }
}

/// The stored results of a line against its recomputation, to the last millisecond and piece.
pub(super) async fn agree(site: &Site, db: &TenantDb, tenant: &str, line: &str) -> Vec<Stop> {
    let always = Span::new(0, FOREVER);
    let stops = db.stops(line, always, None, 100_000).await.expect("read");
    let mut sums = Sums::default();
    db.minutes(line, always).await.expect("read").iter().for_each(|row| sums += &row.sums);
    assert_eq!(db.sums(line, always).await.expect("read"), sums, "hours and minutes of {line}");
    let told: Value =
        serde_json::from_str(&site.andon_ok(&on("recompute", tenant, line, &["--format", "json"]))).expect("JSON");
    let recomputed: Vec<Stop> = serde_json::from_value(told["stops"].clone()).expect("stops");
    assert_eq!(
        stops.iter().map(plain).collect::<Vec<_>>(),
        recomputed.iter().map(plain).collect::<Vec<_>>(),
        "stops of {line}"
    );
    let figure = &told["figures"][0];
    let buckets = &figure["buckets_ms"];
    let names = ["unscheduled", "planned_stop", "no_data", "running", "micro_stop", "stopped"];
    assert_eq!(sums.buckets.to_vec(), names.map(|name| buckets[name].as_i64().expect("ms")).to_vec(), "time of {line}");
    assert_eq!(sums.total, figure["pieces"]["total"].as_i64().expect("pieces"), "pieces of {line}");
    assert_eq!(sums.ideal_ns, figure["ideal_ns"].as_i64().expect("ns"), "ideal time of {line}");
    assert_eq!(
        (sums.stops, sums.micro_stops),
        (figure["stops"].as_i64().unwrap(), figure["micro_stops"].as_i64().unwrap())
    );
    stops
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filler_line_comes_out_as_it_was_recorded() {
    let Some(counts) = recording("filler-line/counts.csv") else { return };
    let site = Site::new();
    let tenant = plant(&site, &["filler"], &[1]);
    let db = database(&site, &tenant).await;
    let process = site.spawn("process").await;
    let columns = ["--columns", "ts=detected_at,count=quantity", counts.to_str().expect("a plain path")];
    site.andon_ok(&on("replay", &tenant, "filler", &columns));
    read_to(&db, "filler", 8_845).await;
    assert!(process.terminate().await.success());
    let stops = agree(&site, &db, &tenant, "filler").await;
    let gaps = stops.iter().filter(|s| s.status == StopStatus::Closed).count();
    assert_eq!(gaps, 17, "gaps over 60 s of the recording");
    let minutes = db.minutes("filler", Span::new(0, FOREVER)).await.expect("read");
    assert_eq!(minutes.iter().map(|m| m.sums.total).sum::<i64>(), 140_453);
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_cameras_come_out_the_same_though_the_process_is_killed_three_times() {
    let Some(lanes) = recording("lane-cameras/detections.csv.gz") else { return };
    let site = Site::new();
    let tenant = plant(&site, &["lanes"], &[1, 2, 3, 4, 5]);
    let db = database(&site, &tenant).await;
    let path = lanes.to_str().expect("a plain path").to_owned();
    let more = ["--columns", "ts=detected_at,lane=area_id", "--zone", "Australia/Melbourne", path.as_str()];
    let mut process = site.spawn("process").await;
    site.andon_ok(&on("replay", &tenant, "lanes", &more));
    let store = Store::connect(&site.global_url()).await.expect("the database is up");
    let rows = until("the topic's end", async || {
        let listed = site.andon_ok(&["topics", "describe", "--tenant", &tenant, "--format", "json"]);
        let listed: Value = serde_json::from_str(&listed).map_err(|why| why.to_string())?;
        let end = listed
            .as_array()
            .and_then(|all| all.iter().find(|t| t["topic"] == format!("detections.{tenant}.lanes"))?["high"].as_i64());
        end.ok_or_else(|| listed.to_string())
    })
    .await;
    drop(store);
    for part in 1..=3 {
        read_to(&db, "lanes", rows * part / 5).await;
        process.kill();
        process = site.spawn_without_waiting("process");
    }
    read_to(&db, "lanes", rows).await;
    tokio::time::timeout(Duration::from_secs(60), process.ready()).await.expect("ready again");
    assert!(process.terminate().await.success());
    agree(&site, &db, &tenant, "lanes").await;
    let stored = db.detections("lanes", Span::new(0, FOREVER), true).await.expect("read").len() as i64;
    assert_eq!(stored, rows, "every row once");
}
