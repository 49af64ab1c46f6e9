//! From the camera to the browser: the whole way of a detection, through broker, engine, database, topics and gateway,
//! as a websocket client sees it.
//!
//! What is measured: every line makes one piece a detection, all of them exits, in the order of the topic. A client,
//! signed in as anybody else, subscribes to `feed_oee` with the window `day`, whose pieces only grow. The n-th
//! detection of a line is *seen* when the first frame (`change`, or `snapshot` for what was there before) arrives whose
//! total of that line's pieces is n or more; its time runs from before the producer is handed it until then. Figures go
//! out with every commit here: the default of one a second is a choice of how often to look, no delay of the way.

use std::collections::{HashMap, VecDeque};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::bench::load::OUTPUT;
use crate::bench::pipeline::{Guard, spawn};
use crate::bench::site::{BenchError, BenchSite};
use crate::config::Config;
use crate::domain::production::detection::Detection;
use crate::watch::usage;

const LINES: u32 = 8;
/// Shorter than any commit takes.
const CADENCE_MS: u32 = 10;
const PASSWORD: &str = "bench bench bench";
/// Until servers, sockets and the group are up; and for the last frames.
const PATIENCE: Duration = Duration::from_secs(60);
/// Not measured, at first.
const WARM_UP: Duration = Duration::from_secs(5);

/// How long detections took to be seen.
#[derive(Clone, Debug, Serialize)]
pub struct BrowserFigure {
    pub per_second: f64,
    pub lines: u32,
    /// Detections whose time was taken, all but those of the warm-up.
    pub detections: usize,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Of the one process that is engine and gateway, user and system, over the whole run.
    pub cpu_seconds: f64,
}

/// (tenant and line, pieces so far, when it was read from the socket).
type Seen = (String, u64, Instant);

fn failed(why: impl ToString) -> BenchError {
    BenchError::Failed(why.to_string())
}

/// Sends `rate` detections a second for `seconds` after a warm-up and waits until all are seen.
///
/// # Errors
/// When servers or the process fail, or a detection is not seen within a minute.
pub async fn run(config: &Config, rate: u32, seconds: u32) -> Result<BrowserFigure, BenchError> {
    // Free a moment ago; nobody else asks for it by number.
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let site = BenchSite::open(config, LINES, CADENCE_MS).await?;
    let mut tenants: Vec<String> = site.lines.iter().map(|(tenant, _)| tenant.clone()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    for tenant in &tenants {
        user(&site, tenant).await?;
    }
    let served = site.at(&listen);
    let process = spawn(&served, "serve")?;
    let (seen, mut frames) = mpsc::unbounded_channel();
    let mut watching = tokio::task::JoinSet::new();
    for tenant in &tenants {
        let token = sign_in(&listen, tenant).await?;
        watching.spawn(watch(listen.clone(), token, tenant.clone(), seen.clone()));
    }
    drop(seen);
    let figure = measure(&served, &process, rate, seconds, &mut frames).await;
    // A socket that ended early tells why nothing was seen.
    if figure.is_err()
        && let Some(Ok(Err(why))) = watching.try_join_next()
    {
        return Err(why);
    }
    watching.abort_all();
    drop(process);
    served.close().await?;
    figure
}

/// A viewer of a tenant, named like it.
async fn user(site: &BenchSite, tenant: &str) -> Result<(), BenchError> {
    let program = std::env::current_exe()?;
    let mut child = Command::new(program)
        .args(["user", "create", "--tenant", tenant, "--role", "VIEWER", tenant])
        .envs(site.env())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, PASSWORD.as_bytes())?;
    }
    let status = tokio::task::spawn_blocking(move || child.wait()).await.map_err(failed)??;
    if status.success() { Ok(()) } else { Err(failed(format!("no user was made: {status}"))) }
}

/// Signs in as soon as the gateway answers; the bearer token.
async fn sign_in(listen: &str, username: &str) -> Result<String, BenchError> {
    let url = format!("http://{listen}/api/v1/auth/login");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (url, body) = (url.clone(), json!({"username": username, "password": PASSWORD}));
        let answer =
            tokio::task::spawn_blocking(move || ureq::post(&url).send_json(body)?.body_mut().read_json::<Value>());
        match answer.await.map_err(failed)? {
            Ok(body) => {
                let token = body["access_token"].as_str().ok_or_else(|| failed("the login gave no token"))?;
                return Ok(token.to_owned());
            }
            Err(why) if Instant::now() > deadline => return Err(failed(format!("sign in: {why}"))),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Subscribes and tells what comes.
async fn watch(
    listen: String,
    token: String,
    tenant: String,
    seen: mpsc::UnboundedSender<Seen>,
) -> Result<(), BenchError> {
    let mut request = format!("ws://{listen}/api/v1/live").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "andon.v1".parse().map_err(failed)?);
    headers.insert("authorization", format!("Bearer {token}").parse().map_err(failed)?);
    let (mut socket, _) = connect_async(request).await?;
    let subscribe = json!({"op": "subscribe", "id": 1, "widget": "feed_oee", "params": {"window": "day"}});
    socket.send(Message::Text(subscribe.to_string().into())).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let arrived = Instant::now();
        let frame: Value = serde_json::from_str(&text).map_err(failed)?;
        if frame["op"] == "error" || frame["op"] == "must_refetch" {
            return Err(failed(format!("the gateway answered {text}")));
        }
        for item in frame["data"]["items"].as_array().into_iter().flatten() {
            if let (Some(line), Some(total)) = (item["line"].as_str(), item["pieces"]["total"].as_u64()) {
                let _ = seen.send((format!("{tenant}.{line}"), total, arrived));
            }
        }
    }
    Err(failed("the gateway closed the socket"))
}

