//! A stand-in for Kafka: the lines' logs, output topics with transactions, and the group with its generations and
//! offsets. What members do with it is in [`super::client`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::chance::Chance;
use super::sabotage::Sabotage;
use super::world::{Shared, State};
use crate::domain::time::Ms;
use crate::kafka::publisher::{OutRecord, PublishBatch, published_seq};

/// A member that is not heard of for this long is put out of the group.
pub const SESSION: Duration = Duration::from_millis(2_500);
/// A transaction that is open for longer is aborted.
pub const TRANSACTION: Duration = Duration::from_millis(4_000);

/// A record of a line's log; its offset is its place.
#[derive(Clone, Debug)]
pub struct Appended {
    pub at: Ms,
    pub payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

struct Sent {
    record: OutRecord,
    transaction: u64,
}

#[derive(Default)]
struct Transaction {
    producer: String,
    sent: Vec<OutRecord>,
    offsets: BTreeMap<String, (i64, u64)>,
    until: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Member {
    heard: Instant,
}

/// What the group wants of a member.
#[derive(Default)]
pub struct Orders {
    pub generation: u64,
    pub give_back: Vec<String>,
    pub take: Vec<String>,
}

/// Under [`Sabotage::ForgetOffsets`], in one step of so many.
const FORGOTTEN_OF: u64 = 10;
/// Under [`Sabotage::LoseEnds`], one end of so many.
const LOST_OF: u64 = 9;

/// See the module.
#[derive(Default)]
pub struct Broker {
    pub logs: BTreeMap<String, Vec<Appended>>,
    outputs: BTreeMap<String, Vec<Sent>>,
    fates: BTreeMap<u64, Fate>,
    open: BTreeMap<u64, Transaction>,
    /// Epoch by transactional id.
    producers: BTreeMap<String, u64>,
    next: u64,
    /// The group's offsets with their metadata.
    pub offsets: BTreeMap<String, (i64, String)>,
    /// By topic: the producer of a transaction whose end the group's offsets never heard of, and what it moved them to.
    lost: BTreeMap<String, (String, i64, u64)>,
    generation: u64,
    members: BTreeMap<String, Member>,
    holders: BTreeMap<String, String>,
    target: BTreeMap<String, String>,
    /// Last commit of each line that is published, as the judge has seen it.
    pub told: BTreeMap<String, u64>,
}

fn header<'a>(record: &'a OutRecord, name: &str) -> Option<&'a str> {
    record.headers.iter().rev().find(|(n, _)| n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
}

/// A record's (line, commit, index).
pub fn place(record: &OutRecord) -> Option<(String, u64, usize)> {
    let line = header(record, "line")?.to_owned();
    Some((line, header(record, "commit_seq")?.parse().ok()?, header(record, "index")?.parse().ok()?))
}

impl Broker {
    // --- the group ---

    pub fn join(&mut self, name: &str, chance: &mut Chance) -> String {
        self.next += 1;
        let id = format!("{name}/{}", self.next);
        self.members.insert(id.clone(), Member { heard: Instant::now() });
        self.rebalance(chance);
        id
    }

    pub fn leave(&mut self, id: &str, chance: &mut Chance) {
        if self.members.remove(id).is_some() {
            self.holders.retain(|_, holder| holder != id);
            self.rebalance(chance);
        }
    }

    /// Deals the lines out anew; most stay where they are.
    pub fn rebalance(&mut self, chance: &mut Chance) {
        self.generation += 1;
        let members: Vec<String> = self.members.keys().cloned().collect();
        self.target.clear();
        if members.is_empty() {
            return;
        }
        for topic in self.logs.keys() {
            let stays = self.holders.get(topic).filter(|holder| members.contains(holder) && !chance.one_in(3));
            let to = stays.cloned().unwrap_or_else(|| chance.pick(&members).clone());
            self.target.insert(topic.clone(), to);
        }
    }

    /// A heartbeat, and what is asked of the member; none: the group no longer knows it.
    pub fn orders(&mut self, id: &str) -> Option<Orders> {
        self.members.get_mut(id)?.heard = Instant::now();
        let mut orders = Orders { generation: self.generation, ..Orders::default() };
        for (topic, to) in &self.target {
            match self.holders.get(topic) {
                Some(holder) if holder == id && to != id => orders.give_back.push(topic.clone()),
                None if to == id => orders.take.push(topic.clone()),
                _ => {}
            }
        }
        for topic in &orders.take {
            self.holders.insert(topic.clone(), id.to_owned());
        }
        Some(orders)
    }

