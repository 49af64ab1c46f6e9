//! Every line has an owner: it looks now and then whether the group's members have all lines' topics among them.
//!
//! The group shares lines out in two steps: who has them gives them back, then others get them. Kafka knows of no second
//! step; the members do. Where they are killed between the two and come back under their names, each is given what it
//! had, nobody is missed, and nothing more would happen: the lines would stand for good. So one member, that with the
//! least to lose, leaves and comes back, which has the group share everything out anew.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::engine::publish::owner_of;
use crate::kafka::consumer::{ConsumerError, Handle, Member, RollCall};
use crate::watch::metrics;

/// How often it looks, and how long it waits for an answer.
const EVERY: Duration = Duration::from_secs(3);
/// Looks in a row that find the same lines without an owner: what is new is shared out sooner.
const LONG: u32 = 2;
/// So many looks apart are the attempts at most, where they do not help: a minute and a half.
const PATIENT: u32 = 32;
/// So many looks later it is the next member's turn.
const TURN: u32 = 2;

/// Looks, and has topics that are new found, until `stop`.
pub async fn keep(handle: Handle, stop: CancellationToken) {
    let mut missed = Missed::default();
    while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
        let asked = handle.clone();
        let Ok(seen) = tokio::task::spawn_blocking(move || look(&asked)).await else { return };
        let found = match seen {
            // `None`: they are being shared out.
            Ok(seen) => seen.map(|(lines, call)| (unowned(&lines, &call), turn(&call))),
            Err(why) => {
                debug!(%why, "no answer to who has which lines: asking again");
                continue;
            }
        };
        let is_time = missed.note(found);
        metrics::unowned(missed.for_long().len());
        if is_time {
            let lines = missed.for_long();
            warn!(
                ?lines,
                "nobody in the group has these lines: leaving it and coming back, so that all are shared out"
            );
            handle.join_anew();
        }
    }
}

/// The topics of all lines and who is there; `None` while they are being shared out. Blocks.
fn look(handle: &Handle) -> Result<Option<(Vec<String>, RollCall)>, ConsumerError> {
    // First the topics: who has one of them had it then, or got it since.
    let mut topics = handle.topics(EVERY)?;
    topics.retain(|topic| owner_of(topic).is_some());
    Ok(handle.roll_call(EVERY)?.map(|call| (topics, call)))
}

fn unowned(lines: &[String], call: &RollCall) -> BTreeSet<String> {
    let owned: BTreeSet<&String> = call.members.iter().flat_map(|member| &member.topics).collect();
    lines.iter().filter(|line| !owned.contains(line)).cloned().collect()
}

/// How many members have less to lose than this one; `None` when it is none itself.
fn turn(call: &RollCall) -> Option<u32> {
    let own = call.members.iter().find(|member| member.id == call.own)?;
    let before = call.members.iter().filter(|member| burden(member) < burden(own)).count();
    u32::try_from(before).ok()
}

/// What a member would lose, and its name where others would lose as much.
fn burden(member: &Member) -> (usize, &str) {
    (member.topics.len(), &member.id)
}

/// Lines that nobody had when it was looked last.
#[derive(Debug, Default)]
struct Missed {
    lines: BTreeSet<String>,
    /// For how many looks in a row.
    looks: u32,
    /// At how many of these the next attempt is due.
    due: u32,
    /// Attempts since all lines had an owner.
    attempts: u32,
}

impl Missed {
    /// Takes what nobody has now and whether it is this member's turn, which is after so many others'; `None` while the
    /// lines are being shared out. `true`: this member is to act.
    fn note(&mut self, found: Option<(BTreeSet<String>, Option<u32>)>) -> bool {
        let Some((lines, turn)) = found else {
            *self = Missed { attempts: self.attempts, ..Missed::default() };
            return false;
        };
        if lines.is_empty() {
            *self = Missed::default();
            return false;
        }
        if lines != self.lines {
            *self = Missed { lines, attempts: self.attempts, due: self.patience(), ..Missed::default() };
        }
        self.looks = self.looks.saturating_add(1);
        let Some(turn) = turn else { return false };
        if self.looks < self.due.saturating_add(turn.saturating_mul(TURN)) {
            return false;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.due = self.looks.saturating_add(self.patience());
        true
    }

    /// Looks until the next attempt.
    fn patience(&self) -> u32 {
        LONG.saturating_mul(1 << self.attempts.min(4)).min(PATIENT)
    }

    /// What nobody has had for longer than new lines take to be shared out.
    fn for_long(&self) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        if self.looks >= LONG { &self.lines } else { &NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(own: &str, members: &[(&str, &[&str])]) -> RollCall {
        let member = |(id, topics): &(&str, &[&str])| Member {
            id: id.to_string(),
            topics: topics.iter().map(|topic| topic.to_string()).collect(),
        };
        RollCall { members: members.iter().map(member).collect(), own: own.to_owned() }
    }

    fn set(lines: &[&str]) -> BTreeSet<String> {
        lines.iter().map(|line| line.to_string()).collect()
    }

    #[test]
    fn lines_without_an_owner_are_those_that_no_member_has() {
        let lines = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(unowned(&lines, &call("1", &[("1", &["a"]), ("2", &["c"])])), set(&["b"]));
        assert_eq!(unowned(&lines, &call("1", &[("1", &["a", "b", "gone"]), ("2", &["c"])])), set(&[]));
    }

    #[test]
    fn who_has_least_is_first() {
        let members: &[(&str, &[&str])] = &[("1", &["a", "b"]), ("2", &[]), ("3", &["c"]), ("4", &[])];
        let turns = ["1", "2", "3", "4", ""].map(|own| turn(&call(own, members)));
        assert_eq!(turns, [Some(3), Some(0), Some(2), Some(1), None]);
    }

    #[test]
    fn what_is_shared_out_between_two_looks_is_nobodys_business() {
        let mut missed = Missed::default();
        for lines in [&["a"][..], &[], &["a"], &["b"], &[]] {
            assert!(!missed.note(Some((set(lines), Some(0)))));
            assert_eq!(*missed.for_long(), set(&[]));
        }
        assert!(!missed.note(Some((set(&["a"]), Some(0)))));
        assert!(!missed.note(None), "it is being shared out");
        assert!(!missed.note(Some((set(&["a"]), Some(0)))));
        assert!(missed.note(Some((set(&["a"]), Some(0)))), "twice the same");
        assert_eq!(*missed.for_long(), set(&["a"]));
    }

    #[test]
    fn others_act_later_and_a_stranger_never() {
        let first = |turn| {
            let mut missed = Missed::default();
            (1..=100).find(|_| missed.note(Some((set(&["a"]), turn))))
        };
        assert_eq!([Some(0), Some(1), Some(2), None].map(first), [Some(2), Some(4), Some(6), None]);
    }

    #[test]
    fn attempts_that_do_not_help_become_rare() {
        let mut missed = Missed::default();
        let acts = |missed: &mut Missed| missed.note(Some((set(&["a"]), Some(0))));
        let at: Vec<u32> = (1..=130).filter(|_| acts(&mut missed)).collect();
        assert_eq!(at, [2, 6, 14, 30, 62, 94, 126]);
        missed.note(None);
        assert!((0..31).all(|_| !acts(&mut missed)), "a rebalance that did not help changes nothing");
        missed.note(Some((set(&[]), Some(0))));
        assert!((0..2).any(|_| acts(&mut missed)), "that trouble is over");
    }
}
