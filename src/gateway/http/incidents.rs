//! Kinds of failures, and the incidents that people note at lines.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::Asked;
use super::downtime::stop_of;
use super::{body, etag, lines_of, needs_database};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::store::incident::{Failure, Incident, IncidentChange, IncidentFilter, NewIncident};
use crate::store::{StoreError, TenantDb};

/// Incidents of a page, unless asked otherwise.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;
/// Longest name of a failure, characters.
const MAX_NAME: usize = 100;
/// Longest description and solution, characters.
const MAX_TEXT: usize = 4_000;

/// A kind of failure as it is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureWish {
    name: String,
    /// What is to be known of it, as the tenant likes.
    #[serde(default)]
    types: Option<Value>,
    #[serde(default = "yes")]
    is_active: bool,
}

/// An incident to note.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentWish {
    line: String,
    description: String,
    #[serde(default)]
    failure_id: Option<i32>,
    /// A stop of the line.
    #[serde(default)]
    downtime_id: Option<String>,
}

/// An incident as it is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentUpdate {
    description: String,
    #[serde(default)]
    failure_id: Option<i32>,
    /// None: not solved yet.
    #[serde(default)]
    solution: Option<String>,
}

fn yes() -> bool {
    true
}

fn value<T: Serialize>(thing: &T) -> Result<Value, Problem> {
    serde_json::to_value(thing).map_err(Problem::internal)
}

fn told<T: Serialize>(headers: &HeaderMap, thing: &T) -> Result<Response, Problem> {
    let thing = value(thing)?;
    Ok(etag::told(headers, &etag::tag(&thing), thing))
}

fn created<T: Serialize>(thing: &T, place: &str) -> Result<Response, Problem> {
    let thing = value(thing)?;
    let tag = etag::tag(&thing);
    let mut response = (StatusCode::CREATED, Json(thing)).into_response();
    etag::set(&mut response, header::ETAG, &tag);
    etag::set(&mut response, header::LOCATION, place);
    Ok(response)
}

fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::Conflict(detail) => Problem::conflict(detail),
        error => Problem::database(error),
    }
}

fn written(name: &str, text: &str, most: usize) -> Result<(), Problem> {
    let is_fine = (1..=most).contains(&text.chars().count()) && !text.trim().is_empty() && !text.contains('\0');
    if is_fine { Ok(()) } else { Err(Problem::unprocessable(format!("{name}: 1 to {most} characters"))) }
}

async fn failure_of(db: &TenantDb, id: i32) -> Result<Failure, Problem> {
    let found = db.failure(id).await.map_err(Problem::database)?;
    found.ok_or_else(|| Problem::not_found(format!("there is no failure {id}")))
}

/// `GET /failures`: all kinds, inactive ones too.
pub async fn failures(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let db = needs_database(&app, &asked.tenant)?;
    Ok(Json(json!({"items": db.failures().await.map_err(Problem::database)?})))
}

/// `GET /failures/{failure_id}`
pub async fn failure(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    told(&headers, &failure_of(&*needs_database(&app, &asked.tenant)?, id).await?)
}

/// `POST /failures`
pub async fn add_failure(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<FailureWish>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let FailureWish { name, types, is_active } = body(wish)?;
    written("name", &name, MAX_NAME)?;
    let db = needs_database(&app, &asked.tenant)?;
    let id = db.add_failure(&name, types.as_ref()).await.map_err(refused)?;
    let mut failure = failure_of(&db, id).await?;
    if !is_active {
        let wanted = Failure { is_active, ..failure.clone() };
        db.change_failure(&failure, &wanted).await.map_err(refused)?;
        failure = wanted;
    }
    let details = json!({"tenant": asked.tenant.name, "failure_id": id, "name": name});
    app.audit(&asked.identity, "failure_added", &details).await;
    created(&failure, &format!("/api/v1/failures/{id}"))
}

/// `PUT /failures/{failure_id}`: with `If-Match`.
pub async fn change_failure(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    asked: Asked,
    headers: HeaderMap,
    wish: Result<Json<FailureWish>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let FailureWish { name, types, is_active } = body(wish)?;
    written("name", &name, MAX_NAME)?;
    let db = needs_database(&app, &asked.tenant)?;
    let seen = failure_of(&db, id).await?;
    etag::has_seen(&headers, &etag::tag(&value(&seen)?))?;
    save_failure(&app, &asked, &db, &seen, Failure { id, name, types, is_active }).await?;
    told(&HeaderMap::new(), &failure_of(&db, id).await?)
}

