//! What must hold at the end: log, tables, topics and the plain recomputation tell the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::broker::{dirty_reads, place};
use super::database::{Rows, TENANT};
use super::world::{Shared, State};
use crate::domain::calendar::ShiftId;
use crate::domain::production::batch::{self, BatchInput, Ledger};
use crate::domain::production::changes::{MinuteRow, ShiftRecord};
use crate::domain::production::detection::{Health, Record};
use crate::domain::production::figure::{Figure, FigureState, Window};
use crate::domain::production::input::LineInput;
use crate::domain::production::line::same_content;
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::{HOUR_MS, Ms};
use crate::engine::ports::{Checkpoint, CommandOutcome};
use crate::kafka::codec::{self, FigureRecord};
use crate::kafka::publisher::OutRecord;
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics;

/// Each command has an author of its own, so that what it did is known among the inputs.
pub fn author(command: i64) -> String {
    format!("author-{command}")
}

/// Whether nothing is left to do.
pub fn is_settled(world: &Shared) -> bool {
    let state = world.state();
    let mut lines = state.broker.logs.iter().filter(|(_, log)| !log.is_empty()).map(|(topic, log)| (topic, log.len()));
    lines.all(|(topic, length)| line_missing(&state, topic, length).is_none()) && commands_missing(&state).is_none()
}

/// What is left to do.
pub fn unsettled(world: &Shared) -> String {
    let state = world.state();
    let lines = state.broker.logs.iter().filter_map(|(topic, log)| line_missing(&state, topic, log.len()));
    lines.chain(commands_missing(&state)).collect::<Vec<_>>().join("; ")
}

fn commands_missing(state: &State) -> Option<String> {
    // A line that never had a record may still have a command: it waits, as the line has no clock.
    let waiting: Vec<i64> =
        state.tables.commands.values().filter(|c| c.outcome.is_none()).map(|c| c.pending.id).collect();
    (!waiting.is_empty()).then(|| format!("commands {waiting:?} wait"))
}

/// Whether a line's books are kept by the newest version.
fn knows_newest(state: &State, checkpoint: &Checkpoint) -> bool {
    let kept: serde_json::Value = serde_json::from_slice(&checkpoint.state).unwrap_or_default();
    let versions = kept["versions"].as_array().map_or(&[][..], Vec::as_slice);
    versions.iter().any(|version| version[0] == state.tables.newest_version)
}

fn line_missing(state: &State, topic: &str, length: usize) -> Option<String> {
    let line = topic.rsplit('.').next()?;
    let Some(checkpoint) = state.tables.lines.get(line).and_then(|rows| rows.checkpoint.as_ref()) else {
        return (length > 0).then(|| format!("{line} has no owner"));
    };
    if length > 0 && checkpoint.next_offset < length as i64 {
        return Some(format!("{line} is read to {} of {length}", checkpoint.next_offset));
    }
    if length > 0 && !knows_newest(state, checkpoint) {
        return Some(format!("{line} has not taken version {} over", state.tables.newest_version));
    }
    let told = state.broker.told.get(line).copied().unwrap_or(0);
    if told < checkpoint.commit_seq {
        return Some(format!("{line} is published to {told} of {}", checkpoint.commit_seq));
    }
    let figures = state.broker.read(&topics::oee(TENANT, line), true);
    let figures = figures.last().and_then(|record| place(record)).map_or(0, |(_, seq, _)| seq);
    let first = state.tables.lines.get(line).is_some_and(|rows| rows.detections.values().any(|(_, late)| !late));
    (first && figures < checkpoint.commit_seq).then(|| format!("{line}'s figures are of commit {figures}"))
}

/// Everything, compared with everything.
pub fn judge(world: &Shared, ids: &SchemaIds) {
    let dirty = dirty_reads(world);
    let mut wrong = Vec::new();
    {
        let state = world.state();
        let judge = Judge { state: &state, ids, dirty };
        for (topic, log) in &state.broker.logs {
            let line = topic.rsplit('.').next().unwrap_or_default();
            let Some(rows) = state.tables.lines.get(line) else {
                if !log.is_empty() {
                    wrong.push(format!("{line} was never owned"));
                }
                continue;
            };
            judge.places(line, rows, &mut wrong);
            judge.log(line, topic, rows, &mut wrong);
            let ledger = judge.ledger(line, rows);
            if ledger.first.is_some() {
                judge.stops(line, rows, &ledger, &mut wrong);
                judge.figures(line, rows, &ledger, &mut wrong);
                judge.shifts(line, rows, &ledger, &mut wrong);
            }
        }
        judge.commands(&mut wrong);
    }
    wrong.into_iter().for_each(|what| world.wrong(what));
}

