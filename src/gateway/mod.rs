//! The gateway: live boards, history, login and pages, over HTTP.
//!
//! | part | role |
//! |---|---|
//! | [`hub`] | what lines are at, in memory, fed by the topics |
//! | [`live`] | the protocol `andon.v1` over websockets and server-sent events |
//! | [`http`] | REST, pages, the registry's read calls |
//! | [`account`] | users, sessions, tickets, limits |
//! | [`directory`] | tenants and lines, cached |
//! | [`history`] | figures of the past |
//! | [`widgets`] | what a page can hold, answered from both |
//! | [`feed`] | what keeps the two memories up to date |
//! | [`monitor`] | how the gateway's machine is, written down |
//! | [`settings`] | what a tenant's `system_config` may say |
//! | [`questions`] | who asked for which data, written down |
//!
//! A gateway has nothing that another could not have as well: any number run side by side.

pub mod account;
pub mod clock;
pub mod directory;
pub mod feed;
pub mod history;
pub mod http;
pub mod hub;
pub mod live;
pub mod monitor;
pub mod problem;
pub mod questions;
pub mod rights;
pub mod settings;
pub mod widgets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use self::account::Accounts;
use self::account::limit::Limit;
use self::directory::Directory;
use self::http::preview::Previews;
use self::hub::Hub;
use self::live::Connections;
use self::live::ticket::Tickets;
use self::questions::Questions;
use self::rights::Identity;
use self::widgets::live::Answers;
use crate::config::Config;
use crate::kafka::Settings;
use crate::kafka::schemas::SchemaIds;
use crate::store::{AuditEntry, Store};
use crate::watch::health::Health;
use crate::watch::limits;

/// Logins of a user, and failed ones from an address, per minute.
const LOGINS_PER_MINUTE: u32 = 20;
/// Live connections that a user opens per minute: all of theirs, many times.
const OPENED_PER_MINUTE: u32 = 600;
const MINUTE: Duration = Duration::from_secs(60);
/// Exports and recomputations at a time.
const EXPORTS: usize = 4;
/// With fewer open files than this, a plant's screens may find no room.
const FEW_FILES: u64 = 4_096;
/// How long open requests have to end.
const DRAIN: Duration = Duration::from_secs(5);
/// How long live connections have then.
const FAREWELL: Duration = Duration::from_secs(3);

/// Why a gateway ends early. Follows "failed to serve: ".
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("{address} cannot be listened on: {source}: choose another with ANDON_LISTEN")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("connections cannot be taken: {0}")]
    Accept(std::io::Error),
}

/// What all requests share.
pub struct App {
    pub hub: Hub,
    pub directory: Directory,
    pub accounts: Accounts,
    pub tickets: Tickets,
    pub logins: Limit<String>,
    /// Requests, by user.
    pub requests: Limit<i32>,
    /// Live connections opened, by user.
    pub opened: Limit<i32>,
    pub questions: Questions,
    /// Turns of exports and recomputations: each is much work.
    pub exports: Arc<Semaphore>,
    pub previews: Previews,
    pub started: Instant,
    pub connections: Arc<Connections>,
    /// Widgets that somebody looks at.
    pub answers: Answers,
    pub health: Health,
    /// Where the topics of new lines are made; none: no brokers are configured.
    pub kafka: Option<Settings>,
    /// What schema ids in records mean.
    pub ids: Arc<SchemaIds>,
    /// Origins of other sites that may connect.
    pub origins: Vec<String>,
    pub secure_cookies: bool,
    /// Done when the process is to end.
    pub shutdown: CancellationToken,
    store: RwLock<Option<Arc<Store>>>,
    /// Whether the topics were read up to their ends once.
    tailing: watch::Sender<bool>,
    /// Whether the hub knows all that there was when the gateway began: a snapshot of less would take lines away from
    /// screens that show them.
    whole: watch::Sender<bool>,
}

// === impl App ===

impl App {
    /// Nothing known yet.
    pub fn new(config: &Config, ids: Arc<SchemaIds>, health: Health, shutdown: CancellationToken) -> App {
        App {
            hub: Hub::new(),
            directory: Directory::default(),
            accounts: Accounts::new(Duration::from_secs(60 * u64::from(config.gateway.session_idle_minutes))),
            tickets: Tickets::default(),
            logins: Limit::new(LOGINS_PER_MINUTE, MINUTE),
            requests: Limit::new(config.gateway.requests_per_minute, MINUTE),
            opened: Limit::new(OPENED_PER_MINUTE, MINUTE),
            questions: Questions::new(),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            previews: Previews::default(),
            started: Instant::now(),
            connections: Arc::default(),
            answers: Answers::default(),
            health,
            kafka: config.brokers().ok().map(|brokers| Settings::new(brokers, &config.kafka)),
            ids,
            origins: config.gateway.origins.clone(),
            secure_cookies: config.gateway.secure_cookies,
            shutdown,
            store: RwLock::default(),
            tailing: watch::Sender::new(false),
            whole: watch::Sender::new(false),
        }
    }

