//! A tenant of its own for each test, with topics that go when the test ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use andon::kafka::Settings;
use andon::kafka::consumer::{Consumer, ConsumerError, Event, RevocationHandler};
use andon::kafka::producer::Producer;
use andon::kafka::topics::{self, Admin};

use crate::support::Servers;

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub tenant: String,
    pub settings: Settings,
    pub admin: Admin,
    pub runtime: tokio::runtime::Runtime,
}

/// A message as handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub topic: String,
    pub offset: i64,
    pub timestamp: i64,
    pub payload: Vec<u8>,
}

/// What a consumer's polls handed out, in order.
#[derive(Default)]
pub struct Seen {
    pub messages: Vec<Got>,
    pub ends: Vec<(String, i64)>,
    pub assigned: Vec<String>,
    pub revoked: Vec<String>,
    pub errors: Vec<ConsumerError>,
}

impl World {
    pub fn new() -> World {
        let brokers = Servers::from_env().kafka;
        let tenant = crate::support::random_name("kafka");
        let settings = Settings {
            brokers,
            group: format!("group-{tenant}"),
            session_timeout_ms: 6_000,
            instance: None,
            properties: BTreeMap::new(),
        };
        let admin = Admin::connect(&settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        World { tenant, settings, admin, runtime }
    }

    /// Makes the line's topics and says how its detections' is called.
    pub fn line(&self, line: &str) -> String {
        self.runtime.block_on(self.admin.ensure_line_topics(&self.tenant, line, None)).unwrap();
        topics::detections(&self.tenant, line)
    }

    pub fn pattern(&self) -> String {
        format!(r"^detections\.{}\.[a-z0-9_]+$", self.tenant)
    }

    pub fn join(&self) -> Consumer {
        self.join_with(Box::new(|_, _| {}))
    }

    pub fn join_with(&self, revocation: RevocationHandler) -> Consumer {
        Consumer::join(&self.settings, &self.pattern(), revocation).unwrap()
    }

    /// Sends numbered records and waits until they have arrived.
    pub fn send(&self, topic: &str, payloads: std::ops::Range<u32>) {
        let mut producer = Producer::connect(&self.settings, Duration::ZERO).unwrap();
        for number in payloads {
            let text = number.to_string();
            producer.send(topic, Some(text.as_bytes()), Some(text.as_bytes())).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let listed = self.runtime.block_on(self.admin.list(Some(&self.tenant))).unwrap_or_default();
        let topics: Vec<String> = listed.into_iter().map(|(topic, _)| topic).collect();
        let _ = self.runtime.block_on(self.admin.delete(&topics));
    }
}

impl Seen {
    /// Polls once and keeps what comes.
    pub fn poll(&mut self, consumer: &mut Consumer, timeout: Duration) {
        consumer.poll(1_000, timeout, &mut |event| match event {
            Event::Message { topic, offset, timestamp, payload, .. } => self.messages.push(Got {
                topic: topic.to_owned(),
                offset,
                timestamp,
                payload: payload.unwrap_or_default().to_vec(),
            }),
            Event::Eof { topic, offset } => self.ends.push((topic.to_owned(), offset)),
            Event::Assigned(topics) => self.assigned.extend(topics),
            Event::Revoked(topics) => self.revoked.extend(topics),
            Event::Error(error) => self.errors.push(error),
        });
    }

    /// Polls until `done`; panics when it takes too long.
    pub fn until(&mut self, consumer: &mut Consumer, what: &str, done: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "never came: {what}; errors: {:?}", self.errors);
            self.poll(consumer, Duration::from_millis(20));
        }
    }

    pub fn payloads(&self, topic: &str) -> Vec<u32> {
        let of_topic = self.messages.iter().filter(|m| m.topic == topic);
        of_topic.map(|m| std::str::from_utf8(&m.payload).unwrap().parse().unwrap()).collect()
    }
}
