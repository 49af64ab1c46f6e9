//! What must not be taken: it is set aside with its reason, counted, and the line goes on. What cannot be judged yet waits.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use andon::config::Config;
use andon::config::tenant::TenantSpec;
use andon::domain::production::detection::{CameraStatus, Detection, Health as CameraHealth};
use andon::domain::time::{BEGINNING, FOREVER, Ms, Span};
use andon::kafka::producer::Producer;
use andon::kafka::schemas::{Kind, Lookup, SchemaIds};
use andon::kafka::topics::{self, Admin};
use andon::kafka::{Settings, codec};
use andon::store::{Store, TenantDb};
use andon::watch::health::Health;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::engine::{now, piece};
use crate::support::{PATIENCE, Site, until};

const ALWAYS: Span = Span { from: 0, to: FOREVER };
const DAY_MS: Ms = 24 * 3_600_000;

fn spec(tenant: &str) -> TenantSpec {
    let line = |name: &str| {
        format!(
            r#"
[[line]]
name = "{name}"
performance = 60.0
downtime_threshold_s = 3
retention_months = 2
  [[line.area]]
  id = 1
  name = "out"
  role = "output"
  cameras = [11]
"#
        )
    };
    let head = format!("[tenant]\nname = \"{tenant}\"\ncompany = \"Test\"\ntime_zone = \"Europe/Madrid\"\n");
    TenantSpec::parse(&format!("{head}{}{}", line("l1"), line("l2"))).expect("a good file")
}

/// A tenant with two lines, and nobody who processes them yet.
pub(super) struct Plant {
    pub site: Site,
    pub tenant: String,
    pub store: Arc<Store>,
    pub db: Arc<TenantDb>,
}

impl Plant {
    pub async fn new(site: Site) -> Plant {
        let tenant = site.tenant("bad");
        let store = Arc::new(Store::connect(&site.global_url()).await.expect("the database is up"));
        store.migrate().await.expect("migrated");
        store.apply_spec(&spec(&tenant), BEGINNING, "test", false).await.expect("applied");
        let db = store.tenant(&tenant).await.expect("there");
        let plant = Plant { site, tenant, store, db };
        let admin = Admin::connect(&plant.settings()).expect("kafka is up");
        for line in ["l1", "l2"] {
            admin.ensure_line_topics(&plant.tenant, line, None).await.expect("made");
        }
        admin.ensure_tenant_topics(&plant.tenant).await.expect("made");
        plant
    }

    pub fn settings(&self) -> Settings {
        let config = Config::default();
        Settings { group: self.site.group.clone(), ..Settings::new(&self.site.servers.kafka, &config.kafka) }
    }

    pub fn send(&self, line: &str, payloads: impl IntoIterator<Item = Vec<u8>>) {
        let mut producer = Producer::connect(&self.settings(), Duration::ZERO).expect("kafka is up");
        for payload in payloads {
            producer.send(&topics::detections(&self.tenant, line), None, Some(&payload)).expect("sent");
        }
        producer.flush(PATIENCE).expect("flushed");
    }

    pub async fn rows(&self, line: &str, count: usize) {
        until("the rows", async || {
            let rows = self.db.detections(line, ALWAYS, true).await.map_err(|why| why.to_string())?;
            if rows.len() == count { Ok(()) } else { Err(format!("{line} has {} rows", rows.len())) }
        })
        .await;
    }

    /// Offset, reason and payload of the dead letters, once there are so many.
    async fn dead_letters(&self, count: usize) -> Vec<(i64, String, Vec<u8>)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.site.servers.kafka)
            .set("group.id", format!("reader-{}", self.tenant))
            .set("isolation.level", "read_committed")
            .create()
            .expect("a client's settings");
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(&topics::deadletter(&self.tenant), 0, Offset::Beginning).expect("a place");
        consumer.assign(&from).expect("assigned");
        let input = topics::detections(&self.tenant, "l1");
        let letters = RefCell::new(Vec::new());
        until("the dead letters", async || {
            while let Some(Ok(letter)) = consumer.poll(Duration::from_millis(20)) {
                let headers = letter.headers().expect("headers");
                let value = |name: &str| {
                    let header = headers.iter().find(|header| header.key == name).and_then(|header| header.value);
                    String::from_utf8(header.unwrap_or_else(|| panic!("no {name}")).to_vec()).expect("text")
                };
                assert_eq!((value("topic"), value("partition")), (input.clone(), "0".to_owned()));
                let payload = letter.payload().expect("unchanged").to_vec();
                letters.borrow_mut().push((value("offset").parse().expect("a number"), value("reason"), payload));
            }
            let there = letters.borrow().clone();
            if there.len() >= count { Ok(there) } else { Err(format!("{} are there", there.len())) }
        })
        .await
    }
}

fn encoded(detection: Detection) -> Vec<u8> {
    let mut payload = Vec::new();
    codec::encode_detection(&detection, &SchemaIds::builtin(), &mut payload);
    payload
}

