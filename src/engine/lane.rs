//! One owned line: its state machine, its place in the log, and what its next commit will say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::production::changes::Changes;
use crate::domain::production::detection::{CameraStatus, Detection, Record, Refusal};
use crate::domain::production::figure::{Figure, Window};
use crate::domain::production::input::LineInput;
use crate::domain::production::line::{Line, Outcome, STATE_VERSION, Stamp, same_content};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::{Ms, Span};
use crate::engine::inbox::{Chunk, RawRecord};
use crate::engine::outbox::Parcel;
use crate::engine::ownership::Grant;
use crate::kafka::codec::{self, Undecodable};
use crate::kafka::publisher::OutRecord;
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics;
use crate::store::stamp::is_storable;
use crate::watch::metrics;

/// Inputs of one commit are numbered from `commit_seq` × this: ordered, and unique without asking the table.
const INPUTS_PER_COMMIT: u64 = 1 << 20;

/// Where a line stands in its log and its commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to read; −1: the line has read nothing yet.
    pub next_offset: i64,
    pub commit_seq: u64,
    pub owner_epoch: u64,
    pub incarnation: u32,
    /// The last commit of this incarnation that published a record; 0: none has, none: not known.
    pub told_seq: Option<u64>,
}

/// A late record that waits for the store's word on its identity.
#[derive(Clone, Debug)]
struct LateRecord {
    record: Record,
    raw: OutRecord,
}

/// What a commit of a line writes and publishes.
#[derive(Debug)]
pub struct Sealed {
    pub before: Progress,
    pub after: Progress,
    pub changes: Changes,
    pub state: Vec<u8>,
    pub state_version: u32,
    pub first_input_seq: u64,
    /// The only input is a timer right after another: it takes that one's place.
    pub replaces_timer: bool,
    pub parcel: Parcel,
    /// The line clock.
    pub clock: Option<Ms>,
}

/// How far [`Lane::take`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    All,
    /// To the record of this index, whose area or camera the line does not know: the caller reads the configuration anew
    /// and comes back.
    Unknown(usize),
    /// To before the record of this index: what was taken has to be committed first.
    Full(usize),
    /// To the record of this index, of which the schema registry has not said what it is: it waits, and what follows it.
    Unanswered(usize),
}

/// See the module.
pub struct Lane {
    tenant: Arc<str>,
    pub topic: String,
    pub line: Line,
    pub progress: Progress,
    /// Under which the line is owned: records and publications of another are not its own.
    pub grant: Grant,
    /// How often figures are published at most.
    cadence: Duration,
    late: Vec<LateRecord>,
    /// Dead letters and late copies of this batch.
    aside: Vec<OutRecord>,
    /// Something happened since the last commit.
    dirty: bool,
    figures_sent: Option<Instant>,
    figures_due: bool,
    /// The number of the last input, if it was a timer and nothing was read since.
    last_timer_seq: Option<u64>,
    /// Since when the topic has been read to its end.
    pub caught_up_since: Option<Instant>,
    /// The tenant's newest version when the line's were last looked at.
    pub newest_seen: u32,
}

impl Lane {
    pub fn new(tenant: Arc<str>, line: Line, progress: Progress, grant: Grant, cadence: Duration) -> Lane {
        Lane {
            topic: topics::detections(&tenant, line.name()),
            tenant,
            // A version that was saved while nobody owned the line.
            dirty: line.has_inputs(),
            line,
            progress,
            grant,
            cadence,
            late: Vec::new(),
            aside: Vec::new(),
            figures_sent: None,
            figures_due: false,
            last_timer_seq: None,
            caught_up_since: None,
            newest_seen: 0,
        }
    }

