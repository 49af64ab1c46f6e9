//! A command meets its line.

use crate::domain::production::line::Recall;
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::Span;
use crate::engine::lane::Lane;
use crate::engine::ports::{Command, CommandOutcome, PendingCommand, ShardStore, StoreError};
use crate::store::STALE;

/// Applies a command, bringing older stops back from the store first.
///
/// # Errors
/// Only those of the store: the command waits. What the line refuses is an outcome.
pub async fn obey<S: ShardStore>(
    store: &S,
    lane: &mut Lane,
    pending: &PendingCommand,
) -> Result<CommandOutcome, StoreError> {
    let author = pending.author.as_str();
    let done = match &pending.command {
        Command::Classify { started_at, reason_code, comment, was } => {
            if !lane.line.remembers(*started_at) {
                recall(store, lane, store.stop(lane.line.name(), *started_at).await?).await?;
            }
            // Two who have read the same must not both be followed: the second has not seen what the first said.
            if was.is_some() && lane.line.words(*started_at) != *was {
                return Ok(CommandOutcome::Refused(STALE.to_owned()));
            }
            lane.line.classify(*started_at, reason_code.clone(), comment.clone(), author)
        }
        Command::Split { at } => {
            let stop = store.stop_around(lane.line.name(), *at).await?;
            if !stop.as_ref().is_some_and(|stop| lane.line.remembers(stop.started_at)) {
                recall(store, lane, stop).await?;
            }
            lane.line.split(*at, author)
        }
        // The shard has taken the version over before it comes here.
        Command::Version { .. } => Ok(()),
        // A line that runs is not stopped: the one that was has been taken on already.
        Command::AcceptHole { .. } | Command::Forward { .. } => {
            let why = "the line is not stopped: nothing is to be taken on".to_owned();
            return Ok(CommandOutcome::Refused(why));
        }
        Command::Unreadable(why) => return Ok(CommandOutcome::Refused(why.clone())),
    };
    Ok(match done {
        Ok(()) => CommandOutcome::Applied,
        Err(why) => CommandOutcome::Refused(why.to_string()),
    })
}

async fn recall<S: ShardStore>(store: &S, lane: &mut Lane, stop: Option<Stop>) -> Result<(), StoreError> {
    let line = lane.line.name().to_owned();
    let Some(stop) = stop.filter(|stop| stop.status != StopStatus::Retracted) else { return Ok(()) };
    let own = Span::new(stop.started_at, stop.started_at + stop.duration_ms);
    let span = lane.line.recall_span(own);
    let minutes = store.minutes(&line, span).await?;
    let records = store.shift_records(&line, span).await?;
    let words = store.words(&line, own).await?;
    lane.line.recall(Recall { stop, minutes, records, words }).map_err(|why| StoreError::Permanent(why.to_string()))
}
