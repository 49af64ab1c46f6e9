//! The tenant's database behind the shard's port.

use std::sync::Arc;

use crate::domain::production::changes::{MinuteRow, ShiftRecord};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{CameraStatus, Detection};
use crate::domain::production::input::Classification;
use crate::domain::production::line::timeline::Timeline;
use crate::domain::production::line::{doubtful_words, resolved_words};
use crate::domain::production::stop::{Stop, downtime_id, started_at};
use crate::domain::time::{FOREVER, MINUTE_MS, Ms, Span};
use crate::engine::ports::{
    Checkpoint, Command, CommandOutcome, Forward, LinePart, PendingCommand, ShardStore, StoreError,
};
use crate::store::{self, CommandBody, CommitError, LineCommit, TenantDb};

/// One database for all that use the tenant in this process.
#[derive(Clone, Debug)]
pub struct SharedDb {
    pub db: Arc<TenantDb>,
    /// Who publishes what is committed through this, by its `transactional.id`.
    pub publisher: Arc<str>,
}

impl From<store::StoreError> for StoreError {
    fn from(why: store::StoreError) -> Self {
        if why.is_transient() { StoreError::Transient(why.to_string()) } else { StoreError::Permanent(why.to_string()) }
    }
}

impl From<CommitError> for StoreError {
    fn from(why: CommitError) -> Self {
        match why {
            CommitError::Fenced(lines) => StoreError::Fenced(lines),
            CommitError::Transient(why) => StoreError::Transient(why.to_string()),
            CommitError::Unknown(why) => StoreError::Unknown(why.to_string()),
            CommitError::Permanent(why) => StoreError::Permanent(why.to_string()),
        }
    }
}

fn command(row: store::Command) -> PendingCommand {
    let command = match row.body {
        CommandBody::Classify { downtime_id, reason_code, comment, was } => match started_at(&downtime_id) {
            Some(started_at) => {
                let was = was.map(|was| (was.reason_code, was.comment));
                Command::Classify { started_at, reason_code, comment, was }
            }
            None => Command::Unreadable(format!("{downtime_id:?} is no id of a stop")),
        },
        CommandBody::Split { at } => Command::Split { at },
        CommandBody::Version { version, .. } => Command::Version { version },
        CommandBody::AcceptHole { next_offset, until } => Command::AcceptHole { next_offset, until },
        CommandBody::Forward { incarnation, void } => Command::Forward { incarnation, void },
        other => Command::Unreadable(format!("this binary's lines cannot be asked to {}", other.kind())),
    };
    PendingCommand { id: row.id, line: row.line, author: row.author, command }
}

fn outcome(outcome: &CommandOutcome, commit_seq: u64) -> store::CommandOutcome {
    match outcome {
        CommandOutcome::Applied => store::CommandOutcome::Applied { commit_seq },
        CommandOutcome::Refused(reason) => store::CommandOutcome::Refused { reason: reason.clone() },
    }
}

fn part<'a>(part: &'a LinePart<'_>) -> LineCommit<'a> {
    let sealed = part.sealed;
    LineCommit {
        line: part.line,
        topic: part.topic,
        expected_epoch: sealed.before.owner_epoch,
        expected_seq: sealed.before.commit_seq,
        next_offset: sealed.after.next_offset,
        clock: sealed.clock,
        told_seq: sealed.after.told_seq,
        state: &sealed.state,
        state_version: sealed.state_version,
        changes: &sealed.changes,
        first_input_seq: sealed.first_input_seq,
        after_offset: sealed.after.next_offset - 1,
        replaces_timer: sealed.replaces_timer,
        applied_commands: part
            .commands
            .iter()
            .map(|(id, done)| (*id, outcome(done, sealed.after.commit_seq)))
            .collect(),
        outbox: Some(sealed.parcel.encode()),
    }
}

// === impl SharedDb ===

impl SharedDb {
    /// Whether an exit that is not late lies in a span. The next one is rarely far: it is looked for in growing steps.
    async fn has_exit(&self, line: &str, timeline: &Timeline, within: Span) -> Result<bool, StoreError> {
        let (mut from, mut step) = (within.from, 10 * MINUTE_MS);
        while from < within.to {
            let part = Span::new(from, within.to.min(from + step));
            let rows = self.db.detections(line, part, false).await?;
            let is_exit =
                |d: &Detection| timeline.at(d.detected_at).counts(d.area_id).is_some_and(|counts| counts.exit);
            if rows.iter().any(|(detection, _)| is_exit(detection)) {
                return Ok(true);
            }
            (from, step) = (part.to, step * 2);
        }
        Ok(false)
    }
}

