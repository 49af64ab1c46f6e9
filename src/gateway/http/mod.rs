//! HTTP: the routes, and what holds for all of them.

pub mod aggregate;
pub mod audit;
pub mod auth;
pub mod caller;
pub mod cameras;
pub mod columns;
pub mod dashboard;
pub mod detections;
pub mod downtime;
pub mod edit;
pub mod etag;
pub mod export;
pub mod incidents;
pub mod keys;
pub mod live;
pub mod metrics;
pub mod monitor;
pub mod openapi;
pub mod own;
pub mod pages;
pub mod pieces;
pub mod preview;
pub mod production;
pub mod query;
pub mod recompute;
pub mod registry;
pub mod routes;
pub mod screens;
pub mod settings;
pub mod stop_edit;
pub mod stop_summary;
pub mod subjects;
pub mod system;
pub mod templates;
pub mod tenants;
pub mod users;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::{counter, histogram};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};

use self::caller::Asked;
use self::export::PARQUET;
use super::App;
use super::directory::Tenant;
use super::problem::Problem;
use crate::domain::time::{Ms, Span};
use crate::store::stamp::is_storable;
use crate::store::{Store, TenantDb};
use crate::watch::metrics::{HTTP_REQUESTS, HTTP_SECONDS};

/// The largest body taken.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long a request may take; live connections are none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nothing of other sites is loaded, nothing inline is run, nobody may frame the pages.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// Everything.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in routes::api() {
        router = router.route(&format!("/api/v1{}", route.path), route.guarded(&app));
    }
    router
        .route("/api/docs", get(openapi::page))
        .route("/registry/{*path}", get(registry::ask))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(pages::page)
        .layer(from_fn_with_state(app.clone(), caller::refuse_foreign))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        // A Parquet file is compressed already.
        .layer(
            CompressionLayer::new().compress_when(DefaultPredicate::new().and(NotForContentType::const_new(PARQUET))),
        )
        .layer(from_fn(guard))
        .with_state(app)
}

/// Bounds, counts and dresses every request.
async fn guard(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("pages", MatchedPath::as_str).to_owned();
    let is_api = request.uri().path().starts_with("/api/");
    // Over plain HTTP the header means nothing.
    let is_https = request.headers().get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https");
    let mut response = match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    };
    if is_api && !is_told(&response) {
        response = Problem::of_status(response.status()).into_response();
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if is_api {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    let status = response.status().as_str().to_owned();
    counter!(HTTP_REQUESTS, "route" => route.clone(), "status" => status).increment(1);
    histogram!(HTTP_SECONDS, "route" => route).record(started.elapsed());
    response
}

/// Whether an answer is none of the framework's own errors, which are plain text.
fn is_told(response: &Response) -> bool {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    !is_error || kind.is_some_and(|kind| kind.ends_with(b"json"))
}

/// The lines that a request is about, in the tenant's order: those named by `line`, else all one may see.
fn lines_of(asked: &Asked) -> Result<Vec<String>, Problem> {
    let chosen = asked.identity.choose(&asked.tenant, &asked.query.all("line"))?;
    let visible = asked.identity.lines(&asked.tenant).map(|line| line.name.clone());
    Ok(visible.filter(|line| chosen.as_ref().is_none_or(|chosen| chosen.contains(line))).collect())
}

/// A line that a body names has to be one that its sender may see.
fn needs_line(asked: &Asked, line: &str) -> Result<(), Problem> {
    match asked.tenant.line(line).is_some() && asked.identity.may_see_line(line) {
        true => Ok(()),
        false => Err(Problem::unprocessable(format!("line: there is no line {line:?}"))),
    }
}

/// A period that a body names, as the tables can hold it.
fn period_of(from: Ms, to: Ms) -> Result<Span, Problem> {
    match from < to && is_storable(from) && is_storable(to) {
        true => Ok(Span::new(from, to)),
        false => Err(Problem::unprocessable("from: has to lie before to")),
    }
}

/// A request's body.
fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE),
        _ => Problem::bad_request(rejection.body_text()),
    })
}

/// The global database.
fn needs_store(app: &App) -> Result<Arc<Store>, Problem> {
    app.store().ok_or_else(|| Problem::unavailable("the database cannot be asked at the moment"))
}

/// The tenant's database.
fn needs_database(app: &App, tenant: &Tenant) -> Result<Arc<TenantDb>, Problem> {
    let away = || Problem::unavailable("the tenant's database cannot be asked at the moment");
    app.directory.database(&tenant.name).ok_or_else(away)
}

#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod rights_tests;
#[cfg(test)]
mod tests;
