//! From a detection on the topic to rows and records.

use std::sync::Arc;
use std::time::Duration;

use andon::config::tenant::TenantSpec;
use andon::config::{Config, SecretUrl};
use andon::domain::production::detection::Detection;
use andon::domain::production::stop::StopStatus;
use andon::domain::time::{BEGINNING, FOREVER, Ms, Span};
use andon::kafka::producer::Producer;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics::{self, Admin};
use andon::kafka::{Settings, codec};
use andon::store::{CommandBody, NewCommand, Store, TenantDb};
use andon::watch::health::Health;
use tokio_util::sync::CancellationToken;

use crate::support::{Andon, Servers, Site, random_name, until};

pub(super) fn spec(tenant: &str) -> TenantSpec {
    let text = format!(
        r#"
[tenant]
name = "{tenant}"
company = "Test"
time_zone = "Europe/Madrid"
locale = "en"

[[reason]]
code = "jam"
name = "Jam"
kind = "unplanned"

[[line]]
name = "l1"
title = "Line 1"
performance = 60.0
availability_target = 0.9
oee_target = 0.75
downtime_threshold_s = 3
oee_cadence_ms = 200

  [[line.area]]
  id = 1
  name = "out"
  role = "output"
  cameras = [11]
"#
    );
    TenantSpec::parse(&text).expect("a good file")
}

pub(super) struct Bench {
    site: Site,
    servers: Servers,
    pub tenant: String,
    store: Arc<Store>,
    pub db: Arc<TenantDb>,
    group: String,
}

impl Bench {
    pub async fn new() -> Bench {
        let servers = Servers::from_env();
        let site = Site::on(servers.clone());
        let tenant = site.tenant("engine");
        let store = Arc::new(Store::connect(&site.global_url()).await.expect("the database is up"));
        store.migrate().await.expect("migrated");
        store.apply_spec(&spec(&tenant), BEGINNING, "test", false).await.expect("applied");
        let db = store.tenant(&tenant).await.expect("there");
        let group = random_name("group");
        let bench = Bench { site, servers, tenant, store, db, group };
        let admin = Admin::connect(&bench.settings()).expect("kafka is up");
        admin.ensure_line_topics(&bench.tenant, "l1", None).await.expect("made");
        admin.ensure_tenant_topics(&bench.tenant).await.expect("made");
        bench
    }

    /// A second tenant of the same processes, whose database they reach by another port.
    pub async fn neighbour(&self, port: u16) -> (String, Arc<TenantDb>) {
        let tenant = self.site.tenant("neighbour");
        let mut spec = spec(&tenant);
        let (account, _) = self.servers.database.rsplit_once('@').expect("an account");
        spec.tenant.database_url = Some(SecretUrl::new(format!("{account}@127.0.0.1:{port}/andon_t_{tenant}")));
        self.store.apply_spec(&spec, BEGINNING, "test", false).await.expect("applied");
        let admin = Admin::connect(&self.settings()).expect("kafka is up");
        admin.ensure_line_topics(&tenant, "l1", None).await.expect("made");
        admin.ensure_tenant_topics(&tenant).await.expect("made");
        let db = self.store.tenant(&tenant).await.expect("there");
        (tenant, db)
    }

    pub fn settings(&self) -> Settings {
        let config = Config::default();
        Settings { group: self.group.clone(), ..Settings::new(&self.servers.kafka, &config.kafka) }
    }

    /// Environment that points a process here.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let mut env = self.site.env();
        env.retain(|(name, _)| *name != "ANDON_KAFKA__GROUP");
        env.push(("ANDON_KAFKA__GROUP", self.group.clone()));
        env
    }

    /// Runs an engine until the token is cancelled.
    pub fn engine(&self) -> (CancellationToken, tokio::task::JoinHandle<()>) {
        let stop = CancellationToken::new();
        let (settings, store, token) = (self.settings(), self.store.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let ids = Arc::new(SchemaIds::builtin());
            let config = Config::default();
            andon::engine::run(&config, settings, store, ids, Health::new(), token).await.expect("a clean end");
        });
        (stop, task)
    }

    pub fn send(&self, detections: impl IntoIterator<Item = Detection>) {
        self.send_to(&self.tenant, detections);
    }

    pub fn send_to(&self, tenant: &str, detections: impl IntoIterator<Item = Detection>) {
        let ids = SchemaIds::builtin();
        let mut producer = Producer::connect(&self.settings(), Duration::ZERO).expect("kafka is up");
        for detection in detections {
            let mut payload = Vec::new();
            codec::encode_detection(&detection, &ids, &mut payload);
            producer.send(&topics::detections(tenant, "l1"), None, Some(&payload)).expect("sent");
        }
        producer.flush(Duration::from_secs(10)).expect("flushed");
    }
}

