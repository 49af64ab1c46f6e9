//! Everything around a line that a story needs: the log, the store, an owner that can be killed, and the comparison of
//! what was told with the plain recomputation.

use std::collections::{BTreeMap, HashMap};

use super::story::{Act, Story};
use crate::domain::calendar::ShiftId;
use crate::domain::production::batch::{self, BatchInput, Ledger};
use crate::domain::production::changes::{Changes, MinuteRow, ShiftRecord};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{CameraStatus, Detection, Record};
use crate::domain::production::figure::Window;
use crate::domain::production::input::{Classification, LineInput};
use crate::domain::production::line::timeline::Timeline;
use crate::domain::production::line::{
    Line, Needs, Outcome, Recall, STATE_VERSION, Stamp, doubtful_words, resolved_words,
};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::{Ms, Span};

/// The broker's timestamp of every record: no story is about refusals by it.
const STAMP: Stamp = Stamp { appended_at: i64::MAX / 8 };

/// What the tables hold.
#[derive(Default)]
struct Stored {
    detections: HashMap<(i64, Ms), (Detection, bool)>,
    inputs: Vec<LineInput>,
    stops: BTreeMap<Ms, Stop>,
    minutes: BTreeMap<Ms, MinuteRow>,
    records: Vec<ShiftRecord>,
    /// The versions that were saved.
    configs: Vec<LineConfig>,
}

/// What a person asked for, not committed yet; a killed owner's successor finds it again.
#[derive(Clone)]
enum Command {
    Classify { started_at: Ms, reason: Option<String> },
    Split { at: Ms },
    Hole(Span),
}

/// See the module.
pub struct World {
    stored: Stored,
    log: Vec<Record>,
    line: Line,
    /// State and next offset, as committed.
    checkpoint: Option<(Vec<u8>, usize)>,
    next_offset: usize,
    uncommitted: Vec<Command>,
    /// What happened, with what came of it.
    pub told: Vec<String>,
}

/// Lives a story and compares; what differs, if anything does, and the story as it went.
pub fn live(story: &Story) -> Result<(), (String, Vec<String>)> {
    let mut world = World::new(story.first.clone());
    for act in &story.acts {
        if let Err(problem) = world.act(act) {
            return Err((problem, world.told));
        }
    }
    world.end().map_err(|problem| (problem, world.told))
}

// === impl World ===

impl World {
    fn new(first: LineConfig) -> World {
        let stored = Stored { configs: vec![first], ..Stored::default() };
        let line = Line::new("l1", stored.configs.clone());
        World { stored, log: Vec::new(), line, checkpoint: None, next_offset: 0, uncommitted: vec![], told: vec![] }
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        self.told.push(act.to_string());
        match act {
            Act::Detection(detection) => self.arrives(Record::Detection(*detection))?,
            Act::Status(status) => self.arrives(Record::Status(status.clone()))?,
            Act::Silence { to } => {
                self.commit_commands()?;
                if !self.line.tick(*to) {
                    self.note("not a step forward");
                }
                self.end_full_batch()?;
            }
            Act::Commit => self.commit()?,
            Act::Crash => self.crash()?,
            Act::Classify { nth_last, reason } => {
                let Some(stop) = self.stop(*nth_last) else { return Ok(()) };
                self.told(&stop);
                let command = Command::Classify {
                    started_at: stop.started_at,
                    reason: reason.map(std::borrow::ToOwned::to_owned),
                };
                self.command(command)?;
            }
            Act::Split { nth_last, per_mille } => {
                let Some(stop) = self.stop(*nth_last) else { return Ok(()) };
                self.told(&stop);
                self.command(Command::Split { at: stop.started_at + stop.duration_ms * per_mille / 1000 })?;
            }
            Act::Hole { from, to } => self.command(Command::Hole(Span::new(*from, *to)))?,
            Act::Version { config, noticed, asked } => self.save(config, *noticed, *asked),
        }
        Ok(())
    }

    fn note(&mut self, what: &str) {
        if let Some(last) = self.told.last_mut() {
            last.push_str(&format!(" → {what}"));
        }
    }

