//! The way into the topics that real cameras take.

use std::time::Duration;

use crate::domain::production::detection::Record;
use crate::kafka::codec::{encode_detection, encode_status};
use crate::kafka::producer::{ProduceError, Producer};
use crate::kafka::schemas::SchemaIds;
use crate::kafka::{Settings, topics};

/// A record waits this long for company: long batches, and nobody sees it on a screen.
const LINGER: Duration = Duration::from_millis(5);
/// How long what was sent may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);

/// Sends records of some lines of a tenant, in order; for one thread.
pub struct Outlet {
    producer: Producer,
    ids: SchemaIds,
    /// By the line's place.
    topics: Vec<String>,
    payload: Vec<u8>,
    sent: u64,
}

// === impl Outlet ===

impl Outlet {
    /// # Errors
    /// When librdkafka refuses a setting; brokers that are away show later.
    pub fn connect(settings: &Settings, ids: SchemaIds, tenant: &str, lines: &[&str]) -> Result<Outlet, ProduceError> {
        let topics = lines.iter().map(|line| topics::detections(tenant, line)).collect();
        let producer = Producer::connect(settings, LINGER)?;
        Ok(Outlet { producer, ids, topics, payload: Vec::new(), sent: 0 })
    }

    /// Records sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Queues a record of the line at `place`; waits while too many are under way.
    ///
    /// # Errors
    /// When it is refused, or one before it did not arrive.
    pub fn send(&mut self, place: usize, record: &Record) -> Result<(), ProduceError> {
        let Some(topic) = self.topics.get(place) else { return Ok(()) };
        self.payload.clear();
        let camera = match record {
            Record::Detection(detection) => {
                encode_detection(detection, &self.ids, &mut self.payload);
                detection.camera_id
            }
            Record::Status(status) => {
                encode_status(status, &self.ids, &mut self.payload);
                Some(status.camera_id)
            }
        };
        let key = camera.map(|camera| camera.to_string());
        self.producer.send(topic, key.as_deref().map(str::as_bytes), Some(&self.payload))?;
        self.sent += 1;
        Ok(())
    }

    /// Lets the brokers' answers in while nothing is sent, up to `wait`.
    ///
    /// # Errors
    /// When a record did not arrive.
    pub fn rest(&mut self, wait: Duration) -> Result<(), ProduceError> {
        self.producer.poll(wait)
    }

    /// Waits until all has arrived.
    ///
    /// # Errors
    /// When a record did not, or takes longer than a minute.
    pub fn finish(&mut self) -> Result<(), ProduceError> {
        self.producer.flush(ARRIVAL)
    }
}