    /// Takes records from index `from` on. Stops at a record whose area or camera the line does not know only if
    /// `may_refresh`.
    pub fn take(&mut self, chunk: &Chunk, from: usize, ids: &SchemaIds, may_refresh: bool) -> Taken {
        self.dirty = true;
        self.last_timer_seq = None;
        let mut applied = 0u64;
        let mut duplicates = 0u64;
        let mut taken = Taken::All;
        for (index, raw) in chunk.records().enumerate().skip(from) {
            if raw.offset < self.progress.next_offset {
                continue;
            }
            let decoded = raw.payload.map(|payload| codec::decode_record(payload, ids));
            if let Some(Err(Undecodable::UnansweredSchema(_))) = decoded {
                taken = Taken::Unanswered(index);
                break;
            }
            // A time that no table can hold is no time.
            let storable = |record: &Record| {
                is_storable(match record {
                    Record::Detection(detection) => detection.detected_at,
                    Record::Status(status) => status.at,
                })
            };
            let Some(record) = decoded.and_then(Result::ok).filter(storable) else {
                self.refuse(&raw, Refusal::Undecodable);
                continue;
            };
            let stamp = Stamp { appended_at: raw.appended_at };
            let outcome = match &record {
                Record::Detection(detection) => self.line.detection(detection, stamp),
                Record::Status(status) => self.line.camera_status(status, stamp),
            };
            match outcome {
                Outcome::Applied => applied += 1,
                Outcome::Duplicate => duplicates += 1,
                Outcome::Late => {
                    let raw = self.aside_record(topics::late(&self.tenant), &raw, None);
                    self.late.push(LateRecord { record, raw });
                }
                Outcome::Refused(Refusal::UnknownArea | Refusal::UnknownCamera) if may_refresh => {
                    taken = Taken::Unknown(index);
                    break;
                }
                Outcome::Refused(refusal) => self.refuse(&raw, refusal),
            }
            self.progress.next_offset = raw.offset + 1;
            if self.line.is_full() {
                taken = Taken::Full(index + 1);
                break;
            }
        }
        metrics::detections(&self.tenant, "applied", applied);
        metrics::detections(&self.tenant, "duplicate", duplicates);
        taken
    }

    fn refuse(&mut self, raw: &RawRecord<'_>, refusal: Refusal) {
        let letter = self.aside_record(topics::deadletter(&self.tenant), raw, Some(refusal));
        self.aside.push(letter);
        self.progress.next_offset = raw.offset + 1;
        metrics::detections(&self.tenant, "dead_letter", 1);
        metrics::dead_letter(&self.tenant, refusal.as_str());
    }

    /// A record passed on unchanged, with where it came from in its headers.
    fn aside_record(&self, topic: String, raw: &RawRecord<'_>, refusal: Option<Refusal>) -> OutRecord {
        let mut headers = vec![
            ("topic".to_owned(), self.topic.clone().into_bytes()),
            ("partition".to_owned(), b"0".to_vec()),
            ("offset".to_owned(), raw.offset.to_string().into_bytes()),
        ];
        if let Some(refusal) = refusal {
            headers.push(("reason".to_owned(), refusal.as_str().as_bytes().to_vec()));
        }
        OutRecord {
            topic,
            key: raw.key.unwrap_or_default().to_vec(),
            payload: raw.payload.map(<[u8]>::to_vec),
            headers,
        }
    }

    /// Identities of late detections that the store must be asked for.
    pub fn late_detections(&self) -> Vec<(i64, Ms)> {
        self.late
            .iter()
            .filter_map(|late| match &late.record {
                Record::Detection(d) => Some((d.detection_id, d.detected_at)),
                Record::Status(_) => None,
            })
            .collect()
    }

    /// Late statuses that the store must be asked for.
    pub fn late_statuses(&self) -> Vec<CameraStatus> {
        self.late
            .iter()
            .filter_map(|late| match &late.record {
                Record::Status(status) => Some(status.clone()),
                Record::Detection(_) => None,
            })
            .collect()
    }

