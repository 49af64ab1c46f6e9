//! The processing group's consumer: lines come and go with the group, records come in batches.
//!
//! Owning a line and reading it are two things. When the group gives a partition, nothing is fetched; it is fetched
//! from the offset that [`Consumer::start`] names, once the owner has its checkpoint. So no record can arrive before
//! or below that offset, and the group's own offset is never a place to start from. A partition that is taken away is
//! announced to the [`RevocationHandler`] from inside the rebalance, before anyone else can get it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys::rd_kafka_resp_err_t as Code;
use thiserror::Error;

use super::native::{ClientRef, Committed, Hooks, Native, NativeError, Rebalance, Taken, partitions};
use super::settings::Settings;
use crate::domain::time::Ms;

pub use super::native::{ConsumerGroupMetadata, Member};

/// Called with the topics that are taken away, on the polling thread and from inside the rebalance. The group waits
/// until it returns, so it may block until a publish in flight has ended, and must not poll. `lost`: the group has
/// given them away already (a missed heartbeat); publish nothing more.
pub type RevocationHandler = Box<dyn Fn(&[String], bool) + Send + Sync>;

/// What a poll hands out. Per topic the order is that of the log.
#[derive(Debug)]
pub enum Event<'a> {
    Message {
        topic: &'a str,
        offset: i64,
        /// The broker's time, where the topic has `LogAppendTime`; milliseconds.
        timestamp: Ms,
        key: Option<&'a [u8]>,
        payload: Option<&'a [u8]>,
    },
    /// Everything below `offset` that can be read has been handed out; `offset` is where the next record will be, or
    /// behind it. Told once each time the end is reached.
    Eof {
        topic: &'a str,
        offset: i64,
    },
    /// The group gave these; each waits for [`Consumer::start`].
    Assigned(Vec<String>),
    /// The group took these, after the handler was called; nothing more of them will come.
    Revoked(Vec<String>),
    Error(ConsumerError),
}

/// Why the consumer failed. Messages follow "failed to consume: ".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConsumerError {
    /// The log begins after the wanted offset or ends before it; the topic stands until it is started elsewhere.
    #[error("{topic} has no offset {offset}: its log begins later or was made anew")]
    OffsetOutOfRange { topic: String, offset: i64 },
    /// A line's topic must have one partition; the others are not read.
    #[error("{topic} has a partition {partition}: a line's topic has exactly one; make it anew")]
    Partitions { topic: String, partition: i32 },
    /// A problem with one topic; librdkafka goes on trying.
    #[error("{topic}: {reason}")]
    Topic { topic: String, reason: String },
    /// A problem with brokers or group that passes when they do.
    #[error("{0}")]
    Passing(String),
    /// The client can't go on; make a new one.
    #[error("the client is beyond repair: {0}")]
    Fatal(String),
    #[error("{doing}: {cause}")]
    Call { doing: &'static str, cause: NativeError },
}

/// The group's consumer; for one thread.
pub struct Consumer {
    native: Arc<Native>,
    shared: Arc<Shared>,
    group: String,
    pattern: String,
    /// See [`Handle::join_anew`].
    anew: Arc<AtomicBool>,
    /// It leaves the group in order to come back.
    is_leaving: bool,
    batch: Vec<*mut rdkafka_sys::rd_kafka_message_t>,
}

/// What other threads may ask of the consumer.
#[derive(Clone)]
pub struct Handle {
    native: Arc<Native>,
    group: String,
    anew: Arc<AtomicBool>,
}

/// Who of a group has which topics, see [`Handle::roll_call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollCall {
    pub members: Vec<Member>,
    /// This member's [`Member::id`]; empty while it is none.
    pub own: String,
}

/// What rebalances and polls share; both run on the polling thread, one inside the other.
struct Shared {
    lines: Mutex<Lines>,
    revocation: RevocationHandler,
}

#[derive(Default)]
struct Lines {
    owned: HashMap<String, Reading>,
    /// To hand out before any message of the same batch.
    news: Vec<Event<'static>>,
}

/// How far a line is read; below is never handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Owned, not started.
    Waiting,
    From(i64),
}

/// The calls back, on the consumer's state.
struct Callbacks(Arc<Shared>);

// SAFETY: the raw pointers are of the batch, empty between polls; the rest is `Send`.
unsafe impl Send for Consumer {}

/// A member that does not poll for this long loses its lines.
const POLL_INTERVAL_MS: u64 = 60_000;

