//! A reader of everything that Andon tells, `read_committed`, as it comes: before compaction can take any of it.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use andon::kafka::topics;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// How often the brokers are asked for everything.
const LOOK_EVERY: Duration = Duration::from_millis(1_500);

/// Where a record stands in its line's telling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub incarnation: u32,
    pub seq: u64,
    pub index: u32,
}

/// A record that readers have seen.
#[derive(Clone, Debug)]
pub struct Told {
    pub place: Place,
    /// Of topic, key and payload.
    pub hash: u64,
    /// Of a late copy or a dead letter: offset in the line's topic, and the reason of a dead letter.
    pub aside: Option<(i64, Option<String>)>,
}

/// Tenant and line.
pub type LineName = (String, String);

/// Waits for the first output of lines after a moment.
struct Watch {
    /// Wall time.
    after_ms: i64,
    begun: Instant,
    missing: HashSet<LineName>,
    done: Option<Duration>,
}

#[derive(Default)]
struct Seen {
    told: HashMap<LineName, Vec<Told>>,
    latest: HashMap<String, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    next: HashMap<String, i64>,
    watches: Vec<Watch>,
}

/// See the module.
pub struct Tail {
    seen: Arc<Mutex<Seen>>,
    topics: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    brokers: String,
}

/// What tells records of equal place apart.
pub fn hash_of(topic: &str, key: &[u8], payload: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, key, payload).hash(&mut hasher);
    hasher.finish()
}

/// A number in a header.
pub fn number<T: std::str::FromStr>(text: Option<&[u8]>) -> Option<T> {
    std::str::from_utf8(text?).ok()?.parse().ok()
}

// === impl Tail ===

impl Tail {
    pub fn follow(brokers: &str) -> Tail {
        let tail =
            Tail { seen: Arc::default(), topics: Arc::default(), stop: Arc::default(), brokers: brokers.to_owned() };
        let (seen, topics, stop) = (tail.seen.clone(), tail.topics.clone(), tail.stop.clone());
        let consumer = consumer(brokers);
        std::thread::Builder::new()
            .name("tail".into())
            .spawn(move || run(&consumer, &seen, &topics, &stop))
            .expect("a thread");
        tail
    }

    /// Follows a line's topics and its tenant's.
    pub fn add_line(&self, tenant: &str, line: &str) {
        let mut topics = self.topics.lock().unwrap();
        for topic in [
            topics::downtime(tenant, line),
            topics::oee(tenant, line),
            topics::late(tenant),
            topics::deadletter(tenant),
        ] {
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
    }

    /// From now on, when do these lines tell something that was published after `after_ms`?
    pub fn watch(&self, lines: &[LineName], after_ms: i64) -> usize {
        let mut seen = self.seen.lock().unwrap();
        let missing = lines.iter().cloned().collect();
        seen.watches.push(Watch { after_ms, begun: Instant::now(), missing, done: None });
        seen.watches.len() - 1
    }

    /// How long all lines of a watch took; else which are missing.
    pub fn watched(&self, watch: usize) -> Result<Duration, Vec<LineName>> {
        let watch = &self.seen.lock().unwrap().watches[watch];
        watch.done.ok_or_else(|| watch.missing.iter().cloned().collect())
    }

    /// The latest value of each key; none: deleted.
    pub fn latest(&self, topic: &str) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        self.seen.lock().unwrap().latest.get(topic).cloned().unwrap_or_default()
    }

    /// Everything told of a line, in the order of reading.
    pub fn told(&self, line: &LineName) -> Vec<Told> {
        self.seen.lock().unwrap().told.get(line).cloned().unwrap_or_default()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().told.values().map(Vec::len).sum()
    }

