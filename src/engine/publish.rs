//! What was committed becomes visible: one thread that owns the transactional publisher and takes the outbox parcels
//! of all shards, each tenant's in the order of its commits. A transaction takes a share of each tenant's, so that one
//! with much to tell makes the others' no longer.
//!
//! Before each transaction it leaves out what was put on its way under an ownership that has ended: the next owner
//! publishes it from the outbox. Giving a topic up waits for the transaction in flight, so the two never overlap.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::{info, warn};

use crate::engine::outbox::Parcel;
use crate::engine::ownership::{Grant, Ownership};
use crate::engine::shard::FromShard;
use crate::kafka::aftermath::Trace;
use crate::kafka::consumer::ConsumerError;
use crate::kafka::publisher::{DELIVERY, OutRecord, PublishBatch, PublishError};
use crate::kafka::topics;
use crate::watch::metrics;

/// Records of one tenant in one Kafka transaction; what one commit of a line has to tell is never divided.
const SHARE: usize = 500;
/// Records of one tenant that may be on their way: then its shard waits, and nobody else.
const ROOM: u32 = 10_000;
/// A transaction that failed is tried again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// How long Kafka may take to say what is published: of all, and of one topic alone.
const ANSWER: Duration = Duration::from_secs(8);
const ALONE: Duration = Duration::from_secs(1);
/// After so many questions in vain each topic is asked about alone.
const QUESTIONS: u32 = 3;

/// After so many transactions whose records did not arrive a new producer is opened: a client can lose a partition's
/// leader for good (librdkafka's issue 5430).
const UNDELIVERED: u32 = 2;

/// One commit of one line, on its way to the topics.
#[derive(Debug)]
pub struct Publication {
    /// Under which it was committed, or read from the outbox.
    pub grant: Grant,
    pub tenant: Arc<str>,
    pub line: String,
    pub batch: PublishBatch,
    /// What it takes of its tenant's room.
    room: Option<OwnedSemaphorePermit>,
}

/// Where a shard puts what it has committed.
pub trait Outlet: Clone + Send + Sync + 'static {
    /// Takes publications in order; waits when too many of their tenant are on their way.
    fn publish(&self, publications: Vec<Publication>) -> impl Future<Output = ()> + Send;
}

/// The way to the publisher's thread.
#[derive(Clone, Debug)]
pub struct ToPublisher {
    to: mpsc::UnboundedSender<Publication>,
    /// What is left of each tenant's.
    rooms: Arc<DashMap<Arc<str>, Arc<Semaphore>>>,
}

/// Commits by line, of each tenant.
pub type Published = BTreeMap<Arc<str>, Vec<(String, u64)>>;

/// Told which commits are on the topics.
pub type OnPublished = Box<dyn Fn(Published) + Send>;

// === impl Publication ===

impl Publication {
    pub fn new(
        grant: &Grant,
        tenant: &Arc<str>,
        line: &str,
        topic: &str,
        commit_seq: u64,
        parcel: Parcel,
    ) -> Publication {
        let batch = PublishBatch {
            topic_in: topic.to_owned(),
            next_offset: parcel.next_offset,
            commit_seq,
            records: parcel.records,
        };
        Publication { grant: grant.clone(), tenant: tenant.clone(), line: line.to_owned(), batch, room: None }
    }
}

// === impl Outlet ===

impl Outlet for ToPublisher {
    async fn publish(&self, publications: Vec<Publication>) {
        for mut publication in publications {
            let size = (weight(&publication) as u32).clamp(1, ROOM);
            let fresh = || Arc::new(Semaphore::new(ROOM as usize));
            let room = self.rooms.entry(publication.tenant.clone()).or_insert_with(fresh).clone();
            publication.room = room.acquire_many_owned(size).await.ok();
            // The thread ends after the shards; without it there is nobody to tell.
            let _ = self.to.send(publication);
        }
    }
}

