//! Who did what, for those who may know.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::caller::Asked;
use super::needs_store;
use crate::domain::time::rfc3339;
use crate::gateway::App;
use crate::gateway::problem::Problem;
use crate::store::{AuditFilter, AuditRow};

/// Events of a page, unless asked otherwise.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

/// `GET /audit`: the newest first.
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&["from", "to", "username", "action", "outcome", "cursor", "limit"])?;
    let limit = asked.query.count("limit", PAGE, MAX_PAGE)?;
    let wrong = |_| Problem::bad_request("cursor: not one that was given");
    let outcome = asked.query.one("outcome")?;
    if outcome.is_some_and(|outcome| !matches!(outcome, "done" | "denied")) {
        return Err(Problem::bad_request("outcome: done or denied"));
    }
    let filter = AuditFilter {
        span: asked.query.period()?,
        username: asked.query.one("username")?,
        action: asked.query.one("action")?,
        outcome,
        before: asked.query.one("cursor")?.map(|text| text.parse().map_err(wrong)).transpose()?,
    };
    let store = needs_store(&app)?;
    let mut rows = store.audit_log(&asked.tenant.name, &filter, limit + 1).await.map_err(Problem::database)?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| row.id.to_string());
    Ok(Json(json!({"items": rows.iter().map(event).collect::<Vec<_>>(), "next_cursor": next_cursor})))
}

fn event(row: &AuditRow) -> Value {
    json!({
        "id": row.id, "at": rfc3339(row.created_at), "user_id": row.user_id, "username": row.username,
        "action": row.action, "outcome": row.outcome, "ip_address": row.ip_address, "details": row.details,
    })
}