    pub fn given_back(&mut self, id: &str, topics: &[String]) {
        self.holders.retain(|topic, holder| holder != id || !topics.contains(topic));
        self.generation += 1;
    }

    fn is_current(&self, id: &str, generation: u64) -> bool {
        self.members.contains_key(id) && generation == self.generation
    }

    // --- transactions ---

    /// A producer under a transactional id: what it had open is taken back, its former self is fenced.
    pub fn open_producer(&mut self, id: &str) -> u64 {
        let open: Vec<u64> = self.open.iter().filter(|(_, t)| t.producer == id).map(|(key, _)| *key).collect();
        open.into_iter().for_each(|key| self.abort(key));
        let epoch = self.producers.entry(id.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }

    pub fn begin(&mut self, producer: &str, epoch: u64) -> Option<u64> {
        if self.producers.get(producer) != Some(&epoch) {
            return None;
        }
        self.next += 1;
        let until = Some(Instant::now() + TRANSACTION);
        self.open.insert(self.next, Transaction { producer: producer.to_owned(), until, ..Transaction::default() });
        self.fates.insert(self.next, Fate::Open);
        Some(self.next)
    }

    /// False: the transaction is no longer open.
    pub fn send(&mut self, key: u64, record: &OutRecord) -> bool {
        let Some(transaction) = self.open.get_mut(&key) else { return false };
        transaction.sent.push(record.clone());
        let sent = Sent { record: record.clone(), transaction: key };
        self.outputs.entry(record.topic.clone()).or_default().push(sent);
        true
    }

    /// False: the group has moved on.
    pub fn send_offsets(&mut self, key: u64, batches: &[PublishBatch], member: (&str, u64), checked: bool) -> bool {
        if checked && !self.is_current(member.0, member.1) {
            return false;
        }
        let Some(transaction) = self.open.get_mut(&key) else { return false };
        for batch in batches {
            transaction.offsets.insert(batch.topic_in.clone(), (batch.next_offset.max(0), batch.commit_seq));
        }
        true
    }

    pub fn abort(&mut self, key: u64) {
        if self.open.remove(&key).is_some() {
            self.fates.insert(key, Fate::Aborted);
        }
    }

    /// Whether an open transaction would move the offset of one of these topics.
    pub fn in_doubt(&self, topics: &[String]) -> bool {
        let is_open = |topic: &String| self.open.values().any(|t| t.offsets.contains_key(topic));
        topics.iter().any(|topic| is_open(topic) || self.lost.contains_key(topic))
    }

    /// The next end of a producer's transaction tells of those that were lost; what is newer stays.
    fn hear_of(&mut self, producer: &str) {
        let heard: Vec<String> =
            self.lost.iter().filter(|(_, (of, ..))| of == producer).map(|(topic, _)| topic.clone()).collect();
        for topic in heard {
            let Some((_, offset, seq)) = self.lost.remove(&topic) else { continue };
            if seq > self.published(&topic) {
                self.offsets.insert(topic, (offset, seq.to_string()));
            }
        }
    }

    /// Whether an open transaction has records on an output topic.
    pub fn has_open(&self, topic: &str) -> bool {
        self.open.values().any(|transaction| transaction.sent.iter().any(|record| record.topic == topic))
    }

    pub fn published(&self, topic: &str) -> u64 {
        self.offsets.get(topic).map_or(0, |(_, metadata)| published_seq(metadata))
    }

    /// What a reader of an output topic sees, in the log's order.
    pub fn read(&self, topic: &str, committed_only: bool) -> Vec<&OutRecord> {
        let Some(log) = self.outputs.get(topic) else { return Vec::new() };
        let seen = |sent: &&Sent| !committed_only || self.fates.get(&sent.transaction) == Some(&Fate::Committed);
        log.iter().filter(seen).map(|sent| &sent.record).collect()
    }

    pub fn output_topics(&self) -> BTreeSet<String> {
        self.outputs.keys().cloned().collect()
    }

    /// Members not heard of are put out, transactions open for too long are taken back.
    pub fn pass_time(&mut self, chance: &mut Chance) -> Vec<String> {
        let now = Instant::now();
        let late: Vec<u64> =
            self.open.iter().filter(|(_, t)| t.until.is_some_and(|until| until < now)).map(|(key, _)| *key).collect();
        for key in late {
            if let Some(producer) = self.open.get(&key).map(|t| t.producer.clone()) {
                *self.producers.entry(producer).or_default() += 1;
            }
            self.abort(key);
        }
        let gone: Vec<String> = self
            .members
            .iter()
            .filter(|(_, m)| now.duration_since(m.heard) > SESSION)
            .map(|(id, _)| id.clone())
            .collect();
        gone.iter().for_each(|id| self.leave(id, chance));
        gone
    }
}

impl State {
    /// Now and then, and not of what a transaction still moves; whether it has.
    pub fn forget(&mut self) -> bool {
        let State { broker, chance, .. } = self;
        if !chance.one_in(FORGOTTEN_OF) {
            return false;
        }
        let open: BTreeSet<String> = broker.open.values().flat_map(|t| t.offsets.keys().cloned()).collect();
        let had = broker.offsets.len();
        broker.offsets.retain(|topic, _| open.contains(topic));
        broker.offsets.len() < had
    }

