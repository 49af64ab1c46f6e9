//! A line's whole memory in one row, its owner's epoch, and what waits to be published.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::command::CommandOutcome;
use super::error::Result;
use super::name::LineName;
use super::tenant::TenantDb;
use crate::domain::production::line::Needs;
use crate::domain::time::{BEGINNING, Ms};

/// A row of `checkpoint`, as a new owner finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where to go on in the line's topic; -1: nothing was consumed yet.
    pub next_offset: i64,
    /// Commits so far.
    pub commit_seq: u64,
    /// This owner's; every take-over counts it up.
    pub owner_epoch: u64,
    /// Up to here is known to be published; written lazily, so Kafka may know more.
    pub published_seq: u64,
    pub incarnation: u32,
    /// Last commit of this incarnation that published a record; 0: none has, none: not known, of a line that an older
    /// Andon left behind.
    pub told_seq: Option<u64>,
    /// Of the encoding of `state`; 0 with an empty one.
    pub state_version: u32,
    pub state: Vec<u8>,
}

/// The records of one commit, waiting to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxBatch {
    pub commit_seq: u64,
    pub payload: Vec<u8>,
}

/// How a line goes on after its database went back in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Later than any that the topics have seen.
    pub incarnation: u32,
    /// The last commit that is published.
    pub published_seq: u64,
    /// The one after it, made here.
    pub commit_seq: u64,
    pub told_seq: Option<u64>,
    /// What this commit publishes, in the publisher's own encoding.
    pub outbox: Vec<u8>,
    /// The command that asked for it.
    pub command: i64,
}

// === impl Checkpoint ===

impl Checkpoint {
    /// Whether the line never committed.
    pub fn is_fresh(&self) -> bool {
        self.commit_seq == 0 && self.next_offset < 0
    }
}

/// The columns that [`read`] reads.
pub(super) const COLUMNS: &str =
    "next_offset, commit_seq, owner_epoch, published_seq, incarnation, state_version, state, told_seq";

pub(super) fn read(row: &MySqlRow) -> Result<Checkpoint> {
    Ok(Checkpoint {
        next_offset: row.try_get(0)?,
        commit_seq: row.try_get(1)?,
        owner_epoch: row.try_get(2)?,
        published_seq: row.try_get(3)?,
        incarnation: row.try_get(4)?,
        state_version: row.try_get(5)?,
        state: row.try_get(6)?,
        told_seq: row.try_get(7)?,
    })
}

impl TenantDb {
    /// Makes the caller the owner of a line: counts up `owner_epoch`, so that whoever owned it before fails at its
    /// next commit, with no clock involved; then answers the line's memory. Makes the line's tables when missing.
    /// `publisher` is who will publish what the caller commits, for the next owner to know.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] when the line's checkpoint is of another topic.
    pub async fn take_over(&self, line: &str, topic: &str, publisher: &str) -> Result<Checkpoint> {
        let line = self.line(line).await?;
        self.make_ahead(&line, jiff::Timestamp::now().as_millisecond()).await?;
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO checkpoint (topic, `partition`, line, next_offset, commit_seq, owner_epoch, published_seq,
                 incarnation, state_version, state, updated_at, told_seq, publisher)
             VALUES (?, 0, ?, -1, 0, 1, 0, 1, 0, '', UTC_TIMESTAMP(3), 0, ?)
             ON DUPLICATE KEY UPDATE owner_epoch = owner_epoch + 1, updated_at = UTC_TIMESTAMP(3),
                 publisher = VALUES(publisher)",
        )
        .bind(topic)
        .bind(line.as_str())
        .bind(publisher)
        .execute(&mut *transaction)
        .await?;
        let row = sqlx::query(
            "SELECT next_offset, commit_seq, owner_epoch, published_seq, incarnation, state_version, state, told_seq,
                 topic
             FROM checkpoint WHERE line = ?",
        )
        .bind(line.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        let stored_topic: String = row.try_get(8)?;
        if stored_topic != topic {
            let problem = format!("line {line} has its checkpoint under topic {stored_topic}, not {topic}");
            return Err(super::StoreError::Conflict(problem));
        }
        let checkpoint = read(&row)?;
        transaction.commit().await?;
        Ok(checkpoint)
    }

