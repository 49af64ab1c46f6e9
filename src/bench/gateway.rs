//! What sockets cost a gateway: memory of those that wait, CPU and delay of frames to all of them, and the whole way
//! from the camera at a high rate.
//!
//! The gateway is a process alone, the clients are another. For idle sockets and the fan-out no engine runs: the bench
//! writes figures of one line into its topic, as an engine would, four a second, and every socket shows that line. A
//! frame's time runs from before the producer is handed the figure until a client has read the frame: producer, broker
//! and gateway.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::bench::browser;
use crate::bench::pipeline::spawn;
use crate::bench::site::{BenchError, BenchSite};
use crate::bench::sockets::{Heard, Wish};
use crate::bench::watch::now;
use crate::config::Config;
use crate::domain::production::changes::{LineState, StateNow};
use crate::domain::production::figure::{Figure, Frame, Window};
use crate::domain::production::sums::Sums;
use crate::kafka::codec;
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics;
use crate::watch::usage;

/// Sockets of one key; a gateway lets it have 64.
const PER_KEY: usize = 60;
/// Frames a second, to every socket.
const FRAMES_PER_SECOND: u32 = 4;
/// Until what was set up has come to rest: two heartbeats.
const REST: Duration = Duration::from_secs(11);
/// Until sockets whose process has ended are gone.
const FAREWELL: Duration = Duration::from_secs(5);
/// Until servers and sockets are up.
const PATIENCE: Duration = Duration::from_secs(120);
/// A fan-out that is later than this has too many sockets.
const TOO_LATE_MS: usize = 250;

/// What sockets cost that wait.
#[derive(Clone, Debug, Serialize)]
pub struct IdleFigure {
    pub idle_sockets: usize,
    /// Resident memory of the gateway without sockets, and with them.
    pub memory_before_mb: f64,
    pub memory_mb: f64,
    pub bytes_per_socket: f64,
    /// Of one core, with a heartbeat every five seconds.
    pub cpu_percent: f64,
}

/// Frames to many sockets.
#[derive(Clone, Debug, Serialize)]
pub struct FanOutFigure {
    pub sockets: usize,
    pub frames_per_second: f64,
    /// Of those that were to come: less where some were conflated.
    pub delivered_percent: f64,
    pub p50_ms: usize,
    pub p99_ms: usize,
    pub max_ms: usize,
    /// Cores that the gateway took.
    pub cores: f64,
    pub frames_per_cpu_second: f64,
}

