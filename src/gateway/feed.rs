//! What keeps the gateway's memory up to date: the topics, and the database for what they do not tell.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::App;
use super::hub::board::STOPS_FOR_MS;
use super::hub::intake::{Incoming, PATTERN};
use crate::config::Config;
use crate::domain::time::{Ms, Span};
use crate::gateway::directory::Tenant;
use crate::gateway::widgets::{CATALOGUE, Widget};
use crate::kafka::Settings;
use crate::kafka::tail::{Tail, TailRecord, TailStart};
use crate::store::{CatalogueRow, Store, StoreError};

/// Names of what `/ready` waits for.
pub const DATABASE: &str = "gateway database";
pub const TOPICS: &str = "gateway topics";

/// Between looks at the database for tenants and lines.
const REFRESH: Duration = Duration::from_secs(2);
/// How long a tenant's stops are waited for.
const SEEDING: Duration = Duration::from_secs(3);
/// Between tries to reach a server.
const RETRY: Duration = Duration::from_secs(1);
/// Records taken before those who look are told.
const BATCH: usize = 1_024;
/// Records that wait.
const ROOM: usize = 4_096;
/// Of each topic so many records before its end are read: a window's last figure is among the newest, and stops
/// are taken from the database.
const LAST: u32 = 2_000;
/// Stops of a line that are taken from the database at once.
const STOPS_AT_ONCE: u32 = 1_000;

/// Reaches the database, and keeps the directory like it. Ends with the process.
pub async fn follow_database(app: Arc<App>, config: Arc<Config>) {
    let seeded = Seeded::default();
    let mut tick = interval(REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tailing = app.tailing.subscribe();
    let mut is_told = false;
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            _ = tick.tick() => {}
            // Screens wait for what follows it.
            _ = tailing.wait_for(|is_tailing| *is_tailing), if !is_told => is_told = true,
        }
        let refreshed = async {
            let store = connected(&app, &config).await?;
            app.directory.refresh(&store).await
        };
        let refreshed = refreshed.await;
        if refreshed.is_ok() {
            describe(&app);
            seed(&app, &seeded).await;
        }
        app.health.set(DATABASE, refreshed);
        app.hub.each(|board| {
            board.forget_old();
            board.wake();
        });
    }
}

async fn connected(app: &App, config: &Config) -> Result<Arc<Store>, StoreError> {
    if let Some(store) = app.store() {
        return Ok(store);
    }
    let url = config.database_url().map_err(|error| StoreError::Refused(error.to_string()))?;
    let store = Arc::new(Store::connect_with(url.expose(), config.database.pool).await?);
    // Rows for whoever reads the tables; ours is in the code. A database that is still to be migrated has none yet.
    if let Err(error) = store.put_catalogue(&catalogue_rows()).await {
        tracing::warn!(%error, "the catalogue of widgets could not be written");
    }
    // Whoever comes back is known then, without a question each.
    app.accounts.follow(&store).await?;
    app.set_store(store.clone());
    Ok(store)
}

/// Keeps what is known of sessions and keys like the database. On its own: a tenant's database that is slow does not
/// make rights outlive their end. Ends with the process.
pub async fn follow_rights(app: Arc<App>) {
    let mut tick = interval(REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        let Some(store) = app.store() else { continue };
        if let Err(error) = app.accounts.follow(&store).await {
            tracing::warn!(%error, "rights could not be looked at");
        }
    }
}

fn catalogue_rows() -> Vec<CatalogueRow> {
    let row = |widget: &Widget| CatalogueRow {
        name: widget.title_en.to_owned(),
        kind: widget.id.to_owned(),
        params: widget.schema().to_string(),
        size: json!({"w": widget.size.0, "h": widget.size.1}).to_string(),
    };
    CATALOGUE.iter().map(row).collect()
}

fn describe(app: &App) {
    for tenant in app.directory.all() {
        let board = app.hub.board(&tenant.name);
        tenant.lines.iter().for_each(|line| board.describe(line));
    }
}

/// Lines whose stops were taken from the database, with their tenants.
type Seeded = Mutex<HashSet<(String, String)>>;

