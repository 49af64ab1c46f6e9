//! Kinds of failures and the incidents that people note, in a tenant's database.

use serde::Serialize;
use serde_json::Value;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row};

use super::error::{Result, StoreError, server_code};
use super::stamp::{ms_of, stamp};
use super::tenant::TenantDb;
use crate::domain::time::{Ms, Span, as_rfc3339};

/// A duplicate key.
const DUPLICATE: u16 = 1062;

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub id: i32,
    pub name: String,
    /// What is to be known of it, as the tenant likes.
    pub types: Option<Value>,
    pub is_active: bool,
}

/// Something that happened at a line, noted by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    pub id: i64,
    pub failure_id: Option<i32>,
    /// None: of no line.
    pub line: Option<String>,
    /// The stop that it belongs to.
    pub downtime_id: Option<String>,
    pub description: Option<String>,
    pub has_solution: bool,
    pub solution: Option<String>,
    pub author: Option<String>,
    #[serde(with = "as_rfc3339")]
    pub created_at: Ms,
    #[serde(with = "crate::domain::time::as_rfc3339_option")]
    pub solved_at: Option<Ms>,
}

/// An incident to note.
#[derive(Clone, Debug)]
pub struct NewIncident<'a> {
    pub failure_id: Option<i32>,
    pub line: &'a str,
    pub downtime_id: Option<&'a str>,
    pub description: &'a str,
    pub author: &'a str,
    pub at: Ms,
}

/// What of an incident can be changed.
#[derive(Clone, Debug)]
pub struct IncidentChange<'a> {
    pub failure_id: Option<i32>,
    pub description: &'a str,
    pub solution: Option<&'a str>,
    pub at: Ms,
}

/// Which incidents are asked for.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    pub lines: Vec<String>,
    pub span: Option<Span>,
    pub failure_id: Option<i32>,
    pub has_solution: Option<bool>,
    /// Only those before this number.
    pub before: Option<i64>,
}

fn failure(row: &MySqlRow) -> Result<Failure> {
    let types: Option<String> = row.try_get(2)?;
    Ok(Failure {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        types: types.and_then(|json| serde_json::from_str(&json).ok()),
        is_active: row.try_get(3)?,
    })
}

fn incident(row: &MySqlRow) -> Result<Incident> {
    Ok(Incident {
        id: row.try_get(0)?,
        failure_id: row.try_get(1)?,
        line: row.try_get(2)?,
        downtime_id: row.try_get(3)?,
        description: row.try_get(4)?,
        has_solution: row.try_get(5)?,
        solution: row.try_get(6)?,
        author: row.try_get(7)?,
        created_at: row.try_get(8)?,
        solved_at: row.try_get(9)?,
    })
}

const FAILURES: &str = "SELECT failure_id, failure_name, CAST(type_failure AS CHAR), is_active FROM failure";

fn incidents() -> String {
    format!(
        "SELECT i.incident_id, i.failure_id, l.line_name, i.downtime_id, i.description, i.has_solution, i.solution,
             i.author, {}, {} FROM incident i LEFT JOIN production_line l ON l.line_id = i.line_id",
        ms_of("i.created_at"),
        ms_of("i.solved_at")
    )
}

fn named(error: sqlx::Error, name: &str) -> StoreError {
    match server_code(&error) {
        Some(DUPLICATE) => StoreError::Conflict(format!("there is a failure {name:?} already")),
        _ => error.into(),
    }
}

async fn one_failure(connection: &mut MySqlConnection, id: i32, lock: &str) -> Result<Option<Failure>> {
    let sql = format!("{FAILURES} WHERE failure_id = ? {lock}");
    sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.as_ref().map(failure).transpose()
}

async fn one_incident(connection: &mut MySqlConnection, id: i64, lock: &str) -> Result<Option<Incident>> {
    let sql = format!("{} WHERE i.incident_id = ? {lock}", incidents());
    sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.as_ref().map(incident).transpose()
}

impl TenantDb {
    /// Every kind of failure, by name.
    pub async fn failures(&self) -> Result<Vec<Failure>> {
        let sql = format!("{FAILURES} ORDER BY failure_name");
        sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await?.iter().map(failure).collect()
    }

    /// The kind of that number.
    pub async fn failure(&self, id: i32) -> Result<Option<Failure>> {
        one_failure(&mut *self.pool.acquire().await?, id, "").await
    }

