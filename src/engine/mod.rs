//! The engine: lines come and go with the consumer group, each owned by one shard at a time, and each step of a line
//! is one transaction of its tenant's database before it is seen on a topic. `docs/exactly-once.md` tells why.
//!
//! ```text
//! consumer's thread ──► shard per tenant ──► database ──► publisher's thread ──► topics
//! ```

mod adapter;
mod clock;
mod commands;
mod inbox;
mod lane;
mod listen;
mod outbox;
mod ports;
mod publish;
mod shard;
mod takeover;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use adapter::SharedDb;
pub use inbox::{Chunk, RawRecord};
pub use lane::{Lane, Progress, Sealed};

use crate::config::Config;
use crate::engine::clock::SystemClock;
use crate::engine::listen::{Listener, ShardHandle, Shards};
use crate::engine::publish::{Ownership, ToPublisher, owner_of, published_seq};
use crate::engine::shard::{FromShard, Pace, Shard, ToShard};
use crate::engine::takeover::Assignment;
use crate::kafka::consumer::{Consumer, ConsumerError, Handle};
use crate::kafka::schemas::SchemaIds;
use crate::kafka::{Settings, topics};
use crate::store::{Store, StoreError};
use crate::watch::health::Health;

/// Why the engine ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    #[error("start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// How long shards may take to finish the batch in hand.
const GRACE: Duration = Duration::from_secs(8);
/// How long Kafka may take to say what it has.
const ANSWER: Duration = Duration::from_secs(8);
/// The topic must have been at its end for this long before silence counts (`10-production`, the line clock).
const SILENCE: Duration = Duration::from_secs(1);

/// Owns lines until `stop`; then finishes the batches in hand, publishes them and leaves the group.
pub async fn run(
    config: &Config,
    settings: Settings,
    store: Arc<Store>,
    ids: Arc<SchemaIds>,
    health: Health,
    stop: CancellationToken,
) -> Result<(), Error> {
    health.expect(&["lines"]);
    let ownership = Ownership::default();
    let mut consumer = Consumer::join(&settings, topics::DETECTIONS_PATTERN, listen::revocation(ownership.clone()))?;
    let handle = consumer.handle();
    let shards: Shards = Arc::new(DashMap::new());
    let (to_publisher, publications) = mpsc::channel(64);
    let (to_consumer, from_shards) = mpsc::unbounded_channel();
    let (assigned, assignments) = mpsc::unbounded_channel();

    let publisher = spawn_publisher(settings, handle.clone(), ownership.clone(), publications, shards.clone())?;
    // The consumer outlives the shards: what they still commit and publish needs its membership.
    let leave = CancellationToken::new();
    let listener = Listener {
        shards: shards.clone(),
        ownership,
        from_shards,
        assigned,
        buffered_max: config.engine.buffered_max,
        health,
        stop: leave.clone(),
    };
    let reader = std::thread::Builder::new().name("consumer".into()).spawn(move || {
        let result = listener.run(&mut consumer);
        drop(consumer);
        result
    })?;
    let assigner = Assigner {
        store,
        ids,
        handle,
        shards: shards.clone(),
        pace: Pace {
            idle: Duration::from_millis(config.engine.batch_idle_ms),
            rows: config.engine.batch_max_rows,
            silence: SILENCE,
            tick: Duration::from_millis(config.engine.command_poll_ms),
        },
        outlet: ToPublisher(to_publisher),
        to_consumer,
        stop: stop.clone(),
        tasks: JoinSet::new(),
    };
    assigner.run(assignments).await;
    shards.clear();
    // Senders are gone: the publisher finishes what it has and ends.
    let ended = tokio::task::spawn_blocking(move || {
        let _ = publisher.join();
        leave.cancel();
        reader.join()
    });
    match ended.await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(_)) | Err(_) => {
            error!("the consumer's thread ended in a panic");
            Ok(())
        }
    }
}