/// Takes the stops of lines not met before from the database: once each, after the topics are being read, so that
/// nothing falls between the two. Then the hub is whole; a tenant's database that is away is waited for only so long.
async fn seed(app: &App, seeded: &Seeded) {
    if !app.is_tailing() {
        return;
    }
    let tenants = app.directory.all();
    let each = tenants.iter().map(|tenant| timeout(SEEDING, seed_tenant(app, tenant, seeded)));
    for (tenant, done) in tenants.iter().zip(join_all(each).await) {
        if done.is_err() {
            tracing::warn!(tenant = tenant.name, "stops could not be read in time");
        }
    }
    app.set_whole();
}

async fn seed_tenant(app: &App, tenant: &Tenant, seeded: &Seeded) {
    let Some(database) = app.directory.database(&tenant.name) else { return };
    let board = app.hub.board(&tenant.name);
    for line in &tenant.lines {
        let slot = (tenant.name.clone(), line.name.clone());
        if seeded.lock().contains(&slot) {
            continue;
        }
        // By the line's clock, which a replay sets far from ours; without one there is nothing live to add to.
        let Some(facts) = board.facts(&line.name) else { continue };
        let period = Span::new(facts.state.as_of - STOPS_FOR_MS, facts.state.as_of + STOPS_FOR_MS);
        match stops(&database, &line.name, period).await {
            Ok(stops) => {
                stops.iter().for_each(|stop| board.seed(stop));
                seeded.lock().insert(slot);
            }
            Err(error) => {
                tracing::warn!(tenant = tenant.name, line = line.name, %error, "stops could not be read");
                return;
            }
        }
    }
}

async fn stops(
    database: &crate::store::TenantDb,
    line: &str,
    period: Span,
) -> Result<Vec<crate::domain::production::stop::Stop>, StoreError> {
    let mut all = Vec::new();
    let mut cursor: Option<Ms> = None;
    loop {
        let page = database.stops(line, period, cursor, STOPS_AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        cursor = Some(last.started_at);
        all.extend(page);
    }
}

/// Reads the topics into the hub. Ends with the process.
pub async fn follow_topics(app: Arc<App>, config: Arc<Config>) {
    while !app.shutdown.is_cancelled() {
        let started = config.brokers().map_err(|error| error.to_string()).and_then(|brokers| {
            let settings = Settings::new(brokers, &config.kafka);
            Tail::follow(&settings, PATTERN, TailStart::Last(LAST), ROOM).map_err(|error| error.to_string())
        });
        match started {
            Ok(tail) => read(&app, tail).await,
            Err(reason) => app.health.set(TOPICS, Err(reason)),
        }
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn read(app: &Arc<App>, mut tail: Tail) {
    let mut caught_up = tail.caught_up.clone();
    let mut batch = Vec::with_capacity(BATCH);
    app.health.set(TOPICS, Err("reading the topics up to now"));
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => break,
            changed = caught_up.wait_for(|caught_up| *caught_up), if !app.is_tailing() => {
                if changed.is_ok() {
                    app.set_tailing();
                    app.health.set(TOPICS, Ok::<(), &str>(()));
                }
            }
            count = tail.records.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    app.health.set(TOPICS, Err("the reader of the topics ended"));
                    break;
                }
                take(app, &batch);
                batch.clear();
            }
        }
    }
    // Its thread ends within a poll; not on a thread of the runtime.
    let _ = tokio::task::spawn_blocking(move || drop(tail)).await;
}

fn take(app: &App, batch: &[TailRecord]) {
    let mut touched = HashSet::new();
    for record in batch {
        let incoming = Incoming {
            topic: &record.topic,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            payload: record.payload.as_deref(),
            headers: &record.headers,
        };
        if let Err(error) = app.hub.take(&incoming, &app.ids) {
            tracing::warn!(topic = record.topic, offset = record.offset, %error, "record passed over");
        }
        touched.insert(record.topic.split('.').nth(1).unwrap_or_default());
    }
    touched.into_iter().for_each(|tenant| app.hub.board(tenant).wake());
}
