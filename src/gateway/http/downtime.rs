//! Stops: lists, one, and giving one its reason.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::caller::Asked;
use super::{lines_of, needs_database};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::{HOUR_MS, Ms, Span};
use crate::gateway::App;
use crate::gateway::account::token::Token;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::store::{CommandBody, CommandOutcome, NewCommand, StoreError, TenantDb};

/// Stops of a page, unless asked otherwise.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;
/// Longest comment, characters.
const MAX_COMMENT: usize = 1_000;
/// Longest idempotency key, bytes.
const MAX_KEY: usize = 64;
/// How long a command is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between looks whether it is applied.
const LOOK: Duration = Duration::from_millis(40);

#[derive(Debug, Serialize)]
pub struct Page {
    items: Vec<Stop>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// None takes an earlier reason away.
    #[serde(default)]
    reason_code: Option<String>,
    #[serde(default)]
    comment: Option<String>,
}

/// After which stop a page begins: by start, then line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor {
    started_at: Ms,
    line: String,
}

// === impl Cursor ===

impl Cursor {
    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.started_at, self.line))
    }

    fn parse(text: &str) -> Option<Cursor> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (started_at, line) = text.split_once(':')?;
        Some(Cursor { started_at: started_at.parse().ok()?, line: line.to_owned() })
    }

    /// The start after which stops of `line` come.
    fn of(&self, line: &str) -> Ms {
        if line > self.line.as_str() { self.started_at - 1 } else { self.started_at }
    }
}

/// `GET /downtime`
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Page>, Problem> {
    asked.query.only(&["line", "from", "to", "shift", "reason", "cursor", "limit"])?;
    let lines = lines_of(&asked)?;
    let period = asked.query.period()?.unwrap_or_else(|| Span::new(now() - 24 * HOUR_MS, now()));
    let limit = asked.query.count("limit", PAGE, MAX_PAGE)?;
    let wrong = || Problem::bad_request("cursor: not one that was given");
    let cursor = asked.query.one("cursor")?.map(|text| Cursor::parse(text).ok_or_else(wrong)).transpose()?;
    let (shifts, reasons) = (asked.query.all("shift"), asked.query.all("reason"));
    let database = needs_database(&app, &asked.tenant)?;
    let wanted = |stop: &Stop| {
        let is_among =
            |names: &[String], name: Option<&String>| names.is_empty() || name.is_some_and(|name| names.contains(name));
        is_among(&shifts, stop.shift.as_ref()) && is_among(&reasons, stop.reason_code.as_ref())
    };
    let mut found = Vec::new();
    for line in &lines {
        let after = cursor.as_ref().map(|cursor| cursor.of(line));
        found.extend(stops(&database, line, period, after, limit + 1, wanted).await.map_err(Problem::database)?);
    }
    found.sort_by(|a, b| (a.started_at, &a.line).cmp(&(b.started_at, &b.line)));
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| has_more);
    let next_cursor = last.map(|stop| Cursor { started_at: stop.started_at, line: stop.line.clone() }.text());
    Ok(Json(Page { items: found, next_cursor }))
}

/// The first `count` stops after `after` that are wanted.
async fn stops(
    database: &TenantDb,
    line: &str,
    period: Span,
    mut after: Option<Ms>,
    count: u32,
    wanted: impl Fn(&Stop) -> bool,
) -> Result<Vec<Stop>, StoreError> {
    let mut found = Vec::new();
    loop {
        let page = database.stops(line, period, after, count).await?;
        let is_last = page.len() < count as usize;
        after = page.last().map(|stop| stop.started_at);
        found.extend(page.into_iter().filter(&wanted));
        found.truncate(count as usize);
        if is_last || found.len() == count as usize {
            return Ok(found);
        }
    }
}

/// The stop of that id, if the caller may see its line.
async fn stop_of(database: &TenantDb, asked: &Asked, id: &str) -> Result<Stop, Problem> {
    let unknown = || Problem::not_found(format!("there is no stop {id:?}"));
    let line = id.rsplit_once(':').map(|(line, _)| line).ok_or_else(unknown)?;
    let is_visible = asked.tenant.line(line).is_some() && asked.identity.may_see_line(line);
    if !is_visible {
        return Err(unknown());
    }
    database.stop(id).await.map_err(Problem::database)?.ok_or_else(unknown)
}

/// `GET /downtime/{id}`
pub async fn one(State(app): State<Arc<App>>, Path(id): Path<String>, asked: Asked) -> Result<Json<Stop>, Problem> {
    asked.query.only(&[])?;
    let database = needs_database(&app, &asked.tenant)?;
    stop_of(&database, &asked, &id).await.map(Json)
}

