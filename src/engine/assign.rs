//! Brings assigned topics to their shards, with what Kafka knows of them; makes shards as tenants appear.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
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
use crate::engine::outbox::Parcel;
use crate::engine::ownership::Ownership;
use crate::engine::ports::ShardStore;
use crate::engine::publish::{OnPublished, Outlet, owner_of};
use crate::engine::shard::{FromShard, Pace, Shard, ToShard};
use crate::engine::takeover::Assignment;
use crate::kafka::aftermath::Trace;
use crate::kafka::consumer::ConsumerError;
use crate::kafka::publisher::{OutRecord, PublishError};
use crate::kafka::schemas::SchemaIds;
use crate::store::{Store, StoreError};

/// How long shards may take to finish the batch in hand.
const GRACE: Duration = Duration::from_secs(8);
/// A transaction that holds up Kafka's answer for longer than this is taken for a dead owner's.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long Kafka may take to say what is published once such a one is ended.
const ANSWER: Duration = Duration::from_secs(8);

/// How long Kafka may take to say it of one topic alone.
const ALONE: Duration = Duration::from_millis(500);
/// Topics of which one question asks what is on the output topics.
const AT_ONCE: usize = 16;
/// A topic that is in doubt for so many questions in a row, all its former owner's transactions ended and every other
/// timed out, is so for good: the broker has lost the end of a transaction. Some 40 s.
const IN_DOUBT_FOR_GOOD: u32 = 3;

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

/// What the topics say of commits of which the group does not.
struct Told {
    known: Vec<Known>,
    /// Commits of which they say nothing either.
    covered: Vec<Vec<OutRecord>>,
}