/// A process with sockets.
struct Clients {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

pub fn failed(why: impl ToString) -> BenchError {
    BenchError::Failed(why.to_string())
}

/// Idle memory of `sockets`, a fan-out to more and more up to so many, and the way from the camera at `rate`.
///
/// # Errors
/// When servers or processes fail, or so many files cannot be open.
pub async fn run(config: &Config, sockets: usize, seconds: u32, rate: u32) -> Result<Vec<Value>, BenchError> {
    let mut figures = Vec::new();
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let site = BenchSite::open(config, 2, 1_000).await?.at(&listen);
    let tenant = site.lines[0].0.clone();
    let measured = measure(&site, &listen, &tenant, sockets, seconds).await;
    site.close().await?;
    let (idle, fan_out) = measured?;
    figures.push(serde_json::to_value(idle).map_err(failed)?);
    for figure in fan_out {
        figures.push(serde_json::to_value(figure).map_err(failed)?);
    }
    if rate > 0 {
        let figure = browser::run(config, rate, seconds).await?;
        figures.push(serde_json::to_value(figure).map_err(failed)?);
    }
    Ok(figures)
}

async fn measure(
    site: &BenchSite,
    listen: &str,
    tenant: &str,
    sockets: usize,
    seconds: u32,
) -> Result<(IdleFigure, Vec<FanOutFigure>), BenchError> {
    let keys = keys(site, tenant, sockets.div_ceil(PER_KEY)).await?;
    let gateway = spawn(site, "gateway")?;
    let pid = gateway.0.id();
    up(listen).await?;
    tell(site, 1)?;
    tokio::time::sleep(REST).await;
    let before = usage::memory_of(pid);
    let mut clients = Clients::connect(listen, sockets, &keys).await?;
    tokio::time::sleep(REST).await;
    let (memory, cpu, started) = (usage::memory_of(pid), cpu_of(pid), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle = IdleFigure {
        idle_sockets: sockets,
        memory_before_mb: before as f64 / 1e6,
        memory_mb: memory as f64 / 1e6,
        bytes_per_socket: memory.saturating_sub(before) as f64 / sockets as f64,
        cpu_percent: (cpu_of(pid) - cpu) / started.elapsed().as_secs_f64() * 100.0,
    };
    let open = clients.report().await?.open;
    if open < sockets {
        return Err(failed(format!("only {open} of {sockets} sockets stayed open")));
    }
    clients.end().await?;
    let mut fan_out = Vec::new();
    for share in [10, 5, 3, 2, 1] {
        let count = sockets / share;
        let mut clients = Clients::connect(listen, count, &keys).await?;
        clients.ask("mark").await?;
        let (cpu, started) = (cpu_of(pid), Instant::now());
        let told = tell(site, seconds * FRAMES_PER_SECOND)?;
        let took = started.elapsed().as_secs_f64();
        let cores = (cpu_of(pid) - cpu) / took;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let heard = clients.report().await?;
        clients.end().await?;
        let frames_per_second = heard.changes as f64 / took;
        fan_out.push(FanOutFigure {
            sockets: count,
            frames_per_second,
            delivered_percent: heard.changes as f64 / (told as usize * count) as f64 * 100.0,
            p50_ms: heard.p50_ms,
            p99_ms: heard.p99_ms,
            max_ms: heard.max_ms,
            cores,
            frames_per_cpu_second: frames_per_second / cores,
        });
        if heard.p99_ms > TOO_LATE_MS {
            break;
        }
    }
    Ok((idle, fan_out))
}

fn cpu_of(pid: u32) -> f64 {
    usage::cpu_of(pid).unwrap_or_default().as_secs_f64()
}

/// Waits until the gateway asks who it is that comes.
pub async fn up(listen: &str) -> Result<(), BenchError> {
    let url = format!("http://{listen}/api/v1/auth/me");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let url = url.clone();
        let answer = tokio::task::spawn_blocking(move || ureq::get(&url).call()).await.map_err(failed)?;
        match answer {
            Err(ureq::Error::StatusCode(401)) => return Ok(()),
            Err(why) if Instant::now() > deadline => {
                return Err(failed(format!("the gateway does not come up: {why}")));
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// API keys that may look: more than a gateway would make for one tenant.
pub async fn keys(site: &BenchSite, tenant: &str, count: usize) -> Result<Vec<String>, BenchError> {
    let mut keys = Vec::new();
    for number in 0..count {
        let secret: [u8; 32] = rand::random();
        let (name, hash) = (format!("bench {number}"), Sha256::digest(secret).into());
        site.store.create_key(tenant, &name, &hash, r#"{"scopes": ["look"]}"#, None).await?;
        keys.push(format!("andon_{}", URL_SAFE_NO_PAD.encode(secret)));
    }
    Ok(keys)
}

/// Tells `count` figures of the first line, as an engine would, in the pace of the fan-out; how many.
fn tell(site: &BenchSite, count: u32) -> Result<u32, BenchError> {
    let mut producer = site.producer(Duration::ZERO)?;
    let (tenant, line) = &site.lines[0];
    let topic = topics::oee(tenant, line);
    let started = Instant::now();
    for number in 0..count {
        let due = started + Duration::from_secs(number.into()) / FRAMES_PER_SECOND;
        while let Some(rest) = due.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            std::thread::sleep(rest);
        }
        let at = now();
        let frame = Frame {
            line: Some(line.clone()),
            window: Window::Shift,
            from: at - 3_600_000,
            to: at + 1,
            as_of: at,
            watermark: at,
            revision: 0,
            config_versions: vec![1],
            policy_versions: vec![1],
            holes_ms: 0,
            has_cycle: true,
        };
        let figure = Figure::new(frame, &Sums { total: at, good: at, ..Sums::default() });
        let state = StateNow { state: LineState::Running, since: at - 1_000, as_of: at };
        let mut payload = Vec::new();
        codec::encode_figure(&figure, &state, at, at as u64, &SchemaIds::builtin(), &mut payload);
        producer.send(&topic, Some(Window::Shift.as_str().as_bytes()), Some(&payload))?;
        producer.poll(Duration::ZERO)?;
    }
    producer.flush(Duration::from_secs(10))?;
    Ok(count)
}

// === impl Clients ===

impl Clients {
    /// Opens so many sockets and waits until each has been given its snapshot.
    async fn connect(listen: &str, sockets: usize, keys: &[String]) -> Result<Clients, BenchError> {
        let subscribe = json!({"op": "subscribe", "id": 1, "widget": "feed_oee",
            "params": {"line": "l0", "window": "shift"}});
        let (listen, keys, subscribe) = (listen.to_owned(), keys.to_vec(), subscribe.to_string());
        let wish = serde_json::to_string(&Wish { listen, sockets, keys, subscribe }).map_err(failed)?;
        let mut child = tokio::process::Command::new(std::env::current_exe()?)
            .args(["bench", "sockets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("a process without input and output"));
        };
        let mut clients = Clients { child, input, output: BufReader::new(output).lines() };
        clients.say(&wish).await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let there: usize = clients.ask("there").await?.parse().map_err(failed)?;
            if there >= sockets {
                return Ok(clients);
            }
            if Instant::now() > deadline {
                let why = "is the limit of open files too low (`ulimit -n`)?";
                return Err(failed(format!("only {there} of {sockets} sockets were opened: {why}")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends it and gives the gateway time to notice: a key has so many sockets at most.
    async fn end(mut self) -> Result<(), BenchError> {
        self.child.kill().await?;
        tokio::time::sleep(FAREWELL).await;
        Ok(())
    }

    async fn say(&mut self, line: &str) -> Result<(), BenchError> {
        self.input.write_all(line.as_bytes()).await?;
        self.input.write_all(b"\n").await?;
        Ok(self.input.flush().await?)
    }

    async fn ask(&mut self, line: &str) -> Result<String, BenchError> {
        self.say(line).await?;
        let answer = self.output.next_line().await?;
        answer.ok_or_else(|| failed("the process with the sockets has ended"))
    }

    async fn report(&mut self) -> Result<Heard, BenchError> {
        serde_json::from_str(&self.ask("report").await?).map_err(failed)
    }
}
