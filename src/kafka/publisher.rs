//! The transactional publisher: what was committed to the database becomes visible in Kafka, all or nothing.
//!
//! One call is one Kafka transaction: the outbox's records and, as the group's offsets, how far each line has been
//! processed, with the decimal `commit_seq` as metadata. Reading those back tells what has been published.
//!
//! The `transactional.id` need not fence anyone for the tables to be right: a former owner can't commit to the database,
//! and the group's generation keeps it from publishing (`send_offsets_to_transaction` refuses a member that has moved
//! on). It is there for speed: what a process killed in mid-transaction leaves open holds up readers and the next owner
//! until somebody opens a producer under the same id. The process does so when it comes back ([`Publisher::connect`]),
//! the next owner for it when it does not ([`end`]); only where neither does, the broker does after
//! [`TRANSACTION_TIMEOUT`] and its next look at what has timed out (every 10 s unless told otherwise).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use thiserror::Error;
use tracing::debug;

use super::native::{ConsumerGroupMetadata, NativeError};
use super::settings::Settings;
use super::standstill::{End, MARK};
use super::words;

/// How long a transaction may stay open; then the broker aborts it.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits for the brokers: less than a transaction may last.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long one try of opening a producer may take. Where a transaction of a former self has to end first, the broker
/// says so, and a producer asks again after 500 ms; a new one asks at once.
const INIT_TIMEOUT: Duration = Duration::from_millis(150);
const INIT_TRIES: usize = 10;
/// The last try: longer than such a transaction may stay open.
const LAST_INIT_TIMEOUT: Duration = Duration::from_secs(20);
/// `poll` with a timeout lasts all of it and spins through its last millisecond, and `flush` polls in slices of 100 ms:
/// so we sleep ourselves and poll without waiting.
const SLICE: Duration = Duration::from_millis(1);

/// The header that names who published a record, by its `transactional.id`: who alone can end what the broker has left
/// without an end.
pub const PUBLISHER: &str = "publisher";

/// What is being done while records are on their way to the brokers, as [`PublishError::Abortable`] says it.
pub const DELIVERY: &str = "delivery";

/// A record to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutRecord {
    pub topic: String,
    pub key: Vec<u8>,
    /// None is a tombstone.
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// What one line publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishBatch {
    /// The line's topic, whose offset in the group moves.
    pub topic_in: String,
    /// The checkpoint's next offset; negative: the line has read nothing yet.
    pub next_offset: i64,
    /// The commit up to which the line's records are in, all told.
    pub commit_seq: u64,
    pub records: Vec<OutRecord>,
}

