//! `andon serve`, `process` and `gateway`: start the roles, wait to be asked to end, drain.

use std::sync::Arc;
use std::time::Duration;

use andon::config::Config;
use andon::kafka::Settings;
use andon::kafka::consumer::ConsumerError;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics;
use andon::store::{Store, StoreError, maintenance};
use andon::watch::admin::{self, Admin};
use andon::watch::health::Health;
use andon::watch::metrics;
use andon::{engine, gateway};
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Context, servers};

/// How long the roles have to finish what is in hand.
const GRACE: Duration = Duration::from_secs(10);
/// Between tries to reach a server.
const RETRY: Duration = Duration::from_secs(1);
/// Names of what `/ready` waits for.
const DATABASE: &str = "database";
const KAFKA: &str = "kafka";
const REGISTRY: &str = "schema registry";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave the databases' tables as they are.
    #[arg(long)]
    no_migrate: bool,
}

/// What a process does.
#[derive(Clone, Copy, Debug)]
pub struct Roles {
    process: bool,
    gateway: bool,
}

/// What the roles of a process share.
#[derive(Clone)]
struct Shared {
    config: Arc<Config>,
    migrates: bool,
    health: Health,
    stop: CancellationToken,
}

// === impl Roles ===

impl Roles {
    pub const ALL: Roles = Roles { process: true, gateway: true };
    pub const PROCESS: Roles = Roles { process: true, gateway: false };
    pub const GATEWAY: Roles = Roles { process: false, gateway: true };
}

pub async fn run(context: Context, args: Args, roles: Roles) -> anyhow::Result<()> {
    let config = context.config.clone();
    // Told before anything starts: a server that is named wrongly never comes.
    let settings = servers::kafka(&config)?;
    config.database_url().context("failed to find the database")?;
    let metrics = metrics::install().context("failed to set up the metrics")?;
    let stop = servers::asked_to_end()?;
    let health = Health::new();
    health.expect(&[DATABASE]);
    let address = config.admin_listen;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("failed to listen on {address} for the admin port: choose another with ANDON_ADMIN_LISTEN")
    })?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %address, "andon starts");
    let watched = CancellationToken::new();
    let admin = Admin { health: health.clone(), metrics, log: context.log };
    let admin = tokio::spawn(admin::serve(listener, admin, watched.clone().cancelled_owned()));

    let shared = Shared { migrates: !args.no_migrate && !config.no_migrate, config, health, stop: stop.clone() };
    let mut running = JoinSet::new();
    if let Some(ids) = shared.ids().await {
        if roles.gateway {
            let shared = shared.clone();
            let ids = ids.clone();
            running.spawn(async move {
                let gateway = gateway::run(shared.config, ids, shared.health, shared.stop);
                gateway.await.context("failed to serve")
            });
        }
        running.spawn(async move {
            let Some(store) = shared.database().await? else { return Ok(()) };
            if roles.process {
                return shared.process(settings, store, ids).await;
            }
            // A gateway reaches the database by itself; here it was only brought up to date.
            shared.stop.cancelled().await;
            Ok(())
        });
    }
    let ended = drain(running, stop).await;
    watched.cancel();
    let _ = tokio::time::timeout(RETRY, admin).await;
    tracing::info!("andon ends");
    ended
}

/// Waits until the process is asked to end or a role ends by itself, which ends the others; then for all of them.
async fn drain(mut running: JoinSet<anyhow::Result<()>>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    let mut keep = |joined: Result<anyhow::Result<()>, tokio::task::JoinError>| {
        let ended = joined.context("failed in a part of the program").flatten();
        if outcome.is_ok() {
            outcome = ended;
        } else if let Err(error) = ended {
            tracing::error!("{error:#}");
        }
    };
    tokio::select! {
        () = stop.cancelled() => tracing::info!("asked to end: finishing what is in hand"),
        Some(joined) = running.join_next() => keep(joined),
    }
    stop.cancel();
    let all = async {
        while let Some(joined) = running.join_next().await {
            keep(joined);
        }
    };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!(seconds = GRACE.as_secs(), "what was in hand did not end in time: it will be done again");
    }
    outcome
}

