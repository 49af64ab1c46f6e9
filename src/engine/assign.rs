//! Brings assigned topics to their shards, with what Kafka knows of them; makes shards as tenants appear.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::engine::adapter::SharedDb;
use crate::engine::clock::Clock;
use crate::engine::listen::{ShardHandle, Shards};
use crate::engine::ownership::Ownership;
use crate::engine::ports::ShardStore;
use crate::engine::publish::{OnPublished, Outlet, owner_of};
use crate::engine::shard::{FromShard, Pace, Shard, ToShard};
use crate::engine::takeover::Assignment;
use crate::kafka::consumer::ConsumerError;
use crate::kafka::publisher::PublishError;
use crate::kafka::schemas::SchemaIds;
use crate::store::{Store, StoreError};

/// How long shards may take to finish the batch in hand.
const GRACE: Duration = Duration::from_secs(8);
/// A transaction that holds up Kafka's answer for longer than this is taken for a dead owner's.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long Kafka may take to say what is published once such a one is ended.
const ANSWER: Duration = Duration::from_secs(8);

/// What Kafka knows of a line's topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub topic: String,
    /// Last commit that the group's offsets say is published, once no transaction is in doubt; 0: none.
    pub published_seq: u64,
    /// First offset of the log.
    pub low: i64,
    /// Offset after the last record of the log.
    pub high: i64,
}

/// The group's memory.
pub trait Group: Send + Sync + 'static {
    /// Waits for transactions on these topics to end, up to `patience`.
    fn known(
        &self,
        topics: &[String],
        patience: Duration,
    ) -> impl Future<Output = Result<Vec<Known>, ConsumerError>> + Send;
    /// Ends what a former owner's publisher has left open, and fences it.
    fn end(&self, publisher: &str) -> impl Future<Output = Result<(), PublishError>> + Send;
}

/// Where the tenants' databases are.
pub trait Tenants: Send + Sync + 'static {
    type Db: ShardStore;
    /// None: there is no such tenant here.
    fn tenant(&self, name: &str) -> impl Future<Output = Result<Option<Self::Db>, String>> + Send;
}

/// See the module.
pub struct Assigner<T, G, O, C> {
    pub tenants: T,
    pub group: G,
    pub ownership: Ownership,
    pub outlet: O,
    pub clock: C,
    pub ids: Arc<SchemaIds>,
    pub shards: Shards,
    pub pace: Pace,
    pub to_consumer: mpsc::UnboundedSender<FromShard>,
    pub stop: CancellationToken,
    pub tasks: JoinSet<()>,
}

/// Tells shards what of theirs is on the topics.
pub fn tell_shards(shards: Shards) -> OnPublished {
    Box::new(move |published| {
        for (tenant, progress) in published {
            if let Some(shard) = shards.get(tenant.as_ref()) {
                let _ = shard.inbox.send(ToShard::Published(progress));
            }
        }
    })
}

/// The databases, and as whom their lines are taken over.
pub struct Directory {
    pub store: Arc<Store>,
    /// This process' `transactional.id`.
    pub publisher: Arc<str>,
}

impl Tenants for Directory {
    type Db = SharedDb;

    async fn tenant(&self, name: &str) -> Result<Option<SharedDb>, String> {
        match self.store.tenant(name).await {
            Ok(db) => Ok(Some(SharedDb { db, publisher: self.publisher.clone() })),
            Err(StoreError::UnknownTenant(_) | StoreError::InactiveTenant(_)) => Ok(None),
            Err(why) => Err(why.to_string()),
        }
    }
}

impl<T: Tenants, G: Group, O: Outlet, C: Clock> Assigner<T, G, O, C> {
    /// Until `stop`; then waits for the shards to finish what they have in hand.
    pub async fn run(mut self, mut assignments: mpsc::UnboundedReceiver<Vec<String>>) {
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
        // Also when it is the consumer that has ended.
        self.stop.cancel();
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
        // Before the question: what was on its way is over or will not be.
        let grants = self.ownership.renew(&ours).await;
        ours.retain(|topic| grants.contains_key(topic));
        let known = match self.known(&ours).await {
            Ok(known) => known,
            Err(why) => {
                warn!(%why, "failed to ask Kafka what is published: asking again");
                self.again(ours);
                return;
            }
        };
        for Known { topic, published_seq, low, high } in known {
            let Some((tenant, line)) = owner_of(&topic) else { continue };
            if let (Some(shard), Some(grant)) = (self.shards.get(&tenant), grants.get(&topic)) {
                let assignment = Assignment { line, published_seq, low, high };
                let _ = shard.inbox.send(ToShard::Assigned(assignment, grant.clone()));
            }
        }
    }

    /// What Kafka knows, once no transaction on these topics is open. A former owner that was killed in the middle of
    /// one will not end it, and the broker only after a long while: it is ended in the name of who began it, which the
    /// checkpoint tells. One that lives after all loses no more than a try: it opens a new producer.
    async fn known(&self, topics: &[String]) -> Result<Vec<Known>, ConsumerError> {
        match self.group.known(topics, PATIENCE).await {
            Ok(known) => return Ok(known),
            Err(why) => debug!(%why, "no answer about what is published: looking for an open transaction"),
        }
        for publisher in self.former_publishers(topics).await {
            match self.group.end(&publisher).await {
                Ok(()) => info!(publisher, "what a former owner left open has ended"),
                Err(why) => warn!(publisher, %why, "failed to end what a former owner left open"),
            }
        }
        self.group.known(topics, ANSWER).await
    }

    async fn former_publishers(&self, topics: &[String]) -> BTreeSet<String> {
        let mut former = BTreeSet::new();
        let named: Vec<(String, String)> = topics.iter().filter_map(|topic| owner_of(topic)).collect();
        let tenants: BTreeSet<&str> = named.iter().map(|(tenant, _)| tenant.as_str()).collect();
        for tenant in tenants {
            let Ok(Some(db)) = self.tenants.tenant(tenant).await else { continue };
            let Ok(of_lines) = db.publishers().await else { continue };
            let asked = |line: &str| named.iter().any(|(t, l)| t == tenant && l == line);
            former.extend(of_lines.into_iter().filter(|(line, _)| asked(line)).map(|(_, publisher)| publisher));
        }
        former
    }

    fn again(&self, topics: Vec<String>) {
        for topic in topics {
            let _ = self.to_consumer.send(FromShard::Again { topic });
        }
    }

    /// The tenant's shard; none when there is no such tenant here.
    async fn shard(&mut self, tenant: &str) -> Result<Option<ShardHandle>, String> {
        if let Some(shard) = self.shards.get(tenant) {
            return Ok(Some(shard.clone()));
        }
        let Some(db) = self.tenants.tenant(tenant).await? else { return Ok(None) };
        let (inbox, messages) = mpsc::unbounded_channel();
        let buffered = Arc::new(AtomicUsize::new(0));
        let shard = Shard::new(
            Arc::from(tenant),
            db,
            self.outlet.clone(),
            self.clock.clone(),
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