// === impl ShardStore ===

impl ShardStore for SharedDb {
    async fn take_over(&self, line: &str, topic: &str) -> Result<Checkpoint, StoreError> {
        Ok(self.db.take_over(line, topic, &self.publisher).await?)
    }

    async fn checkpoint(&self, line: &str) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.db.checkpoint(line).await?)
    }

    async fn publishers(&self) -> Result<Vec<(String, String)>, StoreError> {
        Ok(self.db.publishers().await?)
    }

    async fn recent_detections(&self, line: &str, from: Ms) -> Result<Vec<Detection>, StoreError> {
        let rows = self.db.detections(line, Span::new(from, FOREVER), false).await?;
        Ok(rows.into_iter().map(|(detection, _)| detection).collect())
    }

    async fn minutes(&self, line: &str, span: Span) -> Result<Vec<MinuteRow>, StoreError> {
        Ok(self.db.minutes(line, span).await?)
    }

    async fn stop(&self, line: &str, started_at: Ms) -> Result<Option<Stop>, StoreError> {
        Ok(self.db.stop(&downtime_id(line, started_at)).await?)
    }

    async fn stop_around(&self, line: &str, at: Ms) -> Result<Option<Stop>, StoreError> {
        Ok(self.db.stop_around(line, at).await?)
    }

    async fn words(&self, line: &str, span: Span) -> Result<Vec<Classification>, StoreError> {
        let words = self.db.classifications(line, span).await?;
        let doubtful = doubtful_words(span, &words);
        if doubtful.is_empty() {
            return Ok(words);
        }
        let inputs: Vec<_> = self.db.inputs(line).await?.into_iter().map(|stored| stored.input).collect();
        let timeline = Timeline::taken_over(self.db.line_configs(line).await?, &inputs);
        let mut ended = Vec::with_capacity(doubtful.len());
        for (place, within) in doubtful {
            ended.push((place, self.has_exit(line, &timeline, within).await?));
        }
        Ok(resolved_words(span, words, &ended))
    }

    async fn shift_records(&self, line: &str, span: Span) -> Result<Vec<ShiftRecord>, StoreError> {
        Ok(self.db.shift_records(line, span).await?)
    }

    async fn known(&self, line: &str, identities: &[(i64, Ms)]) -> Result<Vec<Detection>, StoreError> {
        Ok(self.db.known(line, identities).await?)
    }

    async fn known_statuses(&self, line: &str, statuses: &[CameraStatus]) -> Result<Vec<CameraStatus>, StoreError> {
        Ok(self.db.known_statuses(line, statuses).await?)
    }

    async fn newest_version(&self) -> Result<u32, StoreError> {
        self.db.refresh().await?;
        Ok(self.db.current().await?.map_or(0, |version| version.version))
    }

    async fn versions(&self, line: &str) -> Result<Option<(Vec<LineConfig>, u64)>, StoreError> {
        let configs = self.db.line_configs(line).await?;
        let current = self.db.current().await?;
        let of_line = current.as_ref().and_then(|version| version.spec.line(line).ok());
        Ok(of_line.filter(|_| !configs.is_empty()).map(|of_line| (configs, of_line.oee_cadence_ms.into())))
    }

    async fn commit(&self, parts: &[LinePart<'_>]) -> Result<(), StoreError> {
        let commits: Vec<LineCommit<'_>> = parts.iter().map(part).collect();
        Ok(self.db.commit(&commits).await?)
    }

    async fn forward(&self, line: &str, owner: &Checkpoint, to: &Forward) -> Result<(), StoreError> {
        match self.db.forward(line, owner, to).await? {
            true => Ok(()),
            false => Err(StoreError::Fenced(vec![line.to_owned()])),
        }
    }

    async fn pending(&self) -> Result<Vec<PendingCommand>, StoreError> {
        Ok(self.db.pending().await?.into_iter().map(command).collect())
    }

    async fn outbox_after(&self, line: &str, seq: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let rows = self.db.outbox_after(line, seq).await?.into_iter();
        Ok(rows.map(|row| (row.commit_seq, row.payload)).collect())
    }

    async fn published(&self, progress: &[(String, u64)]) -> Result<(), StoreError> {
        let progress: Vec<(&str, u64)> = progress.iter().map(|(line, seq)| (line.as_str(), *seq)).collect();
        Ok(self.db.mark_published(&progress).await?)
    }
}
