//! Tenants: one's own, and for a super admin all of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Asked, Caller};
use super::query::Query;
use super::{body, edit, etag, needs_store};
use crate::config::tenant::{TenantSpec, is_name};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::kafka::topics::Admin;
use crate::store::{Store, StoreError, Tenant};

/// A tenant to add. Its lines come with `PUT /production/config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    name: String,
    /// IANA name.
    time_zone: String,
    /// None: the name.
    #[serde(default)]
    company: Option<String>,
    #[serde(default)]
    locale: Option<String>,
}

/// A tenant as it is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    company: String,
    time_zone: String,
    locale: String,
}

fn tenant_json(app: &App, row: &Tenant) -> Value {
    let lines = app.directory.get(&row.name).map(|tenant| tenant.lines.len());
    json!({
        "id": row.id, "name": row.name, "company": row.company, "time_zone": row.time_zone, "locale": row.locale,
        "is_active": row.is_active, "lines": lines,
    })
}

/// Names what can be changed of a tenant.
fn tag(row: &Tenant) -> String {
    etag::tag(&json!([row.id, row.company, row.time_zone, row.locale]))
}

async fn tenants(store: &Store) -> Result<Vec<Tenant>, Problem> {
    store.tenants().await.map_err(Problem::database)
}

async fn tenant_of(store: &Store, id: i32) -> Result<Tenant, Problem> {
    tenants(store).await?.into_iter().find(|row| row.id == id).ok_or_else(Problem::unknown_tenant)
}

/// `GET /tenants/current`: the caller's, or the one that a super admin names.
pub async fn current(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let rows = tenants(&*needs_store(&app)?).await?;
    let row = rows.iter().find(|row| row.name == asked.tenant.name).ok_or_else(Problem::unknown_tenant)?;
    let visible = asked.identity.lines(&asked.tenant).count();
    let mut told = tenant_json(&app, row);
    told["lines"] = json!(visible);
    Ok(Json(told))
}

/// `GET /tenants`
pub async fn list(State(app): State<Arc<App>>, query: Plain) -> Result<Json<Value>, Problem> {
    query.none()?;
    let rows = tenants(&*needs_store(&app)?).await?;
    Ok(Json(json!({"items": rows.iter().map(|row| tenant_json(&app, row)).collect::<Vec<_>>()})))
}

/// `GET /tenants/{tenant_id}`
pub async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    query: Plain,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.none()?;
    let row = tenant_of(&*needs_store(&app)?, id).await?;
    Ok(etag::told(&headers, &tag(&row), tenant_json(&app, &row)))
}

fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::Conflict(detail) => Problem::conflict(detail),
        StoreError::Spec(why) => Problem::unprocessable(why.to_string()),
        error => Problem::database(error),
    }
}

/// `POST /tenants`: its database and topics are made; its lines come with its file.
pub async fn create(
    State(app): State<Arc<App>>,
    Caller(identity): Caller,
    query: Plain,
    wish: Result<Json<NewTenant>, JsonRejection>,
) -> Result<Response, Problem> {
    query.none()?;
    let NewTenant { name, time_zone, company, locale } = body(wish)?;
    if !is_name(&name) {
        return Err(Problem::unprocessable("name: 1 to 48 of a-z, 0-9 and _"));
    }
    let mut tenant = json!({"name": name, "time_zone": time_zone});
    for (key, value) in [("company", company), ("locale", locale)] {
        if let Some(value) = value {
            tenant[key] = json!(value);
        }
    }
    let file = json!({"tenant": tenant}).to_string();
    let spec = TenantSpec::from_json(&file).map_err(|why| Problem::unprocessable(why.to_string()))?;
    let store = needs_store(&app)?;
    if tenants(&store).await?.iter().any(|row| row.name == name) {
        return Err(Problem::conflict(format!("there is a tenant {name:?} already")));
    }
    let away = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, tenant = name, "topics of a new tenant could not be made");
        Problem::unavailable("the topics of the tenant cannot be made at the moment")
    };
    // Before the tenant, so that it is never there without them.
    let settings = app.kafka.as_ref().ok_or_else(|| away(&"no brokers are configured"))?;
    let admin = Admin::connect(settings).map_err(|error| away(&error))?;
    admin.ensure_tenant_topics(&name).await.map_err(|error| away(&error))?;
    store.apply_spec(&spec, now(), &identity.username, false).await.map_err(refused)?;
    app.directory.refresh(&store).await.map_err(Problem::database)?;
    let rows = tenants(&store).await?;
    let row = rows.iter().find(|row| row.name == name).ok_or_else(Problem::unknown_tenant)?;
    app.audit(&identity, "tenant_created", &json!({"tenant": name})).await;
    let mut response = (StatusCode::CREATED, Json(tenant_json(&app, row))).into_response();
    etag::set(&mut response, header::ETAG, &tag(row));
    etag::set(&mut response, header::LOCATION, &format!("/api/v1/tenants/{}", row.id));
    Ok(response)
}