/// How long leaving the group may take.
const LEAVE: Duration = Duration::from_secs(3);
/// Messages of a poll while leaving: they are dropped.
const AT_ONCE: usize = 1_000;

/// Memory is bounded by these: librdkafka counts records' bytes, but a small record costs it ten times its size.
const TUNING: [(&str, &str); 10] = [
    ("queued.min.messages", "4000"),
    ("queued.max.messages.kbytes", "2048"),
    ("fetch.message.max.bytes", "131072"),
    ("fetch.max.bytes", "1048576"),
    // What trickles in is fetched some twenty times a second: each fetch wakes five threads, whatever it brings.
    ("fetch.min.bytes", "65536"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.error.backoff.ms", "100"),
    // Where a transaction holds up the group's offsets, they are asked for again after this.
    ("retry.backoff.ms", "20"),
    ("retry.backoff.max.ms", "200"),
];

const REQUIRED: [(&str, &str); 8] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    // New lines are found by refreshing the metadata; the default is five minutes.
    ("topic.metadata.refresh.interval.ms", "2000"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("allow.auto.create.topics", "false"),
];

// === impl Consumer ===

impl Consumer {
    /// Joins the group of `settings` for the topics that match `pattern`, see
    /// [`super::topics::DETECTIONS_PATTERN`].
    ///
    /// # Errors
    /// When librdkafka refuses a setting. Brokers that are away are no error here: the consumer waits for them.
    pub fn join(settings: &Settings, pattern: &str, revocation: RevocationHandler) -> Result<Consumer, ConsumerError> {
        let mut config = settings.client(&TUNING, &REQUIRED);
        config.set("group.id", &settings.group);
        let session = settings.session_timeout_ms;
        config.set("session.timeout.ms", session.to_string());
        // The group's wishes come with the answer.
        config.set("heartbeat.interval.ms", (session / 12).max(1).to_string());
        config.set("max.poll.interval.ms", session.max(POLL_INTERVAL_MS).to_string());
        if let Some(instance) = &settings.instance {
            config.set("group.instance.id", instance);
        }
        let shared = Arc::new(Shared { lines: Mutex::default(), revocation });
        let native = Native::consumer(&config, Box::new(Callbacks(shared.clone()))).map_err(call("making a client"))?;
        native.client().subscribe(pattern).map_err(call("subscribing"))?;
        Ok(Consumer {
            native: Arc::new(native),
            shared,
            group: settings.group.clone(),
            pattern: pattern.to_owned(),
            anew: Arc::default(),
            is_leaving: false,
            batch: Vec::new(),
        })
    }

    /// Hands out what has come, up to `max` messages, waiting up to `timeout` for the first. Must be called at least
    /// once a minute, or the group takes the lines away.
    pub fn poll(&mut self, max: usize, timeout: Duration, on: &mut dyn FnMut(Event<'_>)) {
        self.join_anew();
        let waiting = !self.shared.lines.lock().news.is_empty();
        let batch = self.native.batch(max, if waiting { Duration::ZERO } else { timeout }, &mut self.batch);
        let mut lines = self.shared.lines.lock();
        for event in std::mem::take(&mut lines.news) {
            on(event);
        }
        // Records of a topic come in runs: it is looked up once per run.
        let mut run: Option<(usize, Option<(&str, &mut Reading)>)> = None;
        for taken in batch.iter() {
            if !taken.is_message() {
                run = None;
                lines.not_a_message(taken, on);
                continue;
            }
            if run.as_ref().is_none_or(|(mark, _)| *mark != taken.topic_mark()) {
                run = Some((taken.topic_mark(), lines.reading(taken)));
            }
            let Some((_, Some((topic, reading)))) = &mut run else { continue };
            let offset = taken.offset();
            if !reading.admits(offset) {
                continue;
            }
            **reading = Reading::From(offset + 1);
            on(Event::Message {
                topic,
                offset,
                timestamp: taken.timestamp(),
                key: taken.key(),
                payload: taken.payload(),
            });
        }
    }

    /// Reads `topic` from `offset` on, also when it was being read elsewhere. `false`: the group has taken it away
    /// meanwhile, and nothing was done.
    ///
    /// # Errors
    /// When librdkafka refuses; the topic is then not read.
    pub fn start(&mut self, topic: &str, offset: i64) -> Result<bool, ConsumerError> {
        let Some(reading) = self.shared.lines.lock().owned.get(topic).copied() else { return Ok(false) };
        if reading != Reading::Waiting {
            self.stop(topic)?;
        }
        let mut list = TopicPartitionList::with_capacity(1);
        let refused = |_| ConsumerError::OffsetOutOfRange { topic: topic.to_owned(), offset };
        list.add_partition_offset(topic, 0, Offset::Offset(offset)).map_err(refused)?;
        self.native.client().incremental_assign(&list).map_err(call("starting a topic"))?;
        // A pause of an earlier start lasts in librdkafka.
        self.native.client().resume(&list).map_err(call("starting a topic"))?;
        self.shared.lines.lock().owned.insert(topic.to_owned(), Reading::From(offset));
        Ok(true)
    }

    /// Reads `topic` no longer but keeps owning it. `false`: it was not being read.
    ///
    /// # Errors
    /// When librdkafka refuses.
    pub fn stop(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        if !self.shared.lines.lock().is_read(topic) {
            return Ok(false);
        }
        let list = partitions(&[topic.to_owned()]);
        self.native.client().incremental_unassign(&list).map_err(call("stopping a topic"))?;
        self.shared.lines.lock().owned.insert(topic.to_owned(), Reading::Waiting);
        Ok(true)
    }

    /// Holds `topic` where it is; what was fetched of it is fetched again later. `false`: it is not being read.
    ///
    /// # Errors
    /// When librdkafka refuses.
    pub fn pause(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        if !self.shared.lines.lock().is_read(topic) {
            return Ok(false);
        }
        self.native.client().pause(&partitions(&[topic.to_owned()])).map_err(call("pausing a topic"))?;
        Ok(true)
    }

    /// Goes on with `topic` where it was held. `false`: it is not being read.
    ///
    /// # Errors
    /// When librdkafka refuses.
    pub fn resume(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        if !self.shared.lines.lock().is_read(topic) {
            return Ok(false);
        }
        self.native.client().resume(&partitions(&[topic.to_owned()])).map_err(call("resuming a topic"))?;
        Ok(true)
    }

    /// What may be asked from other threads, also after the consumer has left the group.
    pub fn handle(&self) -> Handle {
        Handle { native: self.native.clone(), group: self.group.clone(), anew: self.anew.clone() }
    }

    /// Does what [`Handle::join_anew`] asked for; it takes some polls.
    fn join_anew(&mut self) {
        let client = self.native.client();
        let mut done = Ok(());
        if self.anew.swap(false, Ordering::Relaxed) && !self.is_leaving {
            done = client.unsubscribe();
            self.is_leaving = done.is_ok();
        }
        if self.is_leaving && client.member_id().is_empty() {
            done = client.subscribe(&self.pattern);
            self.is_leaving = done.is_err();
        }
        if let Err(cause) = done {
            self.shared.tell(Event::Error(call("joining the group anew")(cause)));
        }
    }

    /// Of each topic that is being read, how many of its records are still to come, as far as the last fetch knows.
    pub fn lags(&self) -> Vec<(String, i64)> {
        let lines = self.shared.lines.lock();
        let read = lines.owned.iter().filter_map(|(topic, reading)| match reading {
            Reading::From(next) => Some((topic, *next)),
            _ => None,
        });
        read.filter_map(|(topic, next)| {
            let end = self.native.client().known_end(topic)?;
            Some((topic.clone(), (end - next).max(0)))
        })
        .collect()
    }

    /// Topics that the group has given us, started or not, sorted.
    pub fn owned(&self) -> Vec<String> {
        let mut owned: Vec<String> = self.shared.lines.lock().owned.keys().cloned().collect();
        owned.sort_unstable();
        owned
    }
}

impl Drop for Consumer {
    /// Leaves the group: the revocation handler is called for all that is owned.
    fn drop(&mut self) {
        // Closing alone would keep the place of a member that has a name, and its lines would wait for its return.
        let until = Instant::now() + LEAVE;
        if self.native.client().unsubscribe().is_ok() {
            while !self.native.client().member_id().is_empty() && Instant::now() < until {
                drop(self.native.batch(AT_ONCE, Duration::from_millis(5), &mut self.batch));
            }
        }
        if let Err(cause) = self.native.close() {
            tracing::warn!(%cause, "consumer could not leave its group");
        }
    }
}

// === impl Handle ===

impl Handle {
    /// Membership as of now, for [`super::publisher::Publisher::publish`]; take it anew after each assignment.
    /// `None` before the first.
    pub fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.native.client().group_metadata()
    }

    /// The group's offsets with their metadata, of the topics that have one. Blocks; waits for transactions that are
    /// being committed, up to `timeout`.
    ///
    /// # Errors
    /// When brokers do not answer in time.
    pub fn committed(&self, topics: &[String], timeout: Duration) -> Result<HashMap<String, Committed>, ConsumerError> {
        let found = self.native.client().committed(topics, timeout).map_err(call("asking for the group's offsets"))?;
        Ok(found.into_iter().collect())
    }

    /// All topics that there are. What is new of the group's is found by it and shared out. Blocks.
    ///
    /// librdkafka looks by itself every two seconds, but a look whose broker died before it answered keeps it from
    /// looking again; this one is always made.
    ///
    /// # Errors
    /// When brokers do not answer in time.
    pub fn topics(&self, timeout: Duration) -> Result<Vec<String>, ConsumerError> {
        let found = self.native.client().partitions(timeout).map_err(call("looking for topics"))?;
        Ok(found.into_iter().filter(|(_, partition)| *partition == 0).map(|(topic, _)| topic).collect())
    }

    /// Who has which topics; `None` while the group is at sharing them out. Blocks.
    ///
    /// # Errors
    /// When brokers do not answer in time.
    pub fn roll_call(&self, timeout: Duration) -> Result<Option<RollCall>, ConsumerError> {
        let client = self.native.client();
        let members = client.members(&self.group, timeout).map_err(call("asking who is in the group"))?;
        Ok(members.map(|members| RollCall { members, own: client.member_id() }))
    }

    /// Has this member leave the group, and its name there, and join it again, with the next polls: then the group shares
    /// all topics out anew.
    pub fn join_anew(&self) {
        self.anew.store(true, Ordering::Relaxed);
    }

    /// The first offset that `topic` still has and the one after its last. Blocks.
    ///
    /// # Errors
    /// When brokers do not answer in time, or there is no such topic.
    pub fn watermarks(&self, topic: &str, timeout: Duration) -> Result<(i64, i64), ConsumerError> {
        self.native.client().watermarks(topic, timeout).map_err(call("asking for a topic's offsets"))
    }
}

// === impl Lines, Reading ===

impl Reading {
    fn admits(self, offset: i64) -> bool {
        matches!(self, Reading::From(next) if next <= offset)
    }
}

impl Lines {
    fn is_read(&self, topic: &str) -> bool {
        matches!(self.owned.get(topic), Some(Reading::From(_)))
    }

    /// Where the topic of a message is read; `None` for what was taken away while the message waited.
    fn reading<'l, 'm: 'l>(&'l mut self, taken: Taken<'m>) -> Option<(&'m str, &'l mut Reading)> {
        let topic = taken.topic()?;
        self.owned.get_mut(topic).map(|reading| (topic, reading))
    }

    /// Of lines that are being taken away, those that the owner has heard of. Lines given and taken within one poll
    /// are not heard of at all: told afterwards, the owner would take over what has another owner by then.
    fn known_to_owner(&mut self, named: &[(String, i32)]) -> Vec<String> {
        let mut told: Vec<String> =
            named.iter().filter(|(t, p)| *p == 0 && self.owned.contains_key(t)).map(|(t, _)| t.clone()).collect();
        for event in &mut self.news {
            if let Event::Assigned(fresh) = event {
                told.retain(|topic| !fresh.contains(topic));
                fresh.retain(|topic| !named.iter().any(|(taken, _)| taken == topic));
            }
        }
        self.news.retain(|event| !matches!(event, Event::Assigned(topics) if topics.is_empty()));
        told
    }

    fn not_a_message(&mut self, taken: Taken<'_>, on: &mut dyn FnMut(Event<'_>)) {
        let Some(topic) = taken.topic() else {
            let fatal = taken.code() == Code::RD_KAFKA_RESP_ERR__FATAL;
            let error = if fatal { ConsumerError::Fatal } else { ConsumerError::Passing };
            on(Event::Error(error(taken.reason())));
            return;
        };
        if !self.is_read(topic) || taken.partition() != 0 {
            return;
        }
        match taken.code() {
            Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => on(Event::Eof { topic, offset: taken.offset() }),
            Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET | Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => {
                let offset = match self.owned.get(topic) {
                    Some(Reading::From(next)) => *next,
                    _ => taken.offset(),
                };
                on(Event::Error(ConsumerError::OffsetOutOfRange { topic: topic.to_owned(), offset }));
            }
            _ => on(Event::Error(ConsumerError::Topic { topic: topic.to_owned(), reason: taken.reason() })),
        }
    }
}