fn spawn_publisher(
    settings: Settings,
    handle: Handle,
    ownership: Ownership,
    publications: mpsc::Receiver<Vec<publish::Publication>>,
    shards: Shards,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let told: publish::OnPublished = Box::new(move |published: HashMap<Arc<str>, Vec<(String, u64)>>| {
        for (tenant, progress) in published {
            if let Some(shard) = shards.get(tenant.as_ref()) {
                let _ = shard.inbox.send(ToShard::Published(progress));
            }
        }
    });
    std::thread::Builder::new()
        .name("publisher".into())
        .spawn(move || publish::run(&settings, &handle, &ownership, publications, &told))
}

/// Brings assigned topics to their shards, with what Kafka knows of them; makes shards as tenants appear.
struct Assigner {
    store: Arc<Store>,
    ids: Arc<SchemaIds>,
    handle: Handle,
    shards: Shards,
    pace: Pace,
    outlet: ToPublisher,
    to_consumer: mpsc::UnboundedSender<FromShard>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Assigner {
    async fn run(mut self, mut assignments: mpsc::UnboundedReceiver<Vec<String>>) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                topics = assignments.recv() => match topics {
                    Some(topics) => self.assign(topics).await,
                    None => break,
                },
            }
        }
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            warn!("shards did not finish in time: what they had in hand will be read again");
        }
    }

    async fn assign(&mut self, topics: Vec<String>) {
        let mut ours = Vec::new();
        for topic in topics {
            let Some((tenant, _)) = owner_of(&topic) else { continue };
            match self.shard(&tenant).await {
                Ok(Some(_)) => ours.push(topic),
                Ok(None) => {
                    let _ = self.to_consumer.send(FromShard::NotOurs { topic });
                }
                Err(why) => {
                    warn!(tenant, %why, "waiting for the database to find the tenant");
                    self.again(vec![topic]);
                }
            }
        }
        let known = match self.ask(ours.clone()).await {
            Ok(known) => known,
            Err(why) => {
                warn!(%why, "failed to ask Kafka what is published: asking again");
                self.again(ours);
                return;
            }
        };
        for (topic, assignment) in known {
            let shard = owner_of(&topic).and_then(|(tenant, _)| self.shards.get(&tenant).map(|s| s.clone()));
            if let Some(shard) = shard {
                let _ = shard.inbox.send(ToShard::Assigned(assignment));
            }
        }
    }

    fn again(&self, topics: Vec<String>) {
        for topic in topics {
            let _ = self.to_consumer.send(FromShard::Again { topic });
        }
    }

    async fn ask(&self, topics: Vec<String>) -> Result<Vec<(String, Assignment)>, ConsumerError> {
        let handle = self.handle.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let committed = handle.committed(&topics, ANSWER)?;
            let mut known = Vec::with_capacity(topics.len());
            for topic in topics {
                let Some((_, line)) = owner_of(&topic) else { continue };
                let (low, high) = handle.watermarks(&topic, ANSWER)?;
                let published_seq = committed.get(&topic).map_or(0, |c| published_seq(&c.metadata));
                known.push((topic, Assignment { line, published_seq, low, high }));
            }
            Ok(known)
        });
        asked.await.unwrap_or_else(|_| Err(ConsumerError::Passing("the question was cut off".to_owned())))
    }

    /// The tenant's shard; none when there is no such tenant here.
    async fn shard(&mut self, tenant: &str) -> Result<Option<ShardHandle>, StoreError> {
        if let Some(shard) = self.shards.get(tenant) {
            return Ok(Some(shard.clone()));
        }
        let db = match self.store.tenant(tenant).await {
            Ok(db) => db,
            Err(StoreError::UnknownTenant(_) | StoreError::InactiveTenant(_)) => return Ok(None),
            Err(why) => return Err(why),
        };
        let (inbox, messages) = mpsc::unbounded_channel();
        let buffered = Arc::new(AtomicUsize::new(0));
        let shard = Shard::new(
            Arc::from(tenant),
            SharedDb(db),
            self.outlet.clone(),
            SystemClock,
            self.ids.clone(),
            self.pace,
            buffered.clone(),
            self.to_consumer.clone(),
        );
        self.tasks.spawn(shard.run(messages, self.stop.clone()));
        info!(tenant, "shard started");
        let handle = ShardHandle { inbox, buffered };
        self.shards.insert(tenant.to_owned(), handle.clone());
        Ok(Some(handle))
    }
}