/// `PUT /tenants/{tenant_id}`: with `If-Match`; a version of its file.
pub async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    Caller(identity): Caller,
    query: Plain,
    headers: HeaderMap,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Response, Problem> {
    query.none()?;
    let Wish { company, time_zone, locale } = body(wish)?;
    let store = needs_store(&app)?;
    let row = tenant_of(&store, id).await?;
    etag::has_seen(&headers, &tag(&row))?;
    let db = app.directory.database(&row.name);
    let db = db.ok_or_else(|| Problem::conflict("the tenant is deactivated, or its database is away"))?;
    let saved = edit::save(&app, &row.name, &db, &identity.username, None, |file| {
        let seen = [&row.company, &row.time_zone, &row.locale];
        if ["company", "time_zone", "locale"].iter().zip(seen).any(|(key, seen)| file["tenant"][key] != json!(seen)) {
            return Err(Problem::stale());
        }
        for (key, value) in [("company", &company), ("time_zone", &time_zone), ("locale", &locale)] {
            file["tenant"][key] = json!(value);
        }
        Ok(())
    })
    .await?;
    let details = json!({"tenant": row.name, "version": saved.version.version, "changes": saved.changes});
    app.audit(&identity, "tenant_changed", &details).await;
    let row = tenant_of(&store, id).await?;
    Ok(etag::told(&HeaderMap::new(), &tag(&row), tenant_json(&app, &row)))
}

/// `POST /tenants/{tenant_id}/activate`
pub async fn activate(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    Caller(identity): Caller,
    query: Plain,
) -> Result<Json<Value>, Problem> {
    set_active(&app, id, &identity, &query, true).await
}

/// `POST /tenants/{tenant_id}/deactivate`: nobody of it is let in any more; its data stays.
pub async fn deactivate(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    Caller(identity): Caller,
    query: Plain,
) -> Result<Json<Value>, Problem> {
    set_active(&app, id, &identity, &query, false).await
}

async fn set_active(
    app: &App,
    id: i32,
    identity: &crate::gateway::rights::Identity,
    query: &Plain,
    is_active: bool,
) -> Result<Json<Value>, Problem> {
    query.none()?;
    let store = needs_store(app)?;
    let row = tenant_of(&store, id).await?;
    store.set_tenant_active(&row.name, is_active).await.map_err(refused)?;
    app.directory.refresh(&store).await.map_err(Problem::database)?;
    app.accounts.follow(&store).await.map_err(Problem::database)?;
    let action = if is_active { "tenant_activated" } else { "tenant_deactivated" };
    app.audit(identity, action, &json!({"tenant": row.name})).await;
    Ok(Json(tenant_json(app, &tenant_of(&store, id).await?)))
}

/// The query of a request that is about no tenant's data.
pub struct Plain(Query);

// === impl Plain ===

impl Plain {
    fn none(&self) -> Result<(), Problem> {
        self.0.only(&[])
    }
}

impl axum::extract::FromRequestParts<Arc<App>> for Plain {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &Arc<App>) -> Result<Plain, Problem> {
        Query::read(&parts.uri).map(Plain)
    }
}
