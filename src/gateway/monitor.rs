//! How the gateway's machine is, written into every tenant's `system_monitor` once a minute; what is older than the
//! tenant wants to keep goes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::App;
use super::clock::now;
use super::settings::MONITOR_KEEP_DAYS;
use crate::domain::time::Ms;
use crate::store::monitor::Measured;
use crate::store::{StoreError, TenantDb};
use crate::watch::usage::{self, CpuTime};

/// Longest name of a host, characters.
pub const MAX_HOST: usize = 100;
/// From the start to the first row, so that there is a use of processors to tell; again while no tenant is known.
const FIRST: Duration = Duration::from_secs(2);
/// Between rows.
const EVERY: Duration = Duration::from_secs(60);
/// Tenants written at a time, and how long one may take: a broken one holds up no other.
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);
const DAY_MS: Ms = 24 * 3_600_000;

/// Writes until the gateway's end. `port` tells gateways of one host apart.
pub async fn write_down(app: Arc<App>, port: u16) {
    let host = format!("{}-{port}", usage::host().unwrap_or_else(|| "gateway".to_owned()));
    let host: String = host.chars().take(MAX_HOST).collect();
    let mut before = CpuTime::now();
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        if !app.directory.is_known() {
            continue;
        }
        wait = EVERY;
        let cpu = CpuTime::now();
        let row = Measured {
            id: 0,
            host: host.clone(),
            at: now(),
            cpu_usage: before.zip(cpu).and_then(|(before, cpu)| cpu.use_since(before)),
            ram_usage: usage::memory_in_use(),
            // A gateway looks at no pictures.
            gpu_temp: None,
            gpu_mem_used_bytes: None,
        };
        before = cpu;
        let databases: Vec<_> =
            app.directory.all().iter().filter_map(|tenant| app.directory.database(&tenant.name)).collect();
        let writes = stream::iter(&databases).for_each_concurrent(AT_ONCE, |database| patiently(database, &row));
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = writes => {}
        }
    }
}

async fn patiently(database: &TenantDb, row: &Measured) {
    match timeout(PATIENCE, write(database, row)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(tenant = database.name(), %error, "how the machine is was not written down"),
        Err(_) => tracing::debug!(tenant = database.name(), "how the machine is was not written down in time"),
    }
}

/// Writes a row, and takes those away that are older than the tenant keeps them.
///
/// # Errors
/// The database cannot be asked.
pub async fn write(database: &TenantDb, row: &Measured) -> Result<(), StoreError> {
    database.add_measured(row).await?;
    let told = database.setting(MONITOR_KEEP_DAYS.key).await?;
    let days = MONITOR_KEEP_DAYS.of(told).as_i64().unwrap_or_default();
    database.forget_measured(row.at - days * DAY_MS).await?;
    Ok(())
}
