//! Kafka behind the engine's ports.

use std::collections::HashMap;
use std::time::Duration;

use tracing::warn;

use crate::engine::assign::{Group, Known};
use crate::engine::listen::Reader;
use crate::engine::publish::Topics;
use crate::kafka::Committed;
use crate::kafka::Settings;
use crate::kafka::aftermath::{self, Trace};
use crate::kafka::consumer::{Consumer, ConsumerError, Event, Handle};
use crate::kafka::publisher::{self, OutRecord, PublishBatch, PublishError, Publisher, published_seq};
use crate::kafka::standstill;

/// How long Kafka may take to say what it has.
const ANSWER: Duration = Duration::from_secs(8);
/// What comes with a first record is waited for this long: one fetch brings the records of many lines, one by one.
const COMPANY: Duration = Duration::from_millis(2);

/// The group's memory, asked by the assigner.
pub struct Memory {
    pub settings: Settings,
    pub handle: Handle,
}

/// The transactional publisher; for a thread of its own, as its calls block.
pub struct Outgoing {
    settings: Settings,
    /// Its `transactional.id`.
    id: String,
    handle: Handle,
    publisher: Option<Publisher>,
}

// === impl Topics ===

impl Outgoing {
    pub fn new(settings: Settings, id: String, handle: Handle) -> Outgoing {
        Outgoing { settings, id, handle, publisher: None }
    }

    /// Opens the producer before there is anything to publish: what this process left open when it was killed ends
    /// while it still joins the group. Blocks.
    pub fn open(&mut self) {
        match Publisher::connect(&self.settings, &self.id) {
            Ok(open) => self.publisher = Some(open),
            Err(why) => warn!(%why, "failed to open a producer: trying again with the first publication"),
        }
    }

    fn attempt(&mut self, batches: &[PublishBatch]) -> Result<(), PublishError> {
        let group = self.handle.group_metadata().ok_or_else(|| PublishError::Abortable {
            doing: "asking for the group's membership",
            cause: "this process is not in its group yet".to_owned(),
        })?;
        let open = match &mut self.publisher {
            Some(open) => open,
            None => self.publisher.insert(Publisher::connect(&self.settings, &self.id)?),
        };
        open.publish(batches, &group)
    }
}

impl Topics for Outgoing {
    async fn publish(&mut self, batches: &[PublishBatch]) -> Result<(), PublishError> {
        self.attempt(batches)
    }

    async fn reset(&mut self) -> Result<(), PublishError> {
        let reset = match &mut self.publisher {
            Some(open) => open.reset(),
            None => Publisher::connect(&self.settings, &self.id).map(|open| self.publisher = Some(open)),
        };
        if reset.is_err() {
            self.publisher = None;
        }
        reset
    }

    async fn published(
        &mut self,
        topics: &[String],
        patience: Duration,
    ) -> Result<HashMap<String, u64>, ConsumerError> {
        let committed = self.handle.committed(topics, patience)?;
        Ok(committed.into_iter().map(|(topic, c)| (topic, published_seq(&c.metadata))).collect())
    }

    async fn visible(&mut self, commits: &[Vec<OutRecord>]) -> Result<Vec<Trace>, ConsumerError> {
        aftermath::visible(&self.settings, commits).await
    }

    async fn mend(&mut self, topics: &[String]) -> Result<(), PublishError> {
        let unanswered =
            |cause: ConsumerError| PublishError::Abortable { doing: "looking for lost ends", cause: cause.to_string() };
        let left = standstill::left(&self.settings, &self.handle, topics, &self.id).map_err(unanswered)?;
        for (at, end) in left {
            let Some(publisher) = &mut self.publisher else { continue };
            publisher.mark(&at.topic, end)?;
            warn!(topic = at.topic, offset = at.offset, ?end, "the broker had lost the end of a transaction of ours");
        }
        Ok(())
    }
}

// === impl Group ===

impl Group for Memory {
    async fn known(&self, topics: &[String], patience: Duration) -> Result<Vec<Known>, ConsumerError> {
        let (handle, topics) = (self.handle.clone(), topics.to_vec());
        ask(move || {
            let committed = handle.committed(&topics, patience)?;
            beside_logs(&handle, topics, &committed)
        })
        .await
    }

    async fn end(&self, publisher: &str) -> Result<(), PublishError> {
        let (settings, id) = (self.settings.clone(), publisher.to_owned());
        let ended = tokio::task::spawn_blocking(move || publisher::end(&settings, &id));
        ended.await.unwrap_or_else(|_| Err(PublishError::Fatal("the attempt was cut off".to_owned())))
    }

    async fn settled(&self, topics: &[String]) -> Result<Vec<Known>, ConsumerError> {
        let (handle, settings, topics) = (self.handle.clone(), self.settings.clone(), topics.to_vec());
        ask(move || {
            let committed = aftermath::settled(&settings, &topics)?;
            beside_logs(&handle, topics, &committed)
        })
        .await
    }

    async fn visible(&self, commits: &[Vec<OutRecord>]) -> Result<Vec<Trace>, ConsumerError> {
        aftermath::visible(&self.settings, commits).await
    }

    async fn abandon(&self, commits: &[Vec<OutRecord>]) -> Result<(), ConsumerError> {
        let (settings, commits) = (self.settings.clone(), commits.to_vec());
        ask(move || aftermath::abandon(&settings, &commits)).await
    }
}

/// Asks where it may block.
async fn ask<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, ConsumerError> + Send + 'static,
) -> Result<T, ConsumerError> {
    let asked = tokio::task::spawn_blocking(question);
    asked.await.unwrap_or_else(|_| Err(ConsumerError::Passing("the question was cut off".to_owned())))
}

fn beside_logs(
    handle: &Handle,
    topics: Vec<String>,
    committed: &HashMap<String, Committed>,
) -> Result<Vec<Known>, ConsumerError> {
    let mut known = Vec::with_capacity(topics.len());
    for topic in topics {
        let (low, high) = handle.watermarks(&topic, ANSWER)?;
        let published_seq = committed.get(&topic).map_or(0, |c| published_seq(&c.metadata));
        known.push(Known { topic, published_seq, low, high });
    }
    Ok(known)
}

// === impl Reader ===

impl Reader for Consumer {
    fn poll(&mut self, max: usize, timeout: Duration, on: &mut dyn FnMut(Event<'_>)) {
        let mut heard = false;
        Consumer::poll(self, max, timeout, &mut |event| {
            heard = true;
            on(event);
        });
        if heard {
            std::thread::sleep(COMPANY);
            Consumer::poll(self, max, Duration::ZERO, on);
        }
    }

    fn leave(&mut self, timeout: Duration) {
        std::thread::sleep(timeout);
    }

    fn start(&mut self, topic: &str, offset: i64) -> Result<bool, ConsumerError> {
        Consumer::start(self, topic, offset)
    }

    fn beginning(&self, topic: &str) -> Result<i64, ConsumerError> {
        self.handle().watermarks(topic, ANSWER).map(|(low, _)| low)
    }

    fn stop(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        Consumer::stop(self, topic)
    }

    fn pause(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        Consumer::pause(self, topic)
    }

    fn resume(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        Consumer::resume(self, topic)
    }

    fn owned(&self) -> Vec<String> {
        Consumer::owned(self)
    }

    fn lags(&self) -> Vec<(String, i64)> {
        Consumer::lags(self)
    }
}
