//! The newest record of each key, as of one commit, against the tables at that commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::chain::{At, Bounds, Place};
use super::{Fault, LineProof, Problem};
use crate::domain::production::figure::{Figure, Window};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::rfc3339;
use crate::kafka::codec;
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics::{self, TopicName};
use crate::store::Told;

/// A stop's last word of a commit; none: a tombstone.
type Word = (Option<Stop>, Place);

/// What the topics say, by key and commit.
#[derive(Debug, Default)]
pub(super) struct View {
    stops: BTreeMap<Arc<str>, BTreeMap<At, Word>>,
    /// Every word in its order within a commit, for the revisions.
    revisions: HashMap<Arc<str>, Vec<(At, Stop, Place)>>,
    shifts: Vec<(At, Figure, Place)>,
    problems: Vec<Problem>,
}

// === impl View ===

impl View {
    pub(super) fn stop(&mut self, at: At, place: Place, payload: Option<&[u8]>, ids: &SchemaIds) {
        let stop = match payload.map(|payload| codec::decode_stop(payload, ids)).transpose() {
            Ok(record) => record.map(|record| record.stop),
            Err(why) => {
                self.problems.push(Problem::at(Fault::Foreign, at, &place, format!("not a stop: {why}")));
                return;
            }
        };
        if let Some(stop) = &stop {
            self.revisions.entry(place.key.clone()).or_default().push((at, stop.clone(), place.clone()));
        }
        self.stops.entry(place.key.clone()).or_default().insert(at, (stop, place));
    }

    pub(super) fn figure(&mut self, at: At, place: Place, payload: Option<&[u8]>, ids: &SchemaIds) {
        let Some(payload) = payload else { return };
        match codec::decode_figure(payload, ids) {
            // A live figure has revision 0; a closed shift's record counts from 1.
            Ok(record) if record.figure.window == Window::Shift && record.figure.revision > 0 => {
                self.shifts.push((at, record.figure, place));
            }
            Ok(_) => {}
            Err(why) => self.problems.push(Problem::at(Fault::Foreign, at, &place, format!("not a figure: {why}"))),
        }
    }

    /// Compares everything up to the tables' commit. `void`: per incarnation the commit after which it no longer holds.
    pub(super) fn prove(self, told: &Told, void: &BTreeMap<u32, u64>, bounds: &Bounds, proof: &mut LineProof) {
        let holds = |at: &At| void.get(&at.0).is_none_or(|limit| at.1 <= *limit);
        let until = (told.checkpoint.incarnation, told.checkpoint.commit_seq);
        let mut problems = self.problems;
        for words in self.revisions.into_values() {
            // By commit, so that a void telling is compared with nothing.
            let words: Vec<_> = words.into_iter().filter(|(at, _, _)| holds(at)).collect();
            for pair in words.windows(2) {
                let ((_, before, _), (at, now, place)) = (&pair[0], &pair[1]);
                let resent = before.revision == now.revision && same_but_length(before, now);
                if now.revision <= before.revision && !resent {
                    let detail = format!(
                        "revision {} of {} follows revision {}",
                        now.revision, now.downtime_id, before.revision
                    );
                    problems.push(Problem::at(Fault::Revision, *at, place, detail));
                }
            }
        }
        problems.extend(told.hours_apart.iter().map(|hour| {
            let detail = format!("the hour of {} is not the sum of its minutes in the tables", rfc3339(*hour));
            Problem::of_tables(None, detail)
        }));
        if !proof.unpublished.is_empty() {
            // What waits is in the tables already: a difference would prove nothing.
            proof.not_comparable = (told.stops.len() + told.shift_records.len()) as u64;
            proof.problems.append(&mut problems);
            return;
        }
        let mut table: HashMap<&str, &Stop> = told.stops.iter().map(|s| (s.downtime_id.as_str(), s)).collect();
        for (key, words) in &self.stops {
            let row = table.remove(key.as_ref());
            let newest = words.range(..=until).rev().find(|(at, _)| holds(at));
            let Some((at, (told, place))) = newest else {
                proof.not_comparable += 1;
                continue;
            };
            match compare(told.as_ref(), row) {
                None => proof.stops_equal += 1,
                Some(detail) => problems.push(Problem::at(Fault::Table, *at, place, detail)),
            }
        }
        for row in table.into_values().filter(|row| row.status != StopStatus::Retracted) {
            // Compaction keeps the newest record of each key, so only a cut beginning explains this.
            if is_cut(bounds) {
                proof.not_comparable += 1;
                continue;
            }
            let detail = format!("the table has stop {} and the topic has no record of it", row.downtime_id);
            problems.push(Problem::of_tables(Some(row.downtime_id.clone()), detail));
        }
        let mut shifts: Vec<_> = told.shift_records.iter().map(|record| (record, false)).collect();
        for (at, figure, place) in &self.shifts {
            if *at > until || !holds(at) {
                continue;
            }
            let mut same = shifts.iter_mut().filter(|(record, _)| {
                (record.from, record.to, record.revision) == (figure.from, figure.to, figure.revision)
            });
            let figure = through_json(figure);
            match same.find(|(record, _)| Some(&record.figure) == figure.as_ref()) {
                Some((_, seen)) if *seen => {}
                Some((_, seen)) => {
                    *seen = true;
                    proof.shifts_equal += 1;
                }
                None => {
                    let detail = "the closed shift's figure is not in shift_record with these values".to_owned();
                    problems.push(Problem::at(Fault::Table, *at, place, detail));
                }
            }
        }
        proof.not_comparable += shifts.iter().filter(|(_, seen)| !seen).count() as u64;
        proof.problems.append(&mut problems);
    }
}

/// Whether the beginning of the line's stops was removed.
fn is_cut(bounds: &Bounds) -> bool {
    bounds
        .low
        .iter()
        .any(|(topic, (low, _))| *low > 0 && matches!(topics::parse(topic), Some(TopicName::Downtime { .. })))
}

/// As the table's JSON gives it back: the last bit of a ratio may differ from the record's.
fn through_json(figure: &Figure) -> Option<Figure> {
    serde_json::to_string(figure).ok().and_then(|text| serde_json::from_str(&text).ok())
}

/// The same stop told again because it has grown.
fn same_but_length(a: &Stop, b: &Stop) -> bool {
    let plain = |stop: &Stop| Stop { duration_ms: 0, segments: Vec::new(), ..stop.clone() };
    plain(a) == plain(b)
}

/// What differs between a topic's newest word and the table's row.
fn compare(told: Option<&Stop>, row: Option<&Stop>) -> Option<String> {
    let row = row.filter(|row| row.status != StopStatus::Retracted);
    let told = told.filter(|told| told.status != StopStatus::Retracted);
    match (told, row) {
        (None, None) => None,
        (Some(told), Some(row)) if told == row => None,
        (Some(_), None) => Some("the topic has this stop and the table has none, or a retracted one".to_owned()),
        (None, Some(_)) => Some("the topic has taken this stop away and the table still has it".to_owned()),
        (Some(told), Some(row)) => {
            let fields = |stop: &Stop| match serde_json::to_value(stop) {
                Ok(serde_json::Value::Object(fields)) => fields,
                _ => serde_json::Map::new(),
            };
            let (told, row) = (fields(told), fields(row));
            let differs = told.iter().filter(|(name, value)| row.get(*name) != Some(value));
            let told: Vec<String> =
                differs.map(|(name, value)| format!("{name} is {value}, in the table {}", row[name])).collect();
            Some(told.join("; "))
        }
    }
}
