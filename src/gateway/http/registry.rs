//! The read calls of a Confluent schema registry, for Avro clients of the topics.
//!
//! Those clients bring no session, and schemas are no secret: whoever names a topic is answered, but names of topics
//! are listed only for those who may know them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::caller::credential;
use super::subjects::answer;
use crate::gateway::App;
use crate::gateway::directory::Tenant;
use crate::gateway::rights::{Identity, Right};
use crate::kafka::topics;

/// `GET /registry/{path}`
pub async fn ask(State(app): State<Arc<App>>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    let mut known = match credential(&headers) {
        Some(credential) => match app.accounts.identify(app.store().as_ref(), &credential).await {
            Ok(identity) if identity.may(Right::Look) => visible(&app, &identity),
            _ => Vec::new(),
        },
        None => Vec::new(),
    };
    known.extend(path.split('/').filter_map(|part| part.strip_suffix("-value")).map(str::to_owned));
    let (status, body) = match answer(&path, &app.ids, &known) {
        Ok(body) => (StatusCode::OK, body),
        Err(refused) => (StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::NOT_FOUND), refused.body()),
    };
    let mut response = (status, Json(body)).into_response();
    let kind = HeaderValue::from_static("application/vnd.schemaregistry.v1+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The topics that a user may know of.
fn visible(app: &App, identity: &Identity) -> Vec<String> {
    let tenants = app.directory.all().into_iter().filter(|tenant| identity.may_see_tenant(&tenant.name));
    let of_tenant = |tenant: Arc<Tenant>| {
        let name = &tenant.name;
        let of_line = |line: &str| [topics::detections, topics::downtime, topics::oee].map(|topic| topic(name, line));
        let mut all: Vec<String> = identity.lines(&tenant).flat_map(|line| of_line(&line.name)).collect();
        all.push(topics::late(name));
        all
    };
    tenants.flat_map(of_tenant).collect()
}
