//! Kafka as one process sees it: a consumer of the group, a transactional producer, and questions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::broker::end_transaction;
use super::sabotage::Sabotage;
use super::world::{Process, Server, Shared, Strike};
use crate::engine::assign::{Group, Known};
use crate::engine::listen::Reader;
use crate::engine::ownership::Ownership;
use crate::engine::publish::Topics;
use crate::kafka::aftermath::Trace;
use crate::kafka::consumer::{ConsumerError, Event};
use crate::kafka::publisher::{OutRecord, PublishBatch, PublishError};

/// How long a question waits for transactions in doubt.
const ANSWER: Duration = Duration::from_millis(3_000);

/// Member id and generation, as the process last heard them.
pub type Membership = Arc<Mutex<(String, u64)>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Waiting,
    From { next: usize, held: bool, told_end: bool },
}

/// The group's consumer.
pub struct Client {
    process: Process,
    ownership: Ownership,
    membership: Membership,
    owned: BTreeMap<String, Reading>,
    news: Vec<Event<'static>>,
}

impl Client {
    pub fn new(process: Process, ownership: Ownership, membership: Membership) -> Client {
        Client { process, ownership, membership, owned: BTreeMap::new(), news: Vec::new() }
    }

    /// What runs inside a poll: heartbeat, and the callbacks of a rebalance.
    pub async fn heartbeat(&mut self) {
        if self.process.call(Server::Broker).await != Strike::Fine {
            return;
        }
        let world = self.process.world.clone();
        let id = self.membership.lock().0.clone();
        let orders = world.state().broker.orders(&id);
        let Some(orders) = orders else {
            let all: Vec<String> = self.owned.keys().cloned().collect();
            self.give_up(all, true).await;
            let mut state = world.state();
            let super::world::State { broker, chance, .. } = &mut *state;
            *self.membership.lock() = (broker.join(self.process.name(), chance), 0);
            return;
        };
        if !orders.give_back.is_empty() {
            self.give_up(orders.give_back.clone(), false).await;
            world.state().broker.given_back(&id, &orders.give_back);
            world.tell(|| format!("{} gives {:?} back", self.process.name(), orders.give_back));
        }
        self.membership.lock().1 = orders.generation;
        if !orders.take.is_empty() {
            world.tell(|| format!("{} is given {:?}", self.process.name(), orders.take));
            self.owned.extend(orders.take.iter().map(|topic| (topic.clone(), Reading::Waiting)));
            self.news.push(Event::Assigned(orders.take));
        }
    }

    async fn give_up(&mut self, topics: Vec<String>, lost: bool) {
        if topics.is_empty() {
            return;
        }
        if lost {
            self.process.world.tell(|| format!("{} hears that it has lost {topics:?}", self.process.name()));
        }
        self.ownership.release(&topics);
        if !self.process.world.has(Sabotage::RevokeAtOnce) {
            drop(self.ownership.transaction().await);
        }
        self.process.gate().await;
        topics.iter().for_each(|topic| {
            self.owned.remove(topic);
        });
        self.news.push(Event::Revoked(topics));
    }

    pub async fn leave(&mut self) {
        let all: Vec<String> = self.owned.keys().cloned().collect();
        self.give_up(all, false).await;
        let id = self.membership.lock().0.clone();
        let mut state = self.process.world.state();
        let super::world::State { broker, chance, .. } = &mut *state;
        broker.leave(&id, chance);
    }
}

