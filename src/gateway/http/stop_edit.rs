//! What people say of stops: reasons, comments, splits. Each is a command that the line's owner takes up in a commit of
//! its own; answered when it has.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::caller::Asked;
use super::downtime::stop_of;
use super::{body, etag, needs_database};
use crate::domain::production::stop::{Stop, StopStatus, downtime_id};
use crate::domain::time::{Ms, as_rfc3339, rfc3339};
use crate::gateway::App;
use crate::gateway::account::token::Token;
use crate::gateway::problem::Problem;
use crate::store::{CommandBody, CommandOutcome, NewCommand, STALE, StoreError, TenantDb, Words};

/// Longest comment, characters.
const MAX_COMMENT: usize = 1_000;
/// Longest idempotency key, bytes.
const MAX_KEY: usize = 64;
/// How long a command is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between looks whether it is applied.
const LOOK: Duration = Duration::from_millis(40);
/// How often a comment is given anew when the stop is given reasons at the same moment.
const TRIES: usize = 5;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// None takes an earlier reason away.
    #[serde(default)]
    reason_code: Option<String>,
    #[serde(default)]
    comment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// None takes an earlier one away.
    comment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    #[serde(with = "as_rfc3339")]
    at: Ms,
}

/// What became of a command while its sender waited.
enum Done {
    Applied,
    Stale,
    Waits(i64),
}

/// Names what people have said of a stop: it changes with that and with nothing else, so that who gives a reason is not
/// held up by a stop that goes on.
fn tag(stop: &Stop) -> String {
    etag::tag(&json!([stop.downtime_id, stop.reason_code, stop.comment]))
}

/// A stop with its tag.
pub(super) fn tagged(stop: &Stop) -> Response {
    let mut response = Json(stop).into_response();
    etag::set(&mut response, header::ETAG, &tag(stop));
    response
}

/// What the caller has seen, where they say so.
fn seen(headers: &HeaderMap, stop: &Stop) -> Result<Option<Words>, Problem> {
    let words = || Words { reason_code: stop.reason_code.clone(), comment: stop.comment.clone() };
    Ok(etag::seen(headers, &tag(stop))?.map(|()| words()))
}

fn not_retracted(stop: &Stop) -> Result<(), Problem> {
    match stop.status {
        StopStatus::Retracted => {
            Err(Problem::conflict(format!("stop {:?} turned out not to have been one", stop.downtime_id)))
        }
        _ => Ok(()),
    }
}

/// `PUT /downtime/{id}`: reason and comment; with `If-Match` only if nobody said something else in between.
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
    let wish = body(wish)?;
    check(&asked, wish.reason_code.as_deref(), wish.comment.as_deref())?;
    let key = key(&headers, asked.identity.user_id)?;
    let was = match said(&headers, &database, &key).await? {
        Some(CommandBody::Classify { was, .. }) => was,
        _ => {
            not_retracted(&stop)?;
            seen(&headers, &stop)?
        }
    };
    let details = json!({"tenant": asked.tenant.name, "downtime_id": id, "reason_code": wish.reason_code});
    let command = CommandBody::Classify {
        downtime_id: id.clone(),
        reason_code: wish.reason_code,
        comment: wish.comment.filter(|comment| !comment.trim().is_empty()),
        was,
    };
    match submit(&app, &asked, &database, &stop.line, key, command, ("reason_given", &details)).await? {
        Done::Applied => stop_of(&database, &asked, &id).await.map(|stop| tagged(&stop)),
        Done::Stale => Err(Problem::stale()),
        Done::Waits(command) => Ok(accepted(&asked, command)),
    }
}

/// `PUT /downtime/{id}/comment`: the reason stays what it is, also when somebody gives one at the same moment.
pub async fn comment(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    wish: Result<Json<Comment>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let database = needs_database(&app, &asked.tenant)?;
    let mut stop = stop_of(&database, &asked, &id).await?;
    let wish = body(wish)?.comment.filter(|comment| !comment.trim().is_empty());
    check(&asked, None, wish.as_deref())?;
    let details = json!({"tenant": asked.tenant.name, "downtime_id": id});
    let key = key(&headers, asked.identity.user_id)?;
    for attempt in 0..TRIES {
        let key = if attempt == 0 { key.clone() } else { format!("{key}:{attempt}") };
        let command = match said(&headers, &database, &key).await? {
            Some(CommandBody::Classify { downtime_id, reason_code, comment, was })
                if downtime_id == id && comment == wish =>
            {
                CommandBody::Classify { downtime_id, reason_code, comment, was }
            }
            _ => {
                not_retracted(&stop)?;
                seen(&headers, &stop)?;
                let was = Words { reason_code: stop.reason_code.clone(), comment: stop.comment.clone() };
                CommandBody::Classify {
                    downtime_id: id.clone(),
                    reason_code: stop.reason_code.clone(),
                    comment: wish.clone(),
                    was: Some(was),
                }
            }
        };
        match submit(&app, &asked, &database, &stop.line, key, command, ("comment_given", &details)).await? {
            Done::Applied => return stop_of(&database, &asked, &id).await.map(|stop| tagged(&stop)),
            Done::Waits(command) => return Ok(accepted(&asked, command)),
            Done::Stale => stop = stop_of(&database, &asked, &id).await?,
        }
    }
    Err(Problem::stale())
}