    fn told(&mut self, stop: &Stop) {
        let from = super::story::when(stop.started_at);
        self.note(&format!("that of {from}, {} ms, {:?}", stop.duration_ms, stop.status));
    }

    /// A stop as it was told, counted from the latest.
    fn stop(&mut self, nth_last: usize) -> Option<Stop> {
        let mut standing = self.stored.stops.values().rev().filter(|stop| stop.status != StopStatus::Retracted);
        let stop = standing.nth(nth_last).cloned();
        if stop.is_none() {
            self.note("there is none");
        }
        stop
    }

    fn arrives(&mut self, record: Record) -> Result<(), String> {
        self.commit_commands()?;
        self.log.push(record);
        self.read()
    }

    /// Reads the log to its end, as the shard does.
    fn read(&mut self) -> Result<(), String> {
        while let Some(record) = self.log.get(self.next_offset).cloned() {
            self.next_offset += 1;
            let outcome = match &record {
                Record::Detection(detection) => self.line.detection(detection, STAMP),
                Record::Status(status) => self.line.camera_status(status, STAMP),
            };
            if outcome == Outcome::Late {
                match &record {
                    Record::Detection(detection) if !self.knows(detection) => self.line.keep_late(detection),
                    Record::Status(status) if !self.knows_status(status) => self.line.keep_late_status(status),
                    _ => {}
                }
            }
            if outcome != Outcome::Applied {
                self.note(&format!("{outcome:?}"));
            }
            self.end_full_batch()?;
        }
        Ok(())
    }

    fn end_full_batch(&mut self) -> Result<(), String> {
        if self.line.is_full() { self.commit() } else { Ok(()) }
    }

    fn knows(&self, detection: &Detection) -> bool {
        let identity = |d: &Detection| (d.detection_id, d.detected_at);
        self.stored.detections.contains_key(&identity(detection))
            || self.line.accepted().iter().any(|(d, _)| identity(d) == identity(detection))
    }

    fn knows_status(&self, status: &CameraStatus) -> bool {
        let identity = |s: &CameraStatus| (s.camera_id, s.at, s.status);
        self.stored
            .inputs
            .iter()
            .any(|input| matches!(input, LineInput::CameraStatus { status: s, .. } if identity(s) == identity(status)))
    }

    fn commit(&mut self) -> Result<(), String> {
        let changes = self.line.drain();
        self.stored.take(changes)?;
        self.uncommitted.clear();
        self.checkpoint = Some((self.line.snapshot(), self.next_offset));
        match self.line.imbalance_ms() {
            0 => Ok(()),
            ms => Err(format!("{ms} ms are in no bucket or in two")),
        }
    }

    /// Commands are a commit of their own.
    fn commit_commands(&mut self) -> Result<(), String> {
        if self.uncommitted.is_empty() { Ok(()) } else { self.commit() }
    }

    fn crash(&mut self) -> Result<(), String> {
        let configs = self.stored.configs.clone();
        self.line = match &self.checkpoint {
            None => Line::new("l1", configs),
            Some((state, _)) => self.stored.restore(state, configs)?,
        };
        self.next_offset = self.checkpoint.as_ref().map_or(0, |(_, offset)| *offset);
        for command in std::mem::take(&mut self.uncommitted) {
            self.obey(command)?;
        }
        self.commit_commands()?;
        self.read()
    }

    fn command(&mut self, command: Command) -> Result<(), String> {
        if self.uncommitted.is_empty() {
            self.line.reconfigure(self.stored.configs.clone());
            self.commit()?;
        }
        self.obey(command)
    }

    /// As the shard obeys: what is forgotten is brought back first.
    fn obey(&mut self, command: Command) -> Result<(), String> {
        let done = match &command {
            Command::Classify { started_at, reason } => {
                if !self.line.remembers(*started_at) {
                    self.stored.recall(&mut self.line, self.stored.stops.get(started_at))?;
                }
                self.line.classify(*started_at, reason.clone(), None, "lead")
            }
            Command::Split { at } => {
                let around = self
                    .stored
                    .stops
                    .values()
                    .find(|stop| stop.status != StopStatus::Retracted && span_of(stop).contains(*at));
                if !around.is_some_and(|stop| self.line.remembers(stop.started_at)) {
                    self.stored.recall(&mut self.line, around)?;
                }
                self.line.split(*at, "lead")
            }
            Command::Hole(hole) => self.line.hole(*hole, "lead"),
        };
        self.uncommitted.push(command);
        if let Err(why) = done {
            self.note(&format!("failed to {why}"));
        }
        Ok(())
    }

