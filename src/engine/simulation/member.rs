//! A process of the group, put together as [`crate::engine::run`] does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Membership, Producer, Questions};
use super::database::{Db, SimOutlet};
use super::world::{Process, Shared};
use crate::engine::assign::{Assigner, tell_shards};
use crate::engine::listen::{Listener, Shards};
use crate::engine::ownership::Ownership;
use crate::engine::publish::{Publishing, way};
use crate::engine::shard::Pace;
use crate::kafka::schemas::SchemaIds;
use crate::watch::health::Health;

/// Records waiting at which a tenant is held back: few, so that it happens.
const BUFFERED_MAX: usize = 12;

const PACE: Pace = Pace {
    idle: Duration::from_millis(40),
    loaded: Duration::from_millis(100),
    rows: 8,
    silence: Duration::from_millis(1_000),
    tick: Duration::from_millis(250),
};

/// A running process.
pub struct Member {
    pub process: Process,
    stop: CancellationToken,
}

impl Member {
    pub fn start(world: &Shared, name: &str, ids: &Arc<SchemaIds>) -> Member {
        let process = Process::new(world.clone(), name.to_owned());
        world.tell(|| format!("{name} starts"));
        let ownership = Ownership::default();
        let membership = Membership::default();
        let shards: Shards = Arc::new(DashMap::new());
        let (to_publisher, publications) = way();
        let (to_consumer, from_shards) = mpsc::unbounded_channel();
        let (assigned, assignments) = mpsc::unbounded_channel();
        let producer = Producer::new(process.clone(), membership.clone());
        let publishing = Publishing::new(producer, ownership.clone(), to_consumer.clone(), mpsc::unbounded_channel().1);
        let publisher = tokio::spawn(publishing.run(publications, tell_shards(shards.clone())));
        let health = Health::new();
        let max = BUFFERED_MAX;
        let mut listener =
            Listener::new(shards.clone(), ownership.clone(), from_shards, assigned, max, health, process.clone());
        let (leave, stop) = (CancellationToken::new(), CancellationToken::new());
        let mut client = Client::new(process.clone(), ownership.clone(), membership);
        let until = leave.clone();
        let gate = process.clone();
        let consumer = tokio::spawn(async move {
            while !until.is_cancelled() {
                gate.gate().await;
                client.heartbeat().await;
                // No fatal errors are made here.
                let _ = listener.turn(&mut client);
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            client.leave().await;
        });
        let outlet = SimOutlet { process: process.clone(), to: to_publisher };
        let assigner = Assigner {
            tenants: Db { process: process.clone(), outlet: outlet.clone() },
            group: Questions(process.clone()),
            ownership: ownership.clone(),
            outlet,
            clock: process.clone(),
            ids: ids.clone(),
            shards: shards.clone(),
            pace: PACE,
            to_consumer,
            stop: stop.clone(),
            tasks: JoinSet::new(),
            in_doubt: HashMap::new(),
        };
        [publisher.abort_handle(), consumer.abort_handle()].into_iter().for_each(|task| process.adopt(task));
        let whole = tokio::spawn(async move {
            assigner.run(assignments).await;
            shards.clear();
            let _ = publisher.await;
            leave.cancel();
            let _ = consumer.await;
        });
        process.adopt(whole.abort_handle());
        Member { process, stop }
    }

    /// Asks it to finish and to leave.
    pub fn stop(&self) {
        self.process.world.tell(|| format!("{} is asked to stop", self.process.name()));
        self.stop.cancel();
    }
}
