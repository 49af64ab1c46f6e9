//! What a browser sees: login, live frames, reasons and figures, with the engine behind.

mod cameras;
mod edits;
mod entry;
mod export;
mod incidents;
mod monitor;
mod past;
mod preview;
mod protocol;
mod reconnect;
mod settings;
mod stops;
mod storm;
mod templates;
mod tenants;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use andon::config::tenant::TenantSpec;
use andon::config::{Config, SecretUrl};
use andon::domain::production::detection::Detection;
use andon::domain::time::{BEGINNING, Ms};
use andon::gateway::account::password;
use andon::kafka::producer::Producer;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics::{self, Admin};
use andon::kafka::{Settings, codec};
use andon::store::account::NewUser;
use andon::store::users::UserChange;
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

use crate::support::protocol::Protocol;
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
pub(in crate::pipeline) struct Bench {
    pub(in crate::pipeline) site: Site,
    pub(in crate::pipeline) tenant: String,
    pub(in crate::pipeline) db: Arc<TenantDb>,
    config: Arc<Config>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Bench {
    pub(in crate::pipeline) async fn new() -> Bench {
        Bench::of("gateway", spec, &["l1", "l2"]).await
    }

    /// A site of another plant.
    pub(in crate::pipeline) async fn of(name: &str, spec: fn(&str) -> TenantSpec, lines: &[&str]) -> Bench {
        let site = Site::new();
        let tenant = site.tenant(name);
        let store = Arc::new(Store::connect(&site.global_url()).await.expect("the database is up"));
        store.migrate().await.expect("migrated");
        store.apply_spec(&spec(&tenant), BEGINNING, "test", false).await.expect("applied");
        let row = store.tenants().await.expect("read").into_iter().find(|row| row.name == tenant);
        let password = password::hash("correct horse").expect("hashed");
        for (username, role) in
            [("admin", "ADMIN"), ("manager", "MANAGER"), ("operator", "OPERATOR"), ("viewer", "VIEWER")]
        {
            let new = NewUser { tenant: row.as_ref(), username, password: &password, role };
            store.create_user(&new).await.expect("created");
        }
        let db = store.tenant(&tenant).await.expect("there");
        let mut config = Config { listen: free_address().parse().expect("an address"), ..Config::default() };
        // Waiting is asking, many times a second.
        config.gateway.requests_per_minute = 1_000_000;
        config.kafka.brokers = Some(site.servers.kafka.clone());
        config.kafka.group.clone_from(&site.group);
        config.database.url = Some(SecretUrl::new(site.global_url()));
        let config = Arc::new(config);
        let admin = Admin::connect(&Settings::new(&site.servers.kafka, &config.kafka)).expect("kafka is up");
        admin.ensure_tenant_topics(&tenant).await.expect("made");
        for line in lines {
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

    /// Leaves a user these lines and no others.
    async fn narrow(&self, store: &Store, username: &str, lines: &[&str]) {
        let user = store.user(username).await.expect("read").expect("there");
        let permissions = json!({"lines": lines}).to_string();
        let change = UserChange {
            email: None,
            role: &user.role,
            permissions: Some(&permissions),
            locale: None,
            is_active: true,
            password: None,
        };
        store.change_user(user.id, 1, &change, now()).await.expect("changed");
    }

    pub(in crate::pipeline) fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.config.listen)
    }

    /// A client that is signed in, and its bearer token.
    pub(in crate::pipeline) async fn sign_in(&self, username: &str) -> (Client, String) {
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

    /// Makes a user of a tenant, or above all of them, whose password is everybody's.
    async fn add_user(&self, tenant: Option<&str>, username: &str, role: &str) {
        let store = Store::connect(&self.site.global_url()).await.expect("up");
        let rows = store.tenants().await.expect("read");
        let row = tenant.map(|name| rows.iter().find(|row| row.name == name).expect("there"));
        let password = password::hash("correct horse").expect("hashed");
        store.create_user(&NewUser { tenant: row, username, password: &password, role }).await.expect("created");
    }

    pub(in crate::pipeline) fn send(&self, line: &str, detections: impl IntoIterator<Item = Detection>) {
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

    pub(in crate::pipeline) async fn socket(&self, token: &str) -> Live {
        let mut request = format!("ws://{}/api/v1/live", self.config.listen).into_client_request().expect("a url");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "andon.v1".parse().expect("text"));
        headers.insert("authorization", format!("Bearer {token}").parse().expect("text"));
        let (socket, answer) = connect_async(request).await.expect("let in");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "andon.v1");
        let protocol = Protocol::of(&self.url("")).await;
        let mut live = Live { socket, protocol, subs: BTreeMap::new() };
        assert_eq!(live.hear().await.expect("hello")["op"], "hello");
        live
    }

    pub(in crate::pipeline) async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("a timely end").expect("no panic");
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A socket and what its frames add up to, by subscription.
pub(in crate::pipeline) struct Live {
    socket: Socket,
    /// Every frame is held against it.
    protocol: Arc<Protocol>,
    subs: BTreeMap<u64, Sub>,
}

#[derive(Clone, Default)]
struct Sub {
    items: BTreeMap<String, Value>,
    position: Option<Value>,
}

fn key(item: &Value) -> String {
    let own = item.get("key").or_else(|| item.get("downtime_id"));
    own.unwrap_or(&item["line"]).as_str().expect("a key").to_owned()
}

impl Live {
    /// The next frame; the code of the close when it is one.
    async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame = self.protocol.frame(&text);
                    self.take(&frame);
                    return Ok(frame);
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    self.protocol.close(frame.code.into(), &frame.reason);
                    return Err(frame.code.into());
                }
                Some(Ok(Message::Close(None))) => return Err(0),
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

    pub(in crate::pipeline) async fn subscribe(&mut self, id: u64, widget: &str, resume: Option<&Value>) {
        let mut frame = json!({"op": "subscribe", "id": id, "widget": widget, "params": {"line": "l1"}});
        if let Some(position) = resume {
            frame["resume"] = position.clone();
        }
        self.socket.send(Message::Text(frame.to_string().into())).await.expect("sent");
    }

    /// Hears until the socket is closed: the code of the close.
    pub(in crate::pipeline) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.hear().await {
                return code;
            }
        }
    }

    pub(in crate::pipeline) async fn subscribe_to(&mut self, id: u64, widget: &str, params: &Value) {
        let frame = json!({"op": "subscribe", "id": id, "widget": widget, "params": params});
        self.socket.send(Message::Text(frame.to_string().into())).await.expect("sent");
    }

    pub(in crate::pipeline) async fn unsubscribe(&mut self, id: u64) {
        let frame = json!({"op": "unsubscribe", "id": id});
        self.socket.send(Message::Text(frame.to_string().into())).await.expect("sent");
        self.subs.remove(&id);
    }

    /// A subscription's items once its first snapshot is whole; the problem's detail where it is refused.
    pub(in crate::pipeline) async fn snapshot(&mut self, id: u64) -> Result<Vec<Value>, String> {
        loop {
            let frame = self.hear().await.expect("an open socket");
            if frame["id"] != id {
                continue;
            }
            match frame["op"].as_str() {
                Some("error") => return Err(frame["problem"]["detail"].as_str().expect("a detail").to_owned()),
                Some("snapshot") if frame["more"] == false => {
                    return Ok(self.subs[&id].items.values().cloned().collect());
                }
                _ => {}
            }
        }
    }

    /// Hears until a subscription has an item that will do.
    pub(in crate::pipeline) async fn until(&mut self, id: u64, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let found = self.subs.get(&id).and_then(|sub| sub.items.values().find(|item| is(item)).cloned());
            if let Some(item) = found {
                return item;
            }
            let there = self.subs.get(&id).map(|sub| sub.items.values().collect::<Vec<_>>());
            assert!(std::time::Instant::now() < deadline, "waited in vain for {what} in {there:?}");
            self.hear().await.expect("an open socket");
        }
    }
}

pub(in crate::pipeline) fn piece(id: i64, at: Ms) -> Detection {
    let (camera_id, confidence) = (Some(11), None);
    Detection { detection_id: id, detected_at: at, area_id: 1, product_id: 1, quantity: 1, camera_id, confidence }
}

pub(in crate::pipeline) fn now() -> Ms {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as Ms
}

async fn answer_of(answer: reqwest::Response) -> (StatusCode, Value) {
    (answer.status(), answer.json().await.expect("json"))
}
