//! Login, logout, refresh, and who one is.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use metrics::counter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Caller, PLAIN_COOKIE, SECURE_COOKIE, is_plain_loopback};
use crate::gateway::App;
use crate::gateway::account::token::Token;
use crate::gateway::account::{Opened, password};
use crate::gateway::problem::Problem;
use crate::gateway::rights::{Identity, Right};
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

fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|rejection| Problem::bad_request(rejection.body_text()))
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
    let store = app.store().ok_or_else(|| Problem::unavailable("the database cannot be asked at the moment"))?;
    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let origin = Origin { ip_address: ip_address.as_deref(), user_agent };
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

/// `POST /auth/refresh`
pub async fn refresh(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    refresh: Result<Json<Refresh>, JsonRejection>,
) -> Result<Response, Problem> {
    let Refresh { refresh_token } = body(refresh)?;
    let token = Token::parse(&refresh_token).ok_or_else(Problem::unauthorised)?;
    let store = app.store().ok_or_else(|| Problem::unavailable("the database cannot be asked at the moment"))?;
    let opened = app.accounts.rotate(&store, &token).await?;
    Ok(granted(&app, &opened, &headers, &uri))
}

/// `POST /auth/logout`
pub async fn logout(State(app): State<Arc<App>>, Caller(identity): Caller) -> Result<Response, Problem> {
    let store = app.store().ok_or_else(|| Problem::unavailable("the database cannot be asked at the moment"))?;
    app.accounts.close(&store, &identity).await.map_err(Problem::database)?;
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
    let access = opened.refresh.access().text();
    let body = json!({
        "access_token": access,
        "refresh_token": opened.refresh.text(),
        "token_type": "Bearer",
        "expires_in": app.accounts.expires_in_s(),
        "user": describe(app, &opened.identity),
    });
    let is_plain = !app.secure_cookies || is_plain_loopback(headers, uri);
    let (name, secure) = if is_plain { (PLAIN_COOKIE, "") } else { (SECURE_COOKIE, "; Secure") };
    let cookie = format!("{name}={access}; Path=/; HttpOnly; SameSite=Strict{secure}");
    let mut response = Json(body).into_response();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// The user as they may know themselves, with what their pages need of the tenant.
fn describe(app: &App, identity: &Identity) -> Value {
    let tenant = identity.tenant.as_deref().and_then(|name| app.directory.get(name));
    let locale = identity.locale.clone().or_else(|| tenant.as_ref().map(|tenant| tenant.locale.clone()));
    json!({
        "username": identity.username,
        "role": identity.role,
        "tenant": identity.tenant,
        "company": tenant.as_ref().map(|tenant| &tenant.company),
        "time_zone": tenant.as_ref().map(|tenant| &tenant.time_zone),
        "locale": locale,
        "lines": identity.permissions.lines,
        "may_classify": identity.may(Right::Classify),
    })
}
