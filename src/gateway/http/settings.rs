//! `/system/config`: a tenant's settings.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Asked;
use super::{body, etag, needs_database};
use crate::domain::time::{Ms, rfc3339};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::gateway::settings::{SETTINGS, Setting, find};

/// A setting as it is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    value: Value,
}

fn told(setting: &Setting, value: &Value, updated_at: Option<Ms>) -> Value {
    json!({"key": setting.key, "title": setting.title, "value": value, "default": setting.default(),
        "schema": setting.schema(), "updated_at": updated_at.map(rfc3339)})
}

/// Names a setting by its value alone: the same wherever and whenever it is read.
fn tag(setting: &Setting, value: &Value) -> String {
    etag::tag(&json!([setting.key, value]))
}

fn setting_of(key: &str) -> Result<&'static Setting, Problem> {
    find(key).ok_or_else(|| Problem::not_found(format!("there is no setting {key:?}")))
}

/// `GET /system/config`: every setting there is, with what holds.
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let mut rows = needs_database(&app, &asked.tenant)?.settings().await.map_err(Problem::database)?;
    let items = SETTINGS.iter().map(|setting| {
        let row = rows.iter().position(|row| row.key == setting.key).map(|at| rows.swap_remove(at));
        let (value, at) = row.map_or((None, None), |row| (Some(row.value), Some(row.updated_at)));
        told(setting, &setting.of(value), at)
    });
    Ok(Json(json!({"items": items.collect::<Vec<_>>()})))
}

/// `GET /system/config/{key}`
pub async fn one(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let setting = setting_of(&key)?;
    let rows = needs_database(&app, &asked.tenant)?.settings().await.map_err(Problem::database)?;
    let row = rows.into_iter().find(|row| row.key == setting.key);
    let (value, at) = row.map_or((None, None), |row| (Some(row.value), Some(row.updated_at)));
    let value = setting.of(value);
    Ok(etag::told(&headers, &tag(setting, &value), told(setting, &value, at)))
}

/// `PUT /system/config/{key}`: with `If-Match`. Gateways see it within seconds.
pub async fn change(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let setting = setting_of(&key)?;
    let Wish { value } = body(wish)?;
    setting.check(&value).map_err(Problem::unprocessable)?;
    let db = needs_database(&app, &asked.tenant)?;
    // Asked of the row under its lock: of two who have read the same, the second is told.
    let mut judged = Ok(());
    let mut before = Value::Null;
    let is_known = |row: &Value| {
        before = setting.of(Some(row.clone()));
        judged = etag::has_seen(&headers, &tag(setting, &before));
        judged.is_ok()
    };
    db.save_setting(setting.key, &setting.default(), &value, is_known).await.map_err(Problem::database)?;
    judged?;
    let details = json!({"tenant": asked.tenant.name, "key": setting.key, "value": [before, value]});
    app.audit(&asked.identity, "setting_changed", &details).await;
    let mut response = Json(told(setting, &value, Some(now()))).into_response();
    etag::set(&mut response, header::ETAG, &tag(setting, &value));
    Ok(response)
}
