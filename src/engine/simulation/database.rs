//! A stand-in for the tenant's database: tables with unique keys, transactions that are all or nothing, and the
//! compare-and-set on (owner's epoch, commit number).

use std::collections::BTreeMap;

use tokio::time::sleep;

use super::sabotage::Sabotage;
use super::world::{Process, Server, Shared, State, Strike};
use crate::domain::production::changes::{Changes, MinuteRow, ShiftRecord};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{CameraStatus, Detection};
use crate::domain::production::input::{Classification, LineInput};
use crate::domain::production::line::timeline::Timeline;
use crate::domain::production::line::{doubtful_words, resolved_words};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::{Ms, Span};
use crate::engine::assign::Tenants;
use crate::engine::lane::Progress;
use crate::engine::ownership::Grant;
use crate::engine::ports::{Checkpoint, CommandOutcome, Forward, LinePart, PendingCommand, ShardStore, StoreError};
use crate::engine::publish::{Outlet, Publication, ToPublisher};
use crate::kafka::publisher::OutRecord;

pub const TENANT: &str = "t";

/// One line's rows.
#[derive(Default)]
pub struct Rows {
    /// Who took the line over last, by the name that its producer has too.
    owner: String,
    pub checkpoint: Option<Checkpoint>,
    pub detections: BTreeMap<(Ms, i64), (Detection, bool)>,
    pub inputs: BTreeMap<u64, LineInput>,
    pub stops: BTreeMap<Ms, Stop>,
    pub minutes: BTreeMap<Ms, MinuteRow>,
    pub records: Vec<ShiftRecord>,
    pub outbox: BTreeMap<u64, Vec<u8>>,
    /// What every commit said, for the judge; no table.
    pub said: BTreeMap<u64, Vec<OutRecord>>,
}

pub struct CommandRow {
    pub pending: PendingCommand,
    pub outcome: Option<CommandOutcome>,
}

#[derive(Default)]
pub struct Tables {
    pub lines: BTreeMap<String, Rows>,
    pub commands: BTreeMap<i64, CommandRow>,
    /// By line; all versions, ascending.
    pub configs: BTreeMap<String, Vec<LineConfig>>,
    pub newest_version: u32,
    pub cadence_ms: u64,
}

/// A commit as it goes over the wire.
#[derive(Clone)]
struct Written {
    line: String,
    by: String,
    before: Progress,
    after: Progress,
    changes: Changes,
    state: Vec<u8>,
    state_version: u32,
    first_input_seq: u64,
    replaces_timer: bool,
    outbox: Vec<u8>,
    said: Vec<OutRecord>,
    commands: Vec<(i64, CommandOutcome)>,
}

/// The database as one process sees it.
#[derive(Clone)]
pub struct Db {
    pub process: Process,
    /// For [`Sabotage::PublishBeforeCommit`] alone.
    pub outlet: SimOutlet,
}

/// The way to the publisher.
#[derive(Clone)]
pub struct SimOutlet {
    pub process: Process,
    pub to: ToPublisher,
}

impl Outlet for SimOutlet {
    async fn publish(&self, publications: Vec<Publication>) {
        self.process.gate().await;
        if self.process.world.has(Sabotage::PublishBeforeCommit) {
            return;
        }
        self.to.publish(publications).await;
    }
}

impl Tenants for Db {
    type Db = Db;

    async fn tenant(&self, _: &str) -> Result<Option<Db>, String> {
        match self.process.call(Server::Database).await {
            Strike::Fine => Ok(Some(self.clone())),
            _ => Err("the directory is away".to_owned()),
        }
    }
}

impl Tables {
    fn rows(&mut self, line: &str) -> &mut Rows {
        self.lines.entry(line.to_owned()).or_default()
    }

    fn checkpoint(&self, line: &str) -> Option<&Checkpoint> {
        self.lines.get(line)?.checkpoint.as_ref()
    }

    /// Which parts' checkpoints have moved on.
    fn moved(&self, parts: &[Written], sabotage: Option<Sabotage>) -> Vec<String> {
        let stands = |part: &Written| {
            self.checkpoint(&part.line).is_some_and(|there| match sabotage {
                Some(Sabotage::SkipCompareAndSet) => true,
                Some(Sabotage::SkipEpochCheck) => there.commit_seq == part.before.commit_seq,
                _ => (there.owner_epoch, there.commit_seq) == (part.before.owner_epoch, part.before.commit_seq),
            })
        };
        parts.iter().filter(|part| !stands(part)).map(|part| part.line.clone()).collect()
    }
}