impl Reader for Client {
    fn poll(&mut self, max: usize, _: Duration, on: &mut dyn FnMut(Event<'_>)) {
        std::mem::take(&mut self.news).into_iter().for_each(&mut *on);
        let mut state = self.process.world.state();
        let super::world::State { broker, chance, .. } = &mut *state;
        for (topic, reading) in &mut self.owned {
            let Reading::From { next, held: false, told_end } = reading else { continue };
            let Some(log) = broker.logs.get(topic) else { continue };
            let some = (1 + chance.below(6) as usize).min(max);
            for record in log.iter().skip(*next).take(some) {
                let offset = *next as i64;
                let payload = Some(record.payload.as_slice());
                on(Event::Message { topic, offset, timestamp: record.at, key: None, payload });
                *next += 1;
                *told_end = false;
            }
            if *next >= log.len() && !*told_end {
                *told_end = true;
                on(Event::Eof { topic, offset: *next as i64 });
            }
        }
    }

    // Time passes between the listener's turns.
    fn leave(&mut self, _: Duration) {}

    fn start(&mut self, topic: &str, offset: i64) -> Result<bool, ConsumerError> {
        let mut state = self.process.world.state();
        let Some(reading) = self.owned.get_mut(topic) else { return Ok(false) };
        if state.chance.below(40) == 0 && state.trouble.one_in > 0 {
            return Err(ConsumerError::Passing("the client refuses".to_owned()));
        }
        let end = state.broker.logs.get(topic).map_or(0, |log| log.len() as i64);
        let from = if state.sabotage == Some(Sabotage::SeekToTheEnd) { end } else { offset };
        *reading = Reading::From { next: from as usize, held: false, told_end: false };
        Ok(true)
    }

    fn beginning(&self, _: &str) -> Result<i64, ConsumerError> {
        Ok(0)
    }

    fn stop(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        let Some(reading) = self.owned.get_mut(topic) else { return Ok(false) };
        Ok(std::mem::replace(reading, Reading::Waiting) != Reading::Waiting)
    }

    fn pause(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        Ok(self.hold(topic, true))
    }

    fn resume(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        Ok(self.hold(topic, false))
    }

    fn owned(&self) -> Vec<String> {
        self.owned.keys().cloned().collect()
    }

    fn lags(&self) -> Vec<(String, i64)> {
        Vec::new()
    }
}

impl Client {
    fn hold(&mut self, topic: &str, hold: bool) -> bool {
        match self.owned.get_mut(topic) {
            Some(Reading::From { held, .. }) => {
                *held = hold;
                true
            }
            _ => false,
        }
    }
}

/// The transactional producer.
pub struct Producer {
    process: Process,
    membership: Membership,
    id: String,
    epoch: Option<u64>,
}

fn unknown(doing: &'static str) -> PublishError {
    PublishError::Indefinite { doing, cause: "timed out".to_owned() }
}

fn refused(doing: &'static str) -> PublishError {
    PublishError::Abortable { doing, cause: "the broker refuses".to_owned() }
}

impl Producer {
    pub fn new(process: Process, membership: Membership) -> Producer {
        let id = process.name().to_owned();
        Producer { process, membership, id, epoch: None }
    }

    async fn open(&mut self) -> Result<u64, PublishError> {
        let strike = self.process.call(Server::Broker).await;
        if matches!(strike, Strike::Refused | Strike::Silent | Strike::Broken) {
            return Err(unknown("opening a producer"));
        }
        let epoch = self.process.world.state().broker.open_producer(&self.id);
        self.process.answer().await;
        if strike != Strike::Fine {
            return Err(unknown("opening a producer"));
        }
        self.epoch = Some(epoch);
        Ok(epoch)
    }

    /// Everything before the end; the transaction's key.
    async fn fill(&mut self, batches: &[PublishBatch]) -> Result<u64, PublishError> {
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => self.open().await?,
        };
        let world = self.process.world.clone();
        let fenced = || PublishError::Fatal("the producer is fenced".to_owned());
        let member = self.membership.lock().clone();
        let key = world.state().broker.begin(&self.id, epoch).ok_or_else(fenced)?;
        world.tell(|| {
            let what: Vec<String> = batches.iter().map(|b| format!("{} #{}", b.topic_in, b.commit_seq)).collect();
            format!("{} begins transaction {key}: {}", self.process.name(), what.join(", "))
        });
        for record in batches.iter().flat_map(|batch| &batch.records) {
            if !world.state().broker.send(key, record) {
                return Err(fenced());
            }
        }
        let sent = self.process.call(Server::Broker).await;
        let checked = !world.has(Sabotage::RevokeAtOnce);
        let offsets =
            sent == Strike::Fine && world.state().broker.send_offsets(key, batches, (&member.0, member.1), checked);
        if offsets {
            return Ok(key);
        }
        // The transaction is taken back, if that can be done.
        let back = self.process.call(Server::Broker).await;
        if matches!(back, Strike::Fine | Strike::Lost) {
            world.state().broker.abort(key);
        }
        match (back, sent) {
            (Strike::Fine, Strike::Fine) => Err(PublishError::Fenced("an unknown generation".to_owned())),
            (Strike::Fine, _) => Err(refused("sending")),
            _ => Err(unknown("taking a transaction back")),
        }
    }

    async fn end(&mut self, key: u64) -> Result<(), PublishError> {
        let strike = self.process.call(Server::Broker).await;
        let (world, who) = (self.process.world.clone(), self.process.name().to_owned());
        let doubt = world.state().doubt();
        if let Some(after) = doubt {
            self.process.kill();
            end_later(world, who, key, after);
            return Err(unknown("the commit"));
        }
        match strike {
            Strike::Fine => {
                let done = end_transaction(&world, &who, key);
                self.process.answer().await;
                if done { Ok(()) } else { Err(PublishError::Fatal("the producer is fenced".to_owned())) }
            }
            Strike::Refused | Strike::Broken => {
                world.state().broker.abort(key);
                Err(refused("the commit"))
            }
            Strike::Silent => Err(unknown("the commit")),
            Strike::Lost => {
                end_transaction(&world, &who, key);
                Err(unknown("the commit"))
            }
            Strike::Later(after) => {
                end_later(world, who, key, after);
                Err(unknown("the commit"))
            }
        }
    }
}

fn end_later(world: Shared, who: String, key: u64, after: Duration) {
    tokio::spawn(async move {
        sleep(after).await;
        end_transaction(&world, &format!("{who} (long ago)"), key);
    });
}

