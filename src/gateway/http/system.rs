//! How the gateway is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::caller::{Asked, Caller};
use super::needs_database;
use crate::gateway::App;
use crate::gateway::problem::Problem;
use crate::watch::health::Report;

/// `GET /system/health`: what `/ready` of the admin port says.
pub async fn health(State(app): State<Arc<App>>, _: Caller) -> (StatusCode, Json<Report>) {
    let report = app.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

/// `GET /system/stats`: what the tenant's lines do, and how this gateway is.
pub async fn stats(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let board = app.hub.board(&asked.tenant.name);
    let mut states = BTreeMap::new();
    let mut silent = 0;
    for line in asked.identity.lines(&asked.tenant) {
        match board.facts(&line.name) {
            Some(facts) => *states.entry(facts.state.state.as_str()).or_insert(0) += 1,
            None => silent += 1,
        }
    }
    let database = needs_database(&app, &asked.tenant)?;
    let started = Instant::now();
    let answers = database.ping().await.is_ok();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": app.started.elapsed().as_secs(),
        "lines": {"states": states, "never_heard_of": silent},
        "database": {"answers": answers, "took_ms": started.elapsed().as_millis() as u64},
    })))
}

/// `GET /system/version`
pub async fn version(_: Caller) -> Json<Value> {
    Json(json!({"name": "andon", "version": env!("CARGO_PKG_VERSION")}))
}