    /// Judges the late records, now that it is known which of their identities are stored. A repeat changes
    /// nothing, other content is a dead letter, and the rest is stored with its flag and copied to the late topic.
    pub fn resolve_late(&mut self, stored: Vec<Detection>, stored_statuses: &[CameraStatus]) {
        if self.late.is_empty() {
            return;
        }
        let mut known: HashMap<(i64, Ms), Detection> =
            stored.into_iter().map(|d| ((d.detection_id, d.detected_at), d)).collect();
        // A repeat can come so late that its original was accepted earlier in this very batch.
        known.extend(self.line.accepted().iter().map(|(d, _)| ((d.detection_id, d.detected_at), *d)));
        let mut statuses: Vec<CameraStatus> = stored_statuses.to_vec();
        statuses.extend(self.line.accepted_statuses().cloned());
        for late in std::mem::take(&mut self.late) {
            let repeated = match &late.record {
                Record::Detection(d) => known.get(&(d.detection_id, d.detected_at)).map(|there| same_content(there, d)),
                Record::Status(s) => statuses
                    .iter()
                    .any(|t| (t.camera_id, t.at, t.status) == (s.camera_id, s.at, s.status))
                    .then_some(true),
            };
            match repeated {
                Some(true) => metrics::detections(&self.tenant, "duplicate", 1),
                Some(false) => {
                    let mut letter = late.raw;
                    letter.topic = topics::deadletter(&self.tenant);
                    letter.headers.push(("reason".into(), Refusal::IdConflict.as_str().as_bytes().to_vec()));
                    self.aside.push(letter);
                    metrics::detections(&self.tenant, "dead_letter", 1);
                    metrics::dead_letter(&self.tenant, Refusal::IdConflict.as_str());
                }
                None => {
                    match late.record {
                        Record::Detection(d) => {
                            known.insert((d.detection_id, d.detected_at), d);
                            self.line.keep_late(&d);
                        }
                        Record::Status(s) => {
                            self.line.keep_late_status(&s);
                            statuses.push(s);
                        }
                    }
                    self.aside.push(late.raw);
                    metrics::detections(&self.tenant, "late", 1);
                }
            }
        }
    }

    /// Lets the clock go on to where it is at wall time `now`. True when that is a step worth a commit: the state
    /// changes, or the figures are due.
    pub fn tick(&mut self, now: Ms, instant: Instant) -> bool {
        let Some(target) = self.line.clock_at(now) else { return false };
        let deadline = self.line.next_deadline().is_some_and(|deadline| deadline <= target);
        if !(deadline || self.figures_are_due(instant)) || !self.line.tick(target) {
            return false;
        }
        self.dirty = true;
        true
    }

    fn figures_are_due(&self, instant: Instant) -> bool {
        self.figures_sent.is_none_or(|sent| instant.duration_since(sent) >= self.cadence)
    }

    /// Whether the next commit has anything to say.
    pub fn is_dirty(&self, instant: Instant) -> bool {
        self.dirty || (self.figures_due && self.figures_are_due(instant))
    }

    /// Goes on at `next_offset`, whose record was appended at `until`: what lies between is gone. The clock goes to
    /// where it would be then, and the time since is `no_data`.
    pub fn skip(&mut self, next_offset: i64, until: Ms, author: &str) {
        self.progress.next_offset = next_offset;
        self.last_timer_seq = None;
        self.dirty = true;
        let (Some(from), Some(to)) = (self.line.clock(), self.line.clock_at(until)) else { return };
        // No time has passed: offsets are missing, and no millisecond.
        if !self.line.tick(to) {
            return;
        }
        if let Err(why) = self.line.hole(Span::new(from, to), author) {
            tracing::error!(line = self.line.name(), %why, "hole not recorded");
        }
    }

    /// What the first commit of a new incarnation tells: of each stop of which an earlier one told what no longer holds,
    /// the word that does, or that there is none.
    pub fn retell(&self, words: &[(String, Option<Stop>)], ids: &SchemaIds) -> (Progress, Parcel) {
        let mut after = Progress { commit_seq: self.progress.commit_seq + 1, ..self.progress };
        let mut parcel = Parcel { next_offset: after.next_offset, records: Vec::new() };
        let topic = topics::downtime(&self.tenant, self.line.name());
        let watermark = self.line.watermark().unwrap_or(0);
        for (id, stop) in words {
            let payload = stop.as_ref().map(|stop| {
                let mut payload = Vec::with_capacity(256);
                codec::encode_stop(stop, watermark, after.commit_seq, ids, &mut payload);
                payload
            });
            parcel.records.push(record(&topic, id.clone().into_bytes(), payload));
        }
        self.stamp(&mut parcel, after);
        if !parcel.records.is_empty() {
            after.told_seq = Some(after.commit_seq);
        }
        (after, parcel)
    }

