//! What a tenant feels of its neighbour in the same process, whose database is away or silent, whose topics are full of
//! rubbish, or which has fifty times its load.
//!
//! Quiet and trouble take turns, so that a machine that drifts does so for both. Felt is the delay from a detection to a
//! reader of the committed figure over it, and the time of a commit to the database.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::gate::{Gate, Way};
use crate::bench::member::Member;
use crate::bench::site::{BenchError, BenchSite};
use crate::bench::traffic::{Content, Traffic};
use crate::bench::watch::{Watch, now};
use crate::config::Config;

/// Over two tenants: the even ones are the healthy tenant's, the odd ones the troubled one's.
const LINES: usize = 8;
/// Usual load of a tenant, detections a second.
const USUAL: u64 = 100;
/// What a tenant gets that is sent fifty times as much.
const TIMES: u64 = 50;
/// Figures go out with every commit: each is a sample.
const CADENCE_MS: u32 = 1;
/// A commit may take its time after a change.
const SETTLE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);

/// What is wrong with the neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nothing: how far two equal measurements are apart.
    Nothing,
    /// Its database's connections end, and new ones at once.
    DatabaseAway,
    /// Its database does not answer.
    DatabaseSilent,
    /// Its topics get [`TIMES`] times the usual load in bytes that nobody can decode.
    Rubbish,
    /// [`TIMES`] times the usual load.
    Load,
    /// That load, of another installation with a process of its own on the same machine, broker and database: what the
    /// machine's share of [`Kind::Load`] is.
    LoadElsewhere,
}

/// What the healthy tenant felt; milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct IsolationFigure {
    pub neighbour: Kind,
    /// Commits that were timed in quiet, and in trouble.
    pub samples: (usize, usize),
    pub quiet_p50: f64,
    pub troubled_p50: f64,
    pub quiet_p99: f64,
    pub troubled_p99: f64,
    pub p99_change_percent: f64,
    /// 99th percentile of the commit to the database, from the process' histogram.
    pub quiet_commit_p99: f64,
    pub troubled_commit_p99: f64,
    /// Whether `/ready` named the troubled tenant at the end of every trouble.
    pub is_shown: bool,
    /// Seconds from the end of the trouble until all the neighbour's lines told something newer, at most.
    pub caught_up_after: f64,
}

/// A stretch of time as the healthy tenant saw it.
#[derive(Default)]
struct Felt {
    delays: Vec<f64>,
    /// Commits by bucket: upper limit in seconds and how many were no longer.
    commits: Vec<(f64, f64)>,
}

/// The running process and what comes and goes around it.
struct Stage<'a> {
    site: &'a Arc<BenchSite>,
    watch: Watch,
    gate: &'a Gate,
    neighbour: Traffic,
    /// Of another installation.
    elsewhere: Traffic,
    admin: String,
    stretch: Duration,
}

/// `rounds` of `seconds` of quiet and as much of trouble, for each [`Kind`].
pub async fn run(
    config: &Config,
    rounds: usize,
    seconds: u32,
    logs: &Path,
) -> Result<Vec<IsolationFigure>, BenchError> {
    std::fs::create_dir_all(logs)?;
    let url = config.database_url().map_err(|why| BenchError::Failed(why.to_string()))?.expose().to_owned();
    let server = url.rsplit_once('@').and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    let gate = Gate::to(server).await?;
    let site = Arc::new(BenchSite::with_detour(config, LINES as u32, CADENCE_MS, Some(gate.port)).await?);
    let other = Arc::new(BenchSite::open(config, LINES as u32, CADENCE_MS).await?);
    let outcome = on(&site, &other, &gate, rounds, Duration::from_secs(seconds.into()), logs).await;
    gate.set(Way::Open);
    for site in [site, other] {
        let site = Arc::into_inner(site).ok_or_else(|| BenchError::Failed("the load did not end".to_owned()))?;
        site.close().await?;
    }
    outcome
}

async fn on(
    site: &Arc<BenchSite>,
    other: &Arc<BenchSite>,
    gate: &Gate,
    rounds: usize,
    stretch: Duration,
    logs: &Path,
) -> Result<Vec<IsolationFigure>, BenchError> {
    let admin = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let env = [("ANDON_ADMIN_LISTEN", admin.clone())];
    let _member = Member::with(site, "one", &logs.join("process.log"), &env)?;
    let _stranger = Member::start(other, "two", &logs.join("elsewhere.log"))?;
    let healthy = Traffic::start(site, (0..LINES).step_by(2).collect(), USUAL, Content::Pieces, 1)?;
    let neighbour = Traffic::start(site, (1..LINES).step_by(2).collect(), USUAL, Content::Pieces, 2)?;
    let elsewhere = Traffic::start(other, (1..LINES).step_by(2).collect(), USUAL, Content::Pieces, 4)?;
    let stage = Stage { site, watch: Watch::start(site)?, gate, neighbour, elsewhere, admin, stretch };
    stage.watch.beyond(now(), LINES, PATIENCE).await?;
    tokio::time::sleep(SETTLE * 3).await;
    let mut figures = Vec::new();
    for kind in Kind::ALL {
        figures.push(stage.measure(kind, rounds).await?);
    }
    healthy.end()?;
    stage.neighbour.end()?;
    stage.elsewhere.end()?;
    Ok(figures)
}

// === impl Kind ===

