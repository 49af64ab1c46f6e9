//! How long nothing new is published after `kill -9`: the same process started again at once, and another taking over.
//!
//! A reader of committed records watches the figures while a steady load runs. Counted from the kill, which is followed
//! at once by the start, until the reader has a figure over a detection that was sent after the kill.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bench::load::{LineLoad, Shape};
use crate::bench::member::{Member, said};
use crate::bench::site::{BenchError, BenchSite};
use crate::bench::traffic::{Content, Traffic};
use crate::bench::watch::{Watch, now};
use crate::config::Config;
use crate::domain::time::{HOUR_MS, Ms};

const LINES: u32 = 8;
/// Detections a second over all lines while processes are killed.
const RATE: u64 = 1_000;
/// What a large state is made of: this much of production before the first kill, with the detections that can still be
/// corrected in memory.
const HISTORY: Ms = 24 * HOUR_MS;
/// A process that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two kills at least; a random part is added, so that kills strike anywhere between two commits.
const BETWEEN: Duration = Duration::from_millis(1_200);

/// The times of one kind of kill.
#[derive(Clone, Debug, Serialize)]
pub struct RecoveryFigure {
    /// `restart` of the killed process, or `takeover` by another member.
    pub after: &'static str,
    /// Detections of each line before the first kill.
    pub state: usize,
    pub kills: usize,
    /// From the kill to the first new figure of any line, seconds.
    pub first_p50: f64,
    pub first_max: f64,
    /// To the first new figure of the last line, seconds.
    pub all_p50: f64,
    pub all_max: f64,
}

/// Kills and starts again `kills` times, then kills one of two members `kills` times; each with a small state and, if
/// `large`, with one of a day. The processes' logs are kept below `logs`: their times tell where it went.
pub async fn run(config: &Config, kills: usize, large: bool, logs: &Path) -> Result<Vec<RecoveryFigure>, BenchError> {
    std::fs::create_dir_all(logs)?;
    let mut figures = Vec::new();
    for history in if large { vec![0, HISTORY] } else { vec![0] } {
        let site = Arc::new(BenchSite::open(config, LINES, 1_000).await?);
        let outcome = on(&site, kills, history, logs).await;
        let site = Arc::into_inner(site).ok_or_else(|| BenchError::Failed("the load did not end".to_owned()))?;
        site.close().await?;
        figures.extend(outcome?);
    }
    Ok(figures)
}

async fn on(site: &Arc<BenchSite>, kills: usize, history: Ms, logs: &Path) -> Result<Vec<RecoveryFigure>, BenchError> {
    let state = preload(site, history)?;
    let lines = site.lines.len();
    let log = |name: &str, number: usize| logs.join(format!("{name}-{state}-{number}.log"));
    let watch = Watch::start(site)?;
    let traffic = Traffic::start(site, (0..lines).collect(), RATE, Content::Pieces, 1)?;
    let mut member = Member::start(site, "a", &log("restart", 0))?;
    watch.beyond(now(), lines, PATIENCE).await?;
    let mut restarts = Vec::new();
    for number in 1..=kills {
        pause().await;
        drop(member);
        let killed = (now(), Instant::now());
        member = Member::start(site, "a", &log("restart", number))?;
        restarts.push(since(killed, &watch, lines).await?);
    }
    let mut takeovers = Vec::new();
    for number in 1..=kills {
        // Names of their own: none comes back, the lines go to the one that is left.
        let log = log("takeover", number);
        let next = Member::start(site, &format!("b{number}"), &log)?;
        said(&log, "line taken over", lines / 2, PATIENCE).await?;
        watch.beyond(now(), lines, PATIENCE).await?;
        pause().await;
        drop(member);
        takeovers.push(since((now(), Instant::now()), &watch, lines).await?);
        member = next;
    }
    traffic.end()?;
    Ok(vec![figure("restart", state, &restarts), figure("takeover", state, &takeovers)])
}

async fn since(killed: (Ms, Instant), watch: &Watch, lines: usize) -> Result<(f64, f64), BenchError> {
    let (first, all) = watch.beyond(killed.0, lines, PATIENCE).await?;
    Ok(((first - killed.1).as_secs_f64(), (all - killed.1).as_secs_f64()))
}

async fn pause() {
    tokio::time::sleep(BETWEEN + Duration::from_millis(rand::random::<u64>() % 500)).await;
}

/// Writes `history` of production of each line; answers the detections of a line.
fn preload(site: &BenchSite, history: Ms) -> Result<usize, BenchError> {
    let end = now();
    let shape = Shape { late_percent: 2, repeat_percent: 1 };
    let mut producer = site.producer(Duration::from_millis(50))?;
    let (mut payload, mut sent) = (Vec::new(), 0);
    for line in 0..LINES {
        let topic = site.topic(line as usize);
        for (_, detection) in LineLoad::new(42, line, end - history, shape).take_while(|(at, _)| *at < end) {
            site.send(&mut producer, &topic, &detection, &mut payload)?;
            sent += 1;
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(sent / LINES as usize)
}

fn figure(after: &'static str, state: usize, times: &[(f64, f64)]) -> RecoveryFigure {
    let spread = |of: fn(&(f64, f64)) -> f64| {
        let mut seconds: Vec<f64> = times.iter().map(of).collect();
        seconds.sort_by(f64::total_cmp);
        let at = |place: usize| seconds.get(place).copied().unwrap_or(f64::NAN);
        (at(seconds.len() / 2), at(seconds.len().saturating_sub(1)))
    };
    let ((first_p50, first_max), (all_p50, all_max)) = (spread(|t| t.0), spread(|t| t.1));
    RecoveryFigure { after, state, kills: times.len(), first_p50, first_max, all_p50, all_max }
}
