//! What is left of a transaction whose end the broker has lost.
//!
//! A transaction ends in two steps: the coordinator writes down how, then tells every partition. A broker that is killed
//! in between has been seen to take the second for done when it came back (Kafka 4.3): the group's offsets of that
//! transaction then stay in doubt for as long as its producer's name is not used again, although nothing is open any
//! more. What was published says how it ended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use regex::escape;

use super::Committed;
use super::consumer::ConsumerError;
use super::native::Native;
use super::publisher::OutRecord;
use super::settings::Settings;
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

/// Which of these records a reader of committed records finds.
///
/// # Errors
/// When brokers do not answer in time, or a transaction is open on one of the topics: then nobody can say.
pub async fn visible(settings: &Settings, records: &[OutRecord]) -> Result<Vec<bool>, ConsumerError> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let topics: BTreeSet<String> = records.iter().map(|record| record.topic.clone()).collect();
    let (own, asked) = (settings.clone(), topics.clone());
    let looked = tokio::task::spawn_blocking(move || nothing_open(&own, &asked));
    looked.await.unwrap_or_else(|_| Err(passing("the question was cut off")))?;
    let pattern = format!("^({})$", topics.iter().map(|topic| escape(topic)).collect::<Vec<_>>().join("|"));
    let room = LAST as usize * topics.len().max(1);
    let mut tail = Tail::follow(settings, &pattern, TailStart::Last(LAST), room).map_err(passing)?;
    let read = tokio::time::timeout(ANSWER, tail.caught_up.wait_for(|caught_up| *caught_up)).await;
    if !matches!(read, Ok(Ok(_))) {
        return Err(passing("the topics were not read to their ends in time"));
    }
    let mut there = HashSet::new();
    while let Ok(record) = tail.records.try_recv() {
        there.insert((record.topic, record.headers));
    }
    Ok(records.iter().map(|record| there.contains(&(record.topic.clone(), record.headers.clone()))).collect())
}

fn nothing_open(settings: &Settings, topics: &BTreeSet<String>) -> Result<(), ConsumerError> {
    let (all, stable) = (reader(settings, "read_uncommitted")?, reader(settings, "read_committed")?);
    for topic in topics {
        // The stable end first: what comes meanwhile only looks like something open.
        let (_, stable_end) = stable.client().watermarks(topic, ANSWER).map_err(passing)?;
        let (_, end) = all.client().watermarks(topic, ANSWER).map_err(passing)?;
        if stable_end < end {
            return Err(passing(format!("{topic} has a transaction that is open, or whose end is lost as well")));
        }
    }
    Ok(())
}
