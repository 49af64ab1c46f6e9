//! The schema registry, where one is configured: our schemas are registered there and foreign ids asked for. Where none
//! is, ids are fixed and the gateway answers in its place.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use ureq::Agent;

use super::schemas::{Kind, Lookup, SchemaIds};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(3);
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why the registry did not do what it should. Messages follow "failed to ".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    #[error("reach the schema registry: {0}: check schema_registry_url")]
    Unreachable(String),
    #[error("register {subject}: {reason}")]
    Refused { subject: String, reason: String },
    #[error("understand the schema registry: {0}")]
    Garbled(String),
}

/// A Confluent schema registry. Its calls block.
pub struct Registry {
    /// Without a slash at the end, without user and password.
    url: String,
    authorization: Option<String>,
    agent: Agent,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Found {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    message: String,
}

/// The ids to write and read with: those of the registry at `url`, where our schemas are registered if they are not
/// yet, or the fixed ones. Blocks.
///
/// # Errors
/// When the registry is away or refuses a schema.
pub fn schema_ids(url: Option<&str>) -> Result<SchemaIds, RegistryError> {
    match url {
        None => Ok(SchemaIds::builtin()),
        Some(url) => Registry::new(url).register(),
    }
}

/// The subject of a record type: its full name.
pub fn subject(kind: Kind) -> String {
    format!("andon.v1.{}", kind.name())
}

// === impl Registry ===

impl Registry {
    /// `url` may have a user and a password.
    pub fn new(url: &str) -> Registry {
        let url = url.trim_end_matches('/');
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        let agent = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Registry {
            url: format!("{scheme}://{host}"),
            authorization: user.map(|user| format!("Basic {}", STANDARD.encode(user))),
            agent: agent.into(),
        }
    }

    /// Registers our schemas under their full names, new versions only if they can read the older ones.
    ///
    /// # Errors
    /// When the registry is away, or a schema can't follow the one that is there.
    pub fn register(self) -> Result<SchemaIds, RegistryError> {
        let mut ids = [0; 4];
        for (id, kind) in ids.iter_mut().zip(Kind::ALL) {
            let subject = subject(kind);
            let path = format!("/config/{subject}");
            let (status, text) = self.put(&path, &json!({"compatibility": "BACKWARD"}).to_string())?;
            if status >= 400 {
                // Some registries keep this to administrators; their own rule then holds.
                tracing::warn!(subject, status, answer = text, "registry keeps its own compatibility rule");
            }
            let body = json!({"schema": kind.text()}).to_string();
            let (status, text) = self.post(&format!("/subjects/{subject}/versions"), &body)?;
            if status >= 400 {
                return Err(RegistryError::Refused { subject, reason: reason(status, &text) });
            }
            *id = parse::<Registered>(&text)?.id;
        }
        Ok(SchemaIds::new(ids, Some(Arc::new(self))))
    }

    fn get(&self, path: &str) -> Result<(u16, String), RegistryError> {
        let mut request = self.agent.get(format!("{}{path}", self.url)).header("Accept", CONTENT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        taken(request.call())
    }

    fn post(&self, path: &str, body: &str) -> Result<(u16, String), RegistryError> {
        self.send(self.agent.post(format!("{}{path}", self.url)), body)
    }

    fn put(&self, path: &str, body: &str) -> Result<(u16, String), RegistryError> {
        self.send(self.agent.put(format!("{}{path}", self.url)), body)
    }

    fn send(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &str,
    ) -> Result<(u16, String), RegistryError> {
        let mut request = request.header("Content-Type", CONTENT_TYPE).header("Accept", CONTENT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        taken(request.send(body))
    }
}

impl Lookup for Registry {
    fn schema(&self, id: u32) -> Result<Option<String>, String> {
        match blocking(|| self.get(&format!("/schemas/ids/{id}"))) {
            Ok((404, _)) => Ok(None),
            Ok((status, text)) if status < 400 => {
                let found = parse::<Found>(&text).map_err(|cause| cause.to_string())?;
                let is_avro = found.schema_type.is_none_or(|kind| kind == "AVRO");
                Ok(is_avro.then_some(found.schema))
            }
            Ok((status, text)) => Err(reason(status, &text)),
            Err(cause) => Err(cause.to_string()),
        }
    }
}

/// A registry that does not answer must not hold up what else runs on this thread: another tenant.
fn blocking<T>(ask: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(ask),
        _ => ask(),
    }
}

fn taken(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, String), RegistryError> {
    let unreachable = |cause: ureq::Error| RegistryError::Unreachable(cause.to_string());
    let mut answer = answer.map_err(unreachable)?;
    let text = answer.body_mut().read_to_string().map_err(unreachable)?;
    Ok((answer.status().as_u16(), text))
}

fn parse<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, RegistryError> {
    serde_json::from_str(text).map_err(|cause| RegistryError::Garbled(cause.to_string()))
}

fn reason(status: u16, text: &str) -> String {
    serde_json::from_str::<Problem>(text).map_or_else(|_| format!("status {status}"), |problem| problem.message)
}

#[cfg(test)]
mod tests;