/// What a unique key forbids.
fn conflict(tables: &Tables, part: &Written) -> Option<String> {
    let rows = tables.lines.get(&part.line)?;
    let known =
        part.changes.detections.iter().find(|(d, _)| rows.detections.contains_key(&(d.detected_at, d.detection_id)));
    if let Some((known, _)) = known {
        return Some(format!("{}: detection {} is there already", part.line, known.detection_id));
    }
    for (index, input) in part.changes.inputs.iter().enumerate() {
        let there = rows.inputs.get(&(part.first_input_seq + index as u64));
        let replaced = index == 0 && part.replaces_timer;
        let fits = if replaced { matches!(there, Some(LineInput::Timer { .. })) } else { there.is_none() };
        if !fits {
            return Some(format!("{}: input {input:?} finds {there:?}", part.line));
        }
    }
    let key = |r: &ShiftRecord| (r.shift.clone(), r.business_date.clone(), r.revision);
    let known = part.changes.shift_records.iter().find(|new| rows.records.iter().any(|r| key(r) == key(new)));
    if let Some(known) = known {
        return Some(format!("{}: shift record {:?} is there already", part.line, key(known)));
    }
    let done = part.commands.iter().find(|(id, _)| tables.commands.get(id).is_none_or(|c| c.outcome.is_some()));
    done.map(|(id, _)| format!("command {id} does not wait"))
}

impl State {
    /// A commit, all or nothing. Second: what is wrong with it, though the database cannot know.
    fn commit(&mut self, parts: &[Written], wrong: &mut Vec<String>) -> Result<(), StoreError> {
        let sabotage = self.sabotage;
        let moved = self.tables.moved(parts, sabotage);
        if !moved.is_empty() {
            return Err(StoreError::Fenced(moved));
        }
        if let Some(problem) = parts.iter().find_map(|part| conflict(&self.tables, part)) {
            wrong.push(format!("a unique key was hit: {problem}"));
            return Err(StoreError::Permanent(problem));
        }
        for part in parts {
            let owner = &self.tables.rows(&part.line).owner;
            if part.by != *owner {
                wrong.push(format!("{}: {} commits what {owner} has taken over", part.line, part.by));
            }
            let there = self.tables.checkpoint(&part.line).cloned();
            if let Some(there) = there {
                if part.after.commit_seq != there.commit_seq + 1 {
                    wrong.push(format!("{}: commit {} follows {}", part.line, part.after.commit_seq, there.commit_seq));
                }
                if part.after.owner_epoch != there.owner_epoch {
                    wrong.push(format!(
                        "{}: an owner of epoch {} commits in epoch {}",
                        part.line, part.after.owner_epoch, there.owner_epoch
                    ));
                }
                if part.after.next_offset < there.next_offset {
                    wrong.push(format!("{}: the offset goes back to {}", part.line, part.after.next_offset));
                }
            }
            self.move_checkpoint(part);
            self.write_rows(part);
        }
        Ok(())
    }

    fn move_checkpoint(&mut self, part: &Written) {
        if let Some(there) = &mut self.tables.rows(&part.line).checkpoint {
            there.commit_seq = part.after.commit_seq;
            there.next_offset = part.after.next_offset;
            there.state = part.state.clone();
            there.state_version = part.state_version;
            there.told_seq = part.after.told_seq;
        }
    }

    fn write_rows(&mut self, part: &Written) {
        let (drop_timers, lose, forget) = (
            self.sabotage == Some(Sabotage::DropTimers),
            self.sabotage == Some(Sabotage::LoseTheOutbox),
            self.sabotage == Some(Sabotage::ForgetCommands),
        );
        for (id, outcome) in part.commands.iter().filter(|_| !forget) {
            if let Some(row) = self.tables.commands.get_mut(id) {
                row.outcome = Some(outcome.clone());
            }
        }
        let rows = self.tables.rows(&part.line);
        rows.detections
            .extend(part.changes.detections.iter().map(|(d, late)| ((d.detected_at, d.detection_id), (*d, *late))));
        for (seq, input) in (part.first_input_seq..).zip(&part.changes.inputs) {
            if !(drop_timers && matches!(input, LineInput::Timer { .. })) {
                rows.inputs.insert(seq, input.clone());
            }
        }
        rows.stops.extend(part.changes.stops.iter().map(|change| (change.stop.started_at, change.stop.clone())));
        rows.minutes.extend(part.changes.minutes.iter().map(|row| (row.minute, row.clone())));
        rows.records.extend(part.changes.shift_records.iter().cloned());
        if !lose {
            rows.outbox.insert(part.after.commit_seq, part.outbox.clone());
        }
        rows.said.insert(part.after.commit_seq, part.said.clone());
    }
}

