//! Headers alone: `index` of `count` proves a commit whole, `prev_seq` proves that no commit between is missing.
//!
//! What is missing was lost, or compaction or retention took it. Which of the two it was can be told where removal is
//! impossible: among records younger than the topics' `min.compaction.lag.ms` or retention, and between two records
//! of a commit that stand in one topic with no offset left between them. Elsewhere it is called thinned, never lost.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::{Fault, LineProof, Problem};
use crate::domain::time::Ms;
use crate::store::Told;

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub topic: Arc<str>,
    pub offset: i64,
    pub key: Arc<str>,
}

/// What a record's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub incarnation: u32,
    pub commit_seq: u64,
    pub index: u64,
    /// Records of the commit; none of an older Andon.
    pub count: Option<u64>,
    /// The commit before this one that published; 0: none did, none: not known.
    pub prev_seq: Option<u64>,
    pub told_at: Ms,
    pub place: Place,
}

/// Incarnation and commit.
pub(super) type At = (u32, u64);

/// What can have been removed from the topics.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// Records told since then are all there.
    pub whole_since: Ms,
    /// No topic's beginning was removed.
    pub untouched: bool,
    /// First offset of each topic, and whether it is compacted.
    pub low: BTreeMap<String, (i64, bool)>,
}

/// The records of one commit.
#[derive(Debug, Default)]
struct Commit {
    count: Option<u64>,
    prev_seq: Option<u64>,
    told_at: Ms,
    records: BTreeMap<u64, Place>,
}

/// Everything that was seen of a line.
#[derive(Debug, Default)]
pub(super) struct Chain {
    commits: BTreeMap<At, Commit>,
    /// The last record of each topic.
    last: BTreeMap<Arc<str>, (At, u64)>,
    problems: Vec<Problem>,
    records: u64,
}

// === impl Problem ===

impl Problem {
    pub(super) fn at(fault: Fault, at: At, place: &Place, detail: String) -> Problem {
        Problem {
            line: String::new(),
            fault,
            topic: Some(place.topic.to_string()),
            offset: Some(place.offset),
            key: Some(place.key.to_string()),
            incarnation: Some(at.0),
            commit_seq: Some(at.1),
            detail,
        }
    }

    /// Of the tables alone: nothing on the topics stands against it.
    pub(super) fn of_tables(key: Option<String>, detail: String) -> Problem {
        Problem {
            line: String::new(),
            fault: Fault::Table,
            topic: None,
            offset: None,
            key,
            incarnation: None,
            commit_seq: None,
            detail,
        }
    }

    fn of_commit(fault: Fault, at: At, detail: String) -> Problem {
        Problem { fault, incarnation: Some(at.0), commit_seq: Some(at.1), ..Problem::of_tables(None, detail) }
    }
}

// === impl Seen ===

impl Seen {
    pub(super) fn at(&self) -> At {
        (self.incarnation, self.commit_seq)
    }
}

// === impl Chain ===

impl Chain {
    /// Takes a record, in the order of its topic.
    pub(super) fn take(&mut self, seen: Seen) {
        self.records += 1;
        let at = seen.at();
        let commit = self.commits.entry(at).or_insert_with(|| Commit { told_at: seen.told_at, ..Commit::default() });
        commit.count = commit.count.or(seen.count);
        commit.prev_seq = commit.prev_seq.or(seen.prev_seq);
        commit.told_at = commit.told_at.min(seen.told_at);
        match commit.records.entry(seen.index) {
            Entry::Occupied(first) => {
                let first = first.get();
                let detail = format!(
                    "record {} of commit {} is there twice: first at offset {} of {}",
                    seen.index, seen.commit_seq, first.offset, first.topic
                );
                self.problems.push(Problem::at(Fault::Doubled, at, &seen.place, detail));
                return;
            }
            Entry::Vacant(free) => free.insert(seen.place.clone()),
        };
        let now = (at, seen.index);
        let last = self.last.entry(seen.place.topic.clone()).or_insert(now);
        if now < *last {
            let detail =
                format!("record {} of commit {} stands behind one of commit {}", seen.index, seen.commit_seq, last.0.1);
            self.problems.push(Problem::at(Fault::OutOfOrder, at, &seen.place, detail));
        }
        *last = now.max(*last);
    }

