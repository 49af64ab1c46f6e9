//! The statements of a commit, in its order, each for all lines or for one line's tables.

use super::super::name::LineName;
use super::connection::{Expected, Session};
use super::sql::{Rows, Sql};
use super::{CommitError, LineCommit, PieceRow};
use crate::domain::production::changes::{MinuteRow, StopChange};
use crate::domain::production::input::LineInput;
use crate::domain::production::sums::FIELDS;

type Commits<'a> = [(LineName, &'a LineCommit<'a>)];

/// Columns of `rollup_minute_{line}` that hold sums, in the order of
/// [`crate::domain::production::sums::Sums::to_fields`].
pub(in crate::store) const SUMS_COLUMNS: [&str; FIELDS] = [
    "unscheduled_ms",
    "planned_stop_ms",
    "no_data_ms",
    "running_ms",
    "micro_stop_ms",
    "stopped_ms",
    "apt_ms",
    "total",
    "good",
    "reject",
    "outside_pbt",
    "good_outside",
    "ideal_ns",
    "seen",
    "without_cycle",
    "unmeasured",
    "stops",
    "micro_stops",
];

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, CommitError> {
    // Numbers, texts and lists: only a number that is none, which JSON cannot say, is refused.
    serde_json::to_string(value).map_err(|error| CommitError::invariant(format!("a value has no JSON form: {error}")))
}

pub(super) fn upsert(columns: &[&str]) -> String {
    let set: Vec<String> = columns.iter().map(|column| format!("{column} = VALUES({column})")).collect();
    format!(" ON DUPLICATE KEY UPDATE {}", set.join(", "))
}

/// The compare-and-set: every checkpoint moves, or the commit fails as [`CommitError::Fenced`]. One statement, unless
/// the states of many lines together are longer than the server takes.
pub(super) async fn move_checkpoints(session: &mut Session, commits: &Commits<'_>) -> Result<(), CommitError> {
    let limit = session.max_packet / 4;
    let mut group = Vec::new();
    let mut size = 0;
    for (_, commit) in commits {
        // As hex.
        let state = commit.state.len() * 2;
        if size + state > limit && !group.is_empty() {
            move_group(session, &group).await?;
            group.clear();
            size = 0;
        }
        group.push(*commit);
        size += state;
    }
    move_group(session, &group).await
}