fn written(part: &LinePart<'_>, by: &str) -> Written {
    let sealed = part.sealed;
    Written {
        by: by.to_owned(),
        line: part.line.to_owned(),
        before: sealed.before,
        after: sealed.after,
        changes: sealed.changes.clone(),
        state: sealed.state.clone(),
        state_version: sealed.state_version,
        first_input_seq: sealed.first_input_seq,
        replaces_timer: sealed.replaces_timer,
        outbox: sealed.parcel.encode(),
        said: sealed.parcel.records.clone(),
        commands: part.commands.to_vec(),
    }
}

fn commit_now(world: &Shared, who: &str, parts: &[Written]) -> Result<(), StoreError> {
    let mut wrong = Vec::new();
    let done = world.state().commit(parts, &mut wrong);
    world.tell(|| {
        let lines: Vec<String> = parts.iter().map(describe).collect();
        format!(
            "{who} commits {}: {}",
            lines.join(", "),
            done.as_ref().map_or_else(|e| format!("{e}"), |()| "done".into())
        )
    });
    wrong.into_iter().for_each(|what| world.wrong(what));
    done
}

fn describe(part: &Written) -> String {
    let inputs: Vec<&str> = part.changes.inputs.iter().map(LineInput::kind).collect();
    format!(
        "{} #{} (epoch {}, to offset {}, {} detections, {inputs:?}, {} stops, {} records)",
        part.line,
        part.after.commit_seq,
        part.after.owner_epoch,
        part.after.next_offset,
        part.changes.detections.len(),
        part.changes.stops.len(),
        part.said.len(),
    )
}

/// The words given to any part of a stop, as the real store answers them.
fn words(rows: &Rows, configs: Vec<LineConfig>, span: Span) -> Vec<Classification> {
    let given = rows.inputs.values().filter_map(|input| match input {
        LineInput::Classification(words) if words.from < span.to && span.from < words.to => Some(words.clone()),
        _ => None,
    });
    let given: Vec<Classification> = given.collect();
    let inputs: Vec<LineInput> = rows.inputs.values().cloned().collect();
    let timeline = Timeline::taken_over(configs, &inputs);
    let is_exit = |d: &Detection| timeline.at(d.detected_at).counts(d.area_id).is_some_and(|counts| counts.exit);
    let has_exit = |within: Span| {
        let there = rows.detections.range((within.from, i64::MIN)..(within.to, i64::MIN));
        there.filter(|(_, (_, late))| !late).any(|(_, (d, _))| is_exit(d))
    };
    let ended: Vec<(usize, bool)> =
        doubtful_words(span, &given).into_iter().map(|(place, within)| (place, has_exit(within))).collect();
    resolved_words(span, given, &ended)
}

impl Db {
    /// A question: it fails now and then, which changes nothing.
    async fn ask<T>(&self, answer: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        match self.process.call(Server::Database).await {
            Strike::Fine => {
                let answered = answer(&mut self.process.world.state());
                self.process.answer().await;
                Ok(answered)
            }
            Strike::Broken => Err(StoreError::Permanent("the disk is full".to_owned())),
            _ => Err(StoreError::Transient("lost connection to the server".to_owned())),
        }
    }

    async fn ask_line<T: Default>(&self, line: &str, answer: impl FnOnce(&Rows) -> T) -> Result<T, StoreError> {
        self.ask(|state| state.tables.lines.get(line).map_or_else(T::default, answer)).await
    }

    /// The checkpoint first, the rows in a transaction of their own.
    async fn commit_in_two(&self, parts: &[Written]) -> Result<(), StoreError> {
        let moved = self.process.world.state().tables.moved(parts, None);
        if !moved.is_empty() {
            return Err(StoreError::Fenced(moved));
        }
        parts.iter().for_each(|part| self.process.world.state().move_checkpoint(part));
        self.process.call(Server::Database).await;
        parts.iter().for_each(|part| self.process.world.state().write_rows(part));
        Ok(())
    }

