//! What an answer is made from: a tenant's lines as they may be seen, their clocks and their past.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Params, Widget};
use crate::domain::time::{Ms, Span, rfc3339};
use crate::gateway::directory::{LineInfo, Tenant};
use crate::gateway::history::interval::Beyond;
use crate::gateway::history::together::{Part, Told};
use crate::gateway::hub::board::Board;
use crate::gateway::problem::Problem;
use crate::store::{StoreError, TenantDb};

/// The key of the item that says what an answer is about.
pub const ABOUT: &str = "about";

/// One value of an answer, absolute: a later one of the same key takes its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub key: String,
    /// An object; holds the key as well.
    pub value: Value,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Refused(String),
    /// Maybe later.
    #[error("{0}")]
    Away(String),
}

/// Who asks what of whom.
pub struct Scope<'a> {
    pub tenant: &'a Tenant,
    pub board: &'a Arc<Board>,
    pub database: &'a TenantDb,
    pub widget: &'static Widget,
    pub params: &'a Params,
    /// In the tenant's order.
    pub lines: Vec<Arc<LineInfo>>,
}

// === impl Item ===

impl Item {
    /// An item from an object; `value` is made from our own shapes.
    pub fn new(key: impl Into<String>, mut value: Value) -> Item {
        let key = key.into();
        if let Some(object) = value.as_object_mut() {
            object.insert("key".to_owned(), key.as_str().into());
        }
        Item { key, value }
    }

    /// As [`Item::new`], from a shape.
    pub fn of(key: impl Into<String>, shape: &impl serde::Serialize) -> Item {
        // Numbers that JSON cannot hold do not come out of divisions that are checked for zero.
        Item::new(key, serde_json::to_value(shape).unwrap_or(Value::Null))
    }
}

// === impl Failure ===

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Away(error.to_string())
    }
}

impl From<Beyond> for Failure {
    fn from(beyond: Beyond) -> Failure {
        Failure::Refused(beyond.to_string())
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        match failure {
            Failure::Refused(detail) => Problem::bad_request(detail),
            Failure::Away(cause) => Problem::database(cause),
        }
    }
}

// === impl Scope ===

impl<'a> Scope<'a> {
    /// `chosen`: the lines to look at; none: all of the tenant.
    pub fn new(
        tenant: &'a Tenant,
        board: &'a Arc<Board>,
        database: &'a TenantDb,
        (widget, params): (&'static Widget, &'a Params),
        chosen: Option<&BTreeSet<String>>,
    ) -> Scope<'a> {
        let is_chosen = |line: &&Arc<LineInfo>| chosen.is_none_or(|chosen| chosen.contains(&line.name));
        let lines = tenant.lines.iter().filter(is_chosen).cloned().collect();
        Scope { tenant, board, database, widget, params, lines }
    }

    /// Whether several lines are looked at together by a widget that is then hidden.
    pub fn hides_stops(&self) -> bool {
        self.lines.len() > 1 && !self.tenant.stops_of_several_lines
    }

    /// Each line's part of the period; lines without one are left out.
    pub async fn parts(&self) -> Result<Vec<Part<'a>>, Failure> {
        let mut parts = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let shift = self.params.shift.as_deref();
            let part = Part::of(self.database, self.board, &line.name, self.params.period, shift).await?;
            parts.extend(part);
        }
        Ok(parts)
    }

    /// The figures of [`Scope::parts`].
    pub async fn told(&self) -> Result<Vec<Told>, Failure> {
        let mut told = Vec::with_capacity(self.lines.len());
        for part in self.parts().await? {
            told.push(part.figure().await?);
        }
        Ok(told)
    }

    pub fn info(&self, line: &str) -> Option<&Arc<LineInfo>> {
        self.lines.iter().find(|info| info.name == line)
    }

    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.tenant.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// The earliest clock of the lines that have one.
    pub fn as_of(&self) -> Option<Ms> {
        self.lines.iter().filter_map(|line| self.board.facts(&line.name)).map(|facts| facts.state.as_of).min()
    }

    /// The first item of every answer.
    pub fn about(&self, period: Option<Span>, more: &Value) -> Item {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        let mut about = json!({
            "lines": lines,
            "from": period.map(|span| rfc3339(span.from)),
            "to": period.map(|span| rfc3339(span.to)),
            "as_of": self.as_of().map(rfc3339),
        });
        if let (Some(about), Some(more)) = (about.as_object_mut(), more.as_object()) {
            about.extend(more.clone());
        }
        Item::new(ABOUT, about)
    }
}

/// From the first beginning to the last end.
pub fn hull(parts: &[Part<'_>]) -> Option<Span> {
    let from = parts.iter().map(|part| part.period.from).min()?;
    let to = parts.iter().map(|part| part.period.to).max()?;
    Some(Span::new(from, to))
}
