//! What people ask of a line: rows that its owner takes up in a commit of its own, so that each is applied once.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::error::{Result, StoreError, server_code};
use super::name::LineName;
use super::stamp::ms_of;
use super::tenant::TenantDb;
use crate::domain::time::{Ms, as_rfc3339};

/// A duplicate key.
const DUPLICATE: u16 = 1062;
/// Waiting commands read at a time; the rest comes with the next poll.
const AT_ONCE: u32 = 1_000;

/// What a line is asked to do; the tag is the `kind` column, the rest the payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum CommandBody {
    /// Gives a stop a reason and a comment; none takes an earlier one away.
    Classify {
        downtime_id: String,
        reason_code: Option<String>,
        comment: Option<String>,
        /// What its sender has seen there: refused as [`STALE`] when it says something else by now. None: whatever it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<Words>,
    },
    /// Divides the stop around `at`.
    Split {
        #[serde(with = "as_rfc3339")]
        at: Ms,
    },
    /// Takes late detections of [from, to) in, and mended dead letters where asked.
    Repair {
        #[serde(with = "as_rfc3339")]
        from: Ms,
        #[serde(with = "as_rfc3339")]
        to: Ms,
        dead_letters: bool,
    },
    /// A configuration version was saved: it begins to hold at `valid_from`.
    Version {
        version: u32,
        #[serde(with = "as_rfc3339")]
        valid_from: Ms,
    },
    /// The topic no longer has what follows the checkpoint: go on at `next_offset` and record the hole.
    AcceptHole {
        /// The first offset that is still there.
        next_offset: i64,
        /// When the record there was appended; without one when the command was given.
        #[serde(with = "as_rfc3339")]
        until: Ms,
    },
    /// The database went back in time: take it forward again from Kafka, under a new incarnation.
    Forward {
        /// Later than any that its topics have seen.
        incarnation: u32,
        /// Stops of which the topics have a word that the database does not know.
        #[serde(default)]
        void: Vec<String>,
    },
    /// Of a kind, or with a payload, that this binary does not know: to be refused, so that it holds up nothing.
    #[serde(skip)]
    Unreadable { problem: String },
}

/// What people have said of a stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub reason_code: Option<String>,
    pub comment: Option<String>,
}

/// Why a classification is refused whose sender has not seen what the stop says.
pub const STALE: &str = "it was given another reason or comment in between";

/// A command to submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommand {
    /// The same key twice is the same command.
    pub idempotency_key: String,
    pub line: String,
    pub body: CommandBody,
    /// User name, for the audit.
    pub author: String,
}

/// A row of `command`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub id: i64,
    pub idempotency_key: String,
    pub line: String,
    pub body: CommandBody,
    pub author: String,
    pub created_at: Ms,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum CommandOutcome {
    /// In the line's order since commit `commit_seq`.
    Applied { commit_seq: u64 },
    /// Not possible, and why, for the caller to read.
    Refused { reason: String },
}

// === impl CommandBody ===

impl CommandBody {
    /// The word in the `kind` column.
    pub fn kind(&self) -> &'static str {
        match self {
            CommandBody::Classify { .. } => "classify",
            CommandBody::Split { .. } => "split",
            CommandBody::Repair { .. } => "repair",
            CommandBody::Version { .. } => "version",
            CommandBody::AcceptHole { .. } => "accept_hole",
            CommandBody::Forward { .. } => "forward",
            CommandBody::Unreadable { .. } => "unreadable",
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| StoreError::corrupt("command", error))
}

fn command(row: &MySqlRow) -> Result<Command> {
    Ok(Command {
        id: row.try_get(0)?,
        idempotency_key: row.try_get(1)?,
        line: row.try_get(2)?,
        body: serde_json::from_str(&row.try_get::<String, _>(3)?)
            .unwrap_or_else(|error| CommandBody::Unreadable { problem: error.to_string() }),
        author: row.try_get(4)?,
        created_at: row.try_get(5)?,
    })
}

impl TenantDb {
    /// Puts a command where the line's owner finds it; answers its id. The same key again answers the same id and
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the key is another command's.
    pub async fn submit(&self, new: &NewCommand) -> Result<i64> {
        let line = LineName::new(&new.line)?;
        let payload = serde_json::to_string(&new.body).map_err(|error| StoreError::corrupt("command", error))?;
        let inserted = sqlx::query(
            "INSERT INTO command (idempotency_key, line, kind, payload, author, created_at)
             VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(&new.idempotency_key)
        .bind(line.as_str())
        .bind(new.body.kind())
        .bind(payload)
        .bind(&new.author)
        .execute(&self.pool)
        .await;
        match inserted {
            Ok(done) => Ok(done.last_insert_id() as i64),
            Err(error) if server_code(&error) == Some(DUPLICATE) => self.submitted(new).await,
            Err(error) => Err(error.into()),
        }
    }

    /// What the command of that key is; none: there is no such yet.
    pub async fn said(&self, idempotency_key: &str) -> Result<Option<CommandBody>> {
        let payload: Option<String> = sqlx::query_scalar("SELECT payload FROM command WHERE idempotency_key = ?")
            .bind(idempotency_key)
            .fetch_optional(&self.pool)
            .await?;
        payload.map(|payload| read(&payload)).transpose()
    }

    /// The id of the command that has this one's key.
    async fn submitted(&self, new: &NewCommand) -> Result<i64> {
        let row = sqlx::query("SELECT id, line, payload FROM command WHERE idempotency_key = ?")
            .bind(&new.idempotency_key)
            .fetch_one(&self.pool)
            .await?;
        let line: String = row.try_get(1)?;
        let body: CommandBody = read(&row.try_get::<String, _>(2)?)?;
        if line == new.line && body == new.body {
            return Ok(row.try_get(0)?);
        }
        let key = &new.idempotency_key;
        Err(StoreError::Conflict(format!("idempotency key {key:?} is another command's: use a new one")))
    }

    /// Commands of all lines that wait, oldest first.
    pub async fn pending(&self) -> Result<Vec<Command>> {
        let sql = format!(
            "SELECT id, idempotency_key, line, payload, author, {}
             FROM command WHERE applied_at IS NULL ORDER BY id LIMIT ?",
            ms_of("created_at")
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(AT_ONCE).fetch_all(&self.pool).await?;
        rows.iter().map(command).collect()
    }

    /// The line of a command, and what became of it once it is applied or refused; none when there is none of that id.
    pub async fn command(&self, id: i64) -> Result<Option<(String, Option<CommandOutcome>)>> {
        let row: Option<(String, Option<String>)> = sqlx::query_as("SELECT line, outcome FROM command WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|(line, json)| Ok((line, json.map(|json| read(&json)).transpose()?))).transpose()
    }

    /// What became of a command; none while it waits, or when there is none of that id.
    pub async fn outcome(&self, id: i64) -> Result<Option<CommandOutcome>> {
        let json: Option<Option<String>> =
            sqlx::query_scalar("SELECT outcome FROM command WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        json.flatten().map(|json| read(&json)).transpose()
    }
}