    async fn publish_first(&self, parts: &[LinePart<'_>]) {
        let tenant = std::sync::Arc::from(TENANT);
        let publications = parts.iter().map(|part| {
            let parcel = part.sealed.parcel.clone();
            Publication::new(&Grant::default(), &tenant, part.line, part.topic, part.sealed.after.commit_seq, parcel)
        });
        self.outlet.to.publish(publications.collect()).await;
    }
}

impl ShardStore for Db {
    async fn take_over(&self, line: &str, _: &str) -> Result<Checkpoint, StoreError> {
        let strike = self.process.call(Server::Database).await;
        let bump = !self.process.world.has(Sabotage::ForgetEpochBump);
        let take = || {
            let mut state = self.process.world.state();
            let rows = state.tables.rows(line);
            rows.owner = self.process.name().to_owned();
            let there = rows.checkpoint.get_or_insert(Checkpoint {
                next_offset: -1,
                commit_seq: 0,
                owner_epoch: 0,
                published_seq: 0,
                incarnation: 1,
                state_version: 0,
                state: Vec::new(),
                told_seq: Some(0),
            });
            there.owner_epoch += u64::from(bump || there.owner_epoch == 0);
            there.clone()
        };
        match strike {
            Strike::Fine => {
                let there = take();
                self.process.world.tell(|| {
                    let (seq, offset, epoch) = (there.commit_seq, there.next_offset, there.owner_epoch);
                    format!("{} takes {line} over: epoch {epoch}, commit {seq}, offset {offset}", self.process.name())
                });
                self.process.answer().await;
                Ok(there)
            }
            Strike::Refused | Strike::Silent => Err(StoreError::Transient("deadlock".to_owned())),
            Strike::Broken => Err(StoreError::Permanent("the disk is full".to_owned())),
            Strike::Lost | Strike::Later(_) => {
                take();
                Err(StoreError::Transient("lost connection to the server".to_owned()))
            }
        }
    }

    async fn publishers(&self) -> Result<Vec<(String, String)>, StoreError> {
        match self.process.call(Server::Database).await {
            Strike::Fine => {
                let state = self.process.world.state();
                let owned = state.tables.lines.iter().filter(|(_, rows)| !rows.owner.is_empty());
                Ok(owned.map(|(line, rows)| (line.clone(), rows.owner.clone())).collect())
            }
            _ => Err(StoreError::Transient("away".to_owned())),
        }
    }

    async fn checkpoint(&self, line: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.ask_line(line, |rows| rows.checkpoint.clone()).await
    }

    async fn recent_detections(&self, line: &str, from: Ms) -> Result<Vec<Detection>, StoreError> {
        if self.process.world.has(Sabotage::EmptyTail) {
            return Ok(Vec::new());
        }
        self.ask_line(line, |rows| {
            rows.detections.range((from, i64::MIN)..).filter(|(_, (_, late))| !late).map(|(_, (d, _))| *d).collect()
        })
        .await
    }

    async fn minutes(&self, line: &str, span: Span) -> Result<Vec<MinuteRow>, StoreError> {
        self.ask_line(line, |rows| rows.minutes.range(span.from..span.to).map(|(_, row)| row.clone()).collect()).await
    }

    async fn stop(&self, line: &str, started_at: Ms) -> Result<Option<Stop>, StoreError> {
        self.ask_line(line, |rows| rows.stops.get(&started_at).cloned()).await
    }

    async fn stop_around(&self, line: &str, at: Ms) -> Result<Option<Stop>, StoreError> {
        self.ask_line(line, |rows| {
            let mut told = rows.stops.range(..=at).rev().map(|(_, stop)| stop);
            let last = told.find(|stop| stop.status != StopStatus::Retracted);
            last.filter(|stop| stop.ended_at.is_none_or(|end| end > at)).cloned()
        })
        .await
    }

    async fn words(&self, line: &str, span: Span) -> Result<Vec<Classification>, StoreError> {
        self.ask(|state| match state.tables.lines.get(line) {
            Some(rows) => words(rows, state.tables.configs.get(line).cloned().unwrap_or_default(), span),
            None => Vec::new(),
        })
        .await
    }

    async fn shift_records(&self, line: &str, span: Span) -> Result<Vec<ShiftRecord>, StoreError> {
        self.ask_line(line, |rows| {
            let mut found: Vec<ShiftRecord> =
                rows.records.iter().filter(|r| r.to > span.from && r.from < span.to).cloned().collect();
            found.sort_by_key(|r| (r.from, r.revision));
            found
        })
        .await
    }

    async fn known(&self, line: &str, identities: &[(i64, Ms)]) -> Result<Vec<Detection>, StoreError> {
        self.ask_line(line, |rows| {
            identities.iter().filter_map(|(id, at)| rows.detections.get(&(*at, *id))).map(|(d, _)| *d).collect()
        })
        .await
    }

    async fn known_statuses(&self, line: &str, statuses: &[CameraStatus]) -> Result<Vec<CameraStatus>, StoreError> {
        let same = |a: &CameraStatus, b: &CameraStatus| (a.camera_id, a.at, a.status) == (b.camera_id, b.at, b.status);
        self.ask_line(line, |rows| {
            let stored = rows.inputs.values().filter_map(|input| match input {
                LineInput::CameraStatus { status, .. } => Some(status),
                _ => None,
            });
            stored.filter(|stored| statuses.iter().any(|asked| same(asked, stored))).cloned().collect()
        })
        .await
    }

