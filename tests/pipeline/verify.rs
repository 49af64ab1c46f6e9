//! `andon topics verify` on real topics and tables: what is whole passes, and each kind of damage is found and named.

use std::collections::BTreeSet;
use std::time::Duration;

use andon::kafka::Settings;
use andon::kafka::tail::{Tail, TailRecord, TailStart};
use andon::kafka::topics::Admin;
use andon::store::{Store, TenantDb};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use sqlx::{Connection, MySqlConnection};

use super::replay::{on, plant, read_to};
use crate::support::{Site, until};

/// Records in the recording.
const SENT: i64 = 321;

/// A tenant of one line and its database.
pub(super) async fn planted(site: &Site) -> (String, std::sync::Arc<TenantDb>) {
    let tenant = plant(site, &["l1"], &[1]);
    let db = Store::connect(&site.global_url()).await.expect("up").tenant(&tenant).await.expect("there");
    (tenant, db)
}

/// A site whose line has told three stops, with nobody running any more.
pub(super) async fn told(site: &Site) -> (String, std::sync::Arc<TenantDb>) {
    let (tenant, db) = planted(site).await;
    let process = site.spawn("process").await;
    send(site, &tenant, -900_000);
    read_to(&db, "l1", SENT).await;
    assert!(process.terminate().await.success());
    (tenant, db)
}

/// Nine minutes of a piece a second with two stops, one cut in two by a piece out of order; from `ago` ms before now.
pub(super) fn send(site: &Site, tenant: &str, ago: i64) {
    let start = now() + ago;
    let mut csv = String::from("detected_at\n");
    let seconds = (0..120).chain(200..260).chain(400..540).chain([330]);
    seconds.for_each(|second: i64| csv += &format!("{}\n", start + second * 1_000));
    let file = std::env::temp_dir().join(format!("{tenant}_{ago}.csv"));
    std::fs::write(&file, csv).expect("a writable temporary folder");
    site.andon_ok(&on("replay", tenant, "l1", &[file.to_str().expect("a plain path")]));
    std::fs::remove_file(file).expect("removed");
}

pub(super) fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

pub(super) fn settings(site: &Site) -> Settings {
    Settings {
        brokers: site.servers.kafka.clone(),
        group: site.group.clone(),
        session_timeout_ms: 6_000,
        instance: None,
        properties: std::collections::BTreeMap::new(),
    }
}

