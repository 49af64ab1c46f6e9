//! Topics whose readers stand still, as the broker has lost the end of a transaction on them.
//!
//! Readers of committed records wait at the last stable offset, the first record of the oldest transaction that has not
//! ended. A broker that was killed between writing down how a transaction ended and telling the partitions can forget
//! the second (KAFKA-20734): then nothing is open any more, and readers wait for ever, or until the same producer ends
//! another transaction on that topic. That producer can do so at any time, by a transaction of one record, a [`MARK`];
//! how it has to end, commit or abort, is told by the group's offsets and by the records behind ([`Left::end`]).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::consumer::{ConsumerError, Handle};
use super::native::{Native, NativeError, Taken};
use super::publisher::{PUBLISHER, published_seq};
use super::settings::Settings;
use super::tail::Quiet;
use super::topics;

/// The header of a record that is nobody's word: it ends a transaction whose own end the broker has lost. It has no
/// payload. Readers pass over it.
pub const MARK: &str = "mark";

/// How long the brokers may take for an answer; for the ends of topics that are there. A process that ends waits for it.
const ANSWER: Duration = Duration::from_secs(5);
const ENDS: Duration = Duration::from_secs(3);
/// A question that failed before this has passed is asked again, so often.
const SOON: Duration = Duration::from_secs(1);
const AGAIN: usize = 2;
/// How long reading what stands behind may take.
const READING: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
const BATCH: usize = 1_000;

/// Where readers of a topic wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    pub topic: String,
    /// The last stable offset, which is not the end.
    pub offset: i64,
}

/// The first record of a transaction that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The `transactional.id` of who published it.
    pub publisher: String,
    pub tenant: String,
    pub line: String,
    pub commit_seq: u64,
    /// The same word stands behind it once more.
    pub is_told_again: bool,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Commit,
    Abort,
}

/// Looks at the ends of topics; keeps its connections.
pub struct Lookout {
    settings: Settings,
    all: Native,
    committed: Native,
}

fn passing(why: impl ToString) -> ConsumerError {
    ConsumerError::Passing(why.to_string())
}

fn reader(settings: &Settings, isolation: &str) -> Result<Native, ConsumerError> {
    let required = [
        // Demanded by the client, never joined.
        ("group.id", settings.group.as_str()),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("isolation.level", isolation),
        ("allow.auto.create.topics", "false"),
    ];
    Native::consumer(&settings.client(&[], &required), Box::new(Quiet)).map_err(passing)
}

/// What `publisher`, which has nothing open, has left without an end on these topics, and how it has to end; what nobody
/// can say is left out. Blocks.
///
/// # Errors
/// When brokers do not answer in time.
pub fn left(
    settings: &Settings,
    group: &Handle,
    topics: &[String],
    publisher: &str,
) -> Result<Vec<(Standing, End)>, ConsumerError> {
    let lookout = Lookout::new(settings)?;
    let mut found = Vec::new();
    for at in lookout.standing(topics)? {
        if let Some(left) = lookout.look(&at)?
            && left.publisher == publisher
            && let Some(end) = left.ends(group)?
        {
            found.push((at, end));
        }
    }
    Ok(found)
}

// === impl Left ===

impl Left {
    /// As [`Self::end`], by what the group says now. Blocks.
    ///
    /// # Errors
    /// When brokers do not answer in time, or the group itself is in doubt about the line.
    pub fn ends(&self, group: &Handle) -> Result<Option<End>, ConsumerError> {
        let topic = topics::detections(&self.tenant, &self.line);
        let known = group.committed(std::slice::from_ref(&topic), ANSWER)?;
        Ok(self.end(known.get(&topic).map_or(0, |committed| published_seq(&committed.metadata))))
    }

    /// How its transaction has to end. `published`: the line's last published commit as the group's offsets say it, once
    /// they are certain; 0: they say nothing, and then neither do we.
    ///
    /// The offsets moved in the same transaction. Where they have come to this commit, it was committed, unless it was
    /// aborted and told again; where they have not, it was not.
    fn end(&self, published: u64) -> Option<End> {
        match published {
            0 => None,
            _ if self.is_told_again || published < self.commit_seq => Some(End::Abort),
            _ => Some(End::Commit),
        }
    }
}

// === impl Lookout ===

impl Lookout {
    /// # Errors
    /// When a setting is refused. Brokers that are away are noticed by the questions.
    pub fn new(settings: &Settings) -> Result<Lookout, ConsumerError> {
        let (all, committed) = (reader(settings, "read_uncommitted")?, reader(settings, "read_committed")?);
        Ok(Lookout { settings: settings.clone(), all, committed })
    }

