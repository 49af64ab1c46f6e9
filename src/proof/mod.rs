//! The reader's proof: the output topics of a tenant, read like any reader would, have no gap and no double, and agree
//! with the tables. `docs/exactly-once.md` tells what each header proves.
//!
//! | part | role |
//! |---|---|
//! | [`chain`] | headers alone: what was told twice, out of order, or is missing |
//! | [`tables`] | the newest record of each key against the tables |
//! | this file | reads both at one commit and makes the report |

mod chain;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use self::chain::{Bounds, Chain, Place, Seen};
use self::tables::View;
use crate::domain::time::Ms;
use crate::kafka::Settings;
use crate::kafka::schemas::SchemaIds;
use crate::kafka::tail::{Tail, TailError, TailRecord, TailStart};
use crate::kafka::topics::{self, Admin, AdminError, TopicDescription, TopicName};
use crate::store::{StoreError, TenantDb, Told};

/// Clocks of publishers, brokers and this reader differ by less.
const CLOCKS: Ms = 300_000;
/// Records between the reading thread and here.
const ROOM: usize = 4_096;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The same record of the same commit twice.
    Doubled,
    /// A record after one of a later commit, or of a later index.
    OutOfOrder,
    /// Told once, by its neighbours' word, and neither there nor removed by compaction or retention.
    Lost,
    /// Committed, and not on the topics when the wait was over.
    Unpublished,
    /// On the topics, and not in the tables' commits: the database went back in time.
    Ahead,
    /// A stop's revision that does not grow.
    Revision,
    /// Topic and table differ, or an hour of the tables and its minutes.
    Table,
    /// A record that is not one of Andon's.
    Foreign,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub line: String,
    pub fault: Fault,
    pub topic: Option<String>,
    pub offset: Option<i64>,
    pub key: Option<String>,
    pub incarnation: Option<u32>,
    pub commit_seq: Option<u64>,
    /// One sentence for people.
    pub detail: String,
}

/// What was proven of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineProof {
    pub line: String,
    pub ok: bool,
    pub records: u64,
    /// Commits of which a record is there.
    pub commits: u64,
    pub incarnation: u32,
    /// The first and the last commit on the topics.
    pub first_commit: Option<u64>,
    pub last_commit: Option<u64>,
    /// From this commit on every record is there; earlier ones were thinned by compaction or retention, or are from
    /// before the headers that prove it.
    pub whole_from: Option<u64>,
    /// Commits of which compaction or retention took all or some records: their loss can't be told from that.
    pub thinned: u64,
    /// Records that an earlier incarnation told after the commit from which the next went on: no longer true.
    pub void: u64,
    /// The database's commit, with which the topics were compared.
    pub committed: u64,
    /// Stops and closed shifts that are the same in topic and table.
    pub stops_equal: u64,
    pub shifts_equal: u64,
    /// Stops and closed shifts whose record compaction or retention took, or that changed after the comparison's commit.
    pub not_comparable: u64,
    /// Commits that wait to be published: still to be told, not lost.
    pub unpublished: Vec<u64>,
    pub problems: Vec<Problem>,
}

