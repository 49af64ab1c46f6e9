//! The servers of the configuration, reached for one command.

use std::sync::Arc;

use andon::config::Config;
use andon::config::tenant::TenantSpec;
use andon::kafka::Settings;
use andon::kafka::registry::schema_ids;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics::Admin;
use andon::store::{Store, StoreError, TenantDb};
use andon::watch::usage;
use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;

/// The databases.
pub async fn store(config: &Config) -> anyhow::Result<Store> {
    let url = config.database_url().context("failed to find the database")?;
    let store = Store::connect_with(url.expose(), config.database.pool).await;
    store.with_context(|| format!("failed to reach the database at {url}"))
}

/// A tenant's database and its newest file.
pub async fn tenant(store: &Store, name: &str) -> anyhow::Result<(Arc<TenantDb>, Arc<TenantSpec>)> {
    let find = async {
        let db = store.tenant(name).await?;
        let current = db.current().await?;
        Ok::<_, StoreError>((db, current))
    };
    let (db, current) = find.await.with_context(|| format!("failed to find tenant {name}"))?;
    let current =
        current.ok_or_else(|| anyhow!("tenant {name} has no lines yet: give it some with `andon tenant apply`"))?;
    Ok((db, current.spec.clone()))
}

/// How to reach the brokers.
pub fn kafka(config: &Config) -> anyhow::Result<Settings> {
    let brokers = config.brokers().context("failed to find Kafka")?;
    Ok(Settings::new(brokers, &config.kafka))
}

/// What this process is called in its group unless told otherwise: host and admin port, which no other process of the
/// host can have at the same time. None: no fixed port, or a host that does not say its name.
pub fn instance(admin_port: u16) -> Option<String> {
    let host = usage::host()?;
    (admin_port != 0).then(|| format!("{host}-{admin_port}"))
}

/// The ids that records are written with.
pub async fn ids(config: &Config) -> anyhow::Result<SchemaIds> {
    let url = config.schema_registry_url.clone();
    let asked = tokio::task::spawn_blocking(move || schema_ids(url.as_ref().map(|url| url.expose())));
    asked.await.context("failed to ask for the schemas")?.context("failed to register the schemas")
}

/// Makes the topics of a tenant and of some of its lines where they are missing; answers which it made.
pub async fn ensure_topics<'a>(
    settings: &Settings,
    tenant: &str,
    lines: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<Vec<String>> {
    let at = || format!("failed to make the topics of {tenant} at {}", settings.brokers);
    let admin = Admin::connect(settings).with_context(at)?;
    let mut made = admin.ensure_tenant_topics(tenant).await.with_context(at)?;
    for line in lines {
        made.extend(admin.ensure_line_topics(tenant, line, None).await.with_context(at)?);
    }
    Ok(made)
}

/// Done when the process is asked to end: Ctrl-C or SIGTERM. A second Ctrl-C ends it at once.
pub fn asked_to_end() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen to Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen to SIGTERM")?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        asked.cancel();
        interrupt.recv().await;
        std::process::exit(130);
    });
    Ok(token)
}
