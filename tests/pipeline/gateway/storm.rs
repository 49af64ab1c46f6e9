//! A gateway that is killed with a thousand sockets on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use andon::domain::time::BEGINNING;
use andon::gateway::account::password;
use andon::kafka::Settings;
use andon::kafka::topics::Admin;
use andon::store::Store;
use andon::store::account::NewUser;
use andon::store::users::UserChange;
use parking_lot::Mutex;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::support::Andon;
use crate::support::proxy::Proxy;

const SOCKETS: usize = 1_000;
/// 50 sockets each: fewer than a user may have.
const USERS: usize = 20;
/// What each socket shows.
const SUBSCRIPTIONS: [(u64, &str); 4] = [(1, "feed_state"), (2, "feed_oee"), (3, "feed_downtime"), (4, "kpi_oee")];
/// The aim.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// How long the statements of a start are counted: what a gateway asks by itself comes every few seconds.
const COUNTED: Duration = Duration::from_secs(9);
/// What there is to ask once for everybody: the answers of the widgets that are looked at, stops of the lines.
const ONCE_FOR_ALL: u64 = 60;

/// Sockets need a file each, here and in the gateway.
fn enough_files() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("the limits of this process");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit of files");
    let soft = line.split_ascii_whitespace().nth(3).and_then(|soft| soft.parse::<usize>().ok());
    assert!(
        soft.is_none_or(|soft| soft >= 2 * SOCKETS),
        "this test holds {SOCKETS} sockets: `ulimit -n` has to be {} or more, and is {soft:?}",
        2 * SOCKETS
    );
}

/// A tenant, its users and its engine; gateways come and go at one address, behind a way to the database that counts.
struct Hall {
    site: Site,
    tenant: String,
    listen: String,
    ways: Proxy,
    engine: Andon,
    settings: Settings,
}

impl Hall {
    async fn new() -> Hall {
        let site = Site::new();
        let tenant = site.tenant("storm");
        let store = Store::connect(&site.global_url()).await.expect("the database is up");
        store.migrate().await.expect("migrated");
        store.apply_spec(&spec(&tenant), BEGINNING, "test", false).await.expect("applied");
        let row = store.tenants().await.expect("read").into_iter().find(|row| row.name == tenant);
        let password = password::hash("correct horse").expect("hashed");
        for number in 0..USERS {
            let username = format!("user{number}");
            let new = NewUser { tenant: row.as_ref(), username: &username, password: &password, role: "VIEWER" };
            store.create_user(&new).await.expect("created");
            // Every fourth sees one line only.
            if number % 4 == 0 {
                let user = store.user(&username).await.expect("read").expect("there");
                let change = UserChange {
                    email: None,
                    role: "VIEWER",
                    permissions: Some(r#"{"lines": ["l1"]}"#),
                    locale: None,
                    is_active: true,
                    password: None,
                };
                store.change_user(user.id, 1, &change, now()).await.expect("changed");
            }
        }
        let config = Config::default();
        let settings = Settings::new(&site.servers.kafka, &config.kafka);
        let admin = Admin::connect(&settings).expect("kafka is up");
        admin.ensure_tenant_topics(&tenant).await.expect("made");
        for line in ["l1", "l2"] {
            admin.ensure_line_topics(&tenant, line, None).await.expect("made");
        }
        let server = site.servers.database.rsplit_once('@').expect("a user").1.to_owned();
        let ways = Proxy::start(&server).await;
        let engine = site.spawn("process").await;
        Hall { site, tenant, listen: free_address(), ways, engine, settings }
    }

    /// Starts a gateway at the one address.
    fn gateway(&self) -> Andon {
        let account = self.site.servers.database.rsplit_once('@').expect("a user").0;
        let through = format!("{account}@127.0.0.1:{}/{}", self.ways.port, self.site.global);
        let mut env = self.site.env();
        env.retain(|(name, _)| *name != "ANDON_DATABASE_URL");
        env.extend([("ANDON_DATABASE_URL", through), ("ANDON_LISTEN", self.listen.clone())]);
        Andon::start(&["gateway"], &env)
    }

    async fn sign_in(&self, username: &str) -> String {
        let body = json!({"username": username, "password": "correct horse"});
        let url = format!("http://{}/api/v1/auth/login", self.listen);
        let answer = Client::new().post(url).json(&body).send().await.expect("answered");
        assert_eq!(answer.status(), StatusCode::OK);
        let body: Value = answer.json().await.expect("json");
        body["access_token"].as_str().expect("a token").to_owned()
    }

    fn send(&self, line: &str, detections: impl IntoIterator<Item = Detection>) {
        let mut producer = Producer::connect(&self.settings, Duration::ZERO).expect("kafka is up");
        for detection in detections {
            let mut payload = Vec::new();
            codec::encode_detection(&detection, &SchemaIds::builtin(), &mut payload);
            producer.send(&topics::detections(&self.tenant, line), None, Some(&payload)).expect("sent");
        }
        producer.flush(PATIENCE).expect("flushed");
    }
}

/// A screen: it comes back whenever it is cut off, and goes on from where it was.
struct Screen {
    listen: String,
    token: String,
    /// None: all that one may see.
    line: Option<&'static str>,
    subs: Mutex<BTreeMap<u64, Sub>>,
    /// How often it knew everything after a connection was made.
    rounds: AtomicUsize,
}

impl Screen {
    async fn run(self: Arc<Screen>, end: CancellationToken) {
        while !end.is_cancelled() {
            let Some(mut socket) = self.connect().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            tokio::select! {
                () = end.cancelled() => {}
                _ = self.follow(&mut socket) => {}
            }
        }
    }