/// Why nothing could be proven. Messages follow "failed to ".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Topics(#[from] AdminError),
    #[error("read the topics: {0}")]
    Read(#[from] TailError),
    #[error("read the tables: {0}")]
    Tables(#[from] StoreError),
    #[error("read the topics: their end was not reached in {0:?} without a record")]
    Stalled(Duration),
}

/// A line while it is being read.
struct Reading {
    told: Told,
    chain: Chain,
    view: View,
}

/// Reads the topics of these lines and proves what can be proven. Records that are committed and not yet published are
/// waited for at most `wait`.
///
/// # Errors
/// When a server can't be reached. What is wrong with the topics is in the answer.
pub async fn verify(
    settings: &Settings,
    ids: &Arc<SchemaIds>,
    db: &TenantDb,
    lines: &[String],
    wait: Duration,
    now: Ms,
) -> Result<Vec<LineProof>, Error> {
    let tenant = db.name().to_owned();
    let described = Admin::connect(settings)?.describe(Some(&tenant)).await?;
    let mut readings = BTreeMap::new();
    let mut fresh = Vec::new();
    for line in lines {
        match db.told(line).await? {
            Some(told) => {
                let reading = Reading { told, chain: Chain::default(), view: View::default() };
                readings.insert(line.clone(), reading);
            }
            None => fresh.push(LineProof { line: line.clone(), ok: true, ..LineProof::default() }),
        }
    }
    read(settings, ids, &tenant, &mut readings, wait).await?;
    let mut proofs = fresh;
    for (line, reading) in readings {
        // A record that came after the snapshot is fine; one of a commit that still is not there is not.
        let committed = db.checkpoint(&line).await?.unwrap_or(reading.told.checkpoint.clone());
        let bounds = bounds(&tenant, &line, &described, now);
        proofs.push(reading.prove(&line, (committed.incarnation, committed.commit_seq), &bounds));
    }
    proofs.sort_by(|a, b| a.line.cmp(&b.line));
    Ok(proofs)
}

/// Takes every record that is there, and then those that are committed and on their way.
async fn read(
    settings: &Settings,
    ids: &SchemaIds,
    tenant: &str,
    readings: &mut BTreeMap<String, Reading>,
    wait: Duration,
) -> Result<(), Error> {
    const STALLED: Duration = Duration::from_secs(60);
    if readings.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = readings.keys().map(String::as_str).collect();
    let pattern = format!(r"^(?:(?:downtime|oee)\.{tenant}\.(?:{})|(?:late|deadletter)\.{tenant})$", names.join("|"));
    let mut tail = Tail::follow(settings, &pattern, TailStart::Beginning, ROOM)?;
    let mut last = Instant::now();
    let mut until = None;
    loop {
        // Asked before the records are taken: what was there at the end is then among them.
        let at_end = *tail.caught_up.borrow();
        let taken = tokio::time::timeout(Duration::from_millis(50), tail.records.recv()).await;
        match taken {
            Ok(Some(record)) => {
                last = Instant::now();
                take(record, ids, readings);
                continue;
            }
            Ok(None) => return Ok(()),
            Err(_) if !at_end && last.elapsed() > STALLED => return Err(Error::Stalled(STALLED)),
            Err(_) if !at_end => continue,
            Err(_) => {}
        }
        let deadline = *until.get_or_insert_with(|| Instant::now() + wait);
        if readings.values().all(Reading::is_published) || Instant::now() >= deadline {
            return Ok(());
        }
    }
}

fn take(record: TailRecord, ids: &SchemaIds, readings: &mut BTreeMap<String, Reading>) {
    let name = topics::parse(&record.topic);
    let line = match &name {
        Some(name) if name.line().is_some() => name.line().map(str::to_owned),
        _ => header(&record, "line").map(str::to_owned),
    };
    let Some(line) = line else { return };
    let Some(reading) = readings.get_mut(&line) else { return };
    let Some(seen) = seen(&record) else {
        let key = record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default();
        reading.chain.foreign(&record.topic, record.offset, key);
        return;
    };
    let place = seen.place.clone();
    let at = seen.at();
    reading.chain.take(seen);
    match name {
        Some(TopicName::Downtime { .. }) => reading.view.stop(at, place, record.payload.as_deref(), ids),
        Some(TopicName::Oee { .. }) => reading.view.figure(at, place, record.payload.as_deref(), ids),
        _ => {}
    }
}

fn header<'a>(record: &'a TailRecord, name: &str) -> Option<&'a str> {
    let value = record.headers.iter().rev().find(|(header, _)| header == name)?;
    std::str::from_utf8(&value.1).ok()
}

fn seen(record: &TailRecord) -> Option<Seen> {
    let number = |name: &str| header(record, name).and_then(|text| text.parse::<u64>().ok());
    Some(Seen {
        incarnation: number("incarnation")?.try_into().ok()?,
        commit_seq: number("commit_seq")?,
        index: number("index")?,
        count: number("count"),
        prev_seq: number("prev_seq"),
        told_at: record.timestamp,
        place: Place {
            topic: Arc::from(record.topic.as_str()),
            offset: record.offset,
            key: Arc::from(String::from_utf8_lossy(record.key.as_deref().unwrap_or_default())),
        },
    })
}

/// Since when nothing of the line can have been removed from its topics.
fn bounds(tenant: &str, line: &str, described: &[TopicDescription], now: Ms) -> Bounds {
    let of_line = [topics::downtime(tenant, line), topics::oee(tenant, line)];
    let of_tenant = [topics::late(tenant), topics::deadletter(tenant)];
    let mut bounds = Bounds { whole_since: Ms::MIN, untouched: true, low: BTreeMap::new() };
    for topic in described.iter().filter(|d| of_line.contains(&d.topic) || of_tenant.contains(&d.topic)) {
        let is_compacted = topic.cleanup_policy.contains("compact");
        bounds.low.insert(topic.topic.clone(), (topic.low, is_compacted));
        bounds.untouched &= topic.low == 0;
        let mut since = Ms::MIN;
        if is_compacted {
            since = now - topic.compaction_lag_ms + CLOCKS;
        }
        if topic.cleanup_policy.contains("delete") && topic.low > 0 && topic.retention_ms >= 0 {
            since = since.max(now - topic.retention_ms + CLOCKS);
        }
        bounds.whole_since = bounds.whole_since.max(since);
    }
    bounds
}

// === impl Reading ===

impl Reading {
    /// Whether the last commit with records is on the topics; where that is not known, whether the outbox's last is.
    fn is_published(&self) -> bool {
        let last = self.told.checkpoint.told_seq.or(self.told.outbox.last().copied()).unwrap_or(0);
        self.chain.last().is_some_and(|at| at >= (self.told.checkpoint.incarnation, last)) || last == 0
    }

    fn prove(mut self, line: &str, committed: (u32, u64), bounds: &Bounds) -> LineProof {
        let told = &self.told;
        let mut proof = LineProof {
            line: line.to_owned(),
            incarnation: told.checkpoint.incarnation,
            committed: told.checkpoint.commit_seq,
            ..LineProof::default()
        };
        self.chain.prove(told, committed, bounds, &mut proof);
        self.view.prove(told, &self.chain.void(), bounds, &mut proof);
        for problem in &mut proof.problems {
            line.clone_into(&mut problem.line);
        }
        proof.problems.sort_by_key(|problem| (problem.incarnation, problem.commit_seq, problem.fault, problem.offset));
        proof.ok = proof.problems.is_empty();
        proof
    }
}