    /// Takes a record without Andon's headers.
    pub(super) fn foreign(&mut self, topic: &str, offset: i64, key: String) {
        let place = Place { topic: Arc::from(topic), offset, key: Arc::from(key) };
        let detail = "the headers incarnation, commit_seq and index are missing: another writer?".to_owned();
        let problem = Problem::at(Fault::Foreign, (0, 0), &place, detail);
        self.problems.push(Problem { incarnation: None, commit_seq: None, ..problem });
    }

    /// The last commit seen.
    pub(super) fn last(&self) -> Option<At> {
        self.commits.keys().next_back().copied()
    }

    /// For each incarnation but the last the commit after which its word no longer holds: the one that the next
    /// incarnation's first record names as its predecessor.
    pub(super) fn void(&self) -> BTreeMap<u32, u64> {
        let mut firsts: BTreeMap<u32, u64> = BTreeMap::new();
        for ((incarnation, seq), commit) in &self.commits {
            firsts.entry(*incarnation).or_insert(commit.prev_seq.unwrap_or(seq.saturating_sub(1)));
        }
        let mut void = BTreeMap::new();
        let mut after = u64::MAX;
        for (incarnation, from) in firsts.iter().rev() {
            if after < u64::MAX {
                void.insert(*incarnation, after);
            }
            after = after.min(*from);
        }
        void
    }

    pub(super) fn prove(&mut self, told: &Told, committed: At, bounds: &Bounds, proof: &mut LineProof) {
        let void = self.void();
        let mut problems = std::mem::take(&mut self.problems);
        proof.records = self.records;
        proof.commits = self.commits.len() as u64;
        proof.first_commit = self.commits.keys().next().map(|at| at.1);
        proof.last_commit = self.last().map(|at| at.1);
        // The commits of one incarnation follow each other; the first of a later one follows the last that still holds.
        let mut holds: Vec<(At, &Commit)> = Vec::new();
        let mut before: Option<(At, &Commit)> = None;
        for (at, commit) in &self.commits {
            if before.is_some_and(|(before, _)| before.0 != at.0) {
                let limit = void.get(&before.map_or(0, |(b, _)| b.0)).copied().unwrap_or(u64::MAX);
                holds.retain(|(held, _)| held.1 <= limit);
                before = holds.last().copied();
            }
            if void.get(&at.0).is_some_and(|limit| at.1 > *limit) {
                proof.void += commit.records.len() as u64;
            }
            let whole = self.link(*at, commit, before, bounds, &mut problems);
            match whole {
                Link::Whole => {
                    proof.whole_from.get_or_insert(at.1);
                }
                Link::Thinned => {
                    proof.thinned += 1;
                    proof.whole_from = commit.is_whole().then_some(at.1);
                }
                Link::Unknown => proof.whole_from = None,
            }
            holds.push((*at, commit));
            before = Some((*at, commit));
        }
        self.end(told, committed, &mut problems, proof);
        proof.problems.append(&mut problems);
    }

