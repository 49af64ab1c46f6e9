//! `/system/monitor`: how machines were, and what they say of themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::caller::Asked;
use super::{body, needs_database};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::monitor::MAX_HOST;
use crate::gateway::problem::Problem;
use crate::store::monitor::{Measured, MonitorFilter};

/// Rows of a page, unless asked otherwise.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

#[derive(Debug, Serialize)]
pub struct Page {
    items: Vec<Measured>,
    next_cursor: Option<String>,
}

/// How a machine is, by its own account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    host: String,
    #[serde(default)]
    cpu_usage: Option<f32>,
    #[serde(default)]
    ram_usage: Option<f32>,
    #[serde(default)]
    gpu_temp: Option<f32>,
    #[serde(default)]
    gpu_mem_used_bytes: Option<i64>,
}

/// `GET /system/monitor`: the newest first.
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Page>, Problem> {
    asked.query.only(&["host", "from", "to", "cursor", "limit"])?;
    let limit = asked.query.count("limit", PAGE, MAX_PAGE)?;
    let wrong = |_| Problem::bad_request("cursor: not one that was given");
    let before = asked.query.one("cursor")?.map(|text| text.parse().map_err(wrong)).transpose()?;
    let filter = MonitorFilter { host: asked.query.one("host")?, span: asked.query.period()?, before };
    let db = needs_database(&app, &asked.tenant)?;
    let mut items = db.measured(&filter, limit + 1).await.map_err(Problem::database)?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| has_more).map(|row| row.id.to_string());
    Ok(Json(Page { items, next_cursor }))
}

fn within(name: &str, value: Option<f32>, least: f32, most: f32) -> Result<(), Problem> {
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            Err(Problem::unprocessable(format!("{name}: from {least} to {most}")))
        }
        _ => Ok(()),
    }
}

/// `POST /system/monitor`: of machines beside the gateways, as those are that look at pictures.
pub async fn note(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<(StatusCode, Json<Measured>), Problem> {
    asked.query.only(&[])?;
    let Wish { host, cpu_usage, ram_usage, gpu_temp, gpu_mem_used_bytes } = body(wish)?;
    if !(1..=MAX_HOST).contains(&host.chars().count()) {
        return Err(Problem::unprocessable(format!("host: 1 to {MAX_HOST} characters")));
    }
    within("cpu_usage", cpu_usage, 0.0, 100.0)?;
    within("ram_usage", ram_usage, 0.0, 100.0)?;
    within("gpu_temp", gpu_temp, -100.0, 300.0)?;
    if gpu_mem_used_bytes.is_some_and(|bytes| bytes < 0) {
        return Err(Problem::unprocessable("gpu_mem_used_bytes: not below 0"));
    }
    let new = Measured { id: 0, host, at: now(), cpu_usage, ram_usage, gpu_temp, gpu_mem_used_bytes };
    let db = needs_database(&app, &asked.tenant)?;
    let id = db.add_measured(&new).await.map_err(Problem::database)?;
    Ok((StatusCode::CREATED, Json(Measured { id, ..new })))
}
