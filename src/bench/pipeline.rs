//! From topics to committed rows and published records: a backlog of detections, worked off by `andon process`.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bench::load::{LineLoad, OUTPUT, Shape};
use crate::bench::replay;
use crate::bench::site::{BenchError, BenchSite};
use crate::config::Config;
use crate::watch::usage;

const START: i64 = 1_743_300_000_000;
const LINES: u32 = 16;
/// Figures of a line go out this often at most, milliseconds: the default.
const CADENCE_MS: u32 = 1_000;
/// A backlog that takes longer than this is given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the process took for the backlog.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineFigure {
    pub detections: usize,
    pub lines: u32,
    pub wall_seconds: f64,
    /// User and system, from its start to the last published record.
    pub cpu_seconds: f64,
    pub per_cpu_second: f64,
    pub per_wall_second: f64,
    pub peak_memory_mb: f64,
    /// CPU of the servers meanwhile, where `ANDON_BENCH_KAFKA_PID` and `ANDON_BENCH_DB_PID` name them.
    pub kafka_cpu_seconds: Option<f64>,
    pub database_cpu_seconds: Option<f64>,
}

/// The same at a steady rate.
#[derive(Clone, Debug, Serialize)]
pub struct LiveFigure {
    pub per_second: f64,
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub per_cpu_second: f64,
    pub peak_memory_mb: f64,
}

/// Ends the process with the bench.
pub(super) struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server_cpu(variable: &str) -> Option<Duration> {
    usage::cpu_of(std::env::var(variable).ok()?.parse().ok()?)
}

/// `andon COMMAND --no-migrate` on the bench's place.
pub(super) fn spawn(site: &BenchSite, command: &str) -> Result<Guard, BenchError> {
    let program = std::env::current_exe()?;
    let child = Command::new(program)
        .args([command, "--no-migrate"])
        .envs(site.env())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Guard(child))
}

fn loads() -> Vec<LineLoad> {
    let shape = Shape { late_percent: 2, repeat_percent: 1 };
    (0..LINES).map(|line| LineLoad::new(42, line, START, shape)).collect()
}

/// Loads `count` detections over 16 lines, or those of the topics `{from}detections.t{line % 2}.l{line}`, then starts a
/// process on them and waits until all is published.
pub async fn backlog(config: &Config, count: usize, from: Option<String>) -> Result<PipelineFigure, BenchError> {
    let site = BenchSite::open(config, LINES, CADENCE_MS).await?;
    let mut producer = site.producer(Duration::from_millis(50))?;
    let offsets = match from {
        Some(prefix) => {
            let topics =
                (0..LINES as usize).map(|line| (format!("{prefix}detections.t{}.l{line}", line % 2), site.topic(line)));
            replay::copy(&site.settings, topics.collect(), producer)?
        }
        None => {
            let mut payload = Vec::new();
            let per_line = count / LINES as usize;
            for (number, load) in loads().into_iter().enumerate() {
                let topic = site.topic(number);
                for (_, detection) in load.take(per_line) {
                    site.send(&mut producer, &topic, &detection, &mut payload)?;
                }
            }
            producer.flush(Duration::from_secs(60))?;
            vec![per_line as i64; LINES as usize]
        }
    };
    let (kafka, database) = (server_cpu("ANDON_BENCH_KAFKA_PID"), server_cpu("ANDON_BENCH_DB_PID"));
    let started = Instant::now();
    let mut process = spawn(&site, "process")?;
    let mut reached = HashMap::new();
    while !site.is_done(&offsets, &mut reached).await? {
        if let Some(status) = process.0.try_wait()? {
            return Err(BenchError::Failed(format!("andon process ended early: {status}")));
        }
        if started.elapsed() > PATIENCE {
            return Err(BenchError::Failed(format!("the backlog was not worked off in {PATIENCE:?}")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let wall_seconds = started.elapsed().as_secs_f64();
    let pid = process.0.id();
    let cpu_seconds = usage::cpu_of(pid).unwrap_or_default().as_secs_f64();
    let spent = |before: Option<Duration>, variable| {
        before.and_then(|before| Some((server_cpu(variable)? - before).as_secs_f64()))
    };
    let detections = offsets.iter().sum::<i64>() as usize;
    let figure = PipelineFigure {
        detections,
        lines: LINES,
        wall_seconds,
        cpu_seconds,
        per_cpu_second: detections as f64 / cpu_seconds,
        per_wall_second: detections as f64 / wall_seconds,
        peak_memory_mb: usage::peak_memory_of(pid) as f64 / 1e6,
        kafka_cpu_seconds: spent(kafka, "ANDON_BENCH_KAFKA_PID"),
        database_cpu_seconds: spent(database, "ANDON_BENCH_DB_PID"),
    };
    drop(process);
    site.close().await?;
    Ok(figure)
}

/// Sends a steady `rate` detections a second over 16 lines and measures the last `seconds` of it after a warm-up.
pub async fn live(config: &Config, rate: u32, seconds: u32) -> Result<LiveFigure, BenchError> {
    let site = BenchSite::open(config, LINES, CADENCE_MS).await?;
    let mut process = spawn(&site, "process")?;
    let pid = process.0.id();
    let mut producer = site.producer(Duration::from_millis(5))?;
    let mut payload = Vec::new();
    let topics: Vec<String> = (0..LINES as usize).map(|number| site.topic(number)).collect();
    let warm_up = 5;
    let started = Instant::now();
    let (mut sent, mut before) = (0u64, None);
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    loop {
        let elapsed = started.elapsed();
        if elapsed >= Duration::from_secs(warm_up) && before.is_none() {
            before = Some((Instant::now(), usage::cpu_of(pid).unwrap_or_default(), sent));
        }
        if elapsed >= Duration::from_secs(warm_up + u64::from(seconds)) {
            break;
        }
        let due = (elapsed.as_secs_f64() * f64::from(rate)) as u64;
        while sent < due {
            let number = (sent % u64::from(LINES)) as usize;
            let detection = crate::domain::production::detection::Detection {
                detection_id: sent as i64,
                detected_at: now() as i64,
                area_id: if sent / u64::from(LINES) % 2 == 0 { 1 } else { OUTPUT },
                product_id: 1,
                quantity: 1,
                camera_id: Some(11),
                confidence: Some(0.9),
            };
            site.send(&mut producer, &topics[number], &detection, &mut payload)?;
            sent += 1;
        }
        producer.poll(Duration::ZERO)?;
        if let Some(status) = process.0.try_wait()? {
            return Err(BenchError::Failed(format!("andon process ended early: {status}")));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (since, cpu, sent_before) = before.unwrap_or((started, Duration::ZERO, 0));
    let cpu_seconds = (usage::cpu_of(pid).unwrap_or_default() - cpu).as_secs_f64();
    let measured = since.elapsed().as_secs_f64();
    let counted = (sent - sent_before) as f64;
    let figure = LiveFigure {
        per_second: counted / measured,
        seconds: measured,
        cpu_seconds,
        per_cpu_second: counted / cpu_seconds,
        peak_memory_mb: usage::peak_memory_of(pid) as f64 / 1e6,
    };
    producer.flush(Duration::from_secs(30))?;
    drop(process);
    site.close().await?;
    Ok(figure)
}