struct Judge<'a> {
    state: &'a State,
    ids: &'a SchemaIds,
    dirty: bool,
}

/// As a recomputation has it: it knows of no telling before, nor how long an open stop was when it was told last.
fn plain(stop: &Stop) -> Stop {
    match stop.status {
        StopStatus::Open => Stop { revision: 0, duration_ms: 0, segments: Vec::new(), ..stop.clone() },
        _ => Stop { revision: 0, ..stop.clone() },
    }
}

impl Judge<'_> {
    fn read(&self, topic: &str) -> Vec<&OutRecord> {
        self.state.broker.read(topic, !self.dirty)
    }

    /// No gap and no double of (commit, index), and per topic in order.
    fn places(&self, line: &str, rows: &Rows, wrong: &mut Vec<String>) {
        let mut found = BTreeSet::new();
        for topic in self.state.broker.output_topics() {
            let mut last = None;
            for (of, seq, index) in self.read(&topic).into_iter().filter_map(place) {
                if of != line {
                    continue;
                }
                if last >= Some((seq, index)) {
                    wrong.push(format!("{topic}: {seq}.{index} follows {last:?}"));
                }
                last = Some((seq, index));
                if !found.insert((seq, index)) {
                    wrong.push(format!("{line}: {seq}.{index} is published twice"));
                }
            }
        }
        let said = rows.said.iter().flat_map(|(seq, records)| (0..records.len()).map(|index| (*seq, index)));
        let missing: Vec<(u64, usize)> = said.filter(|place| !found.contains(place)).collect();
        if !missing.is_empty() {
            wrong.push(format!("{line}: {missing:?} are not published"));
        }
    }

    /// Offsets of the line's records in a tenant's topic of records set aside.
    fn aside(&self, topic: &str, of: &str, wrong: &mut Vec<String>) -> BTreeSet<usize> {
        let mut offsets = BTreeSet::new();
        for record in self.read(topic) {
            let value = |name: &str| {
                let found = record.headers.iter().find(|(n, _)| n == name);
                found.and_then(|(_, v)| String::from_utf8(v.clone()).ok())
            };
            let (Some(from), Some(offset)) = (value("topic"), value("offset").and_then(|o| o.parse().ok())) else {
                wrong.push(format!("{topic}: a record without its origin"));
                continue;
            };
            if from == of && !offsets.insert(offset) {
                wrong.push(format!("{topic}: offset {offset} of {of} is there twice"));
            }
        }
        offsets
    }

    /// Every record of the log is stored once, or known already, or refused, and no other is stored.
    fn log(&self, line: &str, topic: &str, rows: &Rows, wrong: &mut Vec<String>) {
        let refused = self.aside(&topics::deadletter(TENANT), topic, wrong);
        let late = self.aside(&topics::late(TENANT), topic, wrong);
        let mut detections = BTreeSet::new();
        let mut statuses: BTreeSet<(i32, Ms, Health)> = BTreeSet::new();
        let mut late_rows = 0;
        let log = self.state.broker.logs.get(topic).map_or(&[][..], Vec::as_slice);
        for (offset, record) in log.iter().enumerate() {
            if refused.contains(&offset) {
                continue;
            }
            match codec::decode_record(&record.payload, self.ids) {
                Err(_) => wrong.push(format!("{line}: rubbish at {offset} is no dead letter")),
                Ok(Record::Detection(d)) => {
                    let stored = rows.detections.get(&(d.detected_at, d.detection_id));
                    if !stored.is_some_and(|(stored, _)| same_content(stored, &d)) {
                        wrong.push(format!("{line}: {d:?} at {offset} is stored as {stored:?}"));
                    }
                    let is_new = detections.insert((d.detected_at, d.detection_id));
                    if late.contains(&offset) != (is_new && stored.is_some_and(|(_, late)| *late)) {
                        wrong.push(format!("{line}: late topic and table differ about offset {offset}"));
                    }
                    late_rows += usize::from(late.contains(&offset));
                }
                Ok(Record::Status(s)) => {
                    statuses.insert((s.camera_id, s.at, s.status));
                }
            }
        }
        if detections.len() != rows.detections.len()
            || rows.detections.values().filter(|(_, l)| *l).count() != late_rows
        {
            wrong.push(format!("{line}: {} detections came, {} are stored", detections.len(), rows.detections.len()));
        }
        let mut stored = BTreeSet::new();
        for input in rows.inputs.values() {
            if let LineInput::CameraStatus { status, .. } = input
                && !stored.insert((status.camera_id, status.at, status.status))
            {
                wrong.push(format!("{line}: {status:?} is stored twice"));
            }
        }
        if stored != statuses {
            wrong.push(format!("{line}: statuses {statuses:?} came, {stored:?} are stored"));
        }
    }

    fn ledger(&self, line: &str, rows: &Rows) -> Ledger {
        batch::recompute(&BatchInput {
            line: line.to_owned(),
            configs: self.state.tables.configs.get(line).cloned().unwrap_or_default(),
            detections: rows.detections.values().filter(|(_, late)| !late).map(|(d, _)| *d).collect(),
            inputs: rows.inputs.values().cloned().collect(),
        })
    }

    /// The table, the compacted topic and the recomputation; revisions that grow.
    fn stops(&self, line: &str, rows: &Rows, ledger: &Ledger, wrong: &mut Vec<String>) {
        let mut latest: BTreeMap<Vec<u8>, Stop> = BTreeMap::new();
        let mut revisions: BTreeMap<String, Stop> = BTreeMap::new();
        for record in self.read(&topics::downtime(TENANT, line)) {
            let Some(payload) = &record.payload else {
                latest.remove(&record.key);
                continue;
            };
            let Ok(told) = codec::decode_stop(payload, self.ids) else {
                wrong.push(format!("{line}: a stop that cannot be read"));
                continue;
            };
            if let Some(before) = revisions.get(&told.stop.downtime_id) {
                let again = before.status == StopStatus::Open && plain(before) == plain(&told.stop);
                if told.stop.revision < before.revision || (told.stop.revision == before.revision && !again) {
                    wrong.push(format!("{line}: {:?} is told after {before:?}", told.stop));
                }
            }
            revisions.insert(told.stop.downtime_id.clone(), told.stop.clone());
            latest.insert(record.key.clone(), told.stop);
        }
        let table: Vec<&Stop> = rows.stops.values().filter(|s| s.status != StopStatus::Retracted).collect();
        let mut compacted: Vec<&Stop> = latest.values().collect();
        compacted.sort_by_key(|stop| stop.started_at);
        if table != compacted {
            wrong.push(format!("{line}: the table's stops {table:?} are not the topic's {compacted:?}"));
        }
        let stored: Vec<Stop> = table.into_iter().map(plain).collect();
        let computed: Vec<Stop> = ledger.stops.iter().map(plain).collect();
        if stored != computed {
            let missing = computed.iter().filter(|stop| !stored.contains(stop)).collect::<Vec<_>>();
            let extra = stored.iter().filter(|stop| !computed.contains(stop)).collect::<Vec<_>>();
            wrong.push(format!(
                "{line}: recomputed, but not stored: {missing:?}; stored, but not recomputed: {extra:?}"
            ));
        }
    }

    /// Minutes, live windows and shift records against the recomputation; and no time lost or made.
    fn figures(&self, line: &str, rows: &Rows, ledger: &Ledger, wrong: &mut Vec<String>) {
        let minutes: Vec<MinuteRow> = rows
            .minutes
            .values()
            .filter(|row| !row.sums.is_zero() || !row.pieces.is_empty())
            .map(|row| MinuteRow { slices: Vec::new(), ..row.clone() })
            .collect();
        if minutes != ledger.minutes() {
            let computed = ledger.minutes();
            let stored = minutes.iter().find(|row| !computed.contains(row));
            let computed = computed.iter().find(|row| !minutes.contains(row));
            wrong.push(format!("{line}: a minute is stored as {stored:?} and recomputed as {computed:?}"));
        }
        let booked: Ms = minutes.iter().flat_map(|row| row.sums.buckets).sum();
        if let (Some(first), Some(clock)) = (ledger.first, ledger.clock)
            && booked != clock - first
        {
            wrong.push(format!("{line}: {booked} ms are booked of {}", clock - first));
        }
        let mut latest: BTreeMap<&[u8], Option<FigureRecord>> = BTreeMap::new();
        for record in self.read(&topics::oee(TENANT, line)) {
            let told = record.payload.as_ref().and_then(|payload| codec::decode_figure(payload, self.ids).ok());
            if let Some(FigureRecord { figure, .. }) = &told {
                let b = &figure.buckets_ms;
                let booked = b.unscheduled + b.planned_stop + b.no_data + b.running + b.micro_stop + b.stopped;
                let holes = figure.window == Window::BusinessDay || figure.window == Window::Shift;
                if booked + figure.outside_ms != figure.to - figure.from && !holes {
                    wrong.push(format!("{line}: {booked} ms and {} outside in {figure:?}", figure.outside_ms));
                }
            }
            latest.insert(&record.key, told);
        }
        for window in Window::LIVE {
            let told = latest.get(window.as_str().as_bytes()).cloned().flatten().map(|record| record.figure);
            let computed = ledger.figure_window(window);
            if told != computed {
                wrong.push(format!("{line}: {window:?} is told as {told:?} and recomputed as {computed:?}"));
            }
        }
    }

    /// Records of shifts: each closed shift has one, numbered and chained without a gap, told, and last as recomputed.
    fn shifts(&self, line: &str, rows: &Rows, ledger: &Ledger, wrong: &mut Vec<String>) {
        let told: Vec<Figure> = self
            .read(&topics::oee(TENANT, line))
            .into_iter()
            .filter_map(|record| codec::decode_figure(record.payload.as_ref()?, self.ids).ok())
            .map(|record| record.figure)
            .collect();
        let mut hash = "";
        let mut latest: BTreeMap<(String, String), &ShiftRecord> = BTreeMap::new();
        for record in &rows.records {
            if record.previous_hash != hash {
                wrong.push(format!("{line}: {record:?} does not follow the record before it"));
            }
            hash = &record.hash;
            if !told.contains(&record.figure) {
                wrong.push(format!("{line}: the figure of {record:?} is on no topic"));
            }
            let before = latest.insert((record.shift.clone(), record.business_date.clone()), record);
            if record.revision != before.map_or(0, |before| before.revision) + 1 {
                wrong.push(format!("{line}: {record:?} comes after {before:?}"));
            }
        }
        for (shift, date, figure) in self.closed_shifts(line, ledger) {
            let stored = latest.get(&(shift.clone(), date.clone())).map(|record| &record.figure);
            let computed =
                stored.map(|stored| Figure { as_of: stored.as_of, revision: stored.revision, ..figure.clone() });
            if stored != computed.as_ref() || stored.is_none() {
                wrong.push(format!(
                    "{line}: shift {shift} of {date} is stored as {stored:?} and recomputed as {figure:?}"
                ));
            }
        }
    }

    /// Name, date and figure of the shifts that ended after the first detection and before the watermark.
    fn closed_shifts(&self, line: &str, ledger: &Ledger) -> Vec<(String, String, Figure)> {
        let (Some(first), Some(clock)) = (ledger.first, ledger.clock) else { return Vec::new() };
        let configs = self.state.tables.configs.get(line).map_or(&[][..], Vec::as_slice);
        let names: BTreeSet<Arc<str>> =
            configs.iter().flat_map(|config| &config.calendar.rules().shifts).map(|shift| shift.name.clone()).collect();
        let day =
            |at: Ms| jiff::Timestamp::from_millisecond(at).map(|stamp| stamp.to_zoned(jiff::tz::TimeZone::UTC).date());
        let (Ok(from), Ok(to)) = (day(first - 24 * HOUR_MS), day(clock)) else { return Vec::new() };
        let mut out = Vec::new();
        for name in names {
            for date in from.series(jiff::Span::new().days(1)).take_while(|date| *date <= to) {
                let figure = ledger.shift_figure(&ShiftId { name: name.clone(), date });
                let closed = figure.filter(|figure| figure.state == FigureState::Final && figure.to > first);
                out.extend(closed.map(|figure| (name.to_string(), date.to_string(), figure)));
            }
        }
        out
    }

    /// Every command has one outcome, and did what it says once.
    fn commands(&self, wrong: &mut Vec<String>) {
        for (id, command) in &self.state.tables.commands {
            let by = author(*id);
            let inputs = self.state.tables.lines.values().flat_map(|rows| rows.inputs.values());
            let done = inputs.filter(|input| match input {
                LineInput::Classification(words) => words.author == by,
                LineInput::Split { author, .. } => *author == by,
                _ => false,
            });
            let (done, should) = (done.count(), usize::from(command.outcome == Some(CommandOutcome::Applied)));
            if done != should {
                wrong.push(format!("command {id} has outcome {:?} and {done} inputs", command.outcome));
            }
        }
    }
}
