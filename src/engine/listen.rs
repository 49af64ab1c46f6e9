//! The consumer's thread: polls, sorts records by tenant, and does what the shards ask of the consumer. It never waits
//! for a database; a tenant that is slow is paused.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::engine::inbox::{Chunk, RawRecord};
use crate::engine::publish::{Ownership, owner_of};
use crate::engine::shard::{FromShard, ToShard};
use crate::kafka::consumer::{Consumer, ConsumerError, Event, RevocationHandler};
use crate::watch::health::Health;
use crate::watch::metrics;

/// Records of one poll at most.
const AT_ONCE: usize = 10_000;
/// How long a poll waits for a first record.
const WAIT: Duration = Duration::from_millis(20);
/// A line that was refused or lost is asked for again after this.
const AGAIN: Duration = Duration::from_secs(3);

/// The way to a tenant's shard.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    pub inbox: mpsc::UnboundedSender<ToShard>,
    /// Records sent and not yet applied.
    pub buffered: Arc<AtomicUsize>,
}

/// The shards of this process, by tenant.
pub type Shards = Arc<DashMap<String, ShardHandle>>;

/// A topic without a configured line is looked at again after this.
const NOT_OURS: Duration = Duration::from_secs(5);

/// How often the lag of the lines is measured.
const LAG_EVERY: Duration = Duration::from_secs(2);

/// What the thread shares with the rest of the engine.
pub struct Listener {
    pub shards: Shards,
    pub ownership: Ownership,
    pub from_shards: mpsc::UnboundedReceiver<FromShard>,
    /// Topics to be taken over, for the task that asks Kafka and the database.
    pub assigned: mpsc::UnboundedSender<Vec<String>>,
    /// A tenant with more records waiting is paused.
    pub buffered_max: usize,
    pub health: Health,
    pub stop: CancellationToken,
}

/// Lines that this process has been given and whether their topics were read to the end.
#[derive(Default)]
struct Progress {
    caught_up: HashMap<String, bool>,
    told: Option<usize>,
}

/// Gives topics up before the group hands them on.
pub fn revocation(ownership: Ownership) -> RevocationHandler {
    Box::new(move |topics, lost| {
        if lost {
            warn!(?topics, "lines lost: the group has given them to others already");
        }
        ownership.give_up(topics);
    })
}

fn measure_lag(consumer: &Consumer) {
    for (topic, records) in consumer.lags() {
        if let Some((tenant, line)) = owner_of(&topic) {
            metrics::lag(&tenant, &line, records);
        }
    }
}

// === impl Listener ===

impl Listener {
    /// Polls until stopped; leaves the group when the consumer is dropped.
    pub fn run(mut self, consumer: &mut Consumer) -> Result<(), ConsumerError> {
        let mut progress = Progress::default();
        let mut paused: HashMap<String, bool> = HashMap::new();
        let mut again: Vec<(Instant, String)> = Vec::new();
        let mut measured = Instant::now();
        while !self.stop.is_cancelled() {
            if measured.elapsed() >= LAG_EVERY {
                measured = Instant::now();
                measure_lag(consumer);
            }
            self.serve(consumer, &mut again, &mut progress);
            self.hold_back(consumer, &mut paused);
            let mut chunks: HashMap<String, Chunk> = HashMap::new();
            let mut fatal = None;
            consumer.poll(AT_ONCE, WAIT, &mut |event| match event {
                Event::Message { topic, offset, timestamp, key, payload } => {
                    let record = RawRecord { offset, appended_at: timestamp, key, payload };
                    match chunks.get_mut(topic) {
                        Some(chunk) => chunk.push(record),
                        None => chunks.entry(topic.to_owned()).or_default().push(record),
                    }
                }
                Event::Eof { topic, .. } => {
                    self.flush_one(topic, &mut chunks);
                    progress.caught_up.insert(topic.to_owned(), true);
                    self.tell(topic, |line| ToShard::End { line });
                }
                Event::Assigned(topics) => {
                    info!(lines = topics.len(), "lines assigned");
                    self.ownership.add(&topics);
                    progress.caught_up.extend(topics.iter().map(|topic| (topic.clone(), false)));
                    let _ = self.assigned.send(topics);
                }
                Event::Revoked(topics) => {
                    info!(lines = topics.len(), "lines revoked");
                    for topic in topics {
                        chunks.remove(&topic);
                        progress.caught_up.remove(&topic);
                        self.tell(&topic, |line| ToShard::Revoked(vec![line]));
                    }
                }
                Event::Error(ConsumerError::Fatal(why)) => fatal = Some(ConsumerError::Fatal(why)),
                Event::Error(why) => self.complain(&why),
            });
            for (topic, chunk) in chunks {
                self.send(&topic, chunk);
            }
            if let Some(why) = fatal {
                return Err(why);
            }
            progress.tell(&self.health);
        }
        Ok(())
    }

