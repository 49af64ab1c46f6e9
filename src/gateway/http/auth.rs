//! Login, logout, refresh, and who one is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use metrics::counter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Caller, PLAIN_COOKIE, SECURE_COOKIE, is_plain_loopback};
use super::{body, needs_store};
use crate::gateway::App;
use crate::gateway::account::token::Token;
use crate::gateway::account::{NoRefresh, Opened, password};
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::gateway::rights::{Identity, Right};
use crate::store::Store;
use crate::store::account::Origin;
use crate::watch::metrics::LOGINS;

/// Where a request came from: the socket's peer. Headers of proxies are not believed.
type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    username: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    refresh_token: String,
}

/// `POST /auth/login`
pub async fn login(
    State(app): State<Arc<App>>,
    peer: Peer,
    headers: HeaderMap,
    uri: Uri,
    credentials: Result<Json<Credentials>, JsonRejection>,
) -> Result<Response, Problem> {
    let Credentials { username, password } = body(credentials)?;
    let ip_address = peer.map(|Extension(ConnectInfo(address))| address.ip().to_string());
    let limited = app.logins.take(format!("user {}", username.to_lowercase()));
    let from_here = format!("failed from {}", ip_address.as_deref().unwrap_or("nowhere"));
    if let Err(wait) = limited.and_then(|()| app.logins.has_room(&from_here)) {
        counter!(LOGINS, "outcome" => "limited").increment(1);
        return Err(Problem::too_many("too many logins: wait a little", wait));
    }
    let store = needs_store(&app)?;
    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let origin = Origin { ip_address: ip_address.as_deref(), user_agent };
    refuse_locked(&store, &username).await?;
    let user = store.user(&username).await.map_err(Problem::database)?;
    let hash = user.as_ref().map(|user| user.password.clone());
    let is_right = password.len() <= password::MAX_BYTES && password::matches(password, hash).await;
    let user_id = user.as_ref().map(|user| user.id);
    let login_id = store.record_login(&username, user_id, is_right, origin).await.map_err(Problem::database)?;
    let Some(user) = user.filter(|_| is_right) else {
        counter!(LOGINS, "outcome" => "refused").increment(1);
        // The next one may be let through or not; this one was wrong.
        let _ = app.logins.take(from_here);
        return Err(Problem::wrong_login());
    };
    let opened = app.accounts.open(&store, user, login_id, origin).await.map_err(Problem::database)?;
    counter!(LOGINS, "outcome" => "done").increment(1);
    Ok(granted(&app, &opened, &headers, &uri))
}

/// Refuses a name that many wrong passwords were tried with, be it anybody's or not.
pub(super) async fn refuse_locked(store: &Store, username: &str) -> Result<(), Problem> {
    let at = now();
    let Some(until) = store.locked_until(username, at).await.map_err(Problem::database)? else { return Ok(()) };
    counter!(LOGINS, "outcome" => "limited").increment(1);
    let wait = Duration::from_millis((until - at).max(0) as u64);
    Err(Problem::too_many("too many wrong passwords in a row: wait before the next try", wait))
}

/// `POST /auth/refresh`
pub async fn refresh(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    refresh: Result<Json<Refresh>, JsonRejection>,
) -> Result<Response, Problem> {
    let Refresh { refresh_token } = body(refresh)?;
    let token = Token::parse(&refresh_token).ok_or_else(Problem::unauthorised)?;
    let store = needs_store(&app)?;
    let opened = match app.accounts.rotate(&store, &token).await {
        Ok(opened) => opened,
        Err(NoRefresh::Refused(problem)) => return Err(problem),
        Err(NoRefresh::Reused(known)) => {
            tracing::warn!(user = known.as_ref().map(|known| known.user_id), "a refresh token was used twice");
            if let Some(identity) = known {
                app.audit_denied(&identity, "refresh_token_reused", &json!({})).await;
            }
            return Err(Problem::unauthorised());
        }
    };
    Ok(granted(&app, &opened, &headers, &uri))
}

/// `POST /auth/logout`
pub async fn logout(State(app): State<Arc<App>>, Caller(identity): Caller) -> Result<Response, Problem> {
    let store = needs_store(&app)?;
    if let Some(session) = identity.session_id() {
        let ended = store.end_sessions(identity.user_id, Some(session), None, now()).await;
        app.accounts.ended(&ended.map_err(Problem::database)?);
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    for name in [SECURE_COOKIE, PLAIN_COOKIE] {
        let secure = if name == SECURE_COOKIE { "; Secure" } else { "" };
        let gone = format!("{name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}");
        if let Ok(value) = HeaderValue::from_str(&gone) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    Ok(response)
}

/// `GET /auth/me`
pub async fn me(State(app): State<Arc<App>>, Caller(identity): Caller) -> Json<Value> {
    Json(describe(&app, &identity))
}

fn granted(app: &App, opened: &Opened, headers: &HeaderMap, uri: &Uri) -> Response {
    let body = json!({
        "access_token": opened.access,
        "refresh_token": opened.refresh.text(),
        "token_type": "Bearer",
        "expires_in": app.accounts.expires_in_s(),
        "user": describe(app, &opened.identity),
    });
    let mut response = Json(body).into_response();
    let Some(session) = &opened.session else { return response };
    let is_plain = !app.secure_cookies || is_plain_loopback(headers, uri);
    let (name, secure) = if is_plain { (PLAIN_COOKIE, "") } else { (SECURE_COOKIE, "; Secure") };
    let cookie = format!("{name}={}; Path=/; HttpOnly; SameSite=Strict{secure}", session.text());
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// The user as they may know themselves, with what their pages need of the tenant.
pub(super) fn describe(app: &App, identity: &Identity) -> Value {
    let tenant = identity.tenant.as_deref().and_then(|name| app.directory.get(name));
    let locale = identity.locale.clone().or_else(|| tenant.as_ref().map(|tenant| tenant.locale.clone()));
    json!({
        "username": identity.username,
        "role": if identity.scopes.is_some() { json!("API_KEY") } else { json!(identity.role) },
        "scopes": identity.scopes,
        "tenant": identity.tenant,
        "company": tenant.as_ref().map(|tenant| &tenant.company),
        "time_zone": tenant.as_ref().map(|tenant| &tenant.time_zone),
        "locale": locale,
        "lines": identity.permissions.lines,
        "may_classify": identity.may(Right::Classify),
    })
}
