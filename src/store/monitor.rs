//! `system_monitor`: how the machines were that look at pictures and serve pages.

use serde::Serialize;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};

use super::error::{Result, StoreError};
use super::stamp::{ms_of, stamp};
use super::tenant::TenantDb;
use crate::domain::time::{Ms, Span, as_rfc3339};

/// Old rows taken away at once.
const FORGOTTEN_AT_ONCE: u32 = 10_000;

/// How a machine was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Zero before it is stored.
    pub id: i64,
    pub host: String,
    #[serde(with = "as_rfc3339")]
    pub at: Ms,
    /// Percent of all its processors.
    pub cpu_usage: Option<f32>,
    /// Percent of its memory.
    pub ram_usage: Option<f32>,
    /// Degrees Celsius of its graphics card.
    pub gpu_temp: Option<f32>,
    pub gpu_mem_used_bytes: Option<i64>,
}

/// Which rows are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct MonitorFilter<'a> {
    pub host: Option<&'a str>,
    pub span: Option<Span>,
    /// Only those before this number.
    pub before: Option<i64>,
}

fn measured(row: &MySqlRow) -> Result<Measured> {
    Ok(Measured {
        id: row.try_get(0)?,
        host: row.try_get(1)?,
        at: row.try_get(2)?,
        cpu_usage: row.try_get(3)?,
        ram_usage: row.try_get(4)?,
        gpu_temp: row.try_get(5)?,
        gpu_mem_used_bytes: row.try_get(6)?,
    })
}

impl TenantDb {
    /// Notes how a machine is; answers the row's number.
    pub async fn add_measured(&self, new: &Measured) -> Result<i64> {
        let done = sqlx::query(
            "INSERT INTO system_monitor (host, measured_at, cpu_usage, ram_usage, gpu_temp, gpu_mem_used_bytes)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.host)
        .bind(stamp(new.at))
        .bind(new.cpu_usage)
        .bind(new.ram_usage)
        .bind(new.gpu_temp)
        .bind(new.gpu_mem_used_bytes)
        .execute(&self.pool)
        .await?;
        i64::try_from(done.last_insert_id()).map_err(|error| StoreError::corrupt("system_monitor", error))
    }

    /// How machines were, the newest first.
    pub async fn measured(&self, filter: &MonitorFilter<'_>, limit: u32) -> Result<Vec<Measured>> {
        let sql = format!(
            "SELECT monitor_id, host, {}, cpu_usage, ram_usage, gpu_temp, gpu_mem_used_bytes FROM system_monitor
             WHERE (? IS NULL OR host = ?) AND (? IS NULL OR measured_at >= ?) AND (? IS NULL OR measured_at < ?)
                 AND (? IS NULL OR monitor_id < ?)
             ORDER BY monitor_id DESC LIMIT ?",
            ms_of("measured_at")
        );
        let (from, to) = (filter.span.map(|span| stamp(span.from)), filter.span.map(|span| stamp(span.to)));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for text in [filter.host, from.as_deref(), to.as_deref()] {
            query = query.bind(text).bind(text);
        }
        let rows = query.bind(filter.before).bind(filter.before).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(measured).collect()
    }

    /// Takes rows from before an instant away, the oldest first, not more than some thousands; answers how many.
    pub async fn forget_measured(&self, before: Ms) -> Result<u64> {
        let sql = "DELETE FROM system_monitor WHERE measured_at < ? ORDER BY measured_at LIMIT ?";
        let done = sqlx::query(sql).bind(stamp(before)).bind(FORGOTTEN_AT_ONCE).execute(&self.pool).await?;
        Ok(done.rows_affected())
    }
}