/// Why a publish failed. Messages follow "failed to publish: ".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// Nobody knows whether it happened: [`Publisher::reset`], read the progress again, go on from there.
    #[error("the outcome of {doing} is unknown: {cause}")]
    Indefinite { doing: &'static str, cause: String },
    /// It did not happen and may be tried again.
    #[error("{doing}: {cause}")]
    Abortable { doing: &'static str, cause: String },
    /// It did not happen, and with this membership never will: the group has moved on.
    #[error("the group has moved on: {0}")]
    Fenced(String),
    /// The producer is dead: [`Publisher::reset`], read the progress again, go on from there.
    #[error("the producer is beyond repair: {0}")]
    Fatal(String),
}

/// Publishes in transactions; for one thread.
pub struct Publisher {
    id: String,
    config: ClientConfig,
    producer: BaseProducer<Deliveries>,
}

/// Remembers the first record that could not be delivered.
#[derive(Default)]
struct Deliveries {
    failed: Arc<Mutex<Option<String>>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        words::of_client(level, facility, line);
    }

    fn error(&self, cause: KafkaError, reason: &str) {
        words::passing(&cause, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((cause, _)) = result {
            self.failed.lock().get_or_insert_with(|| cause.to_string());
        }
    }
}

// === impl Publisher ===

impl Publisher {
    /// Connects as `id` and makes sure that no transaction of that id is open.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses a setting, `Indefinite` when the brokers do not answer in time.
    pub fn connect(settings: &Settings, id: &str) -> Result<Publisher, PublishError> {
        let config = configuration(settings, id);
        let producer = open(&config)?;
        Ok(Publisher { id: id.to_owned(), config, producer })
    }

    /// A new producer under the same transactional id: whatever was open is aborted, or committed if it was already
    /// on its way, before this returns. Then the group's progress is definite again.
    ///
    /// # Errors
    /// As [`Publisher::connect`]; call it again.
    pub fn reset(&mut self) -> Result<(), PublishError> {
        self.producer = open(&self.config)?;
        Ok(())
    }

    /// Publishes the batches in one transaction and moves the group's offsets with them. Without records only the
    /// offsets move. Returns when readers can see it.
    ///
    /// # Errors
    /// See [`PublishError`]: everything but `Indefinite` and `Fatal` leaves the publisher usable, and nothing visible.
    pub fn publish(&mut self, batches: &[PublishBatch], group: &ConsumerGroupMetadata) -> Result<(), PublishError> {
        if batches.is_empty() {
            return Ok(());
        }
        *self.producer.context().failed.lock() = None;
        // Fails only where an earlier transaction was left in an unknown state.
        self.producer.begin_transaction().map_err(|cause| PublishError::Fatal(cause.to_string()))?;
        let published = self.fill(batches, group).and_then(|()| self.commit());
        if let Err(PublishError::Abortable { .. } | PublishError::Fenced(_)) = published {
            self.abort()?;
        }
        published
    }

    /// Ends on `topic` what this `transactional.id` has left without an end there, although nothing of it is open any more:
    /// by a transaction of a [`MARK`], which readers pass over.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn mark(&mut self, topic: &str, end: End) -> Result<(), PublishError> {
        *self.producer.context().failed.lock() = None;
        self.producer.begin_transaction().map_err(|cause| PublishError::Fatal(cause.to_string()))?;
        let deadline = Instant::now() + CALL_TIMEOUT;
        let record = OutRecord { topic: topic.to_owned(), key: MARK.into(), payload: None, headers: Vec::new() };
        let sent = self.send(&record, &[(MARK, b"end"), (PUBLISHER, self.id.as_bytes())], deadline);
        match (sent.and_then(|()| self.deliver(deadline)), end) {
            (Ok(()), End::Commit) => self.commit(),
            (Ok(()), End::Abort) => self.abort(),
            // A new producer finds out. If it takes this back, it takes what stands before it along: no client can tell
            // a partition an end without sending to it first.
            (Err(why), _) => Err(PublishError::Fatal(why.to_string())),
        }
    }

    /// Everything of the transaction but its end: until then whatever fails can be undone.
    fn fill(&self, batches: &[PublishBatch], group: &ConsumerGroupMetadata) -> Result<(), PublishError> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        for record in batches.iter().flat_map(|batch| &batch.records) {
            self.send(record, &[(PUBLISHER, self.id.as_bytes())], deadline)?;
        }
        let offsets = offsets(batches)?;
        let producer = self.producer.client().native_ptr();
        // SAFETY: the producer is valid for the call and has a transactional id.
        let sent = unsafe { group.send_offsets(producer, &offsets, CALL_TIMEOUT) };
        sent.map_err(|cause| before_the_end("moving the group's offsets", &Cause::of_native(cause)))?;
        self.deliver(deadline)
    }

    /// Waits until everything sent is with the brokers.
    fn deliver(&self, deadline: Instant) -> Result<(), PublishError> {
        while self.producer.in_flight_count() > 0 {
            self.serve();
            if Instant::now() > deadline {
                return Err(PublishError::Abortable { doing: DELIVERY, cause: "timed out".to_owned() });
            }
        }
        match self.producer.context().failed.lock().take() {
            Some(cause) => Err(PublishError::Abortable { doing: DELIVERY, cause }),
            None => Ok(()),
        }
    }

    /// Waits a moment, then takes up what was delivered.
    fn serve(&self) {
        std::thread::sleep(SLICE);
        self.producer.poll(Duration::ZERO);
    }

    fn send(&self, record: &OutRecord, more: &[(&str, &[u8])], deadline: Instant) -> Result<(), PublishError> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + more.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        for (key, value) in more {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut out = BaseRecord::to(&record.topic).key(&record.key).headers(headers);
        if let Some(payload) = &record.payload {
            out = out.payload(payload);
        }
        loop {
            match self.producer.send(out) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    self.serve();
                    out = back;
                }
                Err((cause, _)) => return Err(before_the_end("sending", &Cause::of_kafka(&cause))),
            }
        }
    }

    fn commit(&self) -> Result<(), PublishError> {
        let Err(cause) = self.producer.commit_transaction(CALL_TIMEOUT) else { return Ok(()) };
        let cause = Cause::of_kafka(&cause);
        match before_the_end("the commit", &cause) {
            // Unless the client itself says that it did not happen, the commit may have reached the broker.
            PublishError::Abortable { doing, cause: text } if !cause.requires_abort => {
                Err(PublishError::Indefinite { doing, cause: text })
            }
            other => Err(other),
        }
    }

    /// Takes the open transaction back. The first call drops what is queued, but returns only when somebody serves
    /// the reports about that, so it is called again once they are served.
    fn abort(&self) -> Result<(), PublishError> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let slice = if self.producer.in_flight_count() > 0 { SLICE } else { left };
            let Err(cause) = self.producer.abort_transaction(slice) else { return Ok(()) };
            let cause = Cause::of_kafka(&cause);
            if cause.fatal {
                return Err(PublishError::Fatal(cause.message));
            }
            if left.is_zero() {
                return Err(PublishError::Indefinite { doing: "taking a transaction back", cause: cause.message });
            }
            self.serve();
        }
    }
}