    /// Which of these topics' readers wait now, be it for a transaction that goes on; topics that do not exist are left
    /// out. A question for all topics, and two to each broker about these. Blocks.
    ///
    /// # Errors
    /// When brokers do not answer in time.
    pub fn standing(&self, topics: &[String]) -> Result<Vec<Standing>, ConsumerError> {
        let begun = Instant::now();
        let mut answer = self.ask(topics);
        // A topic that goes between the two questions spoils the second.
        for _ in 0..AGAIN {
            if answer.is_ok() || begun.elapsed() > SOON {
                break;
            }
            answer = self.ask(topics);
        }
        answer.map_err(passing)
    }

    fn ask(&self, topics: &[String]) -> Result<Vec<Standing>, NativeError> {
        // The client waits for the leader of a topic that is not there until its time is up.
        let there = self.all.client().partitions(ANSWER)?;
        let there: HashSet<String> = there.into_iter().map(|(topic, _)| topic).collect();
        let topics: Vec<String> = topics.iter().filter(|topic| there.contains(*topic)).cloned().collect();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        // The stable end first: what comes meanwhile only looks like waiting.
        let mut stable = self.committed.client().ends(&topics, ENDS)?;
        let ends = self.all.client().ends(&topics, ENDS)?;
        stable.retain(|topic, offset| ends.get(topic).is_some_and(|end| *offset < *end));
        let mut standing: Vec<Standing> =
            stable.into_iter().map(|(topic, offset)| Standing { topic, offset }).collect();
        standing.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        Ok(standing)
    }

    /// The record at which readers wait; none: it is not of our kind, or gone. Reads the topic from there. Blocks.
    ///
    /// # Errors
    /// When it is not read to its end in time.
    pub fn look(&self, at: &Standing) -> Result<Option<Left>, ConsumerError> {
        let native = reader(&self.settings, "read_uncommitted")?;
        let mut from = TopicPartitionList::new();
        let mut element = from.add_partition(&at.topic, 0);
        element.set_offset(Offset::Offset(at.offset)).map_err(passing)?;
        native.client().incremental_assign(&from).map_err(passing)?;
        let deadline = Instant::now() + READING;
        let (mut first, mut messages): (Option<(Word, Left)>, _) = (None, Vec::new());
        while Instant::now() < deadline {
            for taken in native.batch(BATCH, POLL, &mut messages).iter() {
                if taken.code() == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
                    return Ok(first.map(|(_, left)| left));
                }
                if !taken.is_message() {
                    return Err(passing(taken.reason()));
                }
                match (&mut first, word(taken)) {
                    (Some((word, left)), Some((again, _))) => left.is_told_again |= *word == again,
                    (None, Some(found)) if taken.offset() == at.offset => first = Some(found),
                    (None, _) => return Ok(None),
                    (Some(_), None) => {}
                }
            }
        }
        Err(passing(format!("{} was not read to its end in {} s", at.topic, READING.as_secs())))
    }
}

/// What makes a word the same: whose, and its place in the telling.
type Word = (String, String, String, u64, String);

fn word(taken: Taken<'_>) -> Option<(Word, Left)> {
    let headers = taken.headers();
    let text = |name: &str| {
        let (_, value) = headers.iter().find(|(header, _)| header == name)?;
        String::from_utf8(value.clone()).ok()
    };
    let (tenant, line, commit_seq) = (text("tenant")?, text("line")?, text("commit_seq")?.parse().ok()?);
    let word = (tenant.clone(), line.clone(), text("incarnation")?, commit_seq, text("index")?);
    let publisher = text(PUBLISHER)?;
    Some((word, Left { publisher, tenant, line, commit_seq, is_told_again: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_end_is_told_by_the_groups_offsets_and_by_what_was_told_again() {
        let left = |is_told_again| Left {
            publisher: "andon-a".into(),
            tenant: "t".into(),
            line: "l".into(),
            commit_seq: 7,
            is_told_again,
        };
        assert_eq!(left(false).end(7), Some(End::Commit));
        assert_eq!(left(false).end(9), Some(End::Commit));
        assert_eq!(left(false).end(6), Some(End::Abort), "its offsets did not move");
        assert_eq!(left(true).end(9), Some(End::Abort), "it was aborted, and told again");
        assert_eq!(left(false).end(0), None, "nobody says");
    }
}