    fn save(&mut self, config: &LineConfig, noticed: bool, asked: bool) {
        let last = self.stored.configs.last().map_or(Ms::MIN, |last| last.valid_from);
        let needs = self.checkpoint.as_ref().and_then(|(state, _)| Needs::of(STATE_VERSION, state).ok());
        let too_old = asked && needs.is_some_and(|needs| config.valid_from < needs.detections_from);
        if config.valid_from <= last || too_old {
            self.note("refused");
            return;
        }
        self.stored.configs.push(config.clone());
        if noticed {
            self.line.reconfigure(self.stored.configs.clone());
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.line.reconfigure(self.stored.configs.clone());
        self.commit()?;
        let ledger = self.stored.recompute();
        same("clock", &self.line.clock(), &ledger.clock)?;
        same("first detection", &self.line.first(), &ledger.first)?;
        let standing = self.stored.stops.values().filter(|stop| stop.status != StopStatus::Retracted);
        let told: Vec<Stop> = standing.map(plain).collect();
        let wanted: Vec<Stop> = ledger.stops.iter().map(plain).collect();
        for (told, wanted) in told.iter().zip(&wanted) {
            same("stop", told, wanted)?;
        }
        same("number of stops", &told.len(), &wanted.len())?;
        self.same_minutes(&ledger)?;
        if self.line.first().is_some() {
            for window in Window::LIVE {
                same(window.as_str(), &self.line.figure(window), &ledger.figure_window(window))?;
            }
        }
        self.same_records(&ledger)
    }

    fn same_minutes(&self, ledger: &Ledger) -> Result<(), String> {
        let anything = |row: &&MinuteRow| !row.sums.is_zero() || !row.pieces.is_empty();
        let rows = self.stored.minutes.values().filter(anything);
        let rows: Vec<MinuteRow> = rows.map(|row| MinuteRow { slices: Vec::new(), ..row.clone() }).collect();
        let wanted = ledger.minutes();
        for (row, wanted) in rows.iter().zip(&wanted) {
            same(&format!("minute {}", super::story::when(wanted.minute)), row, wanted)?;
        }
        same("number of minutes", &rows.len(), &wanted.len())
    }

    /// The last record of every shift that the watermark has passed, and that the calendar still has.
    fn same_records(&self, ledger: &Ledger) -> Result<(), String> {
        let mut latest: BTreeMap<(&str, &str), &ShiftRecord> = BTreeMap::new();
        let mut hash = "";
        for record in &self.stored.records {
            same("hash of the record before", &record.previous_hash.as_str(), &hash)?;
            hash = &record.hash;
            latest.insert((&record.shift, &record.business_date), record);
        }
        let watermark = self.line.watermark().unwrap_or(Ms::MIN);
        for record in latest.into_values() {
            let date = record.business_date.parse().map_err(|why| format!("{why}"))?;
            let shift = ShiftId { name: record.shift.as_str().into(), date };
            let Some(mut figure) = ledger.shift_figure(&shift).filter(|figure| figure.to <= watermark) else {
                continue;
            };
            (figure.as_of, figure.revision) = (record.figure.as_of, record.revision);
            same("shift record", &record.figure, &figure)?;
        }
        Ok(())
    }
}

// === impl Stored ===

impl Stored {
    fn take(&mut self, changes: Changes) -> Result<(), String> {
        for (detection, late) in changes.detections {
            let key = (detection.detection_id, detection.detected_at);
            if self.detections.insert(key, (detection, late)).is_some() {
                return Err(format!("detection {key:?} is stored twice"));
            }
        }
        self.inputs.extend(changes.inputs);
        for change in changes.stops {
            let from = change.stop.started_at;
            let before = self.stops.get(&from).map_or(0, |stop| stop.revision);
            same("revision", &change.stop.revision, &(before + u32::from(!change.resend)))?;
            self.stops.insert(from, change.stop);
        }
        self.minutes.extend(changes.minutes.into_iter().map(|row| (row.minute, row)));
        for record in &changes.shift_records {
            let shift = |r: &&ShiftRecord| (&r.shift, &r.business_date) == (&record.shift, &record.business_date);
            let before = self.records.iter().rfind(shift).map_or(0, |r| r.revision);
            same("revision of a shift record", &record.revision, &(before + 1))?;
            self.records.push(record.clone());
        }
        Ok(())
    }