    /// What joins a commit to the one before it.
    fn link(
        &self,
        at: At,
        commit: &Commit,
        before: Option<(At, &Commit)>,
        bounds: &Bounds,
        problems: &mut Vec<Problem>,
    ) -> Link {
        let Some(count) = commit.count else { return Link::Unknown };
        let mut link = Link::Whole;
        if !commit.is_whole() {
            let missing: Vec<u64> = (0..count).filter(|index| !commit.records.contains_key(index)).collect();
            let lost = commit.told_at >= bounds.whole_since || !commit.has_room_for_missing();
            link = Link::Thinned;
            if lost && let Some((_, place)) = commit.records.iter().next() {
                let detail = format!(
                    "commit {} told {count} records, and of them {missing:?} are missing though nothing can have \
                     removed them",
                    at.1
                );
                problems.push(Problem::at(Fault::Lost, at, place, detail));
            }
            if commit.records.keys().any(|index| *index >= count)
                && let Some((_, place)) = commit.records.iter().next_back()
            {
                let detail = format!("commit {} has a record beyond the {count} that it says it has", at.1);
                problems.push(Problem::at(Fault::Foreign, at, place, detail));
            }
        }
        let Some(prev_seq) = commit.prev_seq else {
            return if link == Link::Whole { Link::Unknown } else { link };
        };
        let seen = before.map(|(before, _)| before.1);
        if seen == Some(prev_seq) || (seen.is_none() && prev_seq == 0) {
            return link;
        }
        let Some((_, place)) = commit.records.iter().next() else { return link };
        if seen.is_some_and(|seen| seen > prev_seq) {
            let seen = seen.unwrap_or_default();
            let detail = format!("commit {} follows {prev_seq} by its own word, but commit {seen} is between", at.1);
            problems.push(Problem::at(Fault::Foreign, at, place, detail));
            return link;
        }
        let removable = match before {
            Some((_, before)) => before.told_at < bounds.whole_since,
            None => !self.begins_at_the_beginning(bounds),
        };
        if !removable {
            let after = seen.map_or_else(|| "the beginning".to_owned(), |seen| format!("commit {seen}"));
            let detail = format!(
                "commit {} follows commit {prev_seq}, of which no record is there: lost between {after} and this record",
                at.1
            );
            problems.push(Problem::at(Fault::Lost, (at.0, prev_seq), place, detail));
        }
        Link::Thinned
    }

    /// Whether each topic still has its very first record.
    fn begins_at_the_beginning(&self, bounds: &Bounds) -> bool {
        let mut firsts: BTreeMap<&str, i64> = BTreeMap::new();
        for place in self.commits.values().flat_map(|commit| commit.records.values()) {
            let first = firsts.entry(&place.topic).or_insert(place.offset);
            *first = (*first).min(place.offset);
        }
        let is_first = |(topic, first): (&&str, &i64)| match bounds.low.get(*topic) {
            Some((_, is_compacted)) => *first == 0 || !is_compacted,
            None => false,
        };
        bounds.untouched && firsts.iter().all(is_first)
    }

    /// The newest end: what the database has committed is there or on its way.
    fn end(&self, told: &Told, committed: At, problems: &mut Vec<Problem>, proof: &mut LineProof) {
        let checkpoint = &told.checkpoint;
        let last = self.last().unwrap_or((checkpoint.incarnation, 0));
        if last > committed {
            let detail = format!(
                "commit {} of incarnation {} is on the topics, but the database ends with commit {} of incarnation {}: \
                 it went back in time",
                last.1, last.0, committed.1, committed.0
            );
            problems.push(Problem::of_commit(Fault::Ahead, last, detail));
        }
        let expected = checkpoint.told_seq.unwrap_or(0);
        let at = (checkpoint.incarnation, expected);
        if expected == 0 || last >= at {
            return;
        }
        let mine = self.commits.keys().rev().find(|at| at.0 == checkpoint.incarnation).map_or(0, |at| at.1);
        proof.unpublished = told.outbox.iter().copied().filter(|seq| *seq > mine && *seq <= expected).collect();
        let (fault, detail) = if proof.unpublished.contains(&expected) && checkpoint.published_seq < expected {
            let detail =
                format!("committed, not yet published: the commits after {mine} up to {expected} wait in the outbox");
            (Fault::Unpublished, detail)
        } else {
            let detail = format!("commit {expected} is neither on the topics nor waiting to be published");
            (Fault::Lost, detail)
        };
        // A line carried on under a new incarnation has perhaps told nothing since: its last word is an earlier one's.
        if self.commits.keys().any(|(_, seq)| *seq == expected) {
            return;
        }
        problems.push(Problem::of_commit(fault, at, detail));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Whole, and the one before it is there.
    Whole,
    /// Something of it, or between it and the one before, is not there.
    Thinned,
    /// Told by an Andon that did not say.
    Unknown,
}

// === impl Commit ===

impl Commit {
    fn is_whole(&self) -> bool {
        self.count == Some(self.records.len() as u64)
    }

    /// Whether removed records can have stood between those that are there: each kept its offset.
    fn has_room_for_missing(&self) -> bool {
        self.records.iter().zip(self.records.iter().skip(1)).all(|((index, place), (next, behind))| {
            place.topic != behind.topic || behind.offset - place.offset >= (next - index) as i64
        })
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
