//! The plain producer: idempotent, no transactions; for cameras, simulated or replayed, and for tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use thiserror::Error;

use super::settings::Settings;
use super::words;

/// How often a full queue and a flush look again.
const SLICE: Duration = Duration::from_millis(1);
/// Records between two looks at what was delivered.
const POLL_EVERY: u32 = 256;
/// How long a full queue is waited for.
const FULL_TIMEOUT: Duration = Duration::from_secs(60);

/// Why records did not arrive. Messages follow "failed to produce: ".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProduceError {
    #[error("{0}")]
    Refused(String),
    #[error("{0} was not delivered: {1}")]
    Undelivered(String, String),
    #[error("{0} records are still on their way after {1:?}")]
    Timeout(i32, Duration),
}

/// Sends records in order, many at a time; for one thread.
pub struct Producer {
    producer: BaseProducer<Deliveries>,
    since_poll: u32,
}

/// Remembers the first record that could not be delivered.
#[derive(Default)]
struct Deliveries {
    failed: Arc<Mutex<Option<ProduceError>>>,
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
        use rdkafka::Message as _;
        if let Err((cause, message)) = result {
            let topic = format!("a record of {}", message.topic());
            self.failed.lock().get_or_insert_with(|| ProduceError::Undelivered(topic, cause.to_string()));
        }
    }
}

// === impl Producer ===

impl Producer {
    /// `linger`: how long a record waits for company. Some milliseconds make long batches, zero the least delay.
    ///
    /// # Errors
    /// When librdkafka refuses a setting.
    pub fn connect(settings: &Settings, linger: Duration) -> Result<Producer, ProduceError> {
        let linger = format!("{}", linger.as_secs_f64() * 1e3);
        let config = settings.client(
            &[
                ("linger.ms", &linger),
                ("compression.type", "lz4"),
                ("queue.buffering.max.messages", "200000"),
                ("queue.buffering.max.kbytes", "65536"),
            ],
            &[("enable.idempotence", "true")],
        );
        let made = config.create_with_context(Deliveries::default());
        let producer = made.map_err(|cause: KafkaError| ProduceError::Refused(cause.to_string()))?;
        Ok(Producer { producer, since_poll: 0 })
    }

    /// Queues a record, waiting while the queue is full. Without a payload it is a tombstone.
    ///
    /// # Errors
    /// When the record is refused, or one before it could not be delivered.
    pub fn send(&mut self, topic: &str, key: Option<&[u8]>, payload: Option<&[u8]>) -> Result<(), ProduceError> {
        self.since_poll += 1;
        if self.since_poll == POLL_EVERY {
            self.since_poll = 0;
            self.producer.poll(Duration::ZERO);
            self.check()?;
        }
        let mut record = BaseRecord::to(topic);
        record.key = key;
        record.payload = payload;
        let deadline = Instant::now() + FULL_TIMEOUT;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    self.producer.poll(SLICE);
                    self.check()?;
                    record = back;
                }
                Err((cause, _)) => return Err(ProduceError::Refused(cause.to_string())),
            }
        }
    }

    /// Serves what was delivered, up to `timeout`; to be called now and then when nothing is sent.
    ///
    /// # Errors
    /// When a record could not be delivered.
    pub fn poll(&mut self, timeout: Duration) -> Result<(), ProduceError> {
        self.producer.poll(timeout);
        self.check()
    }

    /// Waits until everything sent has arrived.
    ///
    /// # Errors
    /// When a record could not be delivered, or `timeout` has passed.
    pub fn flush(&mut self, timeout: Duration) -> Result<(), ProduceError> {
        let deadline = Instant::now() + timeout;
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(SLICE);
            if Instant::now() > deadline {
                return Err(ProduceError::Timeout(self.producer.in_flight_count(), timeout));
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), ProduceError> {
        self.producer.context().failed.lock().take().map_or(Ok(()), Err)
    }
}