    fn accepted(&self) -> impl Iterator<Item = Detection> {
        self.detections.values().filter(|(_, late)| !late).map(|(detection, _)| *detection)
    }

    fn restore(&self, state: &[u8], configs: Vec<LineConfig>) -> Result<Line, String> {
        let needs = Needs::of(STATE_VERSION, state).map_err(|why| why.to_string())?;
        let recent = self.accepted().filter(|d| d.detected_at >= needs.detections_from).collect();
        let minutes: Vec<MinuteRow> = self.minutes_of(Span::new(needs.minutes_from, Ms::MAX));
        Line::restore("l1", configs, STATE_VERSION, state, recent, &minutes).map_err(|why| why.to_string())
    }

    /// The minutes that begin in a span, as the table answers.
    fn minutes_of(&self, span: Span) -> Vec<MinuteRow> {
        self.minutes.range(span.from..span.to).map(|(_, row)| row.clone()).collect()
    }

    /// As the shard brings an older stop back.
    fn recall(&self, line: &mut Line, stop: Option<&Stop>) -> Result<(), String> {
        let Some(stop) = stop.filter(|stop| stop.status != StopStatus::Retracted) else { return Ok(()) };
        let own = span_of(stop);
        let all = line.recall_span(own);
        let minutes = self.minutes_of(all);
        let overlaps = |r: &&ShiftRecord| Span::new(r.from, r.to).intersect(&all).is_some();
        let records = self.records.iter().filter(overlaps).cloned().collect();
        let recall = Recall { stop: stop.clone(), minutes, records, words: self.words(own) };
        line.recall(recall).map_err(|why| why.to_string())
    }

    fn words(&self, own: Span) -> Vec<Classification> {
        let words = self.inputs.iter().filter_map(|input| match input {
            LineInput::Classification(w) if w.from < own.to && own.from < w.to => Some(w.clone()),
            _ => None,
        });
        let words: Vec<Classification> = words.collect();
        let doubtful = doubtful_words(own, &words).into_iter();
        let ended: Vec<(usize, bool)> = doubtful.map(|(place, within)| (place, self.has_exit(within))).collect();
        resolved_words(own, words, &ended)
    }

    fn has_exit(&self, within: Span) -> bool {
        let timeline = Timeline::taken_over(self.configs.clone(), &self.inputs);
        self.accepted().any(|d| {
            within.contains(d.detected_at) && timeline.at(d.detected_at).counts(d.area_id).is_some_and(|c| c.exit)
        })
    }

    fn recompute(&self) -> Ledger {
        batch::recompute(&BatchInput {
            line: "l1".into(),
            configs: self.configs.clone(),
            detections: self.accepted().collect(),
            inputs: self.inputs.clone(),
        })
    }
}

fn span_of(stop: &Stop) -> Span {
    Span::new(stop.started_at, stop.started_at + stop.duration_ms)
}

/// A stop without how often it was told. An open one is told every 10 s: its length then is no property of the line.
fn plain(stop: &Stop) -> Stop {
    match stop.status {
        StopStatus::Open => Stop { revision: 0, duration_ms: 0, segments: Vec::new(), ..stop.clone() },
        _ => Stop { revision: 0, ..stop.clone() },
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, told: &T, wanted: &T) -> Result<(), String> {
    if told == wanted {
        Ok(())
    } else {
        Err(format!("{what}: the line told\n  {told:?}\nthe stored inputs say\n  {wanted:?}"))
    }
}
