//! Who changed or asked what: rows that are only ever added.

use serde_json::Value;

use super::Store;
use super::error::Result;
use super::stamp::stamp;
use crate::domain::time::Span;

/// An event for `audit_log`.
#[derive(Clone, Debug, Default)]
pub struct AuditEntry<'a> {
    pub tenant_id: Option<i32>,
    pub user_id: Option<i32>,
    pub username: Option<&'a str>,
    /// What happened: `login_denied`, `reason_changed`, `tenant_applied`, ….
    pub action: &'a str,
    pub ip_address: Option<&'a str>,
    /// The rest, without secrets.
    pub details: Option<&'a Value>,
}

/// A question to a tenant's data, for `user_query`.
#[derive(Clone, Debug)]
pub struct QueryEntry<'a> {
    pub tenant_id: Option<i32>,
    pub user_id: Option<i32>,
    /// Path and parameters.
    pub request: &'a str,
    pub line: Option<&'a str>,
    pub span: Option<Span>,
    /// `minute`, `15min`, `hour`, `day`, `week` or `month`.
    pub interval: Option<&'a str>,
    pub duration_ms: i32,
}

// === impl Store ===

impl Store {
    /// Adds an event to the audit trail.
    pub async fn audit(&self, entry: &AuditEntry<'_>) -> Result<()> {
        sqlx::query(
            "INSERT INTO audit_log (tenant_id, user_id, username, action, ip_address, details, created_at)
             VALUES (?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(entry.tenant_id)
        .bind(entry.user_id)
        .bind(entry.username)
        .bind(entry.action)
        .bind(entry.ip_address)
        .bind(entry.details.map(Value::to_string))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes a question to a tenant's data.
    pub async fn record_query(&self, entry: &QueryEntry<'_>) -> Result<()> {
        sqlx::query(
            "INSERT INTO user_query (tenant_id, user_id, sql_query, line, start_date, end_date, interval_type,
                 duration_ms, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(entry.tenant_id)
        .bind(entry.user_id)
        .bind(entry.request)
        .bind(entry.line)
        .bind(entry.span.map(|span| stamp(span.from)))
        .bind(entry.span.map(|span| stamp(span.to)))
        .bind(entry.interval)
        .bind(entry.duration_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
