//! The gateways' reader: no group, every gateway reads everything, from a little before the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys::rd_kafka_resp_err_t as Code;
use regex::Regex;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::native::{ClientRef, Hooks, Native, NativeError, Rebalance, Taken};
use super::settings::Settings;
use super::standstill::MARK;
use crate::domain::time::Ms;

/// How often new topics are looked for.
const DISCOVER_EVERY: Duration = Duration::from_millis(1_500);
/// How long the list of topics is waited for.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a poll waits; a stop is noticed after this.
const POLL: Duration = Duration::from_millis(50);
const BATCH: usize = 512;

/// Where reading begins, in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailStart {
    Beginning,
    /// At most that many offsets before the end; markers of transactions and compacted records count.
    Last(u32),
}

/// A record as read; in the order of its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailRecord {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds.
    pub timestamp: Ms,
    pub key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Why a tail could not be started. Messages follow "failed to tail: ".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TailError {
    #[error("bad pattern: {0}")]
    Pattern(String),
    #[error("{0}")]
    Client(NativeError),
    #[error("no thread: {0}")]
    Thread(String),
}

/// A running tail. It stops when dropped.
pub struct Tail {
    /// Records as they come. While nobody takes them, nothing more is read.
    pub records: mpsc::Receiver<TailRecord>,
    /// True once everything that was there when the tail began has been sent to `records`. Stays true.
    pub caught_up: watch::Receiver<bool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The reading thread's state.
struct Reader {
    native: Native,
    pattern: Regex,
    start: TailStart,
    /// Partitions being read; `true` once their end was seen.
    seen_end: HashMap<(String, i32), bool>,
    discovered: bool,
    caught_up: watch::Sender<bool>,
}

/// A reader belongs to no group; brokers' troubles are logged and pass.
pub(super) struct Quiet;

const TUNING: [(&str, &str); 6] = [
    ("queued.min.messages", "2000"),
    ("queued.max.messages.kbytes", "4096"),
    ("fetch.message.max.bytes", "131072"),
    ("fetch.max.bytes", "1048576"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "5"),
];

const REQUIRED: [(&str, &str); 7] = [
    // Demanded by the client, never joined: it neither subscribes nor commits.
    ("group.id", "andon-tail"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Where a topic was made anew, it is read from its beginning.
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("allow.auto.create.topics", "false"),
];

// === impl TailRecord ===

impl TailRecord {
    /// Nobody's word: it ends a transaction whose own end the broker has lost.
    fn is_mark(&self) -> bool {
        self.payload.is_none() && self.headers.iter().any(|(name, _)| name == MARK)
    }
}

// === impl Tail ===

impl Tail {
    /// Reads all topics whose whole name matches `pattern`, also those that appear later, on a thread of its own, and
    /// holds at most `room` records that nobody has taken.
    ///
    /// # Errors
    /// When the pattern or a setting is refused. Brokers that are away are waited for.
    pub fn follow(settings: &Settings, pattern: &str, start: TailStart, room: usize) -> Result<Tail, TailError> {
        let pattern = Regex::new(pattern).map_err(|cause| TailError::Pattern(cause.to_string()))?;
        let native =
            Native::consumer(&settings.client(&TUNING, &REQUIRED), Box::new(Quiet)).map_err(TailError::Client)?;
        let (sender, records) = mpsc::channel(room.max(1));
        let (caught_up, is_caught_up) = watch::channel(false);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let mut reader = Reader { native, pattern, start, seen_end: HashMap::new(), discovered: false, caught_up };
        let thread = std::thread::Builder::new()
            .name("tail".to_owned())
            .spawn(move || reader.run(&sender, &stopped))
            .map_err(|cause| TailError::Thread(cause.to_string()))?;
        Ok(Tail { records, caught_up: is_caught_up, stop, thread: Some(thread) })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.records.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the tail's thread panicked");
        }
    }
}

// === impl Reader ===

impl Reader {
    fn run(&mut self, records: &mpsc::Sender<TailRecord>, stop: &AtomicBool) {
        let mut messages = Vec::new();
        let mut next_look = Instant::now();
        while !stop.load(Ordering::Relaxed) && !records.is_closed() {
            if Instant::now() >= next_look {
                self.discover();
                next_look = Instant::now() + DISCOVER_EVERY;
            }
            let mut ended = Vec::new();
            let batch = self.native.batch(BATCH, POLL, &mut messages);
            for taken in batch.iter() {
                let Some(topic) = taken.topic() else {
                    tracing::warn!(reason = taken.reason(), "a reader has trouble");
                    continue;
                };
                if taken.is_message() {
                    let record = record(topic, taken);
                    if !record.is_mark() && records.blocking_send(record).is_err() {
                        break;
                    }
                } else if taken.code() == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
                    ended.push((topic.to_owned(), taken.partition()));
                } else {
                    tracing::warn!(topic, reason = taken.reason(), "a reader has trouble");
                }
            }
            drop(batch);
            self.note_ends(ended);
        }
    }