async fn measure(
    site: &BenchSite,
    process: &Guard,
    rate: u32,
    seconds: u32,
    frames: &mut mpsc::UnboundedReceiver<Seen>,
) -> Result<BrowserFigure, BenchError> {
    let mut producer = site.producer(Duration::ZERO)?;
    let mut payload = Vec::new();
    let names: Vec<String> = site.lines.iter().map(|(tenant, line)| format!("{tenant}.{line}")).collect();
    // Of each line, when its detections that are not seen yet were sent, and how many were seen before them.
    let mut waiting: HashMap<String, (u64, VecDeque<Instant>)> =
        names.iter().map(|name| (name.clone(), (0, VecDeque::new()))).collect();
    // One each, until all of it has begun to move: assignments, tables, sockets.
    let deadline = Instant::now() + PATIENCE;
    let mut sent = 0u64;
    let mut send = |waiting: &mut HashMap<String, (u64, VecDeque<Instant>)>| -> Result<(), BenchError> {
        let number = (sent % u64::from(LINES)) as usize;
        let detection = Detection {
            detection_id: sent as i64,
            detected_at: now(),
            area_id: OUTPUT,
            product_id: 1,
            quantity: 1,
            camera_id: None,
            confidence: Some(0.9),
        };
        if let Some((_, times)) = waiting.get_mut(&names[number]) {
            times.push_back(Instant::now());
        }
        sent += 1;
        site.send(&mut producer, &site.topic(number), &detection, &mut payload)?;
        Ok(producer.poll(Duration::ZERO)?)
    };
    for _ in 0..LINES {
        send(&mut waiting)?;
    }
    let mut took = Vec::new();
    while waiting.values().any(|(_, times)| !times.is_empty()) {
        hear(frames, &mut waiting, None, &mut took, deadline).await?;
    }
    let started = Instant::now();
    let length = WARM_UP + Duration::from_secs(seconds.into());
    let mut count = 0u64;
    while started.elapsed() < length {
        let due = (started.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while count < due {
            send(&mut waiting)?;
            count += 1;
        }
        let pause = Instant::now() + Duration::from_millis(2);
        while Instant::now() < pause {
            match tokio::time::timeout_at(pause.into(), frames.recv()).await {
                Ok(Some(frame)) => take(frame, &mut waiting, Some(started + WARM_UP), &mut took),
                Ok(None) => return Err(failed("no socket is left")),
                Err(_) => break,
            }
        }
    }
    let per_second = count as f64 / started.elapsed().as_secs_f64();
    let deadline = Instant::now() + PATIENCE;
    while waiting.values().any(|(_, times)| !times.is_empty()) {
        hear(frames, &mut waiting, Some(started + WARM_UP), &mut took, deadline).await?;
    }
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).or(took.last());
    let ms = |share: f64| at(share).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
    Ok(BrowserFigure {
        per_second,
        lines: LINES,
        detections: took.len(),
        p50_ms: ms(0.5),
        p90_ms: ms(0.9),
        p99_ms: ms(0.99),
        max_ms: ms(1.0),
        cpu_seconds: usage::cpu_of(process.0.id()).unwrap_or_default().as_secs_f64(),
    })
}

async fn hear(
    frames: &mut mpsc::UnboundedReceiver<Seen>,
    waiting: &mut HashMap<String, (u64, VecDeque<Instant>)>,
    since: Option<Instant>,
    took: &mut Vec<Duration>,
    deadline: Instant,
) -> Result<(), BenchError> {
    match tokio::time::timeout_at(deadline.into(), frames.recv()).await {
        Ok(Some(frame)) => take(frame, waiting, since, took),
        Ok(None) => return Err(failed("no socket is left")),
        Err(_) => return Err(failed("a detection was not seen within a minute")),
    }
    Ok(())
}

/// Notes what a frame shows; the times of those sent from `since` on, none without it.
fn take(
    (line, total, arrived): Seen,
    waiting: &mut HashMap<String, (u64, VecDeque<Instant>)>,
    since: Option<Instant>,
    took: &mut Vec<Duration>,
) {
    let Some((seen, times)) = waiting.get_mut(&line) else { return };
    while *seen < total
        && let Some(sent) = times.pop_front()
    {
        *seen += 1;
        if since.is_some_and(|since| sent >= since) {
            took.push(arrived - sent);
        }
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
