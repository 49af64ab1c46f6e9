//! The transaction that moves lines forward.
//!
//! Everything a micro-batch of a tenant's lines changed goes into one transaction, first of all a compare-and-set of
//! their checkpoints on `(owner_epoch, commit_seq)`: whoever is no longer the owner, or has committed already, changes
//! nothing. The isolation is READ COMMITTED:
//! - the compare-and-set must see the newest committed row, which an `UPDATE` does at any level, and nothing in the
//!   transaction reads twice (hours are added up from the minutes that it has just written);
//! - lines of one tenant are committed by several processes into the same tables; without gap locks they never wait for
//!   each other, nor for a reader's old snapshot;
//! - rows that a scan passes without matching are unlocked again.
//!
//! Statements are made of integers and of `x'…'` literals only: no quoting exists, so nothing can escape it, and no
//! statement needs to be prepared, which for tables per line would mean two round trips instead of one.

mod connection;
mod hours;
mod rows;
mod sql;
mod statements;

use serde::{Deserialize, Serialize};

pub(super) use self::connection::Connections;
use self::connection::Session;
pub(super) use self::hours::apart as hours_apart;
pub(super) use self::rows::format as format_rows;
pub(super) use self::statements::SUMS_COLUMNS;
use super::command::CommandOutcome;
use super::error::StoreError;
use super::name::LineName;
use super::tenant::TenantDb;
use crate::domain::production::changes::Changes;
use crate::domain::time::Ms;

/// What one line commits.
#[derive(Clone, Debug)]
pub struct LineCommit<'a> {
    pub line: &'a str,
    pub topic: &'a str,
    /// `owner_epoch` of the take-over.
    pub expected_epoch: u64,
    /// `commit_seq` before this commit; it becomes one more.
    pub expected_seq: u64,
    /// Where to go on in the line's topic.
    pub next_offset: i64,
    /// The line clock; none of a line that was never heard.
    pub clock: Option<Ms>,
    /// Last commit of the incarnation that has records to publish, this one included; none: not known.
    pub told_seq: Option<u64>,
    /// The line's whole memory, in the encoding `state_version`.
    pub state: &'a [u8],
    pub state_version: u32,
    pub changes: &'a Changes,
    /// `seq` of the first of `changes.inputs`; the others follow it.
    pub first_input_seq: u64,
    /// Last offset of the line's topic before those inputs; -1: none.
    pub after_offset: i64,
    /// The first of `changes.inputs` is a timer decision directly after another: `first_input_seq` is that one's, and
    /// it is overwritten.
    pub replaces_timer: bool,
    /// Commands that this commit has applied or refused.
    pub applied_commands: Vec<(i64, CommandOutcome)>,
    /// The records to publish, in the publisher's own encoding.
    pub outbox: Option<Vec<u8>>,
}

/// Why a commit did not happen, or may have.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// These lines have another owner or have moved on; nothing of any line was written.
    #[error("lines {} have another owner", .0.join(", "))]
    Fenced(Vec<String>),
    /// Rolled back by the server or never arrived: the same commit may be tried again.
    #[error("{0}")]
    Transient(StoreError),
    /// The answer to COMMIT was lost: read the checkpoints to know.
    #[error("the answer to COMMIT was lost: {0}")]
    Unknown(StoreError),
    /// Nothing was written and nothing will be: the rows contradict those that are there, or cannot be stored.
    #[error("{0}")]
    Permanent(StoreError),
}

/// The JSON of a piece count in `rollup_minute_{line}`: area, product, quantity.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct PieceRow(pub i32, pub i32, pub i64);

// === impl CommitError ===

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { CommitError::Transient(error) } else { CommitError::Permanent(error) }
    }
}

impl From<mysql_async::Error> for CommitError {
    fn from(error: mysql_async::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl CommitError {
    /// Rows that are there although the checkpoint says that they cannot be, or the other way round.
    fn invariant(problem: String) -> Self {
        CommitError::Permanent(StoreError::Conflict(problem))
    }
}

impl TenantDb {
    /// Commits what lines have done, all or nothing. Where a line is named twice, or none is, nothing happens.
    ///
    /// # Errors
    /// [`CommitError`], which tells what to do.
    pub async fn commit(&self, lines: &[LineCommit<'_>]) -> Result<(), CommitError> {
        let mut commits = Vec::with_capacity(lines.len());
        for commit in lines {
            let name = LineName::new(commit.line)?;
            self.make_room(&name, &commit.changes.detections).await?;
            commits.push((name, commit));
        }
        if commits.is_empty() {
            return Ok(());
        }
        // Every transaction takes its rows in the same order, so that none waits for another in a circle.
        commits.sort_by_key(|(_, commit)| commit.topic);
        let mut session = self.commits.begin().await?;
        let error = match write(&mut session, &commits).await {
            Ok(()) => {
                session.commit().await?;
                self.commits.give_back(session);
                return Ok(());
            }
            Err(error) => error,
        };
        // Before the caller goes on: its next transaction must not wait for what this one still holds. Where the
        // connection is broken the server rolls back by itself.
        if session.roll_back().await.is_err() {
            return Err(error);
        }
        let error = match error {
            CommitError::Fenced(_) => CommitError::Fenced(moved(&mut session, &commits).await?),
            other => other,
        };
        self.commits.give_back(session);
        Err(error)
    }
}

impl TenantDb {
    /// Rows by themselves, in one statement and a transaction of their own: what the commit is measured against.
    pub(super) async fn load_rows(
        &self,
        line: &LineName,
        chunks: Vec<bytes::Bytes>,
        sent: usize,
    ) -> Result<(), CommitError> {
        let mut session = self.commits.begin().await?;
        rows::load_chunks(&mut session, line, chunks, sent).await?;
        session.commit().await?;
        self.commits.give_back(session);
        Ok(())
    }
}

/// Everything between START TRANSACTION and COMMIT.
async fn write(session: &mut Session, commits: &[(LineName, &LineCommit<'_>)]) -> Result<(), CommitError> {
    // By itself: a former owner learns here that it is one, not from the rows of its successor.
    statements::move_checkpoints(session, commits).await?;
    session.flush().await?;
    for (line, commit) in commits {
        rows::write(session, line, &commit.changes.detections).await?;
    }
    statements::inputs(session, commits).await?;
    for (line, commit) in commits {
        statements::stops(session, line, &commit.changes.stops).await?;
        statements::minutes(session, line, &commit.changes.minutes).await?;
        hours::write(session, line, commit).await?;
    }
    statements::shift_records(session, commits).await?;
    statements::applied_commands(session, commits).await?;
    statements::outbox(session, commits).await?;
    session.flush().await
}

/// After a missed compare-and-set and its roll-back: the lines that have moved on.
async fn moved(session: &mut Session, commits: &[(LineName, &LineCommit<'_>)]) -> Result<Vec<String>, CommitError> {
    let rows = statements::checkpoints(session, commits).await?;
    let stands = |commit: &LineCommit<'_>| {
        rows.iter().any(|(topic, epoch, seq)| {
            topic == commit.topic && *epoch == commit.expected_epoch && *seq == commit.expected_seq
        })
    };
    let moved: Vec<String> =
        commits.iter().filter(|(_, commit)| !stands(commit)).map(|(line, _)| line.as_str().to_owned()).collect();
    if moved.is_empty() {
        // All stand after all: two commits of one process named the same line at once.
        return Err(CommitError::Transient(StoreError::Transient("checkpoints changed under the commit".to_owned())));
    }
    Ok(moved)
}