/// `PUT /downtime/{id}`: the line's owner takes the reason up in a commit of its own; answered when it has.
pub async fn classify(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let database = needs_database(&app, &asked.tenant)?;
    let stop = stop_of(&database, &asked, &id).await?;
    let Json(wish) = wish.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    check(&asked, &wish)?;
    if stop.status == StopStatus::Retracted {
        return Err(Problem::conflict(format!("stop {id:?} turned out not to have been one")));
    }
    let details = json!({"tenant": asked.tenant.name, "downtime_id": id, "reason_code": wish.reason_code});
    let comment = wish.comment.filter(|comment| !comment.trim().is_empty());
    let new = NewCommand {
        idempotency_key: key(&headers, asked.identity.user_id)?,
        line: stop.line.clone(),
        body: CommandBody::Classify { downtime_id: id.clone(), reason_code: wish.reason_code, comment },
        author: asked.identity.username.clone(),
    };
    let command = match database.submit(&new).await {
        Ok(command) => command,
        Err(StoreError::Conflict(detail)) => return Err(Problem::conflict(detail)),
        Err(error) => return Err(Problem::database(error)),
    };
    app.audit(&asked.identity, "reason_given", &details).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match database.outcome(command).await.map_err(Problem::database)? {
            Some(CommandOutcome::Applied { .. }) => {
                return stop_of(&database, &asked, &id).await.map(|stop| Json(stop).into_response());
            }
            Some(CommandOutcome::Refused { reason }) => return Err(Problem::conflict(reason)),
            None if Instant::now() + LOOK > deadline => return Ok(accepted(&asked, command)),
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

fn check(asked: &Asked, wish: &Wish) -> Result<(), Problem> {
    if let Some(code) = &wish.reason_code {
        let reasons = asked.tenant.spec.as_ref().map(|spec| spec.reasons.as_slice()).unwrap_or_default();
        if !reasons.iter().any(|reason| reason.code == *code) {
            return Err(Problem::unprocessable(format!("reason_code: there is no reason {code:?}")));
        }
    }
    if wish.comment.as_ref().is_some_and(|comment| comment.chars().count() > MAX_COMMENT) {
        return Err(Problem::unprocessable(format!("comment: at most {MAX_COMMENT} characters")));
    }
    Ok(())
}

/// The caller's own key, or a new one. Another user's equal key is another key.
fn key(headers: &HeaderMap, user_id: i32) -> Result<String, Problem> {
    let wrong = || Problem::bad_request(format!("idempotency-key: 1 to {MAX_KEY} visible ASCII characters"));
    let Some(given) = headers.get("idempotency-key") else { return Ok(Token::new().text()) };
    let given = given.to_str().map_err(|_| wrong())?;
    let is_fine = (1..=MAX_KEY).contains(&given.len()) && given.bytes().all(|byte| byte.is_ascii_graphic());
    if is_fine { Ok(format!("{user_id}:{given}")) } else { Err(wrong()) }
}

fn accepted(asked: &Asked, command: i64) -> Response {
    let tenant = if asked.identity.tenant.is_some() { String::new() } else { format!("?tenant={}", asked.tenant.name) };
    let place = format!("/api/v1/commands/{command}{tenant}");
    let body = json!({"command": command, "status": "waiting"});
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// `GET /commands/{id}`: what became of a command that was not applied while its sender waited.
pub async fn command(State(app): State<Arc<App>>, Path(id): Path<i64>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let database = needs_database(&app, &asked.tenant)?;
    let unknown = || Problem::not_found(format!("there is no command {id}"));
    let (line, outcome) = database.command(id).await.map_err(Problem::database)?.ok_or_else(unknown)?;
    if !asked.identity.may_see_line(&line) {
        return Err(unknown());
    }
    let status = match outcome {
        Some(CommandOutcome::Applied { .. }) => json!({"command": id, "status": "applied"}),
        Some(CommandOutcome::Refused { reason }) => json!({"command": id, "status": "refused", "reason": reason}),
        None => json!({"command": id, "status": "waiting"}),
    };
    Ok(Json(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_behind_its_last_stop() {
        let cursor = Cursor { started_at: 1_000, line: "l2".into() };
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor.clone()));
        // Of the same instant: lines before and the same were told, those behind were not.
        assert_eq!((cursor.of("l1"), cursor.of("l2"), cursor.of("l3")), (1_000, 1_000, 999));
        assert_eq!(Cursor::parse("x"), None);
    }

    #[test]
    fn keys_are_the_users_own() {
        let mut headers = HeaderMap::new();
        assert_ne!(key(&headers, 1).unwrap(), key(&headers, 1).unwrap());
        headers.insert("idempotency-key", HeaderValue::from_static("abc"));
        assert_eq!(key(&headers, 1).unwrap(), "1:abc");
        headers.insert("idempotency-key", HeaderValue::from_static("a b"));
        assert!(key(&headers, 1).is_err());
    }
}