/// `DELETE /failures/{failure_id}`: with `If-Match`; incidents of it stay.
pub async fn remove_failure(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    asked.query.only(&[])?;
    let db = needs_database(&app, &asked.tenant)?;
    let seen = failure_of(&db, id).await?;
    etag::has_seen(&headers, &etag::tag(&value(&seen)?))?;
    save_failure(&app, &asked, &db, &seen, Failure { is_active: false, ..seen.clone() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn save_failure(app: &App, asked: &Asked, db: &TenantDb, seen: &Failure, wanted: Failure) -> Result<(), Problem> {
    if !db.change_failure(seen, &wanted).await.map_err(refused)? {
        return Err(Problem::stale());
    }
    let details = json!({"tenant": asked.tenant.name, "failure_id": seen.id, "name": [seen.name, wanted.name],
        "is_active": [seen.is_active, wanted.is_active]});
    app.audit(&asked.identity, "failure_changed", &details).await;
    Ok(())
}

/// `GET /incidents`: the newest first.
pub async fn incidents(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&["line", "from", "to", "failure", "solved", "cursor", "limit"])?;
    let limit = asked.query.count("limit", PAGE, MAX_PAGE)?;
    let wrong = |_| Problem::bad_request("cursor: not one that was given");
    let has_solution = match asked.query.one("solved")? {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(Problem::bad_request("solved: true or false")),
    };
    let filter = IncidentFilter {
        lines: lines_of(&asked)?,
        span: asked.query.period()?,
        failure_id: asked.query.number("failure")?,
        has_solution,
        before: asked.query.one("cursor")?.map(|text| text.parse().map_err(wrong)).transpose()?,
    };
    let db = needs_database(&app, &asked.tenant)?;
    let mut found = db.incidents(&filter, limit + 1).await.map_err(Problem::database)?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| has_more).map(|incident| incident.id.to_string());
    Ok(Json(json!({"items": found, "next_cursor": next_cursor})))
}

/// The incident of that number, if the caller may see its line.
async fn incident_of(db: &TenantDb, asked: &Asked, id: i64) -> Result<Incident, Problem> {
    let may_see = |incident: &Incident| match &incident.line {
        Some(line) => asked.identity.may_see_line(line),
        None => asked.identity.permissions.lines.is_none(),
    };
    let found = db.incident(id).await.map_err(Problem::database)?.filter(may_see);
    found.ok_or_else(|| Problem::not_found(format!("there is no incident {id}")))
}

/// `GET /incidents/{incident_id}`
pub async fn incident(
    State(app): State<Arc<App>>,
    Path(id): Path<i64>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    told(&headers, &incident_of(&*needs_database(&app, &asked.tenant)?, &asked, id).await?)
}

async fn known_failure(db: &TenantDb, id: Option<i32>) -> Result<(), Problem> {
    let Some(id) = id else { return Ok(()) };
    match db.failure(id).await.map_err(Problem::database)? {
        Some(failure) if failure.is_active => Ok(()),
        _ => Err(Problem::unprocessable(format!("failure_id: there is no failure {id}"))),
    }
}

/// `POST /incidents`
pub async fn add_incident(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<IncidentWish>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let IncidentWish { line, description, failure_id, downtime_id } = body(wish)?;
    if asked.tenant.line(&line).is_none() || !asked.identity.may_see_line(&line) {
        return Err(Problem::unprocessable(format!("line: there is no line {line:?}")));
    }
    written("description", &description, MAX_TEXT)?;
    let db = needs_database(&app, &asked.tenant)?;
    known_failure(&db, failure_id).await?;
    if let Some(id) = &downtime_id {
        let stop = stop_of(&db, &asked, id).await.ok().filter(|stop| stop.line == line);
        stop.ok_or_else(|| Problem::unprocessable(format!("downtime_id: the line has no stop {id:?}")))?;
    }
    let (author, at) = (asked.identity.username.as_str(), now());
    let downtime_id = downtime_id.as_deref();
    let new = NewIncident { failure_id, line: &line, downtime_id, description: &description, author, at };
    let id = db.add_incident(&new).await.map_err(refused)?;
    let details = json!({"tenant": asked.tenant.name, "incident_id": id, "line": line});
    app.audit(&asked.identity, "incident_added", &details).await;
    created(&incident_of(&db, &asked, id).await?, &format!("/api/v1/incidents/{id}"))
}

/// `PUT /incidents/{incident_id}`: with `If-Match`.
pub async fn change_incident(
    State(app): State<Arc<App>>,
    Path(id): Path<i64>,
    asked: Asked,
    headers: HeaderMap,
    wish: Result<Json<IncidentUpdate>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let IncidentUpdate { description, failure_id, solution } = body(wish)?;
    written("description", &description, MAX_TEXT)?;
    solution.as_deref().map_or(Ok(()), |text| written("solution", text, MAX_TEXT))?;
    let db = needs_database(&app, &asked.tenant)?;
    let seen = incident_of(&db, &asked, id).await?;
    etag::has_seen(&headers, &etag::tag(&value(&seen)?))?;
    if failure_id != seen.failure_id {
        known_failure(&db, failure_id).await?;
    }
    let change = IncidentChange { failure_id, description: &description, solution: solution.as_deref(), at: now() };
    if !db.change_incident(&seen, &change).await.map_err(refused)? {
        return Err(Problem::stale());
    }
    let details = json!({"tenant": asked.tenant.name, "incident_id": id, "has_solution": solution.is_some()});
    app.audit(&asked.identity, "incident_changed", &details).await;
    told(&HeaderMap::new(), &incident_of(&db, &asked, id).await?)
}