impl Topics for Producer {
    async fn publish(&mut self, batches: &[PublishBatch]) -> Result<(), PublishError> {
        let done = match self.fill(batches).await {
            Ok(key) => self.end(key).await,
            Err(why) => Err(why),
        };
        let sabotage = self.process.world.state().sabotage;
        match (done, sabotage) {
            (Err(PublishError::Indefinite { .. }), Some(Sabotage::UnansweredIsPublished)) => Ok(()),
            (Err(PublishError::Indefinite { .. }), Some(Sabotage::PublishAgainBlindly)) => Err(refused("the commit")),
            (done, _) => done,
        }
    }

    async fn reset(&mut self) -> Result<(), PublishError> {
        self.epoch = None;
        self.open().await.map(|_| ())
    }

    async fn published(
        &mut self,
        topics: &[String],
        patience: Duration,
    ) -> Result<HashMap<String, u64>, ConsumerError> {
        settled(&self.process, topics, patience.min(ANSWER)).await?;
        let state = self.process.world.state();
        Ok(topics.iter().map(|topic| (topic.clone(), state.broker.published(topic))).collect())
    }

    async fn visible(&mut self, commits: &[Vec<OutRecord>]) -> Result<Vec<Trace>, ConsumerError> {
        visible(&self.process, commits).await
    }

    // This broker loses ends on the group's offsets alone.
    async fn mend(&mut self, _: &[String]) -> Result<(), PublishError> {
        Ok(())
    }
}

/// Waits until no transaction would still move the offsets of these topics.
async fn settled(process: &Process, topics: &[String], patience: Duration) -> Result<(), ConsumerError> {
    let passing = || ConsumerError::Passing("timed out".to_owned());
    if process.call(Server::Broker).await != Strike::Fine {
        return Err(passing());
    }
    let deadline = Instant::now() + patience;
    while !process.world.has(Sabotage::AskInDoubt) && process.world.state().broker.in_doubt(topics) {
        if Instant::now() > deadline {
            return Err(passing());
        }
        sleep(Duration::from_millis(50)).await;
        process.gate().await;
    }
    Ok(())
}

async fn visible(process: &Process, commits: &[Vec<OutRecord>]) -> Result<Vec<Trace>, ConsumerError> {
    if process.call(Server::Broker).await != Strike::Fine {
        return Err(ConsumerError::Passing("timed out".to_owned()));
    }
    let traces = {
        let state = process.world.state();
        let trace = |commit: &Vec<OutRecord>| {
            let told: Vec<&OutRecord> = commit.iter().filter(|record| !state.broker.has_open(&record.topic)).collect();
            match told.is_empty() {
                true if !commit.is_empty() => Trace::Covered,
                _ if told.iter().any(|record| state.broker.read(&record.topic, true).contains(record)) => Trace::There,
                _ => Trace::Missing,
            }
        };
        commits.iter().map(trace).collect()
    };
    process.answer().await;
    Ok(traces)
}

/// The group's memory, asked by the assigner.
pub struct Questions(pub Process);

impl Questions {
    async fn answer(&self, topics: &[String]) -> Vec<Known> {
        let known = {
            let state = self.0.world.state();
            let of = |topic: &String| {
                let high = state.broker.logs.get(topic).map_or(0, |log| log.len() as i64);
                Known { topic: topic.clone(), published_seq: state.broker.published(topic), low: 0, high }
            };
            topics.iter().map(of).collect()
        };
        self.0.answer().await;
        known
    }
}

impl Group for Questions {
    async fn known(&self, topics: &[String], patience: Duration) -> Result<Vec<Known>, ConsumerError> {
        settled(&self.0, topics, patience).await?;
        Ok(self.answer(topics).await)
    }

    async fn settled(&self, topics: &[String]) -> Result<Vec<Known>, ConsumerError> {
        match self.0.call(Server::Broker).await {
            Strike::Fine => Ok(self.answer(topics).await),
            _ => Err(ConsumerError::Passing("timed out".to_owned())),
        }
    }

    async fn visible(&self, commits: &[Vec<OutRecord>]) -> Result<Vec<Trace>, ConsumerError> {
        visible(&self.0, commits).await
    }

    // As of the producer: what covers a commit here is open.
    async fn abandon(&self, _: &[Vec<OutRecord>]) -> Result<(), ConsumerError> {
        Ok(())
    }

    async fn end(&self, publisher: &str) -> Result<(), PublishError> {
        let strike = self.0.call(Server::Broker).await;
        if matches!(strike, Strike::Refused | Strike::Silent | Strike::Broken) {
            return Err(unknown("opening a producer"));
        }
        let world = &self.0.world;
        world.state().broker.open_producer(publisher);
        world.tell(|| format!("{} ends what {publisher} has left open", self.0.name()));
        self.0.answer().await;
        if strike == Strike::Fine { Ok(()) } else { Err(unknown("opening a producer")) }
    }
}