fn status(camera_id: i32, at: Ms) -> Vec<u8> {
    let status = CameraStatus { camera_id, at, status: CameraHealth::Online, reason: None };
    let mut payload = Vec::new();
    codec::encode_status(&status, &SchemaIds::builtin(), &mut payload);
    payload
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_dead_letters_with_their_reason_and_the_line_goes_on() {
    let plant = Plant::new(Site::new()).await;
    let andon = plant.site.spawn("process").await;
    let start = now() - 60_000;
    let good = piece(1, start);
    let bad = [
        ("undecodable", vec![1, 2, 3]),
        ("undecodable", vec![0]),
        // A schema id that nobody has given out, without a registry to ask.
        ("undecodable", vec![0, 0, 0, 9, 9, 1]),
        ("unknown_area", encoded(Detection { area_id: 99, ..piece(2, start + 1) })),
        ("unknown_camera", status(99, start + 1)),
        ("future", encoded(piece(3, now() + 10 * 60_000))),
        ("bad_quantity", encoded(Detection { quantity: 0, ..piece(4, start + 2) })),
        ("bad_quantity", encoded(Detection { quantity: -7, ..piece(5, start + 2) })),
        ("expired", encoded(piece(6, start - 100 * DAY_MS))),
        ("id_conflict", encoded(Detection { quantity: 2, ..good })),
    ];
    // The first whole, its repeat, all that is bad, and one more.
    let payloads = [encoded(good), encoded(good)].into_iter().chain(bad.iter().map(|(_, payload)| payload.clone()));
    plant.send("l1", payloads.chain([encoded(piece(7, start + 1_000))]));

    plant.rows("l1", 2).await;
    let letters = plant.dead_letters(bad.len()).await;
    let expected =
        bad.iter().zip(2..).map(|((reason, payload), offset)| (offset, (*reason).to_owned(), payload.clone()));
    assert_eq!(letters, expected.collect::<Vec<_>>());
    for (reason, count) in [
        ("undecodable", 3.0),
        ("unknown_area", 1.0),
        ("unknown_camera", 1.0),
        ("future", 1.0),
        ("bad_quantity", 2.0),
        ("expired", 1.0),
        ("id_conflict", 1.0),
    ] {
        let name = format!("andon_dead_letters_total{{tenant=\"{}\",reason=\"{reason}\"}}", plant.tenant);
        assert_eq!(andon.metric(&name).await, Some(count), "{reason}");
    }
    for (outcome, count) in [("dead_letter", 10.0), ("applied", 2.0), ("duplicate", 1.0)] {
        let name = format!("andon_detections_total{{tenant=\"{}\",outcome=\"{outcome}\"}}", plant.tenant);
        assert_eq!(andon.metric(&name).await, Some(count), "{outcome}");
    }
}

/// A registry that knows an older `Detection` under id 900, while it answers.
struct Registry {
    is_there: AtomicBool,
}

impl Lookup for Registry {
    fn schema(&self, id: u32) -> Result<Option<String>, String> {
        match id {
            _ if !self.is_there.load(Ordering::Relaxed) => Err("connection refused".to_owned()),
            900 => Ok(Some(Kind::Detection.text().to_owned())),
            _ => Ok(None),
        }
    }
}

fn under(id: u32, mut payload: Vec<u8>) -> Vec<u8> {
    payload[1..5].copy_from_slice(&id.to_be_bytes());
    payload
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_schema_that_an_absent_registry_cannot_tell_wait_for_it() {
    let plant = Plant::new(Site::new()).await;
    let registry = Arc::new(Registry { is_there: AtomicBool::new(false) });
    let ids = Kind::ALL.map(Kind::builtin_id);
    let ids = Arc::new(SchemaIds::new(ids, Some(registry.clone())));
    let stop = CancellationToken::new();
    let (settings, store, token) = (plant.settings(), plant.store.clone(), stop.clone());
    let engine = tokio::spawn(async move {
        let config = Config::default();
        andon::engine::run(&config, settings, store, ids, Health::new(), token).await.expect("a clean end");
    });
    let start = now() - 60_000;
    let after = |id: i64| encoded(piece(id, start + id * 1_000));
    plant.send("l1", [after(1), under(900, after(2)), under(901, after(3)), after(4)]);
    plant.send("l2", [after(1), after(2)]);
    // The other line goes on, this one stands before what cannot be judged.
    plant.rows("l2", 2).await;
    plant.rows("l1", 1).await;
    plant.send("l1", [after(5)]);
    plant.send("l2", [after(3)]);
    plant.rows("l2", 3).await;
    let stands = plant.db.checkpoint("l1").await.expect("read").expect("there");
    assert_eq!(stands.next_offset, 1, "nothing is passed over, nothing is buried");

    registry.is_there.store(true, Ordering::Relaxed);
    plant.rows("l1", 4).await;
    let letters = plant.dead_letters(1).await;
    assert_eq!(letters, [(2, "undecodable".to_owned(), under(901, after(3)))], "only what the registry does not know");
    stop.cancel();
    engine.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tenant_or_line_in_a_request_is_404_as_problem_json() {
    let plant = Plant::new(Site::new()).await;
    let create = ["user", "create", "--tenant", &plant.tenant, "--role", "ADMIN", "lead"];
    plant.site.andon_with_input(&create, "correct horse battery");
    let andon = plant.site.spawn("gateway").await;
    let client = reqwest::Client::new();
    let login = serde_json::json!({"username": "lead", "password": "correct horse battery"});
    let login = client.post(format!("{}/api/v1/auth/login", andon.url)).json(&login).send().await.expect("answered");
    let token = login.json::<serde_json::Value>().await.expect("json")["access_token"].as_str().map(str::to_owned);
    let ask = async |path: &str| {
        let request =
            client.get(format!("{}/api/v1{path}", andon.url)).bearer_auth(token.as_deref().expect("logged in"));
        let answer = request.send().await.expect("answered");
        let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
        (answer.status().as_u16(), kind, answer.json::<serde_json::Value>().await.expect("json"))
    };
    let (status, _, _) = ask("/metrics/oee?line=l1&window=1h").await;
    assert_eq!(status, 200);
    for path in [
        "/metrics/oee?line=l9&window=1h",
        "/downtime?line=l9",
        "/production/lines?tenant=nobody",
        "/downtime?line=l1&tenant=nobody",
    ] {
        let (status, kind, problem) = ask(path).await;
        assert_eq!((status, kind.as_str()), (404, "application/problem+json"), "{path}: {problem}");
        assert_eq!(problem["status"], 404, "{path}");
    }
}
