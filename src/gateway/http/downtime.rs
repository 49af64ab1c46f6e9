//! Stops: lists, and one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::caller::Asked;
use super::{lines_of, needs_database, stop_edit};
use crate::domain::production::stop::Stop;
use crate::domain::time::{HOUR_MS, Ms, Span};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::store::{StoreError, TenantDb};

/// Stops of a page, unless asked otherwise.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

#[derive(Debug, Serialize)]
pub struct Page {
    items: Vec<Stop>,
    next_cursor: Option<String>,
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
pub(super) async fn stop_of(database: &TenantDb, asked: &Asked, id: &str) -> Result<Stop, Problem> {
    let unknown = || Problem::not_found(format!("there is no stop {id:?}"));
    let line = id.rsplit_once(':').map(|(line, _)| line).ok_or_else(unknown)?;
    let is_visible = asked.tenant.line(line).is_some() && asked.identity.may_see_line(line);
    if !is_visible {
        return Err(unknown());
    }
    database.stop(id).await.map_err(Problem::database)?.ok_or_else(unknown)
}

/// `GET /downtime/{id}`
pub async fn one(State(app): State<Arc<App>>, Path(id): Path<String>, asked: Asked) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let database = needs_database(&app, &asked.tenant)?;
    stop_of(&database, &asked, &id).await.map(|stop| stop_edit::tagged(&stop))
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
}