    /// A command or a new version was applied.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// Ends the batch: everything that the commit writes and publishes.
    pub fn seal(&mut self, instant: Instant, ids: &SchemaIds) -> Sealed {
        let before = self.progress;
        let changes = self.line.drain();
        let mut after = Progress { commit_seq: before.commit_seq + 1, ..self.progress };
        let mut parcel = Parcel { next_offset: after.next_offset, records: Vec::new() };
        let timer_only =
            changes.detections.is_empty() && matches!(changes.inputs.as_slice(), [LineInput::Timer { .. }]);
        let replaced = self.last_timer_seq.take().filter(|_| timer_only);
        let first_input_seq = replaced.unwrap_or(after.commit_seq * INPUTS_PER_COMMIT);
        self.last_timer_seq = timer_only.then_some(first_input_seq);
        self.publish_stops(&changes, after.commit_seq, ids, &mut parcel);
        self.publish_figures(&changes, after.commit_seq, instant, ids, &mut parcel);
        parcel.records.append(&mut self.aside);
        self.stamp(&mut parcel, after);
        if !parcel.records.is_empty() {
            after.told_seq = Some(after.commit_seq);
        }
        self.progress = after;
        self.dirty = false;
        Sealed {
            before,
            after,
            first_input_seq,
            changes,
            state: self.line.snapshot(),
            state_version: STATE_VERSION,
            replaces_timer: replaced.is_some(),
            parcel,
            clock: self.line.clock(),
        }
    }

    fn publish_stops(&self, changes: &Changes, commit_seq: u64, ids: &SchemaIds, parcel: &mut Parcel) {
        let topic = topics::downtime(&self.tenant, self.line.name());
        let watermark = self.line.watermark().unwrap_or(0);
        for change in &changes.stops {
            let key = change.stop.downtime_id.clone().into_bytes();
            let mut payload = Vec::with_capacity(256);
            codec::encode_stop(&change.stop, watermark, commit_seq, ids, &mut payload);
            parcel.records.push(record(&topic, key.clone(), Some(payload)));
            if change.stop.status == StopStatus::Retracted {
                parcel.records.push(record(&topic, key, None));
            }
        }
    }

    fn publish_figures(
        &mut self,
        changes: &Changes,
        commit_seq: u64,
        instant: Instant,
        ids: &SchemaIds,
        parcel: &mut Parcel,
    ) {
        let urgent = changes.state.is_some() || !changes.shift_records.is_empty();
        if !urgent && !self.figures_are_due(instant) {
            self.figures_due = true;
            return;
        }
        let (Some(state), Some(watermark)) = (self.line.state(), self.line.watermark()) else { return };
        let topic = topics::oee(&self.tenant, self.line.name());
        let encode = |figure: &Figure| {
            let mut payload = Vec::with_capacity(256);
            codec::encode_figure(figure, &state, watermark, commit_seq, ids, &mut payload);
            payload
        };
        for closed in &changes.shift_records {
            let key = Window::Shift.as_str().as_bytes().to_vec();
            parcel.records.push(record(&topic, key, Some(encode(&closed.figure))));
        }
        for window in Window::LIVE {
            let figure = self.line.figure(window);
            if figure.is_none() && window != Window::Shift {
                continue;
            }
            let key = window.as_str().as_bytes().to_vec();
            parcel.records.push(record(&topic, key, figure.as_ref().map(encode)));
        }
        self.figures_sent = Some(instant);
        self.figures_due = false;
    }

    /// Headers by which a reader can prove that nothing is missing and nothing is there twice; `progress` still names
    /// the commit before this one that published.
    fn stamp(&self, parcel: &mut Parcel, progress: Progress) {
        let count = parcel.records.len().to_string();
        let previous = progress.told_seq.map(|seq| seq.to_string());
        for (index, record) in parcel.records.iter_mut().enumerate() {
            let own = [
                ("incarnation", progress.incarnation.to_string()),
                ("commit_seq", progress.commit_seq.to_string()),
                ("index", index.to_string()),
                ("tenant", self.tenant.to_string()),
                ("line", self.line.name().to_owned()),
            ];
            record.headers.extend(own.map(|(name, value)| (name.to_owned(), value.into_bytes())));
            record.headers.push(("count".to_owned(), count.clone().into_bytes()));
            record.headers.extend(previous.iter().map(|seq| ("prev_seq".to_owned(), seq.clone().into_bytes())));
        }
    }
}

fn record(topic: &str, key: Vec<u8>, payload: Option<Vec<u8>>) -> OutRecord {
    OutRecord { topic: topic.to_owned(), key, payload, headers: Vec::new() }
}
