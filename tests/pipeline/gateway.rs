//! What a browser sees: login, live frames, reasons and figures, with the engine behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use andon::config::tenant::TenantSpec;
use andon::config::{Config, SecretUrl};
use andon::domain::production::batch::{self, BatchInput};
use andon::domain::production::detection::Detection;
use andon::domain::time::{BEGINNING, FOREVER, Ms, Span, parse_rfc3339, rfc3339};
use andon::gateway::account::password;
use andon::kafka::producer::Producer;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics::{self, Admin};
use andon::kafka::{Settings, codec};
use andon::store::account::NewUser;
use andon::store::{Store, TenantDb};
use andon::watch::health::Health;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, Site, free_address, until};

fn spec(tenant: &str) -> TenantSpec {
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

[[line]]
name = "l1"
title = "Line 1"
performance = 60.0
oee_target = 0.75
downtime_threshold_s = 3
micro_stop_threshold_s = 2
oee_cadence_ms = 200
  [[line.area]]
  id = 1
  role = "output"
  cameras = [11]

[[line]]
name = "l2"
  [[line.area]]
  id = 1
  role = "output"
"#
    );
    TenantSpec::parse(&text).expect("a good file")
}

/// A site with a tenant, its users, an engine and a gateway.
pub(super) struct Bench {
    site: Site,
    tenant: String,
    db: Arc<TenantDb>,
    config: Arc<Config>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Bench {
    pub(super) async fn new() -> Bench {
        let site = Site::new();
        let tenant = site.tenant("gateway");
        let store = Arc::new(Store::connect(&site.global_url()).await.expect("the database is up"));
        store.migrate().await.expect("migrated");
        store.apply_spec(&spec(&tenant), BEGINNING, "test", false).await.expect("applied");
        let row = store.tenants().await.expect("read").into_iter().find(|row| row.name == tenant);
        let password = password::hash("correct horse").expect("hashed");
        for (username, role) in [("operator", "OPERATOR"), ("viewer", "VIEWER")] {
            let new = NewUser { tenant: row.as_ref(), username, password: &password, role };
            store.create_user(&new).await.expect("created");
        }
        let db = store.tenant(&tenant).await.expect("there");
        let mut config = Config { listen: free_address().parse().expect("an address"), ..Config::default() };
        config.kafka.brokers = Some(site.servers.kafka.clone());
        config.kafka.group.clone_from(&site.group);
        config.database.url = Some(SecretUrl::new(site.global_url()));
        let config = Arc::new(config);
        let admin = Admin::connect(&Settings::new(&site.servers.kafka, &config.kafka)).expect("kafka is up");
        admin.ensure_tenant_topics(&tenant).await.expect("made");
        for line in ["l1", "l2"] {
            admin.ensure_line_topics(&tenant, line, None).await.expect("made");
        }
        let (stop, ids, health) = (CancellationToken::new(), Arc::new(SchemaIds::builtin()), Health::new());
        let gateway = andon::gateway::run(config.clone(), ids.clone(), health.clone(), stop.clone());
        let (settings, own) = (Settings::new(&site.servers.kafka, &config.kafka), config.clone());
        let token = stop.clone();
        let engine = async move { andon::engine::run(&own, settings, store, ids, Health::new(), token).await };
        let tasks = vec![
            tokio::spawn(async { gateway.await.expect("a clean end") }),
            tokio::spawn(async { engine.await.expect("a clean end") }),
        ];
        until("the gateway to be ready", async || match health.report() {
            report if report.ready => Ok(()),
            report => Err(format!("{report:?}")),
        })
        .await;
        Bench { site, tenant, db, config, stop, tasks }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.config.listen)
    }