    async fn connect(&self) -> Option<Socket> {
        let mut request = format!("ws://{}/api/v1/live", self.listen).into_client_request().expect("a url");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "andon.v1".parse().expect("text"));
        headers.insert("authorization", format!("Bearer {}", self.token).parse().expect("text"));
        connect_async(request).await.ok().map(|(socket, _)| socket)
    }

    async fn subscribe(&self, socket: &mut Socket, id: u64) -> Option<()> {
        let widget = SUBSCRIPTIONS.iter().find(|(of, _)| *of == id).expect("a subscription").1;
        let mut frame = json!({"op": "subscribe", "id": id, "widget": widget, "params": {}});
        if let Some(line) = self.line {
            frame["params"]["line"] = json!(line);
        }
        if let Some(position) = self.subs.lock().get(&id).and_then(|sub| sub.position.clone()) {
            frame["resume"] = position;
        }
        socket.send(Message::Text(frame.to_string().into())).await.ok()
    }

    /// Until the socket breaks.
    async fn follow(&self, socket: &mut Socket) -> Option<()> {
        let mut missing: BTreeSet<u64> = SUBSCRIPTIONS.iter().map(|(id, _)| *id).collect();
        for (id, _) in SUBSCRIPTIONS {
            self.subscribe(socket, id).await?;
        }
        loop {
            let Message::Text(text) = socket.next().await?.ok()? else { continue };
            let frame: Value = serde_json::from_str(&text).expect("json");
            let id = frame["id"].as_u64().unwrap_or_default();
            match frame["op"].as_str() {
                Some("must_refetch") => {
                    // What is shown stays until there is something to show in its place.
                    self.subs.lock().entry(id).or_default().position = None;
                    self.subscribe(socket, id).await?;
                }
                Some("snapshot" | "change") => {
                    self.take(&frame);
                    if frame["more"] != true && missing.remove(&id) && missing.is_empty() {
                        self.rounds.fetch_add(1, Ordering::SeqCst);
                    }
                }
                Some("error") => panic!("refused: {text}"),
                _ => {}
            }
        }
    }

    fn take(&self, frame: &Value) {
        let mut subs = self.subs.lock();
        let sub = subs.entry(frame["id"].as_u64().expect("an id")).or_default();
        if frame["op"] == "snapshot" && sub.position.is_none() {
            sub.items.clear();
        }
        for gone in frame["data"]["removed"].as_array().into_iter().flatten() {
            sub.items.remove(gone.as_str().expect("a key"));
        }
        for item in frame["data"]["items"].as_array().expect("items") {
            let window = item["window"].as_str().unwrap_or_default();
            sub.items.insert(format!("{} {window}", key(item)), item.clone());
        }
        sub.position = Some(json!({"epoch": frame["epoch"], "offset": frame["offset"]}));
    }