    /// Waits until everything that can be read has been; false: it could not.
    pub fn catch_up(&self, patience: Duration) -> bool {
        let asker = consumer(&self.brokers);
        let deadline = Instant::now() + patience;
        let topics = self.topics.lock().unwrap().clone();
        'next: for topic in topics {
            while Instant::now() < deadline {
                if let Ok((_, high)) = asker.fetch_watermarks(&topic, 0, Duration::from_secs(5))
                    && self.seen.lock().unwrap().next.get(&topic).copied().unwrap_or(0) >= high
                {
                    continue 'next;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            return false;
        }
        true
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn consumer(brokers: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "fire-tail")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "20")
        .set("reconnect.backoff.max.ms", "300")
        .create()
        .expect("a consumer's settings")
}

fn run(consumer: &BaseConsumer, seen: &Mutex<Seen>, topics: &Mutex<Vec<String>>, stop: &AtomicBool) {
    let (mut assigned, mut looked) = (0, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let wanted = topics.lock().unwrap().clone();
        if wanted.len() != assigned {
            assigned = wanted.len();
            let next = seen.lock().unwrap().next.clone();
            let mut list = TopicPartitionList::new();
            for topic in &wanted {
                let from = next.get(topic).map_or(Offset::Beginning, |offset| Offset::Offset(*offset));
                list.add_partition_offset(topic, 0, from).expect("an offset");
            }
            consumer.assign(&list).expect("assigned");
        }
        // As Andon's own readers do: a client that was told that there is no broker asks nobody again by itself.
        if looked.elapsed() > LOOK_EVERY {
            let _ = consumer.fetch_metadata(None, Duration::from_secs(5));
            looked = Instant::now();
        }
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => seen.lock().unwrap().take(&message),
            // A read_committed reader passes over the ends of transactions: where it stands, it says.
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => {
                if let Ok(positions) = consumer.position() {
                    let mut seen = seen.lock().unwrap();
                    for at in positions.elements() {
                        if let Offset::Offset(offset) = at.offset() {
                            let next = seen.next.entry(at.topic().to_owned()).or_default();
                            *next = (*next).max(offset);
                        }
                    }
                }
            }
            Some(Err(_)) | None => {}
        }
    }
}

// === impl Seen ===

impl Seen {
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let topic = message.topic();
        let next = self.next.entry(topic.to_owned()).or_default();
        if message.offset() < *next {
            return;
        }
        *next = message.offset() + 1;
        let headers: HashMap<&str, &[u8]> = message
            .headers()
            .map(|all| all.iter().filter_map(|h| Some((h.key, h.value?))).collect())
            .unwrap_or_default();
        // Nobody's word: it ends a transaction whose end the broker had lost.
        if headers.contains_key("mark") && message.payload().is_none() {
            return;
        }
        let header = |name: &str| headers.get(name).copied();
        let text = |name: &str| header(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let (Some(tenant), Some(line)) = (text("tenant"), text("line")) else {
            panic!("a record of {topic} without its headers")
        };
        let place = Place {
            incarnation: number(header("incarnation")).expect("an incarnation"),
            seq: number(header("commit_seq")).expect("a commit"),
            index: number(header("index")).expect("an index"),
        };
        let (key, payload) = (message.key().unwrap_or_default(), message.payload());
        let aside = number(header("offset")).map(|offset| (offset, text("reason")));
        let line = (tenant, line);
        if message.timestamp().to_millis().is_some_and(|at| self.watches.iter().any(|w| w.is_for(&line, at))) {
            let at = message.timestamp().to_millis().unwrap_or(0);
            self.watches.iter_mut().filter(|w| w.is_for(&line, at)).for_each(|w| {
                w.missing.remove(&line);
                w.done = w.missing.is_empty().then(|| w.begun.elapsed());
            });
        }
        self.told.entry(line).or_default().push(Told { place, hash: hash_of(topic, key, payload), aside });
        if topic.starts_with("downtime.") || topic.starts_with("oee.") {
            let latest = self.latest.entry(topic.to_owned()).or_default();
            latest.insert(key.to_vec(), payload.map(<[u8]>::to_vec));
        }
    }
}

// === impl Watch ===

impl Watch {
    fn is_for(&self, line: &LineName, at: i64) -> bool {
        self.done.is_none() && at > self.after_ms && self.missing.contains(line)
    }
}

/// Wall time in ms.
pub fn wall() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}