async fn move_group(session: &mut Session, group: &[&LineCommit<'_>]) -> Result<(), CommitError> {
    let mut sql = Sql::new("UPDATE checkpoint SET commit_seq = commit_seq + 1, updated_at = UTC_TIMESTAMP(3)");
    sql.words(", next_offset = CASE topic");
    for commit in group {
        sql.words(" WHEN ").bytes(commit.topic.as_bytes()).words(" THEN ").int(commit.next_offset);
    }
    sql.words(" END, told_seq = CASE topic");
    for commit in group {
        sql.words(" WHEN ").bytes(commit.topic.as_bytes()).words(" THEN ");
        match commit.told_seq {
            Some(seq) => sql.int(seq),
            None => sql.words("NULL"),
        };
    }
    sql.words(" END, state_version = CASE topic");
    for commit in group {
        sql.words(" WHEN ").bytes(commit.topic.as_bytes()).words(" THEN ").int(commit.state_version);
    }
    sql.words(" END, state = CASE topic");
    for commit in group {
        sql.words(" WHEN ").bytes(commit.topic.as_bytes()).words(" THEN ").bytes(commit.state);
    }
    sql.words(" END WHERE ");
    for (index, commit) in group.iter().enumerate() {
        sql.words(if index == 0 { "(topic = _ascii " } else { " OR (topic = _ascii " }).bytes(commit.topic.as_bytes());
        sql.words(" AND `partition` = 0 AND owner_epoch = ").int(commit.expected_epoch);
        sql.words(" AND commit_seq = ").int(commit.expected_seq).words(")");
    }
    // Every row changes, as its commit_seq does: matched and changed rows are the same.
    session.later(&sql.text, Expected::Checkpoints(group.len() as u64)).await
}

/// Topic, owner epoch and commit seq of the lines as they stand.
pub(super) async fn checkpoints(
    session: &mut Session,
    commits: &Commits<'_>,
) -> Result<Vec<(String, u64, u64)>, CommitError> {
    let mut sql = Sql::new("SELECT topic, owner_epoch, commit_seq FROM checkpoint WHERE topic IN (");
    for (index, (_, commit)) in commits.iter().enumerate() {
        sql.words(if index == 0 { "_ascii " } else { ", _ascii " }).bytes(commit.topic.as_bytes());
    }
    sql.words(")");
    session.query(&sql.text).await
}

/// Inputs that are no detections. Each is new, but for a timer decision that takes the place of the one before it.
pub(super) async fn inputs(session: &mut Session, commits: &Commits<'_>) -> Result<(), CommitError> {
    let mut rows = Rows::new("INSERT INTO line_input (line, seq, kind, at, payload, after_offset) VALUES", "");
    for (line, commit) in commits {
        for (index, input) in commit.changes.inputs.iter().enumerate() {
            let seq = commit.first_input_seq + index as u64;
            if index == 0 && commit.replaces_timer {
                replace_timer(session, line, seq, input, commit.after_offset).await?;
                continue;
            }
            let payload = json(input)?;
            rows.begin()
                .string(line.as_str())
                .words(", ")
                .int(seq)
                .words(", ")
                .string(input.kind())
                .words(", ")
                .time(input.at())
                .words(", ")
                .string(&payload)
                .words(", ")
                .int(commit.after_offset);
            rows.end(session).await?;
        }
    }
    rows.finish(session).await
}

async fn replace_timer(
    session: &mut Session,
    line: &LineName,
    seq: u64,
    input: &LineInput,
    after_offset: i64,
) -> Result<(), CommitError> {
    let mut sql = Sql::new("UPDATE line_input SET at = ");
    sql.time(input.at()).words(", payload = ").string(&json(input)?).words(", after_offset = ").int(after_offset);
    sql.words(" WHERE line = ").string(line.as_str()).words(" AND seq = ").int(seq).words(" AND kind = ");
    sql.string(input.kind());
    let problem = format!("line {line}: input {seq} is no timer decision that another could replace");
    session.later(&sql.text, Expected::OneRow(problem)).await
}

/// Stops as they are now, whatever was known of them.
pub(super) async fn stops(session: &mut Session, line: &LineName, stops: &[StopChange]) -> Result<(), CommitError> {
    const COLUMNS: [&str; 12] = [
        "downtime_id",
        "revision",
        "status",
        "start_time",
        "end_time",
        "duration_ms",
        "reason_code",
        "comment",
        "planned",
        "shift_id",
        "business_date",
        "segments",
    ];
    let tail = upsert(&COLUMNS[1..]);
    let mut rows = Rows::new(&format!("INSERT INTO `{}` ({}) VALUES", line.stops(), COLUMNS.join(", ")), &tail);
    for StopChange { stop, .. } in stops {
        let segments = json(&stop.segments)?;
        let row = rows.begin().string(&stop.downtime_id).words(", ").int(stop.revision).words(", ");
        row.string(stop.status.as_str()).words(", ").time(stop.started_at).words(", ");
        match stop.ended_at {
            Some(at) => row.time(at),
            None => row.words("NULL"),
        };
        row.words(", ").int(stop.duration_ms).words(", ").optional_string(stop.reason_code.as_deref()).words(", ");
        row.optional_string(stop.comment.as_deref()).words(", ").int(u8::from(stop.planned)).words(", ");
        row.optional_string(stop.shift.as_deref())
            .words(", ")
            .string(&stop.business_date)
            .words(", ")
            .string(&segments);
        rows.end(session).await?;
    }
    rows.finish(session).await
}

/// Minutes as they are now.
pub(super) async fn minutes(session: &mut Session, line: &LineName, minutes: &[MinuteRow]) -> Result<(), CommitError> {
    let columns: Vec<&str> = SUMS_COLUMNS.into_iter().chain(["pieces", "slices"]).collect();
    let tail = upsert(&columns);
    let head = format!("INSERT INTO `{}` (minute, {}) VALUES", line.minutes(), columns.join(", "));
    let mut rows = Rows::new(&head, &tail);
    for minute in minutes {
        let pieces: Vec<PieceRow> =
            minute.pieces.iter().map(|count| PieceRow(count.area_id, count.product_id, count.quantity)).collect();
        let pieces = json(&pieces)?;
        let row = rows.begin().time(minute.minute);
        for value in minute.sums.to_fields() {
            row.words(", ").int(value);
        }
        row.words(", ").string(&pieces).words(", ").bytes(&minute.slices);
        rows.end(session).await?;
    }
    rows.finish(session).await
}

/// Closed shifts and their later revisions. Each is new: a record is never written over.
pub(super) async fn shift_records(session: &mut Session, commits: &Commits<'_>) -> Result<(), CommitError> {
    let head = "INSERT INTO shift_record (line, business_date, shift, revision, from_time, to_time, figure, watermark, \
                previous_hash, hash) VALUES";
    let mut rows = Rows::new(head, "");
    for record in commits.iter().flat_map(|(_, commit)| &commit.changes.shift_records) {
        let figure = json(&record.figure)?;
        let row = rows.begin().string(&record.line).words(", ").string(&record.business_date).words(", ");
        row.string(&record.shift).words(", ").int(record.revision).words(", ").time(record.from).words(", ");
        row.time(record.to).words(", ").string(&figure).words(", ").time(record.watermark).words(", ");
        row.string(&record.previous_hash).words(", ").string(&record.hash);
        rows.end(session).await?;
    }
    rows.finish(session).await
}

/// Commands that the lines have taken up; each once.
pub(super) async fn applied_commands(session: &mut Session, commits: &Commits<'_>) -> Result<(), CommitError> {
    for (id, outcome) in commits.iter().flat_map(|(_, commit)| &commit.applied_commands) {
        let mut sql = Sql::new("UPDATE command SET applied_at = UTC_TIMESTAMP(3), outcome = ");
        sql.string(&json(outcome)?).words(" WHERE id = ").int(*id).words(" AND applied_at IS NULL");
        session.later(&sql.text, Expected::OneRow(format!("command {id} does not wait to be applied"))).await?;
    }
    Ok(())
}

/// What is to be published once the transaction lasts.
pub(super) async fn outbox(session: &mut Session, commits: &Commits<'_>) -> Result<(), CommitError> {
    let mut rows = Rows::new("INSERT INTO outbox (line, commit_seq, payload) VALUES", "");
    for (line, commit) in commits {
        if let Some(payload) = &commit.outbox {
            rows.make_room(session, payload.len()).await?;
            rows.begin().string(line.as_str()).words(", ").int(commit.expected_seq + 1).words(", ").bytes(payload);
            rows.end(session).await?;
        }
    }
    rows.finish(session).await
}