    async fn newest_version(&self) -> Result<u32, StoreError> {
        self.ask(|state| state.tables.newest_version).await
    }

    async fn versions(&self, line: &str) -> Result<Option<(Vec<LineConfig>, u64)>, StoreError> {
        self.ask(|state| state.tables.configs.get(line).map(|c| (c.clone(), state.tables.cadence_ms))).await
    }

    async fn commit(&self, parts: &[LinePart<'_>]) -> Result<(), StoreError> {
        if self.process.world.has(Sabotage::PublishBeforeCommit) {
            self.publish_first(parts).await;
        }
        let written: Vec<Written> = parts.iter().map(|part| written(part, self.process.name())).collect();
        let strike = self.process.call(Server::Database).await;
        let world = &self.process.world;
        let unanswered = |sabotage: bool| match sabotage {
            true => Ok(()),
            false => Err(StoreError::Unknown("the server is gone away".to_owned())),
        };
        let taken_as_done = world.has(Sabotage::UnansweredIsDone);
        match strike {
            Strike::Fine if world.has(Sabotage::TwoTransactions) => self.commit_in_two(&written).await,
            Strike::Fine => {
                let done = commit_now(world, self.process.name(), &written);
                self.process.answer().await;
                done
            }
            Strike::Refused => Err(StoreError::Transient("deadlock found".to_owned())),
            Strike::Broken => Err(StoreError::Permanent("the disk is full".to_owned())),
            Strike::Silent => unanswered(taken_as_done),
            Strike::Lost => {
                world.tell(|| format!("{}'s answer will be lost", self.process.name()));
                match commit_now(world, self.process.name(), &written) {
                    Ok(()) => unanswered(taken_as_done),
                    refused => refused,
                }
            }
            Strike::Later(after) => {
                let (world, who) = (world.clone(), self.process.name().to_owned());
                tokio::spawn(async move {
                    sleep(after).await;
                    let _ = commit_now(&world, &format!("{who} (long ago)"), &written);
                });
                unanswered(taken_as_done)
            }
        }
    }

    async fn forward(&self, line: &str, owner: &Checkpoint, to: &Forward) -> Result<(), StoreError> {
        let moved = self
            .ask(|state| {
                let rows = state.tables.rows(line);
                let there = rows.checkpoint.as_mut();
                let stands =
                    |c: &&mut Checkpoint| (c.owner_epoch, c.commit_seq) == (owner.owner_epoch, owner.commit_seq);
                let Some(there) = there.filter(stands) else { return false };
                (there.incarnation, there.commit_seq) = (to.incarnation, to.commit_seq);
                (there.published_seq, there.told_seq) = (to.published_seq, to.told_seq);
                rows.outbox = BTreeMap::from([(to.commit_seq, to.outbox.clone())]);
                if let Some(row) = state.tables.commands.get_mut(&to.command) {
                    row.outcome = Some(CommandOutcome::Applied);
                }
                true
            })
            .await?;
        if moved { Ok(()) } else { Err(StoreError::Fenced(vec![line.to_owned()])) }
    }

    async fn pending(&self) -> Result<Vec<PendingCommand>, StoreError> {
        self.ask(|state| {
            let waiting = state.tables.commands.values().filter(|row| row.outcome.is_none());
            waiting.map(|row| row.pending.clone()).collect()
        })
        .await
    }

    async fn outbox_after(&self, line: &str, seq: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let sabotage = self.process.world.state().sabotage;
        let from = match sabotage {
            Some(Sabotage::ForgetTheOutbox) => u64::MAX,
            Some(Sabotage::RepublishAll) => 0,
            _ => seq + 1,
        };
        self.ask_line(line, |rows| rows.outbox.range(from..).map(|(seq, blob)| (*seq, blob.clone())).collect()).await
    }

    async fn published(&self, progress: &[(String, u64)]) -> Result<(), StoreError> {
        let strike = self.process.call(Server::Database).await;
        if matches!(strike, Strike::Fine | Strike::Lost | Strike::Later(_)) {
            let mut state = self.process.world.state();
            for (line, seq) in progress {
                let rows = state.tables.rows(line);
                rows.outbox.retain(|there, _| there > seq);
                if let Some(checkpoint) = &mut rows.checkpoint {
                    checkpoint.published_seq = checkpoint.published_seq.max(*seq);
                }
            }
        }
        if strike == Strike::Fine { Ok(()) } else { Err(StoreError::Transient("no answer".to_owned())) }
    }
}
