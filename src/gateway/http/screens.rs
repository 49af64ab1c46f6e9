//! Wall displays: a screen shows a short code, somebody with the right enters it, and the screen has a read-only token
//! in a cookie of its own. Nobody signs in on a television.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rand::RngExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Asked, PLAIN_SCREEN_COOKIE, SECURE_SCREEN_COOKIE, is_plain_loopback};
use super::{body, needs_store};
use crate::domain::time::{MINUTE_MS, Ms, rfc3339};
use crate::gateway::App;
use crate::gateway::account::token::Token;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::gateway::rights::{KeyPermissions, Permissions, Right};
use crate::store::screens::{Pairing, ScreenRow};

/// How long a code can be entered.
const CODE_FOR_MS: Ms = 10 * MINUTE_MS;
/// Of a code; two of the same at a time are as good as none in 30^6.
const CODE_LENGTH: usize = 6;
/// Without those that are taken for each other when read from afar.
const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// A code that is taken is drawn anew so often.
const DRAWS: usize = 5;
/// Longest title, characters.
const MAX_TITLE: usize = 100;
/// A cookie of a screen lasts as long as browsers let one: 400 days.
const COOKIE_FOR_S: u32 = 400 * 24 * 3_600;

/// A screen's own token, from where it began to wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    token: String,
}

/// A code to pair.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    code: String,
    title: String,
    /// None: all lines.
    #[serde(default)]
    lines: Option<BTreeSet<String>>,
}

fn code() -> String {
    let mut random = rand::rng();
    let letter = |_| char::from(LETTERS[random.random_range(0..LETTERS.len())]);
    (0..CODE_LENGTH).map(letter).collect()
}

/// As people type it: small letters, blanks and dashes are no matter.
fn normal(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

fn screen_json(screen: &ScreenRow) -> Value {
    let read = screen.permissions.as_deref().and_then(|json| serde_json::from_str(json).ok());
    let KeyPermissions { lines, .. } = read.unwrap_or_default();
    json!({
        "id": screen.id, "title": screen.title, "lines": lines, "paired_at": rfc3339(screen.paired_at),
        "last_seen_at": screen.last_seen_at.map(rfc3339), "revoked_at": screen.revoked_at.map(rfc3339),
    })
}

/// `POST /wall/pair`: a screen begins to wait; it shows the code and keeps the token to itself.
pub async fn begin(
    State(app): State<Arc<App>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
) -> Result<Response, Problem> {
    let address = peer.map(|Extension(ConnectInfo(address))| address.ip().to_string());
    let from_here = format!("pairing from {}", address.as_deref().unwrap_or("nowhere"));
    app.logins.take(from_here).map_err(|wait| Problem::too_many("too many codes: wait a little", wait))?;
    let store = needs_store(&app)?;
    let token = Token::new();
    for _ in 0..DRAWS {
        let code = code();
        let at = now();
        if store.await_pairing(&code, &token.hash().0, at - CODE_FOR_MS, at).await.map_err(Problem::database)? {
            let answer = json!({"code": code, "token": token.text(), "expires_in": CODE_FOR_MS / 1_000});
            return Ok((StatusCode::CREATED, Json(answer)).into_response());
        }
    }
    Err(Problem::too_many("too many screens wait to be paired", Duration::from_millis(MINUTE_MS as u64)))
}

/// `POST /wall/pair/claim`: 202 while nobody has entered the code, then the cookie.
pub async fn claim(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    claim: Result<Json<Claim>, JsonRejection>,
) -> Result<Response, Problem> {
    let Claim { token } = body(claim)?;
    let gone = || Problem::not_found("this screen waits no longer: ask for a new code");
    let token = Token::parse(&token).ok_or_else(gone)?;
    let store = needs_store(&app)?;
    let paired = store.is_paired(&token.hash().0, now() - CODE_FOR_MS).await.map_err(Problem::database)?;
    if !paired.ok_or_else(gone)? {
        return Ok((StatusCode::ACCEPTED, Json(json!({"status": "waiting"}))).into_response());
    }
    let mut response = Json(json!({"status": "paired"})).into_response();
    let is_plain = !app.secure_cookies || is_plain_loopback(&headers, &uri);
    let (name, secure) = if is_plain { (PLAIN_SCREEN_COOKIE, "") } else { (SECURE_SCREEN_COOKIE, "; Secure") };
    let cookie = format!("{name}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_FOR_S}{secure}", token.text());
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}

/// `GET /wall/screens`
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let screens = needs_store(&app)?.screens(&asked.tenant.name).await.map_err(Problem::database)?;
    Ok(Json(json!({"items": screens.iter().map(screen_json).collect::<Vec<_>>()})))
}

/// `POST /wall/screens`: pairs the screen that shows the code.
pub async fn pair(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let Wish { code, title, lines } = body(wish)?;
    let title = title.trim();
    if !(1..=MAX_TITLE).contains(&title.chars().count()) || title.contains(char::is_control) {
        return Err(Problem::unprocessable(format!("title: 1 to {MAX_TITLE} characters")));
    }
    let is_hidden = |line: &&String| asked.tenant.line(line).is_none() || !asked.identity.may_see_line(line);
    if let Some(line) = lines.iter().flatten().find(is_hidden) {
        return Err(Problem::unprocessable(format!("lines: there is no line {line:?}")));
    }
    if !asked.identity.permissions.cover(&Permissions { lines: lines.clone() }) {
        return Err(Problem::forbidden("lines: nobody gives lines beyond their own"));
    }
    let permissions = KeyPermissions { scopes: BTreeSet::from([Right::Look]), lines };
    let text = serde_json::to_string(&permissions).map_err(Problem::internal)?;
    let tenant = &asked.tenant.name;
    let at = now();
    let pairing = Pairing {
        code: &normal(&code),
        since: at - CODE_FOR_MS,
        tenant,
        title,
        permissions: &text,
        author: asked.identity.user(),
        now: at,
    };
    let paired = needs_store(&app)?.pair(&pairing).await.map_err(Problem::database)?;
    let id = paired.ok_or_else(|| Problem::not_found("no screen shows this code now: look at it again"))?;
    let details = json!({"tenant": tenant, "screen_id": id, "title": title, "lines": permissions.lines});
    app.audit(&asked.identity, "screen_paired", &details).await;
    let answer = json!({"id": id, "title": title, "lines": permissions.lines});
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `DELETE /wall/screens/{screen_id}`: the screen goes dark at once.
pub async fn revoke(State(app): State<Arc<App>>, Path(id): Path<i32>, asked: Asked) -> Result<StatusCode, Problem> {
    asked.query.only(&[])?;
    let store = needs_store(&app)?;
    let tenant = &asked.tenant.name;
    let key = store.revoke_screen(tenant, id, now()).await.map_err(Problem::database)?;
    let key = key.ok_or_else(|| Problem::not_found(format!("there is no screen {id}")))?;
    store.revoke_key(tenant, key, now()).await.map_err(Problem::database)?;
    app.audit(&asked.identity, "screen_revoked", &json!({"tenant": tenant, "screen_id": id})).await;
    app.accounts.revoked(key);
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_short_and_read_as_people_type_them() {
        for _ in 0..100 {
            let code = code();
            assert_eq!(code.len(), CODE_LENGTH);
            assert!(!code.contains(['0', 'O', '1', 'I']), "{code}");
            let typed = format!(" {}-{} ", code[..3].to_lowercase(), &code[3..]);
            assert_eq!(normal(&typed), code);
        }
    }
}
