//! How fast rows are made to last: commits as the engine makes them, beside one `LOAD DATA` of the same rows.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::address::Address;
use super::commit::{CommitError, LineCommit, format_rows};
use super::error::{Result, StoreError};
use super::migrate;
use super::tenant::TenantDb;
use crate::domain::production::changes::{Changes, MinuteRow, PieceCount};
use crate::domain::production::detection::Detection;
use crate::domain::production::sums::Sums;
use crate::domain::time::{MINUTE_MS, Ms};
use crate::watch::usage;

/// Milliseconds between a line's detections.
const TAKT_MS: Ms = 20;
/// 2026-01-01T00:00:00Z.
const FROM: Ms = 1_767_225_600_000;
/// Bytes of a line's state and of its records in every commit.
const STATE: usize = 4_096;
const RECORDS: usize = 2_048;

/// What [`persistence`] measured, over all rounds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct PersistenceReport {
    /// Rows that each way wrote.
    pub rows: usize,
    pub lines: usize,
    /// Rows of one commit, over its lines.
    pub rows_per_commit: usize,
    pub commit_rows_per_s: f64,
    pub load_data_rows_per_s: f64,
    /// The first over the second.
    pub share: f64,
    /// Our CPU time a row: the whole commit, and one LOAD DATA of rows that were written as text before.
    pub commit_client_us_per_row: f64,
    pub load_data_client_us_per_row: f64,
    /// Of it, writing a row as text.
    pub format_us_per_row: f64,
}

/// What a way took.
#[derive(Clone, Copy, Debug, Default)]
struct Took {
    wall: Duration,
    cpu: Duration,
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    usage::cpu_of(std::process::id()).unwrap_or_default()
}

fn rows(line: usize, from: usize, count: usize) -> Vec<(Detection, bool)> {
    let row = |n: usize| Detection {
        detection_id: n as i64,
        detected_at: FROM + n as Ms * TAKT_MS,
        area_id: 1 + (n % 3) as i32,
        product_id: 7,
        quantity: 1,
        camera_id: Some(11 + line as i32),
        confidence: Some(0.8 + (n % 200) as f32 / 1000.0),
    };
    (from..from + count).map(|n| (row(n), false)).collect()
}

/// The minutes that a batch of rows touches, as the engine writes them.
fn minutes(rows: &[(Detection, bool)]) -> Vec<MinuteRow> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Vec::new() };
    let minute = |at: Ms| at.div_euclid(MINUTE_MS);
    let row = |minute: i64| MinuteRow {
        minute: minute * MINUTE_MS,
        sums: Sums {
            buckets: [0, 0, 0, MINUTE_MS, 0, 0],
            apt_ms: MINUTE_MS,
            total: 3_000,
            good: 3_000,
            ..Sums::default()
        },
        pieces: vec![PieceCount { area_id: 1, product_id: 7, quantity: 3_000 }],
        slices: vec![7; 240],
    };
    (minute(first.0.detected_at)..=minute(last.0.detected_at)).map(row).collect()
}

impl Took {
    async fn add<T>(&mut self, work: impl Future<Output = Result<T, CommitError>>) -> Result<T> {
        let (wall, cpu_before) = (Instant::now(), cpu());
        let done = work.await.map_err(|error| StoreError::Refused(error.to_string()))?;
        self.wall += wall.elapsed();
        self.cpu += cpu().saturating_sub(cpu_before);
        Ok(done)
    }
}

