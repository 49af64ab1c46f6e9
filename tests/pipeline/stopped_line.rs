//! A line whose log or database is not what it was stops loudly, and one command takes it on: afterwards the tables
//! equal the recomputation and the topics are proven.

use andon::domain::production::input::LineInput;
use andon::store::TenantDb;
use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};
use sqlx::{Connection, Executor, MySqlConnection};

use andon::kafka::topics::{self, Admin};

use super::replay::{agree, read_to};
use super::verify::{planted, records, send, settings, told, verify};
use crate::support::{Andon, Site, until};

/// Detections of `send`.
const SENT: i64 = 321;

/// Waits until `/ready` tells of the stopped line, and answers what it says.
async fn stopped(andon: &Andon, words: &str) -> String {
    let url = format!("{}/ready", andon.admin);
    until("/ready to tell why the line is stopped", async || {
        let answer = reqwest::get(&url).await.map_err(|why| why.to_string())?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        if status == 503 && text.contains(words) { Ok(text) } else { Err(format!("{status}: {text}")) }
    })
    .await
}

fn line(site: &Site, tenant: &str, command: &str) -> String {
    let arguments = ["line", command, "--tenant", tenant, "--line", "l1"];
    let shown = site.andon(&arguments);
    assert_eq!(shown.status.code(), Some(1), "without --yes nothing is done");
    let mut sure = arguments.to_vec();
    sure.push("--yes");
    site.andon_ok(&sure);
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

/// After the line has read everything again: nobody runs, and all that was told agrees.
async fn all_agree(site: &Site, db: &TenantDb, tenant: &str, andon: Andon) {
    assert!(andon.terminate().await.success());
    agree(site, db, tenant, "l1").await;
    let (ok, proof) = verify(site, tenant);
    assert!(ok, "{proof}");
}

async fn holes(db: &TenantDb) -> Vec<(i64, i64)> {
    let inputs = db.inputs("l1").await.expect("read").into_iter();
    let hole = |input| match input {
        LineInput::Hole { from, to, .. } => Some((from, to)),
        _ => None,
    };
    inputs.filter_map(|stored| hole(stored.input)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_cut_past_the_checkpoint_is_gone_on_with_after_a_hole() {
    let site = Site::new();
    let (tenant, db) = told(&site).await;
    let topic = format!("detections.{tenant}.l1");
    send(&site, &tenant, -30_000);
    let admin = site.servers.admin();
    let mut cut = TopicPartitionList::new();
    cut.add_partition_offset(&topic, 0, Offset::Offset(SENT + 100)).expect("an offset");
    admin.delete_records(&cut, &AdminOptions::new()).await.expect("cut");

    let andon = site.spawn_without_waiting("process");
    let why = stopped(&andon, "accept-hole").await;
    assert!(why.contains("100 records"), "{why}");
    let shown = line(&site, &tenant, "accept-hole");
    assert!(shown.contains("100 records"), "{shown}");
    read_to(&db, "l1", 2 * SENT).await;
    andon.ready().await;
    let holes = holes(&db).await;
    assert_eq!(holes.len(), 1, "{holes:?}");
    all_agree(&site, &db, &tenant, andon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_read_from_its_first_record() {
    let site = Site::new();
    let (tenant, db) = told(&site).await;
    let topic = format!("detections.{tenant}.l1");
    let admin = Admin::connect(&settings(&site)).expect("an admin");
    admin.delete(&[topic]).await.expect("deleted");
    until("the topic to be made anew", async || {
        let made = admin.ensure_line_topics(&tenant, "l1", None).await.map_err(|why| why.to_string())?;
        if made.is_empty() { Err("it is still there".to_owned()) } else { Ok(()) }
    })
    .await;
    let andon = site.spawn_without_waiting("process");
    stopped(&andon, "created anew").await;
    line(&site, &tenant, "accept-hole");
    andon.ready().await;
    assert!(db.checkpoint("l1").await.expect("read").expect("there").next_offset <= 0);
    send(&site, &tenant, 600_000);
    read_to(&db, "l1", SENT).await;
    all_agree(&site, &db, &tenant, andon).await;
}

/// A process that ends before it noted what it had published leaves the group's offset alone to tell; Kafka forgets that
/// when the topic is made anew, or when nobody has been in the group for a week.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_group_has_forgotten_is_not_told_twice() {
    let site = Site::new();
    let (tenant, db) = planted(&site).await;
    let mut tables = MySqlConnection::connect(&site.tenant_url(&tenant)).await.expect("up");
    let noted = "CREATE TRIGGER unnoted BEFORE DELETE ON outbox FOR EACH ROW SIGNAL SQLSTATE '45000'";
    tables.execute(noted).await.expect("a trigger");
    let process = site.spawn("process").await;
    send(&site, &tenant, -900_000);
    read_to(&db, "l1", SENT).await;
    let committed = db.checkpoint("l1").await.expect("read").expect("there").commit_seq;
    until("everything to be published", async || {
        let headers: Vec<_> =
            records(&site, &topics::oee(&tenant, "l1")).await.into_iter().map(|r| r.headers).collect();
        let seq = committed.to_string();
        let is_last = |(name, value): &(String, Vec<u8>)| name == "commit_seq" && value == seq.as_bytes();
        if headers.iter().flatten().any(is_last) { Ok(()) } else { Err(format!("not commit {committed}")) }
    })
    .await;
    assert!(process.terminate().await.success());
    tables.execute("DROP TRIGGER unnoted").await.expect("dropped");
    let there = db.checkpoint("l1").await.expect("read").expect("there");
    assert_eq!(there.published_seq, 0, "nothing is noted, or the test proves nothing");

    let admin = site.servers.admin();
    until("the group to be forgotten", async || {
        let answer = admin.delete_groups(&[&site.group], &AdminOptions::new()).await.map_err(|why| why.to_string())?;
        answer.into_iter().collect::<Result<Vec<_>, _>>().map(|_| ()).map_err(|(_, why)| why.to_string())
    })
    .await;
    let process = site.spawn("process").await;
    send(&site, &tenant, 600_000);
    read_to(&db, "l1", 2 * SENT).await;
    all_agree(&site, &db, &tenant, process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_taken_forward_under_a_new_incarnation() {
    let site = Site::new();
    let (tenant, db) = told(&site).await;
    let mut backup = MySqlConnection::connect(&site.tenant_url(&tenant)).await.expect("up");
    let tables: Vec<String> = sqlx::query_scalar("SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name NOT LIKE 'backup\\_%'")
        .fetch_all(&mut backup)
        .await
        .expect("read");
    let run = async |connection: &mut MySqlConnection, sql: String| {
        connection.execute(sqlx::AssertSqlSafe(sql)).await.expect("done");
    };
    for table in &tables {
        run(&mut backup, format!("CREATE TABLE `backup_{table}` AS SELECT * FROM `{table}`")).await;
    }
    let before = db.checkpoint("l1").await.expect("read").expect("there");
    let andon = site.spawn("process").await;
    send(&site, &tenant, 600_000);
    read_to(&db, "l1", 2 * SENT).await;
    assert!(andon.terminate().await.success());
    run(&mut backup, "SET foreign_key_checks = 0".to_owned()).await;
    for table in &tables {
        run(&mut backup, format!("DELETE FROM `{table}`")).await;
        run(&mut backup, format!("INSERT INTO `{table}` SELECT * FROM `backup_{table}`")).await;
    }

    let andon = site.spawn_without_waiting("process");
    stopped(&andon, "went back in time").await;
    line(&site, &tenant, "forward");
    read_to(&db, "l1", 2 * SENT).await;
    andon.ready().await;
    let after = db.checkpoint("l1").await.expect("read").expect("there");
    assert_eq!(after.incarnation, before.incarnation + 1);
    all_agree(&site, &db, &tenant, andon).await;
}