    /// Adds a kind of failure; answers its number.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of the name.
    pub async fn add_failure(&self, name: &str, types: Option<&Value>) -> Result<i32> {
        let done = sqlx::query("INSERT INTO failure (failure_name, type_failure) VALUES (?, ?)")
            .bind(name)
            .bind(types.map(Value::to_string))
            .execute(&self.pool)
            .await
            .map_err(|error| named(error, name))?;
        i32::try_from(done.last_insert_id()).map_err(|error| StoreError::corrupt("failure", error))
    }

    /// Changes a kind of failure if it still is as `seen`; answers whether it was.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is another of the name.
    pub async fn change_failure(&self, seen: &Failure, wanted: &Failure) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        if one_failure(&mut transaction, seen.id, "FOR UPDATE").await?.as_ref() != Some(seen) {
            return Ok(false);
        }
        sqlx::query("UPDATE failure SET failure_name = ?, type_failure = ?, is_active = ? WHERE failure_id = ?")
            .bind(&wanted.name)
            .bind(wanted.types.as_ref().map(Value::to_string))
            .bind(wanted.is_active)
            .bind(seen.id)
            .execute(&mut *transaction)
            .await
            .map_err(|error| named(error, &wanted.name))?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Incidents of some lines, the newest first.
    pub async fn incidents(&self, filter: &IncidentFilter, limit: u32) -> Result<Vec<Incident>> {
        if filter.lines.is_empty() {
            return Ok(Vec::new());
        }
        let places = vec!["?"; filter.lines.len()].join(", ");
        let sql = format!(
            "{} WHERE l.line_name IN ({places}) AND (? IS NULL OR i.created_at >= ?) AND (? IS NULL OR i.created_at < ?)
                 AND (? IS NULL OR i.failure_id = ?) AND (? IS NULL OR i.has_solution = ?)
                 AND (? IS NULL OR i.incident_id < ?)
             ORDER BY i.incident_id DESC LIMIT ?",
            incidents()
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for line in &filter.lines {
            query = query.bind(line);
        }
        let (from, to) = (filter.span.map(|span| stamp(span.from)), filter.span.map(|span| stamp(span.to)));
        let rows = query
            .bind(from.clone())
            .bind(from)
            .bind(to.clone())
            .bind(to)
            .bind(filter.failure_id)
            .bind(filter.failure_id)
            .bind(filter.has_solution)
            .bind(filter.has_solution)
            .bind(filter.before)
            .bind(filter.before)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(incident).collect()
    }

    /// The incident of that number.
    pub async fn incident(&self, id: i64) -> Result<Option<Incident>> {
        one_incident(&mut *self.pool.acquire().await?, id, "").await
    }

    /// Notes an incident; answers its number.
    pub async fn add_incident(&self, new: &NewIncident<'_>) -> Result<i64> {
        let done = sqlx::query(
            "INSERT INTO incident (failure_id, line_id, downtime_id, description, author, created_at)
             VALUES (?, (SELECT line_id FROM production_line WHERE line_name = ?), ?, ?, ?, ?)",
        )
        .bind(new.failure_id)
        .bind(new.line)
        .bind(new.downtime_id)
        .bind(new.description)
        .bind(new.author)
        .bind(stamp(new.at))
        .execute(&self.pool)
        .await?;
        i64::try_from(done.last_insert_id()).map_err(|error| StoreError::corrupt("incident", error))
    }

    /// Changes an incident if it still is as `seen`; answers whether it was. It is solved by its first solution.
    pub async fn change_incident(&self, seen: &Incident, change: &IncidentChange<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        if one_incident(&mut transaction, seen.id, "FOR UPDATE").await?.as_ref() != Some(seen) {
            return Ok(false);
        }
        let solved_at = change.solution.map(|_| stamp(seen.solved_at.unwrap_or(change.at)));
        sqlx::query(
            "UPDATE incident SET failure_id = ?, description = ?, solution = ?, has_solution = ?, solved_at = ?
             WHERE incident_id = ?",
        )
        .bind(change.failure_id)
        .bind(change.description)
        .bind(change.solution)
        .bind(change.solution.is_some())
        .bind(solved_at)
        .bind(seen.id)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }
}
