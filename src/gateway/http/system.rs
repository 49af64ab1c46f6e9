//! How the gateway is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::caller::Caller;
use crate::gateway::App;
use crate::watch::health::Report;

/// `GET /system/health`: what `/ready` of the admin port says.
pub async fn health(State(app): State<Arc<App>>, _: Caller) -> (StatusCode, Json<Report>) {
    let report = app.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

/// `GET /system/version`
pub async fn version(_: Caller) -> Json<Value> {
    Json(json!({"name": "andon", "version": env!("CARGO_PKG_VERSION")}))
}