/// Writes `rows` rows over `lines` lines, `rows_per_commit` at a time, through the commit of the engine, and the same
/// rows by one `LOAD DATA` per line, in turns, `rounds` times, into a database of its own that is dropped afterwards.
///
/// # Errors
/// A server that cannot be reached or does not allow `LOAD DATA LOCAL`.
pub async fn persistence(
    server_url: &str,
    rows: usize,
    lines: usize,
    rows_per_commit: usize,
    rounds: usize,
) -> Result<PersistenceReport> {
    let name = format!("andon_t_bench_{:08x}", rand::random::<u32>());
    let address = Address::parse(server_url)?.with_database(&name);
    let db = TenantDb::new("bench".to_owned(), address.clone(), 2)?;
    let measured = measure(&db, rows, lines.max(1), rows_per_commit, rounds.max(1)).await;
    let mut connection = MySqlConnection::connect_with(&address.sqlx(None)).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS `{name}`"))).execute(&mut connection).await?;
    measured
}

async fn measure(
    db: &TenantDb,
    total: usize,
    lines: usize,
    rows_per_commit: usize,
    rounds: usize,
) -> Result<PersistenceReport> {
    migrate::tenant(&db.address).await?;
    let per_line = total / lines;
    let (mut commit, mut load, mut format) = (Took::default(), Took::default(), Took::default());
    for round in 0..rounds {
        let name = |line: usize| format!("r{round}l{line}");
        by_commit(db, lines, per_line, (rows_per_commit / lines).max(1), &name, &mut commit).await?;
        for line in 0..lines {
            let rows = rows(line, 0, per_line);
            let target = db.line(&format!("r{round}x{line}")).await?;
            db.make_room(&target, &rows).await?;
            let chunks = format.add(async { Ok(format_rows(&rows)) }).await?;
            load.add(db.load_rows(&target, chunks, rows.len())).await?;
        }
    }
    let count = (per_line * lines * rounds) as f64;
    let (commit_rate, load_rate) = (count / commit.wall.as_secs_f64(), count / load.wall.as_secs_f64());
    Ok(PersistenceReport {
        rows: per_line * lines * rounds,
        lines,
        rows_per_commit,
        commit_rows_per_s: commit_rate,
        load_data_rows_per_s: load_rate,
        share: commit_rate / load_rate,
        commit_client_us_per_row: commit.cpu.as_secs_f64() * 1e6 / count,
        load_data_client_us_per_row: load.cpu.as_secs_f64() * 1e6 / count,
        format_us_per_row: format.wall.as_secs_f64() * 1e6 / count,
    })
}

async fn by_commit(
    db: &TenantDb,
    lines: usize,
    per_line: usize,
    batch: usize,
    name: &impl Fn(usize) -> String,
    took: &mut Took,
) -> Result<()> {
    let names: Vec<(String, String)> =
        (0..lines).map(|line| (name(line), format!("detections.bench.{}", name(line)))).collect();
    let mut checkpoints = Vec::new();
    for (line, topic) in &names {
        checkpoints.push(db.take_over(line, topic, "bench").await?);
    }
    let state = vec![0xa5; STATE];
    let mut done = 0;
    while done < per_line {
        let count = batch.min(per_line - done);
        let changes: Vec<Changes> = (0..lines)
            .map(|line| {
                let detections = rows(line, done, count);
                Changes { minutes: minutes(&detections), detections, ..Changes::default() }
            })
            .collect();
        let commits: Vec<LineCommit<'_>> = names
            .iter()
            .zip(&checkpoints)
            .zip(&changes)
            .map(|(((line, topic), checkpoint), changes)| LineCommit {
                line,
                topic,
                expected_epoch: checkpoint.owner_epoch,
                expected_seq: checkpoint.commit_seq,
                next_offset: (done + count) as i64,
                clock: changes.detections.last().map(|(detection, _)| detection.detected_at),
                told_seq: Some(checkpoint.commit_seq + 1),
                state: &state,
                state_version: 1,
                changes,
                first_input_seq: 1,
                after_offset: -1,
                replaces_timer: false,
                applied_commands: Vec::new(),
                outbox: Some(vec![0x5a; RECORDS]),
            })
            .collect();
        took.add(db.commit(&commits)).await?;
        checkpoints.iter_mut().for_each(|checkpoint| checkpoint.commit_seq += 1);
        done += count;
    }
    Ok(())
}
