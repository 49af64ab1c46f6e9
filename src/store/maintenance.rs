//! What a tenant's tables want once a day: partitions for the months to come, and an end of the detections that are older
//! than their line keeps them.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, MySqlConnection};
use tokio_util::sync::CancellationToken;

use super::error::{Result, StoreError};
use super::stamp::Month;
use super::{Store, TenantDb};
use crate::domain::production::line::Needs;
use crate::domain::time::Ms;
use crate::watch::metrics;

/// Between rounds.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The same when a tenant could not be looked after.
const AGAIN: Duration = Duration::from_secs(600);

/// What a round did for a tenant.
#[derive(Debug, Default)]
pub struct Maintained {
    /// Lines and the months of detections that were dropped.
    pub dropped: Vec<(String, usize)>,
    /// Lines that could not be looked after, and why; they hold up no others.
    pub failed: Vec<(String, StoreError)>,
}

/// Looks after every active tenant, at once and then daily, until `stop`. Any number of processes may do so.
pub async fn daily(store: Arc<Store>, stop: CancellationToken) {
    loop {
        let next = if store.maintain(jiff::Timestamp::now().as_millisecond()).await { DAY } else { AGAIN };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(next) => {}
        }
    }
}

// === impl Store ===

impl Store {
    /// One round at `now`, told to log and metrics. False: something could not be done.
    pub async fn maintain(&self, now: Ms) -> bool {
        let tenants = match self.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::warn!(%error, "tables not looked after");
                return false;
            }
        };
        let mut is_done = true;
        for tenant in tenants.into_iter().filter(|tenant| tenant.is_active) {
            let maintained = match self.tenant_db(&tenant) {
                Ok(db) => db.maintain(now).await,
                Err(error) => Err(error),
            };
            is_done &= tell(&tenant.name, maintained);
        }
        is_done
    }
}

fn tell(tenant: &str, maintained: Result<Option<Maintained>>) -> bool {
    match maintained {
        Ok(None) => true,
        Ok(Some(maintained)) => {
            for (line, months) in &maintained.dropped {
                tracing::info!(tenant, line, months, "detections older than the line's retention dropped");
                metrics::months_dropped(tenant, *months);
            }
            for (line, error) in &maintained.failed {
                tracing::warn!(tenant, line, %error, "the line's partitions were not looked after");
            }
            let is_done = maintained.failed.is_empty();
            metrics::maintained(tenant, is_done);
            is_done
        }
        Err(error) => {
            tracing::warn!(tenant, %error, "tables not looked after");
            metrics::maintained(tenant, false);
            false
        }
    }
}

// === impl TenantDb ===

impl TenantDb {
    /// Makes the months from that of `now` on, and drops those that every line's retention has passed. None: another
    /// process is at it.
    pub async fn maintain(&self, now: Ms) -> Result<Option<Maintained>> {
        let Some(current) = self.current().await? else { return Ok(Some(Maintained::default())) };
        // The lock is the connection's: it goes with a process that dies, and with this one when it is closed.
        let mut lock = self.pool.acquire().await?.detach();
        if !is_first(&mut lock).await? {
            return Ok(None);
        }
        let mut maintained = Maintained::default();
        for line in &current.spec.lines {
            match self.maintain_line(&line.name, line.retention_months, now).await {
                Ok(0) => {}
                Ok(months) => maintained.dropped.push((line.name.clone(), months)),
                Err(error) => maintained.failed.push((line.name.clone(), error)),
            }
        }
        sqlx::query("DO RELEASE_LOCK(CONCAT('andon.daily.', MD5(DATABASE())))").execute(&mut lock).await?;
        lock.close().await?;
        Ok(Some(maintained))
    }

    async fn maintain_line(&self, line: &str, retention_months: Option<u32>, now: Ms) -> Result<usize> {
        let name = self.line(line).await?;
        self.make_ahead(&name, now).await?;
        let Some(months) = retention_months else { return Ok(0) };
        let kept_from = Month::of(now).plus(-i64::from(months)).start();
        let needed_from = self.needed_from(line).await?.unwrap_or(kept_from);
        self.drop_expired(line, kept_from.min(needed_from)).await
    }

    /// Detections from here on are part of the line's state: one that has been silent for longer than it keeps its
    /// detections goes on from them. None: nobody has owned it.
    async fn needed_from(&self, line: &str) -> Result<Option<Ms>> {
        let Some(checkpoint) = self.checkpoint(line).await?.filter(|there| !there.state.is_empty()) else {
            return Ok(None);
        };
        let needs = Needs::of(checkpoint.state_version, &checkpoint.state);
        let needs =
            needs.map_err(|why| StoreError::Corrupt { table: "checkpoint".to_owned(), problem: why.to_string() })?;
        Ok(Some(needs.detections_from))
    }
}

/// Whether nobody else looks after this database now.
async fn is_first(connection: &mut MySqlConnection) -> Result<bool> {
    let got: Option<i64> =
        sqlx::query_scalar("SELECT CAST(GET_LOCK(CONCAT('andon.daily.', MD5(DATABASE())), 0) AS SIGNED)")
            .fetch_one(connection)
            .await?;
    Ok(got == Some(1))
}
