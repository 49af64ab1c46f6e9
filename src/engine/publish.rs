//! What was committed becomes visible: one thread that owns the transactional publisher and takes the outbox parcels
//! of all shards in the order of their commits.
//!
//! Before each transaction it leaves out the topics that this process no longer owns: their next owner publishes
//! from the outbox. A revocation waits for the transaction in flight, so the two never overlap.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::engine::outbox::Parcel;
use crate::kafka::consumer::Handle;
use crate::kafka::publisher::{PublishBatch, PublishError, Publisher};
use crate::kafka::{Settings, topics};
use crate::watch::metrics;

/// Records of one Kafka transaction at most; the rest waits for the next.
const RECORDS_AT_ONCE: usize = 5_000;
/// How long Kafka may take to say what it has.
const ANSWER: Duration = Duration::from_secs(8);

/// One commit of one line, on its way to the topics.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
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

/// The topics that this process owns, and the lock that a transaction holds.
#[derive(Clone, Debug, Default)]
pub struct Ownership {
    topics: Arc<Mutex<HashSet<String>>>,
    transaction: Arc<Mutex<()>>,
}

/// Told which commits are on the topics, by tenant.
pub type OnPublished = Box<dyn Fn(HashMap<Arc<str>, Vec<(String, u64)>>) + Send>;

// === impl Publication ===

impl Publication {
    pub fn new(tenant: &Arc<str>, line: &str, topic: &str, commit_seq: u64, parcel: Parcel) -> Publication {
        let batch = PublishBatch {
            topic_in: topic.to_owned(),
            next_offset: parcel.next_offset,
            commit_seq,
            records: parcel.records,
        };
        Publication { tenant: tenant.clone(), line: line.to_owned(), batch }
    }
}

// === impl Outlet ===

impl Outlet for ToPublisher {
    async fn publish(&self, publications: Vec<Publication>) {
        // The thread ends after the shards; without it there is nobody to tell.
        let _ = self.0.send(publications).await;
    }
}

// === impl Ownership ===

impl Ownership {
    pub fn add(&self, topics: &[String]) {
        self.topics.lock().extend(topics.iter().cloned());
    }

    /// Gives topics up, and waits for the transaction in flight.
    pub fn give_up(&self, topics: &[String]) {
        {
            let mut owned = self.topics.lock();
            topics.iter().for_each(|topic| {
                owned.remove(topic);
            });
        }
        drop(self.transaction.lock());
    }

    pub fn owns(&self, topic: &str) -> bool {
        self.topics.lock().contains(topic)
    }
}

/// Publishes until every sender is gone.
pub fn run(
    settings: &Settings,
    handle: &Handle,
    ownership: &Ownership,
    mut inbox: mpsc::Receiver<Vec<Publication>>,
    on_published: &OnPublished,
) {
    let mut publisher = None;
    while let Some(mut waiting) = inbox.blocking_recv() {
        while weight(&waiting) < RECORDS_AT_ONCE {
            match inbox.try_recv() {
                Ok(more) => waiting.extend(more),
                Err(_) => break,
            }
        }
        let published = deliver(settings, handle, ownership, &mut publisher, waiting);
        if !published.is_empty() {
            on_published(published);
        }
    }
}

fn weight(publications: &[Publication]) -> usize {
    publications.iter().map(|p| p.batch.records.len()).sum()
}

/// Publishes until it is done or nothing of it is ours any more; answers what is on the topics.
fn deliver(
    settings: &Settings,
    handle: &Handle,
    ownership: &Ownership,
    publisher: &mut Option<Publisher>,
    mut waiting: Vec<Publication>,
) -> HashMap<Arc<str>, Vec<(String, u64)>> {
    let mut done: HashMap<Arc<str>, Vec<(String, u64)>> = HashMap::new();
    loop {
        let lock = ownership.transaction.lock();
        waiting.retain(|p| ownership.owns(&p.batch.topic_in));
        if waiting.is_empty() {
            return done;
        }
        let started = Instant::now();
        let result = attempt(settings, handle, publisher, &waiting);
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
        std::thread::sleep(Duration::from_millis(100));
        if matches!(why, PublishError::Indefinite { .. } | PublishError::Fatal(_)) {
            start_over(settings, handle, publisher, &mut waiting, &mut done);
        }
    }
}

fn attempt(
    settings: &Settings,
    handle: &Handle,
    publisher: &mut Option<Publisher>,
    waiting: &[Publication],
) -> Result<(), PublishError> {
    let group = handle.group_metadata().ok_or_else(|| PublishError::Abortable {
        doing: "asking for the group's membership",
        cause: "this process is not in its group yet".to_owned(),
    })?;
    let open = match publisher {
        Some(open) => open,
        None => publisher.insert(Publisher::connect(settings)?),
    };
    let batches: Vec<PublishBatch> = waiting.iter().map(|p| p.batch.clone()).collect();
    open.publish(&batches, &group)
}

/// Nobody knows what became of the last transaction: a new producer ends it, and then the group's offsets tell.
fn start_over(
    settings: &Settings,
    handle: &Handle,
    publisher: &mut Option<Publisher>,
    waiting: &mut Vec<Publication>,
    done: &mut HashMap<Arc<str>, Vec<(String, u64)>>,
) {
    let reset = match publisher {
        Some(open) => open.reset(),
        None => Publisher::connect(settings).map(|open| *publisher = Some(open)),
    };
    if let Err(why) = reset {
        warn!(%why, "failed to open a new producer");
        *publisher = None;
        return;
    }
    let asked: Vec<String> = waiting.iter().map(|p| p.batch.topic_in.clone()).collect();
    let progress = match handle.committed(&asked, ANSWER) {
        Ok(progress) => progress,
        Err(why) => {
            warn!(%why, "failed to read what is published");
            *publisher = None;
            return;
        }
    };
    waiting.retain(|p| {
        let seq = progress.get(&p.batch.topic_in).map_or(0, |c| published_seq(&c.metadata));
        let there = p.batch.commit_seq <= seq;
        if there {
            done.entry(p.tenant.clone()).or_default().push((p.line.clone(), p.batch.commit_seq));
        }
        !there
    });
    info!(left = waiting.len(), "publishing goes on after an unknown outcome");
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