    /// A client that is signed in, and its bearer token.
    pub(super) async fn sign_in(&self, username: &str) -> (Client, String) {
        let client = Client::builder().cookie_store(true).build().expect("a client");
        let body = json!({"username": username, "password": "correct horse"});
        let answer = client.post(self.url("/auth/login")).json(&body).send().await.expect("answered");
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = answer.headers()["set-cookie"].to_str().expect("text").to_owned();
        assert!(cookie.starts_with("andon=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
        let body: Value = answer.json().await.expect("json");
        assert_eq!(body["user"]["username"], username);
        (client, body["access_token"].as_str().expect("a token").to_owned())
    }

    pub(super) fn send(&self, line: &str, detections: impl IntoIterator<Item = Detection>) {
        let ids = SchemaIds::builtin();
        let settings = Settings::new(&self.site.servers.kafka, &self.config.kafka);
        let mut producer = Producer::connect(&settings, Duration::ZERO).expect("kafka is up");
        for detection in detections {
            let mut payload = Vec::new();
            codec::encode_detection(&detection, &ids, &mut payload);
            producer.send(&topics::detections(&self.tenant, line), None, Some(&payload)).expect("sent");
        }
        producer.flush(Duration::from_secs(10)).expect("flushed");
    }

    pub(super) async fn socket(&self, token: &str) -> Live {
        let mut request = format!("ws://{}/api/v1/live", self.config.listen).into_client_request().expect("a url");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "andon.v1".parse().expect("text"));
        headers.insert("authorization", format!("Bearer {token}").parse().expect("text"));
        let (socket, answer) = connect_async(request).await.expect("let in");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "andon.v1");
        let mut live = Live { socket, subs: BTreeMap::new() };
        assert_eq!(live.hear().await.expect("hello")["op"], "hello");
        live
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("a timely end").expect("no panic");
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A socket and what its frames add up to, by subscription.
pub(super) struct Live {
    socket: Socket,
    subs: BTreeMap<u64, Sub>,
}

#[derive(Clone, Default)]
struct Sub {
    items: BTreeMap<String, Value>,
    position: Option<Value>,
}

fn key(item: &Value) -> String {
    item.get("downtime_id").unwrap_or(&item["line"]).as_str().expect("a key").to_owned()
}

impl Live {
    /// The next frame; the code of the close when it is one.
    async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).expect("json");
                    self.take(&frame);
                    return Ok(frame);
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    fn take(&mut self, frame: &Value) {
        if !matches!(frame["op"].as_str(), Some("snapshot" | "change")) {
            return;
        }
        let sub = self.subs.entry(frame["id"].as_u64().expect("an id")).or_default();
        for gone in frame["data"]["removed"].as_array().into_iter().flatten() {
            sub.items.remove(gone.as_str().expect("a key"));
        }
        for item in frame["data"]["items"].as_array().expect("items") {
            sub.items.insert(key(item), item.clone());
        }
        sub.position = Some(json!({"epoch": frame["epoch"], "offset": frame["offset"]}));
    }

    pub(super) async fn subscribe(&mut self, id: u64, widget: &str, resume: Option<&Value>) {
        let mut frame = json!({"op": "subscribe", "id": id, "widget": widget, "params": {"line": "l1"}});
        if let Some(position) = resume {
            frame["resume"] = position.clone();
        }
        self.socket.send(Message::Text(frame.to_string().into())).await.expect("sent");
    }

    /// Hears until a subscription has an item that will do.
    pub(super) async fn until(&mut self, id: u64, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let found = self.subs.get(&id).and_then(|sub| sub.items.values().find(|item| is(item)).cloned());
            if let Some(item) = found {
                return item;
            }
            assert!(std::time::Instant::now() < deadline, "waited in vain for {what}");
            self.hear().await.expect("an open socket");
        }
    }
}

pub(super) fn piece(id: i64, at: Ms) -> Detection {
    let (camera_id, confidence) = (Some(11), None);
    Detection { detection_id: id, detected_at: at, area_id: 1, product_id: 1, quantity: 1, camera_id, confidence }
}

pub(super) fn now() -> Ms {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as Ms
}