/// `POST /downtime/{id}/split`: two stops of one, each with a reason of its own from then on.
pub async fn split(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    wish: Result<Json<Cut>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let database = needs_database(&app, &asked.tenant)?;
    let stop = stop_of(&database, &asked, &id).await?;
    let Cut { at } = body(wish)?;
    let key = key(&headers, asked.identity.user_id)?;
    let is_new = said(&headers, &database, &key).await?.is_none();
    if is_new {
        not_retracted(&stop)?;
    }
    let end = stop.started_at + stop.duration_ms;
    if is_new && (at <= stop.started_at || at >= end) {
        let (from, to) = (rfc3339(stop.started_at), rfc3339(end));
        return Err(Problem::unprocessable(format!("at: has to lie within the stop, after {from} and before {to}")));
    }
    let details = json!({"tenant": asked.tenant.name, "downtime_id": id, "at": rfc3339(at)});
    let command = CommandBody::Split { at };
    match submit(&app, &asked, &database, &stop.line, key, command, ("stop_split", &details)).await? {
        Done::Applied => {
            let first = stop_of(&database, &asked, &id).await?;
            let second = stop_of(&database, &asked, &downtime_id(&stop.line, at)).await?;
            Ok(Json(json!({"items": [first, second]})).into_response())
        }
        Done::Stale => Err(Problem::stale()),
        Done::Waits(command) => Ok(accepted(&asked, command)),
    }
}

fn check(asked: &Asked, reason_code: Option<&str>, comment: Option<&str>) -> Result<(), Problem> {
    if let Some(code) = reason_code {
        let reasons = asked.tenant.spec.as_ref().map(|spec| spec.reasons.as_slice()).unwrap_or_default();
        if !reasons.iter().any(|reason| reason.code == code) {
            return Err(Problem::unprocessable(format!("reason_code: there is no reason {code:?}")));
        }
    }
    if comment.is_some_and(|comment| comment.chars().count() > MAX_COMMENT) {
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

/// What was asked under the caller's own key before. Who asks again, as the answer was lost, is answered as the first
/// time: what the command itself has changed since must not stand in its way.
async fn said(headers: &HeaderMap, database: &TenantDb, key: &str) -> Result<Option<CommandBody>, Problem> {
    match headers.contains_key("idempotency-key") {
        true => database.said(key).await.map_err(Problem::database),
        false => Ok(None),
    }
}

/// Hands a command to the line's owner, notes it, and waits a moment for what becomes of it.
async fn submit(
    app: &App,
    asked: &Asked,
    database: &TenantDb,
    line: &str,
    idempotency_key: String,
    body: CommandBody,
    (action, details): (&str, &Value),
) -> Result<Done, Problem> {
    let author = asked.identity.username.clone();
    let command = match database.submit(&NewCommand { idempotency_key, line: line.to_owned(), body, author }).await {
        Ok(command) => command,
        Err(StoreError::Conflict(detail)) => return Err(Problem::conflict(detail)),
        Err(error) => return Err(Problem::database(error)),
    };
    app.audit(&asked.identity, action, details).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match database.outcome(command).await.map_err(Problem::database)? {
            Some(CommandOutcome::Applied { .. }) => return Ok(Done::Applied),
            Some(CommandOutcome::Refused { reason }) if reason == STALE => return Ok(Done::Stale),
            Some(CommandOutcome::Refused { reason }) => return Err(Problem::conflict(reason)),
            None if Instant::now() + LOOK > deadline => return Ok(Done::Waits(command)),
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

fn accepted(asked: &Asked, command: i64) -> Response {
    let tenant = if asked.identity.tenant.is_some() { String::new() } else { format!("?tenant={}", asked.tenant.name) };
    let place = format!("/api/v1/commands/{command}{tenant}");
    let body = json!({"command": command, "status": "waiting"});
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    etag::set(&mut response, header::LOCATION, &place);
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
    use axum::http::HeaderValue;

    use super::*;

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