/// A way to a publisher, and its end.
pub fn way() -> (ToPublisher, mpsc::UnboundedReceiver<Publication>) {
    let (to, inbox) = mpsc::unbounded_channel();
    (ToPublisher { to, rooms: Arc::default() }, inbox)
}

/// What the publisher asks of Kafka. The simulation stands its own in its place.
pub trait Topics: Send {
    /// One transaction: the records, and the group's offsets with their commits as metadata.
    fn publish(&mut self, batches: &[PublishBatch]) -> impl Future<Output = Result<(), PublishError>> + Send;
    /// A new producer, which ends whatever transaction was open.
    fn reset(&mut self) -> impl Future<Output = Result<(), PublishError>> + Send;
    /// The last published commit of each topic, as the group's offsets say it, once no transaction is in doubt.
    fn published(
        &mut self,
        topics: &[String],
        patience: Duration,
    ) -> impl Future<Output = Result<HashMap<String, u64>, ConsumerError>> + Send;
    /// What is found of these commits on the topics.
    fn visible(&mut self, commits: &[Vec<OutRecord>])
    -> impl Future<Output = Result<Vec<Trace>, ConsumerError>> + Send;
    /// Ends what this producer has left without an end on these topics, although nothing of it is open any more: the
    /// broker has lost it.
    fn mend(&mut self, topics: &[String]) -> impl Future<Output = Result<(), PublishError>> + Send;
}

/// The publisher's loop and what it must remember between transactions.
pub struct Publishing<T> {
    topics: T,
    ownership: Ownership,
    /// Nobody knows what became of the last transaction.
    in_doubt: bool,
    /// Questions about it in a row that were not answered.
    unanswered: u32,
    /// Transactions in a row whose records did not reach the brokers.
    undelivered: u32,
    to_consumer: mpsc::UnboundedSender<FromShard>,
    to_mend: mpsc::UnboundedReceiver<Vec<String>>,
}

impl<T: Topics> Publishing<T> {
    /// `to_consumer`: who has a line taken over anew whose last transaction stays in doubt. `to_mend`: topics on which a
    /// transaction of ours may be without its end.
    pub fn new(
        topics: T,
        ownership: Ownership,
        to_consumer: mpsc::UnboundedSender<FromShard>,
        to_mend: mpsc::UnboundedReceiver<Vec<String>>,
    ) -> Publishing<T> {
        Publishing { topics, ownership, in_doubt: false, unanswered: 0, undelivered: 0, to_consumer, to_mend }
    }

    /// Its way to Kafka, before it begins.
    pub fn topics(&mut self) -> &mut T {
        &mut self.topics
    }