// === impl Callbacks ===

impl Hooks for Callbacks {
    fn rebalance(&self, client: ClientRef<'_>, change: Rebalance, named: &[(String, i32)]) {
        match change {
            Rebalance::Assign => self.0.assigned(client, named),
            Rebalance::Revoke => self.0.revoked(client, named),
            Rebalance::Failed(code) => {
                let reason = format!("rebalance failed: {code:?}");
                self.0.tell(Event::Error(ConsumerError::Passing(reason)));
                // The group waits for an answer; what we own is void.
                let owned: Vec<(String, i32)> = self.0.lines.lock().owned.keys().map(|t| (t.clone(), 0)).collect();
                self.0.revoked(client, &owned);
            }
        }
    }

    fn error(&self, fatal: bool, reason: &str) {
        let reason = reason.to_owned();
        let error = if fatal { ConsumerError::Fatal(reason) } else { ConsumerError::Passing(reason) };
        self.0.tell(Event::Error(error));
    }
}

// === impl Shared ===

impl Shared {
    fn tell(&self, event: Event<'static>) {
        self.lines.lock().news.push(event);
    }

    /// Accepts what the group gives without reading it: an empty assignment completes the rebalance.
    fn assigned(&self, client: ClientRef<'_>, named: &[(String, i32)]) {
        let mut topics = Vec::with_capacity(named.len());
        for (topic, partition) in named {
            if *partition == 0 {
                topics.push(topic.clone());
            } else {
                let (topic, partition) = (topic.clone(), *partition);
                self.tell(Event::Error(ConsumerError::Partitions { topic, partition }));
            }
        }
        if let Err(cause) = client.incremental_assign(&TopicPartitionList::new()) {
            self.tell(Event::Error(ConsumerError::Call { doing: "taking lines over", cause }));
        }
        if topics.is_empty() {
            return;
        }
        let mut lines = self.lines.lock();
        for topic in &topics {
            lines.owned.insert(topic.clone(), Reading::Waiting);
        }
        lines.news.push(Event::Assigned(topics));
    }

