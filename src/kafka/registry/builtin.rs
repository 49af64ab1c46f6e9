//! The registry's read calls, answered from what is embedded; the gateway serves them below `/registry`.
//!
//! Subjects are the record types' full names and, for every topic that carries one, `{topic}-value`.

use serde_json::{Value, json};

use super::subject;
use crate::kafka::schemas::{Kind, SchemaIds};
use crate::kafka::topics::{TopicName, parse};

/// There is no such thing: the registry's own codes, to be sent as JSON with status 404 (422 for a bad version).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NoPath,
    NoSubject,
    NoVersion,
    NoSchema,
    BadVersion,
}

/// Answers `GET /registry/{path}`, with the topics that exist.
///
/// # Errors
/// What does not exist, to be sent with [`Refused::status`] and [`Refused::body`].
pub fn answer(path: &str, ids: &SchemaIds, topics: &[String]) -> Result<Value, Refused> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts[..] {
        ["subjects"] => Ok(json!(subjects(topics))),
        ["subjects", name, "versions"] => kind_of(name, topics).map(|_| json!([1])),
        ["subjects", name, "versions", version] => {
            let kind = kind_of(name, topics)?;
            check(version)?;
            Ok(json!({"subject": name, "version": 1, "id": ids.id(kind), "schema": kind.text()}))
        }
        ["subjects", name, "versions", version, "schema"] => {
            let kind = kind_of(name, topics)?;
            check(version)?;
            serde_json::from_str(kind.text()).map_err(|_| Refused::NoSchema)
        }
        ["schemas", "types"] => Ok(json!(["AVRO"])),
        ["schemas", "ids", id] => by_id(id, ids).map(|kind| json!({"schema": kind.text()})),
        ["schemas", "ids", id, "schema"] => {
            let kind = by_id(id, ids)?;
            serde_json::from_str(kind.text()).map_err(|_| Refused::NoSchema)
        }
        ["schemas", "ids", id, "versions"] => {
            let kind = by_id(id, ids)?;
            let all = subjects(topics).into_iter().filter(|name| kind_of(name, topics) == Ok(kind));
            Ok(all.map(|name| json!({"subject": name, "version": 1})).collect())
        }
        ["config"] => Ok(json!({"compatibilityLevel": "BACKWARD"})),
        ["mode"] => Ok(json!({"mode": "READONLY"})),
        _ => Err(Refused::NoPath),
    }
}

/// All subjects, sorted.
fn subjects(topics: &[String]) -> Vec<String> {
    let named = Kind::ALL.into_iter().map(subject);
    let by_topic = topics.iter().filter(|topic| carried(topic).is_some()).map(|topic| format!("{topic}-value"));
    let mut subjects: Vec<String> = named.chain(by_topic).collect();
    subjects.sort_unstable();
    subjects
}

fn kind_of(name: &str, topics: &[String]) -> Result<Kind, Refused> {
    if let Some(kind) = Kind::ALL.into_iter().find(|kind| subject(*kind) == name) {
        return Ok(kind);
    }
    let topic = name.strip_suffix("-value").filter(|topic| topics.iter().any(|known| known == topic));
    topic.and_then(carried).ok_or(Refused::NoSubject)
}

/// What a topic carries; of detections, which has two, the first. Dead letters are bytes.
fn carried(topic: &str) -> Option<Kind> {
    match parse(topic)? {
        TopicName::Detections { .. } | TopicName::Late { .. } => Some(Kind::Detection),
        TopicName::Downtime { .. } => Some(Kind::DowntimeEvent),
        TopicName::Oee { .. } => Some(Kind::OeeFigure),
        TopicName::DeadLetter { .. } => None,
    }
}

fn by_id(id: &str, ids: &SchemaIds) -> Result<Kind, Refused> {
    let id: u32 = id.parse().map_err(|_| Refused::NoSchema)?;
    Kind::ALL.into_iter().find(|kind| ids.id(*kind) == id).ok_or(Refused::NoSchema)
}

/// There is one version of each.
fn check(version: &str) -> Result<(), Refused> {
    match version {
        "1" | "latest" | "-1" => Ok(()),
        other if other.parse::<u32>().is_ok() => Err(Refused::NoVersion),
        _ => Err(Refused::BadVersion),
    }
}

// === impl Refused ===

impl Refused {
    /// HTTP status.
    pub fn status(self) -> u16 {
        if self == Refused::BadVersion { 422 } else { 404 }
    }

    /// The registry's error object.
    pub fn body(self) -> Value {
        let (code, message) = match self {
            Refused::NoPath => (404, "HTTP 404 Not Found"),
            Refused::NoSubject => (40401, "Subject not found."),
            Refused::NoVersion => (40402, "Version not found."),
            Refused::NoSchema => (40403, "Schema not found"),
            Refused::BadVersion => (42202, "The specified version is not a valid version id."),
        };
        json!({"error_code": code, "message": message})
    }
}
