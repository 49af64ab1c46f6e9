//! What was committed becomes visible: one thread that owns the transactional publisher and takes the outbox parcels
//! of all shards in the order of their commits.
//!
//! Before each transaction it leaves out what was put on its way under an ownership that has ended: the next owner
//! publishes it from the outbox. Giving a topic up waits for the transaction in flight, so the two never overlap.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::engine::outbox::Parcel;
use crate::engine::ownership::{Grant, Ownership};
use crate::kafka::consumer::ConsumerError;
use crate::kafka::publisher::{PublishBatch, PublishError};
use crate::kafka::topics;
use crate::watch::metrics;

/// Records of one Kafka transaction at most; the rest waits for the next.
const RECORDS_AT_ONCE: usize = 5_000;
/// A transaction that failed is tried again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// One commit of one line, on its way to the topics.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Under which it was committed, or read from the outbox.
    pub grant: Grant,
    pub tenant: Arc<str>,
    pub line: String,
    pub batch: PublishBatch,
}

/// Where a shard puts what it has committed.
pub trait Outlet: Clone + Send + Sync + 'static {
    /// Takes publications in order; waits when too many are on their way.
    fn publish(&self, publications: Vec<Publication>) -> impl Future<Output = ()> + Send;
}

/// The way to the publisher's thread.
#[derive(Clone, Debug)]
pub struct ToPublisher(pub mpsc::Sender<Vec<Publication>>);

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
        Publication { grant: grant.clone(), tenant: tenant.clone(), line: line.to_owned(), batch }
    }
}

// === impl Outlet ===

impl Outlet for ToPublisher {
    async fn publish(&self, publications: Vec<Publication>) {
        // The thread ends after the shards; without it there is nobody to tell.
        let _ = self.0.send(publications).await;
    }
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
    ) -> impl Future<Output = Result<HashMap<String, u64>, ConsumerError>> + Send;
}

/// The publisher's loop and what it must remember between transactions.
pub struct Publishing<T> {
    topics: T,
    ownership: Ownership,
    /// Nobody knows what became of the last transaction.
    in_doubt: bool,
}

impl<T: Topics> Publishing<T> {
    pub fn new(topics: T, ownership: Ownership) -> Publishing<T> {
        Publishing { topics, ownership, in_doubt: false }
    }

    /// Publishes until every sender is gone.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Vec<Publication>>, on_published: OnPublished) {
        while let Some(mut waiting) = inbox.recv().await {
            while weight(&waiting) < RECORDS_AT_ONCE {
                match inbox.try_recv() {
                    Ok(more) => waiting.extend(more),
                    Err(_) => break,
                }
            }
            let published = self.deliver(waiting).await;
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
                metrics::published(started.elapsed());
                for p in waiting {
                    done.entry(p.tenant).or_default().push((p.line, p.batch.commit_seq));
                }
                return done;
            };
            metrics::publish_failed(reason(&why));
            warn!(%why, records = weight(&waiting), "failed to publish: trying again");
            self.in_doubt = matches!(why, PublishError::Indefinite { .. } | PublishError::Fatal(_));
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Nobody knows what became of the last transaction: a new producer ends it, and then the group's offsets tell.
    async fn start_over(&mut self, waiting: &mut Vec<Publication>, done: &mut Published) {
        if let Err(why) = self.topics.reset().await {
            warn!(%why, "failed to open a new producer");
            return;
        }
        let asked: Vec<String> = waiting.iter().map(|p| p.batch.topic_in.clone()).collect();
        let progress = match self.topics.published(&asked).await {
            Ok(progress) => progress,
            Err(why) => {
                warn!(%why, "failed to read what is published");
                return;
            }
        };
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
}

fn weight(publications: &[Publication]) -> usize {
    publications.iter().map(|p| p.batch.records.len()).sum()
}

/// The commit that offset metadata names; 0: none.
pub fn published_seq(metadata: &str) -> u64 {
    metadata.parse().unwrap_or(0)
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
