//! The consumer's thread: polls, sorts records by tenant, and does what the shards ask of the consumer. It never waits
//! for a database; a tenant that is slow is paused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::engine::clock::Clock;
use crate::engine::inbox::{Chunk, RawRecord};
use crate::engine::ownership::{Grant, Ownership};
use crate::engine::publish::owner_of;
use crate::engine::shard::{FromShard, ToShard};
use crate::kafka::consumer::{ConsumerError, Event, RevocationHandler};
use crate::watch::health::Health;
use crate::watch::metrics;

/// Records of one poll at most.
const AT_ONCE: usize = 10_000;
/// How long a poll waits for a first record.
const WAIT: Duration = Duration::from_millis(20);
/// How long one turn waits for the shards while records are left where they are.
const WORKING_OFF: Duration = Duration::from_millis(5);
/// A tenant of which nothing was heard for this long has nobody waiting for its records; one that had much waiting
/// within it is working off a backlog.
const LATELY: Duration = Duration::from_secs(1);
/// Records are left where they are for this long at most; what is too full then is paused.
const PATIENCE: Duration = Duration::from_millis(500);
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

/// The group's consumer, as the listener sees it; see [`Consumer`]. The simulation stands its own in its place.
///
/// [`Consumer`]: crate::kafka::consumer::Consumer
pub trait Reader {
    fn poll(&mut self, max: usize, timeout: Duration, on: &mut dyn FnMut(Event<'_>));
    /// Leaves what has come where it is for a moment.
    fn leave(&mut self, timeout: Duration);
    fn start(&mut self, topic: &str, offset: i64) -> Result<bool, ConsumerError>;
    /// First offset that a topic still has.
    fn beginning(&self, topic: &str) -> Result<i64, ConsumerError>;
    fn stop(&mut self, topic: &str) -> Result<bool, ConsumerError>;
    fn pause(&mut self, topic: &str) -> Result<bool, ConsumerError>;
    fn resume(&mut self, topic: &str) -> Result<bool, ConsumerError>;
    fn owned(&self) -> Vec<String>;
    fn lags(&self) -> Vec<(String, i64)>;
}

/// What the thread shares with the rest of the engine, and what it remembers from turn to turn.
pub struct Listener<C> {
    shards: Shards,
    ownership: Ownership,
    from_shards: mpsc::UnboundedReceiver<FromShard>,
    /// Topics to be taken over, for the task that asks Kafka and the database.
    assigned: mpsc::UnboundedSender<Vec<String>>,
    /// A tenant with more records waiting is paused.
    buffered_max: usize,
    health: Health,
    clock: C,
    progress: Progress,
    fill: HashMap<String, Fill>,
    /// Since when records are left where they are.
    leaving: Option<Instant>,
    /// Under which a topic is being read.
    reading: HashMap<String, Grant>,
    again: Vec<(Instant, String)>,
    measured: Instant,
}

/// How much of a tenant waits in memory.
#[derive(Default)]
struct Fill {
    is_paused: bool,
    /// When its records came last.
    heard: Option<Instant>,
    /// When much of it waited last.
    much: Option<Instant>,
}

/// Lines that this process has been given and whether their topics were read to the end.
#[derive(Default)]
struct Progress {
    caught_up: HashMap<String, bool>,
    /// Lines that wait for a command, and why.
    stopped: BTreeMap<String, String>,
    told: Option<(usize, BTreeMap<String, String>)>,
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

fn measure_lag(reader: &impl Reader) {
    for (topic, records) in reader.lags() {
        if let Some((tenant, line)) = owner_of(&topic) {
            metrics::lag(&tenant, &line, records);
        }
    }
}

// === impl Listener ===

impl<C: Clock> Listener<C> {
    pub fn new(
        shards: Shards,
        ownership: Ownership,
        from_shards: mpsc::UnboundedReceiver<FromShard>,
        assigned: mpsc::UnboundedSender<Vec<String>>,
        buffered_max: usize,
        health: Health,
        clock: C,
    ) -> Listener<C> {
        let measured = clock.instant();
        Listener {
            shards,
            ownership,
            from_shards,
            assigned,
            buffered_max,
            health,
            clock,
            progress: Progress::default(),
            fill: HashMap::new(),
            leaving: None,
            reading: HashMap::new(),
            again: Vec::new(),
            measured,
        }
    }

    /// Polls until stopped; leaves the group when the consumer is dropped.
    pub fn run(mut self, reader: &mut impl Reader, stop: &CancellationToken) -> Result<(), ConsumerError> {
        while !stop.is_cancelled() {
            self.turn(reader)?;
        }
        Ok(())
    }

    /// One poll, and what shards asked for since the last.
    ///
    /// # Errors
    /// When the client can't go on.
    pub fn turn(&mut self, reader: &mut impl Reader) -> Result<(), ConsumerError> {
        let now = self.clock.instant();
        if now.duration_since(self.measured) >= LAG_EVERY {
            self.measured = now;
            measure_lag(reader);
        }
        self.serve(reader);
        if self.hold_back(reader) {
            reader.leave(WORKING_OFF);
            return Ok(());
        }
        let mut chunks: BTreeMap<String, Chunk> = BTreeMap::new();
        let mut fatal = None;
        reader.poll(AT_ONCE, WAIT, &mut |event| match event {
            Event::Message { topic, offset, timestamp, key, payload } => {
                let record = RawRecord { offset, appended_at: timestamp, key, payload };
                match chunks.get_mut(topic) {
                    Some(chunk) => chunk.push(record),
                    None => chunks.entry(topic.to_owned()).or_default().push(record),
                }
            }
            Event::Eof { topic, .. } => {
                self.flush_one(topic, &mut chunks);
                self.progress.caught_up.insert(topic.to_owned(), true);
                if let Some(grant) = self.reading.get(topic) {
                    self.tell(topic, |line| ToShard::End { line, grant: grant.clone() });
                }
            }
            Event::Assigned(topics) => {
                info!(lines = topics.len(), "lines assigned");
                self.ownership.add(&topics);
                self.progress.caught_up.extend(topics.iter().map(|topic| (topic.clone(), false)));
                let _ = self.assigned.send(topics);
            }
            Event::Revoked(topics) => {
                info!(lines = topics.len(), "lines revoked");
                // What the group gave and took again within one poll was given up before it was added.
                self.ownership.release(&topics);
                for topic in topics {
                    chunks.remove(&topic);
                    self.progress.caught_up.remove(&topic);
                    self.progress.stopped.remove(&topic);
                    self.reading.remove(&topic);
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
        self.progress.tell(&self.health);
        Ok(())
    }

    /// Does what shards have asked for.
    fn serve(&mut self, reader: &mut impl Reader) {
        let now = self.clock.instant();
        while let Ok(wish) = self.from_shards.try_recv() {
            match wish {
                // The line has gone meanwhile, or is being taken over anew: another start will come, if any.
                FromShard::Start { grant, .. } if !grant.holds() => {}
                FromShard::Start { topic, offset, grant } => {
                    self.progress.stopped.remove(&topic);
                    let begun = match offset {
                        0.. => reader.start(&topic, offset),
                        _ => reader.beginning(&topic).and_then(|low| reader.start(&topic, low)),
                    };
                    match begun.and_then(|_| self.hold_if_paused(reader, &topic)) {
                        Ok(()) => {
                            self.reading.insert(topic, grant);
                        }
                        Err(why) => {
                            self.complain(&why);
                            // It may be read on where the stretch before has come to: that is nobody's.
                            self.reading.remove(&topic);
                            self.again.push((now + AGAIN, topic));
                        }
                    }
                }
                FromShard::Again { topic } => {
                    if let Err(why) = reader.stop(&topic) {
                        self.complain(&why);
                    }
                    self.again.push((now + AGAIN, topic));
                }
                FromShard::Stopped { topic, why } => {
                    self.progress.stopped.insert(topic.clone(), why);
                    self.again.push((now + AGAIN, topic));
                }
                FromShard::Trouble { tenant, why } => {
                    metrics::tenant_troubled(&tenant, why.is_some());
                    self.health.trouble(&format!("tenant {tenant}"), why);
                }
                FromShard::NotOurs { topic } => {
                    self.progress.caught_up.remove(&topic);
                    self.again.push((now + NOT_OURS, topic));
                }
            }
        }
        let due: Vec<String> = self.again.extract_if(.., |(at, _)| *at <= now).map(|(_, topic)| topic).collect();
        let ours: Vec<String> = due.into_iter().filter(|topic| self.ownership.owns(topic)).collect();
        if !ours.is_empty() {
            let _ = self.assigned.send(ours);
        }
    }

    /// A start makes an end of a pause: a line of a tenant that is held back is held back too.
    fn hold_if_paused(&self, reader: &mut impl Reader, topic: &str) -> Result<(), ConsumerError> {
        if owner_of(topic).is_some_and(|(tenant, _)| self.fill.get(&tenant).is_some_and(|fill| fill.is_paused)) {
            reader.pause(topic)?;
        }
        Ok(())
    }

    /// Keeps what waits in memory bounded; `true`: nothing is to be polled now.
    ///
    /// A pause throws away what the client has fetched, and it takes up to a second to fetch again after it. So a
    /// backlog is left where it is until the shards have worked some of it off, and only a tenant that would keep
    /// others waiting, or stays too full for long, is paused.
    fn hold_back(&mut self, reader: &mut impl Reader) -> bool {
        let now = self.clock.instant();
        let is_late = |at: Option<Instant>| at.is_some_and(|at| now.duration_since(at) < LATELY);
        let mut too_full = Vec::new();
        let mut worked_off = Vec::new();
        let mut others_wait = false;
        for shard in self.shards.iter() {
            let waiting = shard.buffered.load(Ordering::Relaxed);
            let fill = self.fill.entry(shard.key().clone()).or_default();
            if waiting > self.buffered_max / 8 {
                fill.much = Some(now);
            }
            match fill.is_paused {
                true if waiting <= self.buffered_max / 2 => worked_off.push(shard.key().clone()),
                false if waiting > self.buffered_max => too_full.push((shard.key().clone(), waiting)),
                false => others_wait |= is_late(fill.heard) && !is_late(fill.much),
                true => {}
            }
        }
        for tenant in worked_off {
            self.hold(reader, tenant, None);
        }
        if too_full.is_empty() {
            self.leaving = None;
            return false;
        }
        let since = *self.leaving.get_or_insert(now);
        if !others_wait && now.duration_since(since) < PATIENCE {
            return true;
        }
        self.leaving = None;
        for (tenant, waiting) in too_full {
            self.hold(reader, tenant, Some(waiting));
        }
        false
    }

    /// Pauses what is read of a tenant of which so many records wait, or goes on with it.
    fn hold(&mut self, reader: &mut impl Reader, tenant: String, too_many: Option<usize>) {
        let hold = too_many.is_some();
        let why = too_many.map(|n| format!("{n} records wait to be worked off: it is read no further meanwhile"));
        self.health.trouble(&format!("tenant {tenant} (load)"), why);
        let own = |topic: &String| owner_of(topic).is_some_and(|(owner, _)| owner == tenant);
        for topic in reader.owned().into_iter().filter(own) {
            let done = if hold { reader.pause(&topic) } else { reader.resume(&topic) };
            if let Err(why) = done {
                self.complain(&why);
            }
        }
        self.fill.entry(tenant).or_default().is_paused = hold;
    }

    fn flush_one(&mut self, topic: &str, chunks: &mut BTreeMap<String, Chunk>) {
        if let Some(chunk) = chunks.remove(topic) {
            self.send(topic, chunk);
        }
    }

    fn send(&mut self, topic: &str, chunk: Chunk) {
        let Some((tenant, line)) = owner_of(topic) else { return };
        if let Some(fill) = self.fill.get_mut(&tenant) {
            fill.heard = Some(self.clock.instant());
        }
        if let (Some(shard), Some(grant)) = (self.shards.get(&tenant), self.reading.get(topic)) {
            shard.buffered.fetch_add(chunk.len(), Ordering::Relaxed);
            let _ = shard.inbox.send(ToShard::Records { line, chunk, grant: grant.clone() });
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
        let now = (behind, self.stopped.clone());
        if self.told.as_ref() == Some(&now) {
            return;
        }
        let mut words: Vec<String> = now.1.iter().map(|(topic, why)| format!("{topic} is stopped: {why}")).collect();
        let catching_up = behind.saturating_sub(now.1.len());
        if catching_up > 0 {
            words.push(format!("{catching_up} lines are still catching up"));
        }
        self.told = Some(now);
        health.set("lines", if words.is_empty() { Ok(()) } else { Err(words.join("; ")) });
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