    /// Lets the owner finish, then gives back. Only started lines are assigned as librdkafka sees it.
    fn revoked(&self, client: ClientRef<'_>, named: &[(String, i32)]) {
        let lost = client.assignment_lost();
        let told = self.lines.lock().known_to_owner(named);
        if !told.is_empty() {
            (self.revocation)(&told, lost);
        }
        let mut lines = self.lines.lock();
        let started: Vec<String> = told.iter().filter(|topic| lines.is_read(topic)).cloned().collect();
        for (topic, _) in named {
            lines.owned.remove(topic);
        }
        if let Err(cause) = client.incremental_unassign(&partitions(&started)) {
            lines.news.push(Event::Error(ConsumerError::Call { doing: "giving lines back", cause }));
        }
        if !told.is_empty() {
            lines.news.push(Event::Revoked(told));
        }
    }
}

fn call(doing: &'static str) -> impl FnOnce(NativeError) -> ConsumerError {
    move |cause| {
        if cause.fatal { ConsumerError::Fatal(cause.message) } else { ConsumerError::Call { doing, cause } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(owned: &[&str]) -> Lines {
        Lines { owned: owned.iter().map(|topic| (topic.to_string(), Reading::Waiting)).collect(), news: Vec::new() }
    }

    fn assigned(lines: &Lines) -> Vec<&str> {
        let of = |event: &'_ Event<'static>| if let Event::Assigned(topics) = event { topics.clone() } else { vec![] };
        let known = |topic: &String| lines.owned.get_key_value(topic).map(|(topic, _)| topic.as_str());
        lines.news.iter().flat_map(of).filter_map(|topic| known(&topic)).collect()
    }

    #[test]
    fn a_line_given_and_taken_within_a_poll_is_not_heard_of() {
        let mut lines = lines(&["old", "fresh", "kept"]);
        lines.news.push(Event::Assigned(vec!["fresh".to_owned(), "kept".to_owned()]));
        let named = [("old".to_owned(), 0), ("fresh".to_owned(), 0), ("foreign".to_owned(), 0), ("old".to_owned(), 1)];
        assert_eq!(lines.known_to_owner(&named), ["old"]);
        assert_eq!(assigned(&lines), ["kept"]);
        assert_eq!(lines.known_to_owner(&[("kept".to_owned(), 0)]), Vec::<String>::new());
        assert!(lines.news.is_empty(), "an assignment of nothing is no news");
    }

    #[test]
    fn nothing_below_the_place_and_nothing_twice() {
        assert!(!Reading::Waiting.admits(0));
        assert!(!Reading::From(5).admits(4));
        assert!(Reading::From(5).admits(5) && Reading::From(5).admits(9));
    }
}