    fn shows(&self) -> BTreeMap<u64, BTreeMap<String, Value>> {
        self.subs.lock().iter().map(|(id, sub)| (*id, sub.items.clone())).collect()
    }
}

/// Waits until all screens have known everything so often.
async fn all_know(screens: &[Arc<Screen>], rounds: usize) {
    until("all screens", async || {
        let there = screens.iter().filter(|screen| screen.rounds.load(Ordering::SeqCst) >= rounds).count();
        if there == screens.len() { Ok(()) } else { Err(format!("{there} of {}", screens.len())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sockets_are_back_after_kill_9_and_the_database_is_not_asked_for_them() {
    enough_files();
    let hall = Hall::new().await;
    let start = now() - 120_000;
    for line in ["l1", "l2"] {
        hall.send(line, (0..20).map(|n| piece(n, start + n * 5_000)));
    }
    // What a start costs without anybody there.
    let before = hall.ways.statements();
    let gateway = hall.gateway();
    tokio::time::sleep(COUNTED).await;
    let quiet = hall.ways.statements() - before;
    gateway.ready().await;

    let (end, mut tasks, mut screens) = (CancellationToken::new(), Vec::new(), Vec::new());
    let opened = Instant::now();
    for user in 0..USERS {
        let token = hall.sign_in(&format!("user{user}")).await;
        for number in 0..SOCKETS / USERS {
            let screen = Arc::new(Screen {
                listen: hall.listen.clone(),
                token: token.clone(),
                line: (number % 2 == 0).then_some("l1"),
                subs: Mutex::default(),
                rounds: AtomicUsize::new(0),
            });
            tasks.push(tokio::spawn(screen.clone().run(end.clone())));
            screens.push(screen);
        }
    }
    all_know(&screens, 1).await;
    let first = opened.elapsed();

    gateway.kill();
    let killed = Instant::now();
    let before = hall.ways.statements();
    let gateway = hall.gateway();
    // While nobody looks, the plant goes on.
    hall.send("l1", (20..23).map(|n| piece(n, start + n * 5_000)));
    all_know(&screens, 2).await;
    let took = killed.elapsed();
    tokio::time::sleep(COUNTED.saturating_sub(took)).await;
    let storm = hall.ways.statements() - before;
    println!(
        "{SOCKETS} sockets there in {first:?}, back {took:?} after the kill; statements: {storm}, without anybody {quiet}"
    );
    assert!(storm <= quiet + ONCE_FOR_ALL, "{storm} statements, {quiet} without anybody");
    // On a machine that is busy with something else: as they came the first time, with slack.
    assert!(took < BACK_WITHIN.max(3 * first), "it took {took:?}, the first time {first:?}");

    // A start later, the state of all of them is the one that is there.
    assert_eq!(hall.engine.terminate().await.code(), Some(0));
    let fresh = |user: usize, line| Screen {
        listen: hall.listen.clone(),
        token: screens[user * SOCKETS / USERS].token.clone(),
        line,
        subs: Mutex::default(),
        rounds: AtomicUsize::new(0),
    };
    let mut kinds = BTreeMap::new();
    for (narrowed, user) in [(true, 0), (false, 1)] {
        for line in [None, Some("l1")] {
            let screen = Arc::new(fresh(user, line));
            tasks.push(tokio::spawn(screen.clone().run(end.clone())));
            all_know(std::slice::from_ref(&screen), 1).await;
            kinds.insert((narrowed, line), screen);
        }
    }
    until("all to know the same", async || {
        for (number, screen) in screens.iter().enumerate() {
            let kind = &kinds[&((number / (SOCKETS / USERS)).is_multiple_of(4), screen.line)];
            let (known, there) = (screen.shows(), kind.shows());
            if known != there {
                return Err(format!("socket {number} shows {known:?}\nwhere there is {there:?}"));
            }
        }
        Ok(())
    })
    .await;
    let shown = |kind, id| kinds[&kind].shows()[&id].len();
    assert!(shown((true, None), 3) > 20, "stops before the kill and after it");
    for line in [None, Some("l1")] {
        assert_eq!(shown((true, line), 1), 1, "one line is what they may see");
    }
    assert_eq!(shown((false, None), 1), 2);
    end.cancel();
    for task in tasks {
        task.await.expect("no panic");
    }
    drop(gateway);
}