    /// Does what shards have asked for.
    fn serve(&mut self, consumer: &mut Consumer, again: &mut Vec<(Instant, String)>, progress: &mut Progress) {
        while let Ok(wish) = self.from_shards.try_recv() {
            match wish {
                FromShard::Start { topic, offset } => {
                    let begun = match offset {
                        0.. => consumer.start(&topic, offset),
                        _ => consumer
                            .handle()
                            .watermarks(&topic, Duration::from_secs(5))
                            .and_then(|(low, _)| consumer.start(&topic, low)),
                    };
                    if let Err(why) = begun {
                        self.complain(&why);
                        again.push((Instant::now() + AGAIN, topic));
                    }
                }
                FromShard::Again { topic } => {
                    if let Err(why) = consumer.stop(&topic) {
                        self.complain(&why);
                    }
                    again.push((Instant::now() + AGAIN, topic));
                }
                FromShard::NotOurs { topic } => {
                    progress.caught_up.remove(&topic);
                    again.push((Instant::now() + NOT_OURS, topic));
                }
            }
        }
        let now = Instant::now();
        let due: Vec<String> = again.extract_if(.., |(at, _)| *at <= now).map(|(_, topic)| topic).collect();
        let ours: Vec<String> = due.into_iter().filter(|topic| self.ownership.owns(topic)).collect();
        if !ours.is_empty() {
            let _ = self.assigned.send(ours);
        }
    }

    /// Pauses tenants that have too much waiting and lets them go on once they have worked it off.
    fn hold_back(&self, consumer: &mut Consumer, paused: &mut HashMap<String, bool>) {
        for shard in self.shards.iter() {
            let waiting = shard.buffered.load(Ordering::Relaxed);
            let held = paused.entry(shard.key().clone()).or_default();
            let hold = if *held { waiting > self.buffered_max / 2 } else { waiting > self.buffered_max };
            if hold == *held {
                continue;
            }
            *held = hold;
            let own = |topic: &String| owner_of(topic).is_some_and(|(tenant, _)| tenant == *shard.key());
            for topic in consumer.owned().into_iter().filter(own) {
                let done = if hold { consumer.pause(&topic) } else { consumer.resume(&topic) };
                if let Err(why) = done {
                    self.complain(&why);
                }
            }
        }
    }

    fn flush_one(&self, topic: &str, chunks: &mut HashMap<String, Chunk>) {
        if let Some(chunk) = chunks.remove(topic) {
            self.send(topic, chunk);
        }
    }

    fn send(&self, topic: &str, chunk: Chunk) {
        let Some((tenant, line)) = owner_of(topic) else { return };
        if let Some(shard) = self.shards.get(&tenant) {
            shard.buffered.fetch_add(chunk.len(), Ordering::Relaxed);
            let _ = shard.inbox.send(ToShard::Records { line, chunk });
        }
    }

    fn tell(&self, topic: &str, message: impl FnOnce(String) -> ToShard) {
        let Some((tenant, line)) = owner_of(topic) else { return };
        if let Some(shard) = self.shards.get(&tenant) {
            let _ = shard.inbox.send(message(line));
        }
    }

    fn complain(&self, why: &ConsumerError) {
        match why {
            ConsumerError::OffsetOutOfRange { topic, .. } | ConsumerError::Partitions { topic, .. } => {
                error!(%why, "line stopped");
                if let Some((tenant, line)) = owner_of(topic) {
                    metrics::line_stopped(&tenant, &line, true);
                }
            }
            _ => warn!(%why, "failed to consume: going on"),
        }
    }
}

impl Progress {
    /// Ready once every line was read to its end.
    fn tell(&mut self, health: &Health) {
        let behind = self.caught_up.values().filter(|done| !**done).count();
        if self.told == Some(behind) {
            return;
        }
        self.told = Some(behind);
        let state = if behind == 0 { Ok(()) } else { Err(format!("{behind} lines are still catching up")) };
        health.set("lines", state);
    }
}