/// As [`Publisher::mark`], in the name of a publisher that is gone. Blocks.
///
/// # Errors
/// As [`Publisher::connect`] and [`Publisher::publish`].
pub fn mark(settings: &Settings, id: &str, topic: &str, end: End) -> Result<(), PublishError> {
    Publisher::connect(settings, id)?.mark(topic, end)
}

/// Ends what a publisher that is gone has left open, and fences it if it is not gone after all: it then opens a new
/// producer and asks what is published. Blocks.
///
/// # Errors
/// As [`Publisher::connect`].
pub fn end(settings: &Settings, id: &str) -> Result<(), PublishError> {
    open(&configuration(settings, id)).map(drop)
}

/// The commit that offset metadata names; 0: none.
pub fn published_seq(metadata: &str) -> u64 {
    metadata.parse().unwrap_or(0)
}

fn configuration(settings: &Settings, id: &str) -> ClientConfig {
    let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
    settings.client(
        &[
            ("queue.buffering.max.messages", "100000"),
            ("queue.buffering.max.kbytes", "65536"),
            // While the broker still completes the transaction before, the next one's offsets are refused and
            // tried again after this; the default of 100 ms made back-to-back transactions last 99 ms, not 14.
            ("retry.backoff.ms", "10"),
            ("retry.backoff.max.ms", "200"),
        ],
        &[
            ("transactional.id", id),
            ("transaction.timeout.ms", &timeout),
            ("message.timeout.ms", "8000"),
            ("linger.ms", "0"),
        ],
    )
}

fn open(config: &ClientConfig) -> Result<BaseProducer<Deliveries>, PublishError> {
    let refused = |cause: KafkaError| PublishError::Fatal(cause.to_string());
    let mut last = String::new();
    for timeout in std::iter::repeat_n(INIT_TIMEOUT, INIT_TRIES).chain([LAST_INIT_TIMEOUT]) {
        let producer: BaseProducer<Deliveries> = config.create_with_context(Deliveries::default()).map_err(refused)?;
        let Err(cause) = producer.init_transactions(timeout) else { return Ok(producer) };
        let cause = Cause::of_kafka(&cause);
        if cause.fatal {
            return Err(PublishError::Fatal(cause.message));
        }
        debug!(cause = cause.message, "a producer waits for its turn");
        last = cause.message;
    }
    Err(PublishError::Indefinite { doing: "opening a producer", cause: last })
}

/// The group's offsets that the batches stand for; of several of one line the last.
fn offsets(batches: &[PublishBatch]) -> Result<TopicPartitionList, PublishError> {
    let last: BTreeMap<&str, &PublishBatch> = batches.iter().map(|batch| (batch.topic_in.as_str(), batch)).collect();
    let mut list = TopicPartitionList::with_capacity(last.len());
    for (topic, batch) in last {
        let mut element = list.add_partition(topic, 0);
        element.set_metadata(batch.commit_seq.to_string());
        // A line that has read nothing has no offset to tell; what counts is the metadata.
        element.set_offset(Offset::Offset(batch.next_offset.max(0))).map_err(|cause| PublishError::Abortable {
            doing: "moving the group's offsets",
            cause: cause.to_string(),
        })?;
    }
    Ok(list)
}

// === impl Cause ===

/// What matters of an error.
struct Cause {
    message: String,
    fatal: bool,
    requires_abort: bool,
    fenced: bool,
}

impl Cause {
    fn of_native(cause: NativeError) -> Cause {
        Cause {
            fatal: cause.fatal,
            requires_abort: cause.requires_abort,
            fenced: is_fenced(cause.code.into()),
            message: cause.message,
        }
    }

    fn of_kafka(cause: &KafkaError) -> Cause {
        let message = cause.to_string();
        match cause {
            KafkaError::Transaction(cause) => Cause {
                message,
                fatal: cause.is_fatal(),
                requires_abort: cause.txn_requires_abort(),
                fenced: is_fenced(cause.code()),
            },
            _ => Cause { message, fatal: false, requires_abort: false, fenced: false },
        }
    }
}

/// Whether the group no longer knows the member by that generation.
fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{FencedInstanceId, IllegalGeneration, UnknownMemberId};
    matches!(code, IllegalGeneration | UnknownMemberId | FencedInstanceId)
}

/// An error before the transaction's end, where taking it back makes the outcome definite.
fn before_the_end(doing: &'static str, cause: &Cause) -> PublishError {
    let message = cause.message.clone();
    if cause.fatal {
        PublishError::Fatal(message)
    } else if cause.fenced {
        PublishError::Fenced(message)
    } else {
        PublishError::Abortable { doing, cause: message }
    }
}
