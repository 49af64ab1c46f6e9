//! The engine: lines come and go with the consumer group, each owned by one shard at a time, and each step of a line
//! is one transaction of its tenant's database before it is seen on a topic. `docs/exactly-once.md` tells why.
//!
//! ```text
//! consumer's thread ──► shard per tenant ──► database ──► publisher's thread ──► topics
//! ```

mod adapter;
mod assign;
mod broker;
mod caretaker;
mod clock;
mod commands;
mod inbox;
mod lane;
mod listen;
mod outbox;
mod ownership;
mod ports;
mod publish;
mod roll_call;
mod shard;
#[cfg(test)]
mod simulation;
mod takeover;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use adapter::SharedDb;
pub use inbox::{Chunk, RawRecord};
pub use lane::{Lane, Progress, Sealed};

use crate::config::Config;
use crate::engine::assign::{Assigner, Directory};
use crate::engine::broker::{Memory, Outgoing};
use crate::engine::caretaker::Caretaker;
use crate::engine::clock::SystemClock;
use crate::engine::listen::{Listener, Shards};
use crate::engine::ownership::Ownership;
use crate::engine::publish::Publishing;
use crate::engine::shard::Pace;
use crate::kafka::consumer::{Consumer, ConsumerError};
use crate::kafka::schemas::SchemaIds;
use crate::kafka::{Settings, topics};
use crate::store::Store;
use crate::watch::health::Health;

/// Why the engine ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    #[error("start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

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
    // The engine's own end, which may come before the process'.
    let stop = stop.child_token();
    let publisher_id = settings.transactional_id();
    let ownership = Ownership::default();
    let mut consumer = Consumer::join(&settings, topics::DETECTIONS_PATTERN, listen::revocation(ownership.clone()))?;
    let handle = consumer.handle();
    let shards: Shards = Arc::new(DashMap::new());
    let (outlet, publications) = publish::way();
    let (to_consumer, from_shards) = mpsc::unbounded_channel();
    let (assigned, assignments) = mpsc::unbounded_channel();

    let outgoing = Outgoing::new(settings.clone(), publisher_id.clone(), handle.clone());
    let (to_publisher, to_mend) = mpsc::unbounded_channel();
    let publishing = Publishing::new(outgoing, ownership.clone(), to_consumer.clone(), to_mend);
    let publisher = spawn_publisher(publishing, publications, shards.clone())?;
    // The consumer outlives the shards: what they still commit and publish needs its membership.
    let leave = CancellationToken::new();
    let buffered_max = config.engine.buffered_max;
    let listener =
        Listener::new(shards.clone(), ownership.clone(), from_shards, assigned, buffered_max, health, SystemClock);
    let until = leave.clone();
    let reader = std::thread::Builder::new().name("consumer".into()).spawn(move || {
        let result = listener.run(&mut consumer, &until);
        drop(consumer);
        result
    })?;
    let roll_call = tokio::spawn(roll_call::keep(handle.clone(), stop.clone()));
    let caretaker = Caretaker {
        settings: settings.clone(),
        handle: handle.clone(),
        ownership: ownership.clone(),
        publisher: publisher_id.as_str().into(),
        to_publisher,
    };
    let caretaker = tokio::spawn(caretaker.run(stop.clone()));
    let assigner = Assigner {
        tenants: Directory { store, publisher: publisher_id.into() },
        group: Memory { settings, handle },
        ownership: ownership.clone(),
        clock: SystemClock,
        ids,
        shards: shards.clone(),
        pace: Pace {
            idle: Duration::from_millis(config.engine.batch_idle_ms),
            loaded: Duration::from_millis(config.engine.batch_max_ms),
            rows: config.engine.batch_max_rows,
            silence: SILENCE,
            tick: Duration::from_millis(config.engine.command_poll_ms),
        },
        outlet,
        to_consumer,
        stop: stop.clone(),
        tasks: JoinSet::new(),
        in_doubt: HashMap::new(),
    };
    assigner.run(assignments).await;
    roll_call.abort();
    caretaker.abort();
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
    mut publishing: Publishing<Outgoing>,
    publications: mpsc::UnboundedReceiver<publish::Publication>,
    shards: Shards,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Handle::current();
    let told = assign::tell_shards(shards);
    // Kafka's calls block: they have a thread of their own.
    std::thread::Builder::new().name("publisher".into()).spawn(move || {
        publishing.topics().open();
        runtime.block_on(publishing.run(publications, told));
    })
}