/// The line's proof and whether the command said that all is well.
pub(super) fn verify(site: &Site, tenant: &str) -> (bool, Value) {
    let output = site.andon(&["topics", "verify", "--tenant", tenant, "--wait", "2s", "--format", "json"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let proofs: Value = serde_json::from_str(&told)
        .unwrap_or_else(|why| panic!("{why}: {told}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(i32::from(proofs[0]["ok"] != true)), "{proofs}");
    (output.status.success(), proofs[0].clone())
}

pub(super) async fn records(site: &Site, topic: &str) -> Vec<TailRecord> {
    let pattern = format!("^{}$", topic.replace('.', r"\."));
    let mut tail = Tail::follow(&settings(site), &pattern, TailStart::Beginning, 10_000).expect("a tail");
    tail.caught_up.wait_for(|caught_up| *caught_up).await.expect("running");
    let mut records = Vec::new();
    while let Ok(record) = tail.records.try_recv() {
        records.push(record);
    }
    records
}

fn produce(site: &Site, records: &[TailRecord]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &site.servers.kafka).create().expect("a producer");
    for record in records {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let mut out = BaseRecord::to(&record.topic).key(record.key.as_deref().unwrap_or_default()).headers(headers);
        if let Some(payload) = &record.payload {
            out = out.payload(payload);
        }
        producer.send(out).map_err(|(why, _)| why).expect("queued");
    }
    producer.flush(Duration::from_secs(10)).expect("delivered");
}

fn header(record: &TailRecord, name: &str) -> u64 {
    let value = &record.headers.iter().find(|(header, _)| header == name).expect("there").1;
    String::from_utf8_lossy(value).parse().expect("a number")
}

fn faults(proof: &Value) -> Vec<&str> {
    let faults = proof["problems"].as_array().expect("a list").iter().map(|p| p["fault"].as_str().expect("a word"));
    faults.collect::<BTreeSet<_>>().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_run_is_proven_while_the_line_goes_on() {
    let site = Site::new();
    let (tenant, _) = told(&site).await;
    let (ok, proof) = verify(&site, &tenant);
    assert!(ok, "{proof}");
    assert_eq!((proof["thinned"].as_u64(), proof["stops_equal"].as_u64() >= Some(3)), (Some(0), true), "{proof}");
    assert_eq!(proof["first_commit"], proof["whole_from"], "{proof}");

    let _process = site.spawn("process").await;
    let (ok, proof) = verify(&site, &tenant);
    assert!(ok, "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_record_and_a_changed_row_are_each_named() {
    let site = Site::new();
    let (tenant, db) = told(&site).await;
    let topic = format!("downtime.{tenant}.l1");
    let stop = db.stops("l1", andon::domain::time::Span::new(0, i64::MAX), None, 9).await.expect("read").remove(0);
    let mut connection = MySqlConnection::connect(&site.tenant_url(&tenant)).await.expect("up");
    let change =
        |text: &str| format!("UPDATE downtime_events_l1 SET {text} WHERE downtime_id = '{}'", stop.downtime_id);
    let damage = change("duration_ms = duration_ms + 1");
    sqlx::query(sqlx::AssertSqlSafe(damage)).execute(&mut connection).await.expect("changed");
    let (ok, proof) = verify(&site, &tenant);
    assert_eq!((ok, faults(&proof)), (false, vec!["table"]), "{proof}");
    assert_eq!(proof["problems"][0]["key"], stop.downtime_id.as_str());
    assert!(proof["problems"][0]["detail"].as_str().expect("text").contains("duration_ms"), "{proof}");
    let mended = change("duration_ms = duration_ms - 1");
    sqlx::query(sqlx::AssertSqlSafe(mended)).execute(&mut connection).await.expect("changed");
    assert!(verify(&site, &tenant).0);

    let all = records(&site, &topic).await;
    let last = all.last().expect("stops were told");
    produce(&site, std::slice::from_ref(last));
    let (ok, proof) = verify(&site, &tenant);
    assert_eq!((ok, faults(&proof)), (false, vec!["doubled"]), "{proof}");
    assert!(proof["problems"][0]["offset"].as_i64() > Some(last.offset), "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_taken_out_is_named() {
    let site = Site::new();
    let (tenant, db) = told(&site).await;
    // More commits, so that there is one with others on both sides.
    for more in 1..=2 {
        let process = site.spawn("process").await;
        send(&site, &tenant, more * 600_000);
        read_to(&db, "l1", (1 + more) * SENT).await;
        assert!(process.terminate().await.success());
    }
    let topics = [format!("downtime.{tenant}.l1"), format!("oee.{tenant}.l1")];
    let mut all = Vec::new();
    for topic in &topics {
        all.extend(records(&site, topic).await);
    }
    let commits: BTreeSet<u64> = all.iter().map(|record| header(record, "commit_seq")).collect();
    assert!(commits.len() >= 3, "{commits:?}");
    let gone = *commits.iter().nth(commits.len() - 2).expect("three");
    let admin = Admin::connect(&settings(&site)).expect("an admin");
    admin.delete(&topics).await.expect("deleted");
    until("the topics to be made anew", async || {
        let made = admin.ensure_line_topics(&tenant, "l1", None).await.map_err(|why| why.to_string())?;
        if made.is_empty() { Err("they are still there".to_owned()) } else { Ok(()) }
    })
    .await;
    all.retain(|record| header(record, "commit_seq") != gone);
    produce(&site, &all);
    let (ok, proof) = verify(&site, &tenant);
    assert!(!ok && faults(&proof).contains(&"lost"), "{proof}");
    let lost: Vec<u64> = proof["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|problem| problem["fault"] == "lost")
        .filter_map(|problem| problem["commit_seq"].as_u64())
        .collect();
    assert_eq!(lost, [gone], "{proof}");
}