    /// Publishes until every sender is gone.
    pub async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Publication>, on_published: OnPublished) {
        let mut queue = Queue::default();
        loop {
            if queue.0.is_empty() {
                tokio::select! {
                    biased;
                    Some(topics) = self.to_mend.recv() => {
                        self.mend(&topics).await;
                        continue;
                    }
                    first = inbox.recv() => match first {
                        Some(first) => queue.put(first),
                        None => return,
                    },
                }
            }
            while let Ok(topics) = self.to_mend.try_recv() {
                self.mend(&topics).await;
            }
            while let Ok(more) = inbox.try_recv() {
                queue.put(more);
            }
            let published = self.deliver(queue.take()).await;
            if !published.is_empty() {
                on_published(published);
            }
        }
    }

    /// Publishes until it is done or nothing of it is ours any more; answers what is on the topics.
    async fn deliver(&mut self, mut waiting: Vec<Publication>) -> Published {
        let mut done = Published::new();
        loop {
            // A transaction in doubt may have been this very one: nothing is published before that is known.
            if self.in_doubt {
                self.start_over(&mut waiting, &mut done).await;
            }
            let lock = self.ownership.transaction().await;
            waiting.retain(|p| p.grant.holds());
            if waiting.is_empty() {
                return done;
            }
            if self.in_doubt {
                drop(lock);
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            let started = Instant::now();
            let batches: Vec<PublishBatch> = waiting.iter().map(|p| p.batch.clone()).collect();
            let result = self.topics.publish(&batches).await;
            drop(lock);
            let Err(why) = result else {
                self.undelivered = 0;
                metrics::published(started.elapsed());
                for p in waiting {
                    done.entry(p.tenant).or_default().push((p.line, p.batch.commit_seq));
                }
                return done;
            };
            metrics::publish_failed(reason(&why));
            warn!(%why, records = waiting.iter().map(weight).sum::<usize>(), "failed to publish: trying again");
            self.undelivered = if is_undelivered(&why) { self.undelivered + 1 } else { 0 };
            self.in_doubt = leaves_doubt(&why) || self.undelivered >= UNDELIVERED;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Ends what the broker has left open of transactions of ours that have ended, while none is in flight.
    async fn mend(&mut self, topics: &[String]) {
        // The next transaction begins with a new producer, and whoever asked for this asks again.
        if self.in_doubt {
            return;
        }
        if let Err(why) = self.topics.mend(topics).await {
            warn!(%why, "failed to end a transaction whose end the broker has lost");
            self.in_doubt = leaves_doubt(&why);
        }
    }

    /// Nobody knows what became of the last transaction: a new producer ends it, and then the group's offsets tell.
    async fn start_over(&mut self, waiting: &mut Vec<Publication>, done: &mut Published) {
        if let Err(why) = self.topics.reset().await {
            warn!(%why, "failed to open a new producer");
            return;
        }
        let asked: BTreeSet<String> = waiting.iter().map(|p| p.batch.topic_in.clone()).collect();
        let mut asked: Vec<String> = asked.into_iter().collect();
        let mut progress = match self.topics.published(&asked, ANSWER).await {
            Ok(progress) => progress,
            Err(why) => {
                warn!(%why, "failed to read what is published");
                self.unanswered += 1;
                if self.unanswered < QUESTIONS {
                    return;
                }
                self.one_by_one(&asked).await
            }
        };
        progress.retain(|_, seq| *seq > 0);
        asked.retain(|topic| !progress.contains_key(topic));
        for topic in asked {
            let there = self.look(&topic, waiting).await;
            progress.insert(topic, there);
        }
        self.unanswered = 0;
        // Before anything of ours stands behind it: taken back, that would take it along.
        let told = waiting.iter().flat_map(|p| &p.batch.records).map(|record| record.topic.clone());
        let told: Vec<String> = told.collect::<BTreeSet<_>>().into_iter().collect();
        if let Err(why) = self.topics.mend(&told).await {
            warn!(%why, "failed to look for transactions whose end the broker has lost");
            if leaves_doubt(&why) {
                return;
            }
        }
        waiting.retain(|p| {
            let seq = progress.get(&p.batch.topic_in).copied().unwrap_or(0);
            let there = p.batch.commit_seq <= seq;
            if there {
                done.entry(p.tenant.clone()).or_default().push((p.line.clone(), p.batch.commit_seq));
            }
            !there
        });
        self.in_doubt = false;
        info!(left = waiting.len(), "publishing goes on after an unknown outcome");
    }

    /// What is published of each topic by itself, so that one in doubt holds up no other; that one is left out.
    async fn one_by_one(&mut self, topics: &[String]) -> HashMap<String, u64> {
        let mut progress = HashMap::new();
        for topic in topics {
            match self.topics.published(std::slice::from_ref(topic), ALONE).await {
                Ok(alone) => progress.extend(alone),
                Err(why) => warn!(topic, %why, "a transaction stays in doubt: looking for what is published"),
            }
        }
        progress
    }

    /// Of a topic of which the group has no word, or none that is certain, the output topics tell: our own transaction
    /// has ended, and the former owner's had before we took over. Where they do not, the line is taken over anew; what it
    /// has to tell is in the outbox.
    async fn look(&mut self, topic: &str, waiting: &mut Vec<Publication>) -> u64 {
        let of_topic: Vec<&Publication> = waiting.iter().filter(|p| p.batch.topic_in == topic).collect();
        let commits: Vec<Vec<OutRecord>> = of_topic.iter().map(|p| p.batch.records.clone()).collect();
        let traces = match self.topics.visible(&commits).await {
            Ok(traces) if traces.contains(&Trace::Covered) => Err("something is open there".to_owned()),
            Ok(traces) => Ok(traces),
            Err(why) => Err(why.to_string()),
        };
        match traces {
            Ok(traces) => {
                let seqs = of_topic.iter().map(|p| p.batch.commit_seq);
                let there = seqs.zip(traces).filter_map(|(seq, trace)| (trace == Trace::There).then_some(seq)).max();
                info!(topic, there, "going on by what is published");
                there.unwrap_or(0)
            }
            Err(why) => {
                warn!(topic, %why, "nobody says what is published: taking the line over anew");
                // What comes after must not overtake it: this stretch of owning the line is over.
                of_topic.iter().for_each(|p| p.grant.end());
                waiting.retain(|p| p.batch.topic_in != topic);
                let _ = self.to_consumer.send(FromShard::Again { topic: topic.to_owned() });
                0
            }
        }
    }
}

/// What waits to be published, by tenant; none is empty.
#[derive(Default)]
struct Queue(BTreeMap<Arc<str>, VecDeque<Publication>>);

// === impl Queue ===

impl Queue {
    fn put(&mut self, publication: Publication) {
        self.0.entry(publication.tenant.clone()).or_default().push_back(publication);
    }

    /// Every tenant's share of a transaction.
    fn take(&mut self) -> Vec<Publication> {
        let mut taken = Vec::new();
        for waiting in self.0.values_mut() {
            let mut records = 0;
            while records < SHARE
                && let Some(publication) = waiting.pop_front()
            {
                records += weight(&publication);
                taken.push(publication);
            }
        }
        self.0.retain(|_, waiting| !waiting.is_empty());
        taken
    }
}

fn weight(publication: &Publication) -> usize {
    publication.batch.records.len()
}

/// Whether a new producer has to find out what happened.
fn leaves_doubt(why: &PublishError) -> bool {
    matches!(why, PublishError::Indefinite { .. } | PublishError::Fatal(_))
}

fn is_undelivered(why: &PublishError) -> bool {
    matches!(why, PublishError::Abortable { doing, .. } if *doing == DELIVERY)
}

fn reason(why: &PublishError) -> &'static str {
    match why {
        PublishError::Indefinite { .. } => "indefinite",
        PublishError::Abortable { .. } => "abortable",
        PublishError::Fenced(_) => "fenced",
        PublishError::Fatal(_) => "fatal",
    }
}

/// Tenant and line of an input topic.
pub fn owner_of(topic: &str) -> Option<(String, String)> {
    match topics::parse(topic)? {
        topics::TopicName::Detections { tenant, line } => Some((tenant, line)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::publisher::OutRecord;

    fn publication(tenant: &str, commit_seq: u64, records: usize) -> Publication {
        let record = OutRecord { topic: "t".to_owned(), key: vec![], payload: None, headers: vec![] };
        let parcel = Parcel { next_offset: 0, records: vec![record; records] };
        Publication::new(&Grant::default(), &Arc::from(tenant), "l1", "in", commit_seq, parcel)
    }

    #[test]
    fn a_tenant_with_much_to_tell_leaves_room_for_the_others() {
        let mut queue = Queue::default();
        (1..=10).for_each(|seq| queue.put(publication("much", seq, 200)));
        queue.put(publication("little", 1, 3));
        let take = |queue: &mut Queue| -> Vec<(String, u64)> {
            queue.take().iter().map(|p| (p.tenant.to_string(), p.batch.commit_seq)).collect()
        };
        let of = |tenant: &str, seqs: std::ops::RangeInclusive<u64>| -> Vec<(String, u64)> {
            seqs.map(|seq| (tenant.to_owned(), seq)).collect()
        };
        assert_eq!(take(&mut queue), [of("little", 1..=1), of("much", 1..=3)].concat());
        assert_eq!(take(&mut queue), of("much", 4..=6));
        assert_eq!(take(&mut queue), of("much", 7..=9));
        assert_eq!(take(&mut queue), of("much", 10..=10));
        assert!(queue.0.is_empty());
    }

    #[tokio::test]
    async fn a_tenant_without_room_waits_alone() {
        let (outlet, mut inbox) = way();
        let full = ROOM as usize;
        outlet.publish(vec![publication("much", 1, full)]).await;
        let (much, waiting) = (outlet.clone(), publication("much", 2, 1));
        let blocked = tokio::spawn(async move { much.publish(vec![waiting]).await });
        outlet.publish(vec![publication("little", 1, full + 1)]).await;
        tokio::task::yield_now().await;
        assert!(!blocked.is_finished());
        drop(inbox.recv().await);
        blocked.await.unwrap();
        assert_eq!(inbox.recv().await.map(|p| p.tenant.to_string()).as_deref(), Some("little"));
    }

    /// What was asked of Kafka, which does all of it but deliver the first `refused` transactions.
    struct Asked {
        calls: Arc<parking_lot::Mutex<Vec<&'static str>>>,
        refused: u32,
    }

    impl Topics for Asked {
        async fn publish(&mut self, _: &[PublishBatch]) -> Result<(), PublishError> {
            let is_refused = self.refused > 0;
            self.refused = self.refused.saturating_sub(1);
            self.calls.lock().push(if is_refused { "undelivered" } else { "published" });
            match is_refused {
                true => Err(PublishError::Abortable { doing: DELIVERY, cause: "timed out".to_owned() }),
                false => Ok(()),
            }
        }

        async fn reset(&mut self) -> Result<(), PublishError> {
            self.calls.lock().push("reset");
            Ok(())
        }

        async fn published(&mut self, topics: &[String], _: Duration) -> Result<HashMap<String, u64>, ConsumerError> {
            // One before any that is asked for here.
            Ok(topics.iter().map(|topic| (topic.clone(), 1)).collect())
        }

        async fn visible(&mut self, commits: &[Vec<OutRecord>]) -> Result<Vec<Trace>, ConsumerError> {
            Ok(vec![Trace::Missing; commits.len()])
        }

        async fn mend(&mut self, topics: &[String]) -> Result<(), PublishError> {
            self.calls.lock().push(if topics == ["lost"] { "mended" } else { "looked" });
            Ok(())
        }
    }

    /// What is asked of Kafka for these publications, and for a lost end on a topic.
    async fn asked(publications: Vec<Publication>, refused: u32) -> Vec<&'static str> {
        let calls = Arc::default();
        let topics = Asked { calls: Arc::clone(&calls), refused };
        let (to_consumer, _from) = mpsc::unbounded_channel();
        let (lost, to_mend) = mpsc::unbounded_channel();
        let (outlet, inbox) = way();
        outlet.publish(publications).await;
        lost.send(vec!["lost".to_owned()]).unwrap();
        drop(outlet);
        Publishing::new(topics, Ownership::default(), to_consumer, to_mend).run(inbox, Box::new(|_| {})).await;
        std::mem::take(&mut *calls.lock())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_end_is_made_up_for_between_two_transactions() {
        assert_eq!(asked(vec![publication("t", 2, 1)], 0).await, ["mended", "published"]);
        let two = vec![publication("t", 2, SHARE), publication("t", 3, 1)];
        assert_eq!(asked(two, 0).await, ["mended", "published", "published"]);
        assert_eq!(asked(vec![], 0).await, ["mended"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_producer_that_delivers_nothing_twice_in_a_row_is_opened_anew() {
        let calls = asked(vec![publication("t", 2, 1)], 1).await;
        assert_eq!(calls, ["mended", "undelivered", "published"]);
        let calls = asked(vec![publication("t", 2, 1)], 2).await;
        assert_eq!(calls, ["mended", "undelivered", "undelivered", "reset", "looked", "published"]);
    }
}