    fn note_ends(&mut self, ended: Vec<(String, i32)>) {
        for place in ended {
            if let Some(seen) = self.seen_end.get_mut(&place) {
                *seen = true;
            }
        }
        if self.discovered && !*self.caught_up.borrow() && self.seen_end.values().all(|seen| *seen) {
            self.caught_up.send_replace(true);
        }
    }

    /// Begins with partitions that have appeared and ends with those that are gone.
    fn discover(&mut self) {
        let there = match self.native.client().partitions(METADATA_TIMEOUT) {
            Ok(there) => there,
            Err(cause) => {
                tracing::warn!(%cause, "tail could not list the topics");
                return;
            }
        };
        let wanted: HashSet<(String, i32)> =
            there.into_iter().filter(|(topic, _)| self.pattern.is_match(topic)).collect();
        let gone: Vec<(String, i32)> = self.seen_end.keys().filter(|place| !wanted.contains(*place)).cloned().collect();
        let new: Vec<(String, i32)> = wanted.into_iter().filter(|place| !self.seen_end.contains_key(place)).collect();
        let client = self.native.client();
        if !gone.is_empty() {
            match client.incremental_unassign(&list(&gone, Offset::Invalid)) {
                Ok(()) => self.seen_end.retain(|place, _| !gone.contains(place)),
                Err(cause) => tracing::warn!(%cause, "tail could not leave topics"),
            }
        }
        if !new.is_empty() {
            let from = match self.start {
                TailStart::Beginning => Offset::Beginning,
                TailStart::Last(count) => Offset::OffsetTail(i64::from(count.max(1))),
            };
            match client.incremental_assign(&list(&new, from)) {
                Ok(()) => self.seen_end.extend(new.into_iter().map(|place| (place, false))),
                Err(cause) => tracing::warn!(%cause, "tail could not begin with topics"),
            }
        }
        self.discovered = true;
    }
}

fn list(places: &[(String, i32)], offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (topic, partition) in places {
        let mut element = list.add_partition(topic, *partition);
        if let Err(cause) = element.set_offset(offset) {
            tracing::error!(%cause, topic, "tail has no such offset");
        }
    }
    list
}

fn record(topic: &str, taken: Taken<'_>) -> TailRecord {
    TailRecord {
        topic: topic.to_owned(),
        partition: taken.partition(),
        offset: taken.offset(),
        timestamp: taken.timestamp(),
        key: taken.key().map(<[u8]>::to_vec),
        payload: taken.payload().map(<[u8]>::to_vec),
        headers: taken.headers(),
    }
}

// === impl Quiet ===

impl Hooks for Quiet {
    fn rebalance(&self, _: ClientRef<'_>, _: Rebalance, _: &[(String, i32)]) {}

    fn error(&self, fatal: bool, reason: &str) {
        if fatal {
            tracing::error!(reason, "a reader's client is beyond repair");
        } else {
            tracing::warn!(reason, "a reader has trouble");
        }
    }
}