// === impl Shared ===

impl Shared {
    /// Owns lines under this process' name in the group; without one when another process has the same.
    async fn process(&self, mut settings: Settings, store: Arc<Store>, ids: Arc<SchemaIds>) -> anyhow::Result<()> {
        tokio::spawn(maintenance::daily(store.clone(), self.stop.clone()));
        self.health.expect(&[KAFKA]);
        tokio::spawn(self.clone().wait_for_kafka(settings.clone()));
        settings.instance = settings.instance.or_else(|| servers::instance(self.config.admin_listen.port()));
        loop {
            let (stop, health) = (self.stop.clone(), self.health.clone());
            let ended = engine::run(&self.config, settings.clone(), store.clone(), ids.clone(), health, stop).await;
            match (ended, &settings.instance) {
                (Err(engine::Error::Consumer(ConsumerError::Fatal(why))), Some(instance)) => {
                    tracing::error!(
                        instance,
                        why,
                        "put out of the group, likely by a process of the same name: going on without one"
                    );
                    settings.instance = None;
                }
                (ended, _) => return ended.context("failed to process"),
            }
        }
    }

    /// Says so while Kafka is away at the start: a consumer without brokers waits without a word, and has no line that it
    /// could be behind with. Beside the consumer, which needs no telling when they come.
    async fn wait_for_kafka(self, settings: Settings) {
        loop {
            let asked = match topics::Admin::connect(&settings) {
                Ok(admin) => admin.list(None).await.map(|_| ()),
                Err(error) => Err(error),
            };
            let is_there = asked.is_ok();
            self.health.set(KAFKA, asked.map_err(|error| format!("Kafka is away: failed to {error}")));
            if is_there || self.pause().await.is_none() {
                return;
            }
        }
    }

    /// The ids of the schemas; waits for a registry that is away. None: asked to end meanwhile.
    async fn ids(&self) -> Option<Arc<SchemaIds>> {
        if self.config.schema_registry_url.is_some() {
            self.health.expect(&[REGISTRY]);
        }
        loop {
            match servers::ids(&self.config).await {
                Ok(ids) => {
                    if self.config.schema_registry_url.is_some() {
                        self.health.set(REGISTRY, Ok::<(), String>(()));
                    }
                    return Some(Arc::new(ids));
                }
                Err(error) => self.health.set(REGISTRY, Err(format!("{error:#}"))),
            }
            self.pause().await?;
        }
    }

    /// The databases, reached and up to date; waits while they are away. None: asked to end meanwhile.
    async fn database(&self) -> anyhow::Result<Option<Arc<Store>>> {
        loop {
            match self.try_database().await {
                Ok(store) => {
                    self.health.set(DATABASE, Ok::<(), String>(()));
                    return Ok(Some(store));
                }
                Err(error) if error.is_transient() => self.health.set(DATABASE, Err(error)),
                Err(error) => return Err(error).context("failed to open the database"),
            }
            if self.pause().await.is_none() {
                return Ok(None);
            }
        }
    }

    async fn try_database(&self) -> Result<Arc<Store>, StoreError> {
        let url = self.config.database.url.as_ref().map_or("", |url| url.expose());
        let store = Store::connect_with(url, self.config.database.pool).await?;
        if self.migrates {
            let migrated = store.migrate().await?;
            for name in migrated.applied {
                tracing::info!(migration = name, "database brought up to date");
            }
            // A tenant whose database is away holds up nobody else.
            for (tenant, error) in migrated.failed {
                tracing::error!(tenant, %error, "failed to bring the tenant's database up to date");
            }
        }
        Ok(Arc::new(store))
    }

    /// A moment until the next try; none when asked to end.
    async fn pause(&self) -> Option<()> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(RETRY) => Some(()),
        }
    }
}