/// Why a line waits whose last commits are [`Trace::Covered`].
const OPEN: &str = "a transaction is open on its topics, or the end of one was lost";

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
    /// As [`Group::known`], by the transactions that have ended, without waiting for any.
    fn settled(&self, topics: &[String]) -> impl Future<Output = Result<Vec<Known>, ConsumerError>> + Send;
    /// What is found of these commits on the topics.
    fn visible(&self, commits: &[Vec<OutRecord>]) -> impl Future<Output = Result<Vec<Trace>, ConsumerError>> + Send;
    /// Takes back what of these commits stands on the topics without an end.
    fn abandon(&self, commits: &[Vec<OutRecord>]) -> impl Future<Output = Result<(), ConsumerError>> + Send;
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
    /// By topic: questions in a row to which Kafka said that a transaction is in doubt. Empty at first.
    pub in_doubt: HashMap<String, u32>,
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
    ///
    /// What stays in doubt holds up no other topic; it is asked about again, and at last settled by what is published.
    async fn known(&mut self, topics: &[String]) -> Result<Vec<Known>, ConsumerError> {
        match self.group.known(topics, PATIENCE).await {
            Ok(known) => return Ok(self.certain(known).await),
            Err(why) => debug!(%why, "no answer about what is published: looking for an open transaction"),
        }
        for publisher in self.former_publishers(topics).await {
            match self.group.end(&publisher).await {
                Ok(()) => info!(publisher, "what a former owner left open has ended"),
                Err(why) => warn!(publisher, %why, "failed to end what a former owner left open"),
            }
        }
        let why = match self.group.known(topics, ANSWER).await {
            Ok(known) => return Ok(self.certain(known).await),
            Err(why) => why,
        };
        // Brokers that do not answer this are away: nothing is in doubt yet.
        let Ok(settled) = self.group.settled(topics).await else { return Err(why) };
        let mut known = Vec::new();
        for topic in settled {
            match self.group.known(std::slice::from_ref(&topic.topic), ALONE).await {
                Ok(alone) => known.extend(self.certain(alone).await),
                Err(_) => known.extend(self.doubtful(topic).await),
            }
        }
        Ok(known)
    }

    /// Of what nobody doubts: where the group has no offset, it has never had one or has forgotten it, as Kafka does when
    /// a topic is made anew or nobody has been in the group for days. The topics themselves tell then.
    async fn certain(&mut self, known: Vec<Known>) -> Vec<Known> {
        for known in &known {
            self.in_doubt.remove(&known.topic);
        }
        let (forgotten, mut certain): (Vec<Known>, Vec<Known>) =
            known.into_iter().partition(|known| known.published_seq == 0);
        for some in forgotten.chunks(AT_ONCE) {
            let told = match self.by_what_is_published(some).await {
                Ok(told) if told.covered.is_empty() => Ok(told.known),
                Ok(_) => Err(OPEN.to_owned()),
                Err(why) => Err(why),
            };
            match told {
                Ok(told) => certain.extend(told),
                Err(why) => {
                    warn!(topics = some.len(), why, "nobody says what is published: asking again");
                    self.again(some.iter().map(|known| known.topic.clone()).collect());
                }
            }
        }
        certain
    }

    /// A topic that is in doubt, by what the transactions that have ended say of it; none yet: it is asked about again.
    async fn doubtful(&mut self, settled: Known) -> Option<Known> {
        let topic = settled.topic.clone();
        let asked = self.in_doubt.entry(topic.clone()).or_default();
        *asked += 1;
        let why = match *asked < IN_DOUBT_FOR_GOOD {
            true => "a transaction on it has not ended".to_owned(),
            false => match self.by_what_is_left(&settled).await {
                Ok(told) => {
                    let of_group = settled.published_seq;
                    let published_seq = told.published_seq;
                    warn!(
                        topic,
                        published_seq,
                        of_group,
                        "the broker has lost the end of a transaction: going on by what is published"
                    );
                    return Some(told);
                }
                Err(why) => why,
            },
        };
        warn!(topic, why, "Kafka does not say what is published: asking again");
        self.again(vec![topic]);
        None
    }

    /// As [`Self::by_what_is_published`] of a topic on which nothing is open any more. Where all records of a commit stand
    /// behind the lost end of its transaction, nobody has seen them, and nobody says how it ended: it is taken back.
    async fn by_what_is_left(&self, settled: &Known) -> Result<Known, String> {
        for _ in 0..2 {
            let mut told = self.by_what_is_published(std::slice::from_ref(settled)).await?;
            match told.known.pop() {
                Some(known) if told.covered.is_empty() => return Ok(known),
                _ => self.group.abandon(&told.covered).await.map_err(|why| why.to_string())?,
            }
        }
        Err(OPEN.to_owned())
    }

    /// The last commits that are published, as the topics themselves say: of what the outbox still holds, the last that
    /// is there. A commit without records is published when nobody can tell.
    async fn by_what_is_published(&self, known: &[Known]) -> Result<Told, String> {
        let mut told = known.to_vec();
        let mut databases = HashMap::new();
        let (mut places, mut commits) = (Vec::new(), Vec::new());
        for (index, known) in told.iter_mut().enumerate() {
            let Some((tenant, line)) = owner_of(&known.topic) else { continue };
            let db = match databases.entry(tenant) {
                Entry::Occupied(asked) => asked.into_mut(),
                Entry::Vacant(unknown) => {
                    let db = self.tenants.tenant(unknown.key()).await?;
                    unknown.insert(db)
                }
            };
            let Some(db) = db else { continue };
            let Some(stored) = db.checkpoint(&line).await.map_err(|why| why.to_string())? else { continue };
            known.published_seq = known.published_seq.max(stored.published_seq);
            if stored.commit_seq <= known.published_seq {
                continue;
            }
            let outbox = db.outbox_after(&line, known.published_seq).await.map_err(|why| why.to_string())?;
            for (seq, blob) in outbox {
                let parcel = Parcel::decode(&blob).map_err(|why| why.to_string())?;
                if !parcel.records.is_empty() {
                    places.push((index, seq));
                    commits.push(parcel.records);
                }
            }
        }
        let traces = self.group.visible(&commits).await.map_err(|why| why.to_string())?;
        let mut covered = Vec::new();
        for (((index, seq), commit), trace) in places.into_iter().zip(commits).zip(traces) {
            match trace {
                Trace::There => told[index].published_seq = told[index].published_seq.max(seq),
                Trace::Missing => {}
                Trace::Covered => covered.push(commit),
            }
        }
        Ok(Told { known: told, covered })
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
