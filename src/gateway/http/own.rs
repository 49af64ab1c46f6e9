//! What everybody may do with their own account: see it, its sessions, and change its password.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{describe, refuse_locked};
use super::caller::Caller;
use super::{body, needs_store};
use crate::domain::time::rfc3339;
use crate::gateway::App;
use crate::gateway::account::password::{self, PasswordError};
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::store::account::Origin;
use crate::store::session::SessionInfo;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    old_password: String,
    new_password: String,
}

/// `GET /users/me`
pub async fn profile(State(app): State<Arc<App>>, Caller(identity): Caller) -> Json<Value> {
    Json(describe(&app, &identity))
}

/// `GET /auth/sessions`
pub async fn sessions(State(app): State<Arc<App>>, Caller(identity): Caller) -> Result<Json<Value>, Problem> {
    let store = needs_store(&app)?;
    let sessions = store.sessions(identity.user_id, app.accounts.idle_since()).await.map_err(Problem::database)?;
    Ok(Json(list_json(&sessions, identity.session_id())))
}

/// Sessions as their user sees them; `current` is the one that asks.
pub(super) fn list_json(sessions: &[SessionInfo], current: Option<i64>) -> Value {
    let one = |session: &SessionInfo| {
        json!({
            "id": session.id, "created_at": rfc3339(session.created_at), "last_seen_at": rfc3339(session.last_seen_at),
            "ip_address": session.ip_address, "user_agent": session.user_agent, "current": current == Some(session.id),
        })
    };
    json!({"items": sessions.iter().map(one).collect::<Vec<_>>()})
}

/// `DELETE /auth/sessions/{session_id}`
pub async fn end_session(
    State(app): State<Arc<App>>,
    Caller(identity): Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, Problem> {
    let store = needs_store(&app)?;
    let ended = store.end_sessions(identity.user_id, Some(id), None, now()).await.map_err(Problem::database)?;
    if ended.is_empty() {
        return Err(Problem::not_found(format!("there is no session {id}")));
    }
    app.audit(&identity, "session_ended", &json!({"session_id": id})).await;
    app.accounts.ended(&ended);
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /auth/change-password`: takes the old one; the other sessions end.
pub async fn change_password(
    State(app): State<Arc<App>>,
    Caller(identity): Caller,
    wish: Result<Json<NewPassword>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let NewPassword { old_password, new_password } = body(wish)?;
    let store = needs_store(&app)?;
    // A stolen session must not be a way to try passwords.
    let limited = app.logins.take(format!("user {}", identity.username.to_lowercase()));
    limited.map_err(|wait| Problem::too_many("too many passwords tried: wait a little", wait))?;
    refuse_locked(&store, &identity.username).await?;
    let user = store.user(&identity.username).await.map_err(Problem::database)?;
    let hash = user.map(|user| user.password);
    let is_right = old_password.len() <= password::MAX_BYTES && password::matches(old_password, hash).await;
    if !is_right {
        let address = identity.address.map(|address| address.to_string());
        let origin = Origin { ip_address: address.as_deref(), user_agent: None };
        let noted = store.record_login(&identity.username, Some(identity.user_id), false, origin).await;
        noted.map_err(Problem::database)?;
        app.audit_denied(&identity, "password_changed", &json!({})).await;
        return Err(Problem::unprocessable("old_password: is not the current one"));
    }
    let hashed = hashed("new_password", new_password).await?;
    let spared = identity.session_id();
    let ended = store.set_password(identity.user_id, &hashed, spared, now()).await.map_err(Problem::database)?;
    app.audit(&identity, "password_changed", &json!({"sessions_ended": ended.len()})).await;
    app.accounts.ended(&ended);
    Ok(StatusCode::NO_CONTENT)
}

/// The form in which a password is kept.
pub(super) async fn hashed(field: &str, password: String) -> Result<String, Problem> {
    password::hashed(password).await.map_err(|error| match error {
        PasswordError::Hash(cause) => Problem::internal(cause),
        refused => Problem::unprocessable(format!("{field}: {refused}")),
    })
}