pub(super) fn now() -> Ms {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as Ms
}

pub(super) fn piece(id: i64, at: Ms) -> Detection {
    Detection {
        detection_id: id,
        detected_at: at,
        area_id: 1,
        product_id: 1,
        quantity: 1,
        camera_id: Some(11),
        confidence: Some(0.5),
    }
}

pub(super) const ALWAYS: Span = Span { from: 0, to: FOREVER };

#[tokio::test(flavor = "multi_thread")]
async fn detections_become_rows_and_silence_becomes_a_stop_that_takes_a_reason() {
    let bench = Bench::new().await;
    let start = now() - 20_000;
    let (stop, task) = bench.engine();
    bench.send((0..10).map(|n| piece(n, start + n * 1_000)));
    let rows = until("ten rows", async || {
        let rows = bench.db.detections("l1", ALWAYS, true).await.expect("read");
        if rows.len() == 10 { Ok(rows) } else { Err(format!("{} rows", rows.len())) }
    })
    .await;
    assert_eq!(rows[0], (piece(0, start), false));
    let open = until("an open stop", async || {
        let stops = bench.db.stops("l1", ALWAYS, None, 10).await.expect("read");
        stops.iter().find(|s| s.status == StopStatus::Open).cloned().ok_or_else(|| format!("{stops:?}"))
    })
    .await;
    assert_eq!(open.started_at, start + 9_000);
    let command = NewCommand {
        idempotency_key: random_name("key"),
        line: "l1".into(),
        body: CommandBody::Classify {
            downtime_id: open.downtime_id.clone(),
            reason_code: Some("jam".into()),
            comment: Some("belt".into()),
            was: None,
        },
        author: "lead".into(),
    };
    let id = bench.db.submit(&command).await.expect("submitted");
    until("the command taken up", async || {
        bench.db.outcome(id).await.expect("read").ok_or_else(|| "it waits".to_owned())
    })
    .await;
    let told = bench.db.stop(&open.downtime_id).await.expect("read").expect("there");
    assert_eq!((told.reason_code.as_deref(), told.comment.as_deref()), (Some("jam"), Some("belt")));
    bench.send([piece(10, now())]);
    until("the stop closed", async || {
        let told = bench.db.stop(&open.downtime_id).await.expect("read").expect("there");
        if told.status == StopStatus::Closed { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    stop.cancel();
    task.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_engine_goes_on_where_the_last_one_left_off() {
    let bench = Bench::new().await;
    let start = now() - 600_000;
    for round in 0..3 {
        let (stop, task) = bench.engine();
        bench.send((round * 100..(round + 1) * 100).map(|n| piece(n, start + n * 1_000)));
        until("the round's rows", async || {
            let rows = bench.db.detections("l1", ALWAYS, true).await.expect("read");
            if rows.len() as i64 == (round + 1) * 100 { Ok(()) } else { Err(format!("{} rows", rows.len())) }
        })
        .await;
        stop.cancel();
        task.await.expect("no panic");
    }
    let minutes = bench.db.minutes("l1", ALWAYS).await.expect("read");
    assert_eq!(minutes.iter().map(|m| m.sums.total).sum::<i64>(), 300);
    let checkpoint = bench.db.checkpoint("l1").await.expect("read").expect("there");
    assert_eq!((checkpoint.next_offset, checkpoint.owner_epoch), (300, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_line_is_taken_over_by_a_process_that_has_no_other_line_of_its_tenant() {
    let bench = Bench::new().await;
    let admin = Admin::connect(&bench.settings()).expect("kafka is up");
    admin.delete(&[topics::detections(&bench.tenant, "l1")]).await.expect("deleted");
    admin.ensure_line_topics(&bench.tenant, "l2", None).await.expect("made");
    let mut env = bench.env();
    env.push(("ANDON_LOG", "info,andon::engine=debug".to_owned()));
    let andon = Andon::start(&["process"], &env);
    until("the process to look for the line in the file that has none", async || {
        let log = andon.log();
        let is_asked = |said: &str| said.contains("without a configured line") && said.contains(&bench.tenant);
        if log.lines().any(is_asked) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let mut spec = spec(&bench.tenant);
    let mut line = spec.lines[0].clone();
    line.name = "l2".to_owned();
    spec.lines.push(line);
    bench.store.apply_spec(&spec, now(), "test", false).await.expect("applied");
    until("the line to be taken over", async || {
        let checkpoint = bench.db.checkpoint("l2").await.expect("read");
        checkpoint.map(drop).ok_or_else(|| "nobody owns it".to_owned())
    })
    .await;
}
