//! What is left of a transaction whose end the broker has lost.
//!
//! A transaction ends in two steps: the coordinator writes down how, then tells every partition. A broker that is killed
//! in between has been seen to take the second for done when it came back (Kafka 4.3): the group's offsets of that
//! transaction then stay in doubt for as long as its producer's name is not used again, although nothing is open any
//! more. What was published says how it ended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use regex::escape;
use tracing::warn;

use super::Committed;
use super::consumer::ConsumerError;
use super::native::Native;
use super::publisher::{self, OutRecord, PUBLISHER};
use super::settings::Settings;
use super::standstill::{End, Lookout};
use super::tail::{Quiet, Tail, TailStart};

/// How long the brokers may take for an answer.
const ANSWER: Duration = Duration::from_secs(8);
/// Records, markers and compacted ones at the end of a topic, among which records are looked for. What is looked for was
/// among the last of its line.
const LAST: u32 = 20_000;

fn passing(why: impl ToString) -> ConsumerError {
    ConsumerError::Passing(why.to_string())
}

/// A reader that joins no group.
fn reader(settings: &Settings, isolation: &str) -> Result<Native, ConsumerError> {
    let own = [("group.id", settings.group.as_str()), ("enable.auto.commit", "false"), ("isolation.level", isolation)];
    Native::consumer(&settings.client(&[], &own), Box::new(Quiet)).map_err(passing)
}

/// The group's offsets as the transactions that have ended have left them, of the topics that have one. Blocks.
///
/// # Errors
/// When brokers do not answer in time.
pub fn settled(settings: &Settings, topics: &[String]) -> Result<HashMap<String, Committed>, ConsumerError> {
    let reader = reader(settings, "read_uncommitted")?;
    Ok(reader.client().committed(topics, ANSWER).map_err(passing)?.into_iter().collect())
}

/// What readers of committed records find of a commit's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    There,
    Missing,
    /// All of them are on topics where something is open, or an end was lost: nobody can say.
    Covered,
}

/// What is found of each of these commits. A commit is published as a whole or not at all, so that one of its records
/// speaks for all.
///
/// # Errors
/// When brokers do not answer in time.
pub async fn visible(settings: &Settings, commits: &[Vec<OutRecord>]) -> Result<Vec<Trace>, ConsumerError> {
    let topics: BTreeSet<String> = commits.iter().flatten().map(|record| record.topic.clone()).collect();
    if topics.is_empty() {
        return Ok(vec![Trace::Missing; commits.len()]);
    }
    let (own, asked) = (settings.clone(), topics.iter().cloned().collect::<Vec<_>>());
    let looked = tokio::task::spawn_blocking(move || Lookout::new(&own)?.standing(&asked)).await;
    let standing = looked.unwrap_or_else(|_| Err(passing("the question was cut off")))?;
    let standing: HashSet<String> = standing.into_iter().map(|at| at.topic).collect();
    let clear: Vec<String> = topics.into_iter().filter(|topic| !standing.contains(topic)).collect();
    let there = committed_records(settings, &clear).await?;
    let trace = |records: &Vec<OutRecord>| {
        let told: Vec<&OutRecord> = records.iter().filter(|record| !standing.contains(&record.topic)).collect();
        let is_there = |record: &&OutRecord| there.contains(&(record.topic.clone(), record.headers.clone()));
        match told.is_empty() {
            true if !records.is_empty() => Trace::Covered,
            _ if told.iter().any(is_there) => Trace::There,
            _ => Trace::Missing,
        }
    };
    Ok(commits.iter().map(trace).collect())
}

/// Topic and headers, but who published it.
type Found = (String, Vec<(String, Vec<u8>)>);

/// The last records of these topics.
async fn committed_records(settings: &Settings, topics: &[String]) -> Result<HashSet<Found>, ConsumerError> {
    if topics.is_empty() {
        return Ok(HashSet::new());
    }
    let pattern = format!("^({})$", topics.iter().map(|topic| escape(topic)).collect::<Vec<_>>().join("|"));
    let room = LAST as usize * topics.len();
    let mut tail = Tail::follow(settings, &pattern, TailStart::Last(LAST), room).map_err(passing)?;
    let read = tokio::time::timeout(ANSWER, tail.caught_up.wait_for(|caught_up| *caught_up)).await;
    if !matches!(read, Ok(Ok(_))) {
        return Err(passing("the topics were not read to their ends in time"));
    }
    let mut there = HashSet::new();
    while let Ok(mut record) = tail.records.try_recv() {
        record.headers.retain(|(name, _)| name != PUBLISHER);
        there.insert((record.topic, record.headers));
    }
    Ok(there)
}

/// Ends by an abort what stands without an end on the topics of these commits, if it is theirs: for commits that are
/// [`Trace::Covered`] although nothing is open any more, and of which the group's offsets do not say whether they are
/// published. Nobody has seen any of it then; they are to be told again. Blocks.
///
/// # Errors
/// When brokers do not answer in time.
pub fn abandon(settings: &Settings, commits: &[Vec<OutRecord>]) -> Result<(), ConsumerError> {
    let topics: BTreeSet<String> = commits.iter().flatten().map(|record| record.topic.clone()).collect();
    let lookout = Lookout::new(settings)?;
    for at in lookout.standing(&topics.into_iter().collect::<Vec<_>>())? {
        let Some(left) = lookout.look(&at)? else { continue };
        let is_theirs = |record: &&OutRecord| {
            let says = |name: &str, value: &str| record.headers.iter().any(|(n, v)| n == name && v == value.as_bytes());
            record.topic == at.topic
                && says("tenant", &left.tenant)
                && says("line", &left.line)
                && says("commit_seq", &left.commit_seq.to_string())
        };
        if commits.iter().flatten().any(|record| is_theirs(&record)) {
            warn!(
                topic = at.topic,
                offset = at.offset,
                commit_seq = left.commit_seq,
                "taking back a transaction whose end is lost"
            );
            publisher::mark(settings, &left.publisher, &at.topic, End::Abort).map_err(passing)?;
        }
    }
    Ok(())
}