    /// By line, the publisher of its last owner; lines that an older Andon took over are left out.
    pub async fn publishers(&self) -> Result<Vec<(String, String)>> {
        let rows = sqlx::query("SELECT line, publisher FROM checkpoint WHERE publisher IS NOT NULL")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// The line's checkpoint as it is, without taking the line over; none before its first owner.
    pub async fn checkpoint(&self, line: &str) -> Result<Option<Checkpoint>> {
        let line = LineName::new(line)?;
        let row = sqlx::query(
            "SELECT next_offset, commit_seq, owner_epoch, published_seq, incarnation, state_version, state, told_seq
             FROM checkpoint WHERE line = ?",
        )
        .bind(line.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// From when on the line can still be booked anew, by its checkpoint: a version that begins before would leave what
    /// is older as it is. [`BEGINNING`] for a line that never committed.
    ///
    /// # Errors
    /// A state that this binary cannot read.
    pub async fn rebookable_from(&self, line: &str) -> Result<Ms> {
        match self.checkpoint(line).await? {
            Some(there) if !there.state.is_empty() => Needs::of(there.state_version, &there.state)
                .map(|needs| needs.detections_from)
                .map_err(|why| super::StoreError::corrupt("checkpoint", why)),
            _ => Ok(BEGINNING),
        }
    }

    /// Takes a line that went back in time forward again. What it had read is read again from its offset on. All of it
    /// once, or, when the line has another owner or has moved on, nothing: `false`.
    pub async fn forward(&self, line: &str, owner: &Checkpoint, to: &Forward) -> Result<bool> {
        let line = LineName::new(line)?;
        let outcome = CommandOutcome::Applied { commit_seq: to.commit_seq };
        let outcome = serde_json::to_string(&outcome).map_err(|error| super::StoreError::corrupt("command", error))?;
        let mut transaction = self.pool.begin().await?;
        let moved = sqlx::query(
            "UPDATE checkpoint SET incarnation = ?, commit_seq = ?, published_seq = ?, told_seq = ?,
                 updated_at = UTC_TIMESTAMP(3)
             WHERE line = ? AND owner_epoch = ? AND commit_seq = ?",
        )
        .bind(to.incarnation)
        .bind(to.commit_seq)
        .bind(to.published_seq)
        .bind(to.told_seq)
        .bind(line.as_str())
        .bind(owner.owner_epoch)
        .bind(owner.commit_seq)
        .execute(&mut *transaction)
        .await?;
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
        // All that waits was published before the database went back.
        sqlx::query("DELETE FROM outbox WHERE line = ?").bind(line.as_str()).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO outbox (line, commit_seq, payload) VALUES (?, ?, ?)")
            .bind(line.as_str())
            .bind(to.commit_seq)
            .bind(&to.outbox)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE command SET applied_at = UTC_TIMESTAMP(3), outcome = ? WHERE id = ?")
            .bind(outcome)
            .bind(to.command)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// What of the line waits to be published after `commit_seq`, in order.
    pub async fn outbox_after(&self, line: &str, commit_seq: u64) -> Result<Vec<OutboxBatch>> {
        let line = LineName::new(line)?;
        let rows =
            sqlx::query("SELECT commit_seq, payload FROM outbox WHERE line = ? AND commit_seq > ? ORDER BY commit_seq")
                .bind(line.as_str())
                .bind(commit_seq)
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(|row| Ok(OutboxBatch { commit_seq: row.try_get(0)?, payload: row.try_get(1)? })).collect()
    }

    /// Notes up to where lines are published and forgets what they had waiting. To be called now and then: a lost or
    /// late call costs only a comparison with Kafka's own word at the next take-over. It never goes back.
    pub async fn mark_published(&self, published: &[(&str, u64)]) -> Result<()> {
        // In the order of the names, as every writer of these rows does: nobody waits in a circle.
        let mut greatest = BTreeMap::new();
        for (line, seq) in published {
            let known = greatest.entry(LineName::new(line)?).or_insert(*seq);
            *known = (*known).max(*seq);
        }
        let mut transaction = self.pool.begin().await?;
        for (line, seq) in greatest {
            sqlx::query("UPDATE checkpoint SET published_seq = GREATEST(published_seq, ?) WHERE line = ?")
                .bind(seq)
                .bind(line.as_str())
                .execute(&mut *transaction)
                .await?;
            sqlx::query("DELETE FROM outbox WHERE line = ? AND commit_seq <= ?")
                .bind(line.as_str())
                .bind(seq)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
