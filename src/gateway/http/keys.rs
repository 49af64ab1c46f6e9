//! API keys: for machines, with scopes instead of a role.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Asked;
use super::{body, needs_store};
use crate::domain::time::rfc3339;
use crate::gateway::App;
use crate::gateway::account::token::Token;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::gateway::rights::{KeyPermissions, Permissions, Right};
use crate::store::users::KeyRow;

/// Longest name of a key, characters.
const MAX_NAME: usize = 100;
/// Keys of a tenant that hold.
const MAX_KEYS: usize = 100;

/// A key to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    name: String,
    scopes: BTreeSet<Right>,
    /// None: all lines.
    #[serde(default)]
    lines: Option<BTreeSet<String>>,
}

fn key_json(key: &KeyRow) -> Value {
    let read = key.permissions.as_deref().and_then(|json| serde_json::from_str(json).ok());
    let KeyPermissions { scopes, lines } = read.unwrap_or_default();
    json!({
        "id": key.id, "name": key.name, "scopes": scopes, "lines": lines, "created_at": rfc3339(key.created_at),
        "last_used_at": key.last_used_at.map(rfc3339), "revoked_at": key.revoked_at.map(rfc3339),
    })
}

/// `GET /api-keys`
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let keys = needs_store(&app)?.keys(&asked.tenant.name).await.map_err(Problem::database)?;
    Ok(Json(json!({"items": keys.iter().map(key_json).collect::<Vec<_>>()})))
}

/// `POST /api-keys`: the key itself is told this once.
pub async fn create(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<NewKey>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let NewKey { name, scopes, lines } = body(wish)?;
    if !(1..=MAX_NAME).contains(&name.trim().chars().count()) || name.contains(char::is_control) {
        return Err(Problem::unprocessable(format!("name: 1 to {MAX_NAME} characters")));
    }
    if let Some(right) = scopes.iter().find(|right| !right.rule().for_keys) {
        return Err(Problem::unprocessable(format!("scopes: {:?} is for users only", right.as_str())));
    }
    if scopes.is_empty() {
        return Err(Problem::unprocessable("scopes: name one at least, such as \"look\""));
    }
    let is_hidden = |line: &&String| asked.tenant.line(line).is_none() || !asked.identity.may_see_line(line);
    if let Some(line) = lines.iter().flatten().find(is_hidden) {
        return Err(Problem::unprocessable(format!("lines: there is no line {line:?}")));
    }
    let wanted = Permissions { lines: lines.clone() };
    if !asked.identity.permissions.cover(&wanted) {
        return Err(Problem::forbidden("lines: nobody gives lines beyond their own"));
    }
    let store = needs_store(&app)?;
    let tenant = &asked.tenant.name;
    let keys = store.keys(tenant).await.map_err(Problem::database)?;
    if keys.iter().filter(|key| key.revoked_at.is_none()).count() >= MAX_KEYS {
        return Err(Problem::conflict(format!("a tenant has at most {MAX_KEYS} keys: revoke one")));
    }
    let key = Token::new();
    let permissions = KeyPermissions { scopes, lines };
    let text = serde_json::to_string(&permissions).map_err(Problem::internal)?;
    let made = store.create_key(tenant, name.trim(), &key.hash().0, &text, asked.identity.user()).await;
    let id = made.map_err(Problem::database)?;
    let details = json!({"tenant": tenant, "key_id": id, "name": name.trim(), "scopes": permissions.scopes,
        "lines": permissions.lines});
    app.audit(&asked.identity, "key_created", &details).await;
    let answer = json!({"id": id, "name": name.trim(), "scopes": permissions.scopes, "lines": permissions.lines,
        "key": key.key_text()});
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `DELETE /api-keys/{key_id}`: holds at once, also for live connections.
pub async fn revoke(State(app): State<Arc<App>>, Path(id): Path<i32>, asked: Asked) -> Result<StatusCode, Problem> {
    asked.query.only(&[])?;
    let store = needs_store(&app)?;
    if !store.revoke_key(&asked.tenant.name, id, now()).await.map_err(Problem::database)? {
        return Err(Problem::not_found(format!("there is no key {id}")));
    }
    app.audit(&asked.identity, "key_revoked", &json!({"tenant": asked.tenant.name, "key_id": id})).await;
    app.accounts.revoked(id);
    Ok(StatusCode::NO_CONTENT)
}