    /// Ends a transaction well. Second: what is wrong with it.
    fn end(&mut self, key: u64) -> (bool, Vec<String>) {
        let Some(transaction) = self.broker.open.remove(&key) else { return (false, Vec::new()) };
        self.broker.fates.insert(key, Fate::Committed);
        let mut wrong = Vec::new();
        self.broker.hear_of(&transaction.producer);
        let is_lost = self.sabotage == Some(Sabotage::LoseEnds) && key.is_multiple_of(LOST_OF);
        for (topic, (offset, seq)) in &transaction.offsets {
            let line = topic.rsplit('.').next().unwrap_or_default().to_owned();
            self.judge_line(&line, *seq, &transaction.sent, &mut wrong);
            if is_lost {
                self.broker.lost.insert(topic.clone(), (transaction.producer.clone(), *offset, *seq));
            } else {
                self.broker.offsets.insert(topic.clone(), (*offset, seq.to_string()));
            }
        }
        (true, wrong)
    }

    /// What a line has published follows what it had published, record for record as its commits said.
    fn judge_line(&mut self, line: &str, seq: u64, sent: &[OutRecord], wrong: &mut Vec<String>) {
        let told = self.broker.told.get(line).copied().unwrap_or(0);
        let Some(rows) = self.tables.lines.get(line) else {
            wrong.push(format!("{line} is published without a row"));
            return;
        };
        let committed = rows.checkpoint.as_ref().map_or(0, |c| c.commit_seq);
        if seq > committed {
            wrong.push(format!("{line}: commit {seq} is published, {committed} is committed"));
            return;
        }
        let told_now: Vec<&OutRecord> = sent.iter().filter(|r| place(r).is_some_and(|(of, ..)| of == line)).collect();
        let expected: Vec<&OutRecord> =
            rows.said.range(told + 1..).take_while(|(of, _)| **of <= seq).flat_map(|(_, records)| records).collect();
        // What has no record shows nowhere whether it was published: once more moves the offset again, no further.
        let is_idle = self.sabotage.is_some_and(Sabotage::hides_the_idle) && told_now.is_empty() && seq <= told;
        if !is_idle && (seq <= told || told_now != expected) {
            let places = |records: &[&OutRecord]| {
                let places = records.iter().filter_map(|r| place(r)).map(|(_, seq, index)| format!("{seq}.{index}"));
                places.collect::<Vec<_>>().join(" ")
            };
            let (said, should) = (places(&told_now), places(&expected));
            wrong.push(format!("{line}: after commit {told}, up to {seq}: published [{said}], not [{should}]"));
        }
        self.broker.told.insert(line.to_owned(), seq.max(told));
    }
}

/// Ends a transaction; false: it was no longer open.
pub fn end_transaction(world: &Shared, who: &str, key: u64) -> bool {
    let (done, wrong) = world.state().end(key);
    world
        .tell(|| format!("{who} ends transaction {key}: {}", if done { "published" } else { "it was no longer open" }));
    wrong.into_iter().for_each(|what| world.wrong(what));
    done
}

/// Whether records show before their transaction ends.
pub fn dirty_reads(world: &Shared) -> bool {
    world.has(Sabotage::PublishWithoutTransaction)
}