async fn json(answer: reqwest::Response) -> (StatusCode, Value) {
    (answer.status(), answer.json().await.expect("json"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_shows_takes_a_reason_and_counts_the_same_everywhere() {
    let bench = Bench::new().await;
    let (operator, token) = bench.sign_in("operator").await;
    let (viewer, _) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_state", None).await;
    live.subscribe(2, "feed_downtime", None).await;
    // A micro-stop between the sixth and the seventh, then silence.
    let start = now() - 30_000;
    let at = |n: i64| start + n * 700 + if n > 5 { 1_800 } else { 0 };
    bench.send("l1", (0..12).map(|n| piece(n, at(n))));
    let state = live.until(1, "a stopped line", |item| item["state"] == "stopped").await;
    assert_eq!((&state["title"], &state["ideal_cycle_ns"]), (&json!("Line 1"), &json!(1_000_000_000)));
    let stop = live.until(2, "an open stop", |item| item["status"] == "open").await;
    let id = stop["downtime_id"].as_str().expect("an id").to_owned();
    assert_eq!(id, format!("l1:{}", at(11)));

    let put = async |client: &Client, id: &str, wish: Value| {
        json(client.put(bench.url(&format!("/downtime/{id}"))).json(&wish).send().await.expect("answered")).await
    };
    let jam = json!({"reason_code": "jam", "comment": "belt"});
    assert_eq!(put(&viewer, &id, jam.clone()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(put(&operator, "l1:5", jam.clone()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(put(&operator, "l9:5", jam.clone()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(put(&operator, &id, json!({"reason_code": "none"})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, told) = put(&operator, &id, jam).await;
    assert_eq!((status, &told["reason_code"]), (StatusCode::OK, &json!("jam")), "{told}");
    let heard = live.until(2, "the reason", |item| item["reason_code"] == "jam").await;
    assert_eq!((&heard["downtime_id"], &heard["comment"]), (&json!(id), &json!("belt")));

    // The line runs again: the stop closes, and the past is settled.
    let again = now();
    bench.send("l1", (20..40).map(|n| piece(n, again + (n - 20) * 50)));
    let closed = live.until(2, "the end of the stop", |item| item["status"] == "closed").await;
    let last = again + 19 * 50;
    live.until(1, "the last piece", |item| {
        parse_rfc3339(item["as_of"].as_str().expect("a time")).expect("a time") >= last
    })
    .await;
    let period = format!("from={}&to={}", rfc3339(start - 1_000), rfc3339(last));
    let (_, page) =
        json(operator.get(bench.url(&format!("/downtime?line=l1&{period}"))).send().await.expect("answered")).await;
    assert_eq!(page["items"], json!([closed]));

    // Figures of any period, to the millisecond, are those of the plain recomputation.
    let inputs = bench.db.inputs("l1").await.expect("read").into_iter().map(|stored| stored.input).collect();
    let detections = bench.db.detections("l1", Span::new(0, FOREVER), false).await.expect("read");
    let input = BatchInput {
        line: "l1".into(),
        configs: bench.db.line_configs("l1").await.expect("read"),
        detections: detections.into_iter().map(|(detection, _)| detection).collect(),
        inputs,
    };
    let ledger = batch::recompute(&input);
    for (from, to) in [
        (start - 1_000, last),
        (start + 1, last - 1),
        (at(5) + 100, at(5) + 200),
        (at(5) + 100, at(11) + 1),
        (at(11) + 4_321, again - 1),
        (start - 90_000, start - 1),
    ] {
        let path = format!("/metrics/oee?line=l1&from={}&to={}", rfc3339(from), rfc3339(to));
        let (status, body) = json(operator.get(bench.url(&path)).send().await.expect("answered")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let expected = serde_json::to_value(ledger.figure_range(Span::new(from, to))).expect("json");
        let mut told = body["figures"][0].clone();
        // The clock goes on while this reads.
        told["as_of"] = expected["as_of"].clone();
        assert_eq!(told, expected, "{} ms after the start to {}", from - start, to - start);
    }

    let path = format!("/data/aggregate?line=l1&interval=minute&{period}");
    let (status, body) = json(operator.get(bench.url(&path)).send().await.expect("answered")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let pieces: i64 =
        body["items"].as_array().expect("items").iter().filter_map(|i| i["pieces"]["total"].as_i64()).sum();
    assert_eq!(pieces, 32);

    // Whoever signs out is shown out.
    let answer = operator.post(bench.url("/auth/logout")).send().await.expect("answered");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let code = loop {
        if let Err(code) = live.hear().await {
            break code;
        }
    };
    assert_eq!(code, 4201);
    assert_eq!(operator.get(bench.url("/auth/me")).send().await.expect("answered").status(), StatusCode::UNAUTHORIZED);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_cut_off_knows_the_same_when_it_is_back() {
    let bench = Bench::new().await;
    let (_, token) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_downtime", None).await;
    let start = now() - 200_000;
    bench.send("l1", (0..5).map(|n| piece(n, start + n * 10_000)));
    live.until(1, "the first stop", |_| true).await;
    let known = live.subs[&1].clone();
    drop(live.socket);

    bench.send("l1", (5..10).map(|n| piece(n, start + n * 10_000)));
    let stops = async || bench.db.stops("l1", Span::new(start, start + 90_000), None, 100).await.expect("read");
    until("nine stops", async || match stops().await.len() {
        9 => Ok(()),
        count => Err(format!("{count}")),
    })
    .await;
    let last = format!("l1:{}", start + 80_000);
    let mut back = bench.socket(&token).await;
    back.subs.insert(1, known.clone());
    back.subscribe(1, "feed_downtime", known.position.as_ref()).await;
    let first = back.hear().await.expect("a frame");
    assert_eq!(first["op"], "change", "resumed, not begun anew");
    let is_last = |item: &Value| item["downtime_id"] == json!(last) && item["status"] == "closed";
    back.until(1, "the last stop", is_last).await;

    let mut fresh = bench.socket(&token).await;
    fresh.subscribe(1, "feed_downtime", None).await;
    fresh.until(1, "the last stop", is_last).await;
    let closed =
        |sub: &Sub| -> Vec<Value> { sub.items.values().filter(|item| item["status"] == "closed").cloned().collect() };
    assert_eq!(closed(&back.subs[&1]).len(), 9);
    assert_eq!(closed(&back.subs[&1]), closed(&fresh.subs[&1]));

    // At the end of the process sockets are told to come again at once.
    let stop = bench.stop.clone();
    stop.cancel();
    for mut live in [back, fresh] {
        let code = loop {
            if let Err(code) = live.hear().await {
                break code;
            }
        };
        assert_eq!(code, 4000);
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_so_and_written_down() {
    let bench = Bench::new().await;
    let client = Client::new();
    for (username, password) in [("operator", "wrong horse"), ("nobody", "correct horse")] {
        let body = json!({"username": username, "password": password});
        let (status, problem) =
            json(client.post(bench.url("/auth/login")).json(&body).send().await.expect("answered")).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("wrong_login")));
    }
    let mut request = format!("ws://{}/api/v1/live", bench.config.listen).into_client_request().expect("a url");
    assert!(connect_async(request.clone()).await.is_err(), "without a session");
    let (_, token) = bench.sign_in("operator").await;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("text"));
    request.headers_mut().insert("origin", "https://evil.example".parse().expect("text"));
    assert!(connect_async(request.clone()).await.is_err(), "from a page of another site");

    // A fourth session ends the first.
    let first = bench.sign_in("viewer").await.1;
    let mut live = bench.socket(&first).await;
    for _ in 0..3 {
        bench.sign_in("viewer").await;
    }
    let code = loop {
        if let Err(code) = live.hear().await {
            break code;
        }
    };
    assert_eq!(code, 4201);

    let logins: Vec<(String, bool)> = {
        use sqlx::Connection;
        let mut connection = sqlx::MySqlConnection::connect(&bench.site.global_url()).await.expect("up");
        let rows = sqlx::query_as("SELECT username, succeeded FROM user_login ORDER BY login_id");
        rows.fetch_all(&mut connection).await.expect("read")
    };
    let expected = [("operator", false), ("nobody", false), ("operator", true)];
    assert_eq!(logins[..3], expected.map(|(name, succeeded)| (name.to_owned(), succeeded)));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_the_past_add_up_to_what_is_stored() {
    let bench = Bench::new().await;
    let (client, token) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_state", None).await;
    // Ten minutes of pieces of two products, with a stop after each forty.
    let start = now() - 700_000;
    let at = |n: i64| start + n * 1_117 + (n / 40) * 20_000;
    let all: Vec<Detection> =
        (0..300).map(|n| Detection { product_id: 1 + (n % 3 == 0) as i32, ..piece(n, at(n)) }).collect();
    bench.send("l1", all.clone());
    live.until(1, "the last piece", |item| {
        parse_rfc3339(item["as_of"].as_str().expect("a time")).expect("a time") >= at(299)
    })
    .await;
    let get = async |path: String| {
        let (status, body) = json(client.get(bench.url(&path)).send().await.expect("answered")).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    };
    for (from, to) in [(start, at(299) + 1), (at(10) + 1, at(250)), (at(41), at(42) + 7), (at(39) + 5, at(40) - 5)] {
        let period = format!("line=l1&from={}&to={}", rfc3339(from), rfc3339(to));
        let inside: Vec<&Detection> = all.iter().filter(|d| (from..to).contains(&d.detected_at)).collect();

        let mut seen: Vec<i64> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = get(format!("/data/detections?{period}&limit=7{cursor}")).await;
            seen.extend(page["items"].as_array().expect("items").iter().filter_map(|i| i["detection_id"].as_i64()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, inside.iter().map(|d| d.detection_id).collect::<Vec<_>>());
        let only = get(format!("/data/detections?{period}&product=2&limit=1000")).await;
        let of_two = inside.iter().filter(|d| d.product_id == 2).count();
        assert_eq!(only["items"].as_array().map(Vec::len), Some(of_two));

        let by_product = get(format!("/data/production/by-product?{period}&product=2")).await;
        let output: i64 =
            by_product["items"].as_array().expect("items").iter().filter_map(|i| i["output"].as_i64()).sum();
        assert_eq!(output, of_two as i64);
        let by_area = get(format!("/data/production/by-area?{period}")).await;
        assert_eq!(by_area["items"][0]["quantity"], json!(inside.len()));
        let summary = get(format!("/data/production/summary?{period}")).await;
        assert_eq!(summary["total"]["pieces"]["total"], json!(inside.len()));
        assert_eq!(summary["total"]["without_weight"], json!(inside.len()));

        let figures = get(format!("/metrics/oee?{period}")).await;
        let figure = &figures["figures"][0];
        for metric in ["availability", "performance", "quality"] {
            let parts = get(format!("/metrics/{metric}?{period}")).await;
            assert_eq!(parts["items"][0]["value"], figure[metric], "{metric}");
        }
        let stops = get(format!("/downtime/summary?{period}")).await;
        assert_eq!(stops["unplanned"]["duration_ms"], figure["buckets_ms"]["stopped"], "{stops}");
        assert_eq!(stops["total"], stops["unplanned"]);
        let two = get(format!("/metrics/comparison?{period}")).await;
        assert_eq!(two["current"]["figures"][0]["pieces"], figure["pieces"]);
        assert_eq!(two["against"]["figures"][0]["to"], figure["from"]);
    }
    bench.end().await;
}
