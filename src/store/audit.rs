//! Who changed or asked what: rows that are only ever added.

use serde_json::Value;
use sqlx::mysql::{MySql, MySqlRow};
use sqlx::{AssertSqlSafe, QueryBuilder, Row};

use super::Store;
use super::error::Result;
use super::stamp::{ms_of, stamp};
use crate::domain::time::{Ms, Span};

/// An event for `audit_log`.
#[derive(Clone, Debug, Default)]
pub struct AuditEntry<'a> {
    /// By name.
    pub tenant: Option<&'a str>,
    pub user_id: Option<i32>,
    pub username: Option<&'a str>,
    /// What was wished: `reason_given`, `user_changed`, `request`, ….
    pub action: &'a str,
    /// It was refused.
    pub is_denied: bool,
    pub ip_address: Option<&'a str>,
    /// The rest, without secrets.
    pub details: Option<&'a Value>,
}

/// An event of `audit_log`, as it is told.
#[derive(Clone, Debug)]
pub struct AuditRow {
    pub id: i64,
    pub user_id: Option<i32>,
    pub username: Option<String>,
    pub action: String,
    /// `done` or `denied`.
    pub outcome: String,
    pub ip_address: Option<String>,
    pub details: Option<Value>,
    pub created_at: Ms,
}

/// Which events.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter<'a> {
    pub span: Option<Span>,
    pub username: Option<&'a str>,
    pub action: Option<&'a str>,
    pub outcome: Option<&'a str>,
    /// Only those before this number.
    pub before: Option<i64>,
}

/// A question to a tenant's data, for `user_query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryEntry {
    /// Name of the tenant that was asked about.
    pub tenant: Option<String>,
    /// None: an API key's.
    pub user_id: Option<i32>,
    /// Path and parameters.
    pub request: String,
    /// As it was asked for, commas between several.
    pub line: Option<String>,
    pub span: Option<Span>,
    /// `minute`, `15min`, `hour`, `day`, `week` or `month`.
    pub interval: Option<String>,
    pub duration_ms: i32,
    pub at: Ms,
}

// === impl Store ===

impl Store {
    /// Adds an event to the audit trail.
    pub async fn audit(&self, entry: &AuditEntry<'_>) -> Result<()> {
        sqlx::query(
            "INSERT INTO audit_log (tenant_id, user_id, username, action, outcome, ip_address, details, created_at)
             VALUES ((SELECT tenant_id FROM tenant WHERE name = ?), ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(entry.tenant)
        .bind(entry.user_id)
        .bind(entry.username)
        .bind(entry.action)
        .bind(if entry.is_denied { "denied" } else { "done" })
        .bind(entry.ip_address)
        .bind(entry.details.map(Value::to_string))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A tenant's events, the newest first.
    pub async fn audit_log(&self, tenant: &str, filter: &AuditFilter<'_>, limit: u32) -> Result<Vec<AuditRow>> {
        let sql = format!(
            "SELECT a.audit_id, a.user_id, a.username, a.action, a.outcome, a.ip_address, CAST(a.details AS CHAR), {}
             FROM audit_log a JOIN tenant t ON t.tenant_id = a.tenant_id
             WHERE t.name = ? AND (? IS NULL OR a.created_at >= ?) AND (? IS NULL OR a.created_at < ?)
                 AND (? IS NULL OR a.username = ?) AND (? IS NULL OR a.action = ?) AND (? IS NULL OR a.outcome = ?)
                 AND (? IS NULL OR a.audit_id < ?)
             ORDER BY a.audit_id DESC LIMIT ?",
            ms_of("a.created_at")
        );
        let (from, to) = (filter.span.map(|span| stamp(span.from)), filter.span.map(|span| stamp(span.to)));
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(tenant);
        for text in [from.as_deref(), to.as_deref(), filter.username, filter.action, filter.outcome] {
            query = query.bind(text).bind(text);
        }
        let rows = query.bind(filter.before).bind(filter.before).bind(limit).fetch_all(&self.pool).await?;
        let event = |row: &MySqlRow| {
            let details: Option<String> = row.try_get(6)?;
            Ok(AuditRow {
                id: row.try_get(0)?,
                user_id: row.try_get(1)?,
                username: row.try_get(2)?,
                action: row.try_get(3)?,
                outcome: row.try_get(4)?,
                ip_address: row.try_get(5)?,
                details: details.and_then(|text| serde_json::from_str(&text).ok()),
                created_at: row.try_get(7)?,
            })
        };
        rows.iter().map(event).collect()
    }

    /// Notes questions to tenants' data.
    pub async fn record_queries(&self, entries: &[QueryEntry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut insert = QueryBuilder::<MySql>::new(
            "INSERT INTO user_query (tenant_id, user_id, sql_query, line, start_date, end_date, interval_type,
                 duration_ms, created_at) ",
        );
        insert.push_values(entries, |mut row, entry| {
            row.push("(SELECT tenant_id FROM tenant WHERE name = ")
                .push_bind_unseparated(&entry.tenant)
                .push_unseparated(")")
                .push_bind(entry.user_id)
                .push_bind(&entry.request)
                .push_bind(&entry.line)
                .push_bind(entry.span.map(|span| stamp(span.from)))
                .push_bind(entry.span.map(|span| stamp(span.to)))
                .push_bind(&entry.interval)
                .push_bind(entry.duration_ms)
                .push_bind(stamp(entry.at));
        });
        insert.build().execute(&self.pool).await?;
        Ok(())
    }
}