impl Kind {
    const ALL: [Kind; 6] =
        [Kind::Nothing, Kind::DatabaseAway, Kind::DatabaseSilent, Kind::Rubbish, Kind::Load, Kind::LoadElsewhere];
}

// === impl Stage ===

impl Stage<'_> {
    async fn measure(&self, kind: Kind, rounds: usize) -> Result<IsolationFigure, BenchError> {
        let (mut quiet, mut troubled) = (Felt::default(), Felt::default());
        let (mut is_shown, mut caught_up_after) = (true, 0f64);
        for _ in 0..rounds {
            self.feel(&mut quiet).await?;
            let rubbish = self.begin(kind)?;
            self.feel(&mut troubled).await?;
            is_shown &= self.get("/ready").await?.contains(&format!("tenant {}", self.site.lines[1].0));
            drop(rubbish);
            self.gate.set(Way::Open);
            self.neighbour.set_rate(USUAL);
            self.elsewhere.set_rate(USUAL);
            let over = (now(), Instant::now());
            self.watch.beyond(over.0, LINES, PATIENCE).await?;
            caught_up_after = caught_up_after.max(over.1.elapsed().as_secs_f64());
            tokio::time::sleep(SETTLE).await;
        }
        let (quiet_p99, troubled_p99) = (quiet.delay(0.99), troubled.delay(0.99));
        Ok(IsolationFigure {
            neighbour: kind,
            samples: (quiet.delays.len(), troubled.delays.len()),
            quiet_p50: quiet.delay(0.5),
            troubled_p50: troubled.delay(0.5),
            quiet_p99,
            troubled_p99,
            p99_change_percent: (troubled_p99 / quiet_p99 - 1.0) * 100.0,
            quiet_commit_p99: quiet.commit(0.99),
            troubled_commit_p99: troubled.commit(0.99),
            is_shown,
            caught_up_after,
        })
    }

    fn begin(&self, kind: Kind) -> Result<Option<Traffic>, BenchError> {
        match kind {
            Kind::Nothing => {}
            Kind::DatabaseAway => self.gate.set(Way::Shut),
            Kind::DatabaseSilent => self.gate.set(Way::Held),
            Kind::Load => self.neighbour.set_rate(USUAL * TIMES),
            Kind::LoadElsewhere => self.elsewhere.set_rate(USUAL * TIMES),
            Kind::Rubbish => {
                let lines = (1..LINES).step_by(2).collect();
                return Traffic::start(self.site, lines, USUAL * TIMES, Content::Rubbish, 3).map(Some);
            }
        }
        Ok(None)
    }

    /// A stretch of what the healthy tenant sees, after a moment to settle.
    async fn feel(&self, felt: &mut Felt) -> Result<(), BenchError> {
        tokio::time::sleep(SETTLE).await;
        let healthy = &self.site.lines[0].0;
        let own = |topic: &str| topic.split('.').nth(1) == Some(healthy);
        self.watch.delays(own);
        let before = self.commits().await?;
        tokio::time::sleep(self.stretch).await;
        let after = self.commits().await?;
        felt.delays.extend(self.watch.delays(own));
        if felt.commits.is_empty() {
            felt.commits = after.iter().map(|(limit, _)| (*limit, 0.0)).collect();
        }
        for (place, ((_, sum), (_, count))) in felt.commits.iter_mut().zip(&after).enumerate() {
            *sum += count - before.get(place).map_or(0.0, |(_, count)| *count);
        }
        Ok(())
    }

    /// The healthy tenant's commits so far, by bucket.
    async fn commits(&self) -> Result<Vec<(f64, f64)>, BenchError> {
        let text = self.get("/metrics").await?;
        let start = format!("andon_commit_seconds_bucket{{tenant=\"{}\",le=\"", self.site.lines[0].0);
        let bucket = |line: &str| {
            let (limit, count) = line.strip_prefix(&start)?.split_once("\"} ")?;
            Some((limit.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?))
        };
        Ok(text.lines().filter_map(bucket).collect())
    }

    /// Asks the process' admin port.
    async fn get(&self, path: &str) -> Result<String, BenchError> {
        let mut stream = TcpStream::connect(&self.admin).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

// === impl Felt ===

impl Felt {
    /// A quantile of the delays, milliseconds.
    fn delay(&self, quantile: f64) -> f64 {
        let mut sorted = self.delays.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() as f64 * quantile) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }

    /// A quantile of the commits, milliseconds, evenly spread within its bucket.
    fn commit(&self, quantile: f64) -> f64 {
        let wanted = self.commits.last().map_or(0.0, |(_, all)| *all) * quantile;
        let (mut low, mut below) = (0.0, 0.0);
        for (limit, count) in &self.commits {
            if *count >= wanted && *count > below {
                return (low + (limit.min(low * 10.0 + 1.0) - low) * (wanted - below) / (count - below)) * 1e3;
            }
            (low, below) = (*limit, *count);
        }
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_samples_and_of_the_buckets() {
        let delays = (1..=100).map(f64::from).collect();
        let commits = vec![(0.005, 50.0), (0.01, 90.0), (f64::INFINITY, 100.0)];
        let felt = Felt { delays, commits };
        assert_eq!((felt.delay(0.5), felt.delay(0.99)), (51.0, 100.0));
        assert!((felt.commit(0.5) - 5.0).abs() < 1e-9 && (felt.commit(0.7) - 7.5).abs() < 1e-9);
    }
}