    /// The databases, once they were reached.
    pub fn store(&self) -> Option<Arc<Store>> {
        self.store.read().clone()
    }

    fn set_store(&self, store: Arc<Store>) {
        *self.store.write() = Some(store);
    }

    /// Whether the topics were read up to their ends once.
    fn is_tailing(&self) -> bool {
        *self.tailing.borrow()
    }

    fn set_tailing(&self) {
        self.tailing.send_replace(true);
    }

    /// Whether snapshots tell everything. Until then they wait.
    pub fn is_whole(&self) -> bool {
        *self.whole.borrow()
    }

    /// The hub knows all that there is to know; whoever waits for a snapshot is given it.
    pub fn set_whole(&self) {
        if !self.whole.send_replace(true) {
            self.hub.each(|board| board.nudge());
        }
    }

    /// Done when snapshots tell everything.
    pub async fn whole(&self) {
        // The sender is ours: it does not go before we do.
        let _ = self.whole.subscribe().wait_for(|is_whole| *is_whole).await;
    }

    /// Notes what somebody did.
    pub async fn audit(&self, identity: &Identity, action: &str, details: &serde_json::Value) {
        self.note(identity, action, false, details).await;
    }

    /// Notes what somebody was not let do.
    pub async fn audit_denied(&self, identity: &Identity, action: &str, details: &serde_json::Value) {
        self.note(identity, action, true, details).await;
    }

    async fn note(&self, identity: &Identity, action: &str, is_denied: bool, details: &serde_json::Value) {
        let Some(store) = self.store() else { return };
        let address = identity.address.map(|address| address.to_string());
        // A super admin acts in the tenant that the details name.
        let named = details.get("tenant").and_then(serde_json::Value::as_str);
        let entry = AuditEntry {
            tenant: identity.tenant.as_deref().or(named),
            user_id: identity.user(),
            username: Some(&identity.username),
            action,
            is_denied,
            ip_address: address.as_deref(),
            details: Some(details),
        };
        if let Err(error) = store.audit(&entry).await {
            tracing::warn!(action, user = identity.user_id, %error, "audit trail could not be written");
        }
    }

    /// Whether there still is a session, be it with other rights.
    pub async fn has_session(&self, identity: &Identity) -> bool {
        self.accounts.has_session(self.store().as_ref(), identity).await
    }

    /// Whether the session behind a live connection goes on as it was.
    pub async fn still_holds(&self, identity: &Identity) -> bool {
        self.accounts.still_holds(self.store().as_ref(), identity).await
    }
}

/// Serves until `shutdown`, then lets requests end and tells sockets to come again. Starts at once: `health` says
/// while Kafka or the database are away, and both are tried again until they are there.
pub async fn run(
    config: Arc<Config>,
    ids: Arc<SchemaIds>,
    health: Health,
    shutdown: CancellationToken,
) -> Result<(), GatewayError> {
    health.expect(&[feed::DATABASE, feed::TOPICS]);
    let address = config.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| GatewayError::Listen { address, source })?;
    match limits::raise_open_files() {
        Some(files) if files < FEW_FILES => {
            tracing::warn!(files, "few files may be open, and every socket is one: raise `ulimit -n` (LimitNOFILE)");
        }
        _ => {}
    }
    tracing::info!(%address, "gateway listens");
    let app = Arc::new(App::new(&config, ids, health, shutdown.clone()));
    let database = tokio::spawn(feed::follow_database(app.clone(), config.clone()));
    let rights = tokio::spawn(feed::follow_rights(app.clone()));
    let topics = tokio::spawn(feed::follow_topics(app.clone(), config));
    let monitor = tokio::spawn(monitor::write_down(app.clone(), address.port()));
    let unheard = CancellationToken::new();
    let questions = tokio::spawn(questions::write_down(app.clone(), unheard.clone()));
    let served = serve(listener, app.clone()).await;
    // Without a server there is nobody to keep up to date for, and nobody asks any more.
    shutdown.cancel();
    unheard.cancel();
    let _ = tokio::join!(database, rights, topics, monitor, questions);
    served
}

/// Serves an app that is fed elsewhere.
pub async fn serve(listener: TcpListener, app: Arc<App>) -> Result<(), GatewayError> {
    // Frames are small and must not wait for more.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection waits for more before it sends");
        }
    });
    let service = http::router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let shutdown = app.shutdown.clone();
    let serving = axum::serve(listener, service).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let served = tokio::select! {
        served = serving.into_future() => served.map_err(GatewayError::Accept),
        () = drained => {
            tracing::warn!("requests were cut off: they did not end in time");
            Ok(())
        }
    };
    // Sockets are no requests any more; each is told and given a moment.
    if tokio::time::timeout(FAREWELL, app.connections.none()).await.is_err() {
        tracing::warn!("sockets were cut off: they did not end in time");
    }
    served
}
