//! What must hold before a line may be taken over.

use crate::domain::production::line::BadState;
use crate::engine::outbox::BadOutbox;
use crate::engine::ports::{Checkpoint, Command, PendingCommand, ShardStore, StoreError};

/// A partition that the group gave to this process, and what Kafka knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub line: String,
    /// Last commit that the group's offset metadata says is published; 0: none.
    pub published_seq: u64,
    /// First offset of the log.
    pub low: i64,
    /// Offset after the last record of the log.
    pub high: i64,
}

/// Why a line was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("take the line over: it is not configured")]
    NotConfigured,
    #[error(
        "take the line over: the log begins at offset {low}, after the checkpoint's {next_offset}: {missing} records \
         are gone by retention; `andon line accept-hole` shows it, records the hole and goes on"
    )]
    LogBeginsLater { low: i64, next_offset: i64, missing: i64 },
    #[error(
        "take the line over: the log ends at offset {high}, before the checkpoint's {next_offset}: the topic was \
         created anew; `andon line accept-hole` shows it, records the hole and goes on"
    )]
    LogEndsEarlier { low: i64, high: i64, next_offset: i64 },
    /// As [`Refused::LogEndsEarlier`], but Kafka was asked for the log's end while a former owner went on: ask again.
    #[error("take the line over: its former owner read on past offset {high} meanwhile")]
    Outrun { high: i64 },
    #[error(
        "take the line over: commit {published} is published but the database ends with {committed}: it went back in \
         time (a restored backup?); `andon line forward` takes it forward from the log under a new incarnation"
    )]
    DatabaseWentBack { published: u64, committed: u64 },
    #[error(transparent)]
    State(#[from] BadState),
    #[error(transparent)]
    Outbox(#[from] BadOutbox),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares a checkpoint with its log and with what is published.
pub fn check_log(checkpoint: &Checkpoint, assignment: &Assignment) -> Result<(), Refused> {
    if assignment.published_seq > checkpoint.commit_seq {
        let (published, committed) = (assignment.published_seq, checkpoint.commit_seq);
        return Err(Refused::DatabaseWentBack { published, committed });
    }
    let next_offset = checkpoint.next_offset;
    if next_offset < 0 {
        return Ok(());
    }
    if assignment.low > next_offset {
        let missing = assignment.low - next_offset;
        return Err(Refused::LogBeginsLater { low: assignment.low, next_offset, missing });
    }
    if assignment.high < next_offset {
        return Err(Refused::LogEndsEarlier { low: assignment.low, high: assignment.high, next_offset });
    }
    Ok(())
}

/// The command of a stopped line that answers its reason, the newest of several; none: it stays stopped.
///
/// # Errors
/// Those of the store.
pub async fn answer<S: ShardStore>(store: &S, line: &str, why: &Refused) -> Result<Option<PendingCommand>, StoreError> {
    let pending = store.pending().await?;
    Ok(pending.into_iter().rev().find(|command| command.line == line && answers(&command.command, why)))
}

/// Whoever gave the command has seen what is missing: a hole that has grown since is another one.
fn answers(command: &Command, why: &Refused) -> bool {
    match (command, why) {
        (Command::Forward { .. }, Refused::DatabaseWentBack { .. }) => true,
        (
            Command::AcceptHole { next_offset, .. },
            Refused::LogBeginsLater { low, .. } | Refused::LogEndsEarlier { low, .. },
        ) => next_offset == low,
        _ => false,
    }
}

impl Refused {
    /// Whether a command takes the line on: it is then looked for again and again.
    pub fn is_answerable(&self) -> bool {
        matches!(
            self,
            Refused::LogBeginsLater { .. } | Refused::LogEndsEarlier { .. } | Refused::DatabaseWentBack { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(next_offset: i64, commit_seq: u64) -> Checkpoint {
        Checkpoint {
            next_offset,
            commit_seq,
            owner_epoch: 1,
            published_seq: 0,
            incarnation: 1,
            told_seq: Some(0),
            state_version: 1,
            state: Vec::new(),
        }
    }

    fn assignment(published_seq: u64, low: i64, high: i64) -> Assignment {
        Assignment { line: "l1".into(), published_seq, low, high }
    }

    #[test]
    fn a_checkpoint_inside_the_log_is_taken_over() {
        assert!(check_log(&checkpoint(5, 3), &assignment(3, 0, 5)).is_ok());
        assert!(check_log(&checkpoint(-1, 0), &assignment(0, 7, 9)).is_ok());
    }

    #[test]
    fn a_log_that_begins_later_or_ends_earlier_stops_the_line() {
        let later = check_log(&checkpoint(5, 3), &assignment(3, 8, 20));
        assert!(matches!(later, Err(Refused::LogBeginsLater { missing: 3, .. })));
        let earlier = check_log(&checkpoint(5, 3), &assignment(3, 0, 2));
        assert!(matches!(earlier, Err(Refused::LogEndsEarlier { .. })));
    }

    #[test]
    fn only_the_hole_that_was_looked_at_is_accepted() {
        let why = Refused::LogBeginsLater { low: 8, next_offset: 5, missing: 3 };
        assert!(answers(&Command::AcceptHole { next_offset: 8, until: 0 }, &why));
        assert!(!answers(&Command::AcceptHole { next_offset: 7, until: 0 }, &why));
        assert!(!answers(&Command::Forward { incarnation: 2, void: Vec::new() }, &why));
        assert!(answers(
            &Command::Forward { incarnation: 2, void: Vec::new() },
            &Refused::DatabaseWentBack { published: 4, committed: 3 }
        ));
    }

    #[test]
    fn more_published_than_committed_means_the_database_went_back() {
        let back = check_log(&checkpoint(5, 3), &assignment(4, 0, 9));
        assert!(matches!(back, Err(Refused::DatabaseWentBack { published: 4, committed: 3 })));
    }
}
