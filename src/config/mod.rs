//! Configuration: of a process ([`Config`]: a TOML file and the environment, which wins) and of a tenant
//! ([`tenant::TenantSpec`]: the file that `andon tenant apply` takes).
//!
//! Every key is typed and documented; an unknown key or a wrong value is refused with the key's name and what to
//! write instead, and the caller exits with 64.

pub mod keys;
mod load;
mod secret;
pub mod tenant;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::load::syntax_error;
pub use self::load::{Environment, Process};
pub use self::secret::SecretUrl;

/// Exit code of a process whose configuration is wrong.
pub const EXIT_BAD_CONFIG: u8 = 64;

/// The configuration of a process, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where `/live`, `/ready`, `/metrics` and `PUT /log` are.
    pub admin_listen: SocketAddr,
    /// A Confluent schema registry; without one the gateway answers its read calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_registry_url: Option<SecretUrl>,
    /// Filter of `tracing`: `info`, `andon=debug,info`.
    pub log: String,
    pub log_format: LogFormat,
    /// Leave the databases' tables as they are on start.
    pub no_migrate: bool,
    pub kafka: KafkaConfig,
    pub database: DatabaseConfig,
    pub engine: EngineConfig,
    pub gateway: GatewayConfig,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line, for collectors.
    Json,
}

/// `[kafka]`
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port` separated by commas; see [`Config::brokers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brokers: Option<String>,
    /// Consumer group of the processes that share the lines.
    pub group: String,
    /// Silence after which a process loses its lines, milliseconds. Brokers take 6 s to 30 min unless told otherwise.
    pub session_timeout_ms: u64,
    /// Name of this process in its group, the same after a restart; a process that comes back under it has its lines
    /// at once, without one the group first waits for the silence of the one before. Host and admin port unless told
    /// otherwise. No two at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Further settings of librdkafka by their own names, for every client: `security.protocol`, `sasl.username`, ….
    pub properties: BTreeMap<String, String>,
}

/// `[database]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// The global database; see [`Config::database_url`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretUrl>,
    /// Connections per database at most.
    pub pool: u32,
}

/// `[engine]`: micro-batches. A batch ends at the first limit that it reaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// A batch waits this long for more while little comes in, milliseconds.
    pub batch_idle_ms: u64,
    /// Under load a batch is committed this long after the one before, milliseconds: longer costs less, and is how old
    /// what is seen may be.
    pub batch_max_ms: u64,
    /// A batch is committed at this many detections.
    pub batch_max_rows: usize,
    /// Records waiting in memory, over all lines, at which reading pauses.
    pub buffered_max: usize,
    /// How often the database is asked for commands (reasons, splits, repairs), milliseconds.
    pub command_poll_ms: u64,
}

/// `[gateway]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Origins (`https://board.example.com`) that may open sockets beside the gateway's own.
    pub origins: Vec<String>,
    /// A login ends after this long without a request, minutes.
    pub session_idle_minutes: u32,
    /// Requests of a user or an API key, per minute and gateway; live connections are counted apart.
    pub requests_per_minute: u32,
    /// Cookies over HTTPS only. Off for plain HTTP on a machine of one's own.
    pub secure_cookies: bool,
}

/// Why a configuration is refused. Follows "failed to read the configuration: ".
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {source}: name an existing file with --config", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("{key}: unknown key: {fix}")]
    UnknownKey { key: String, fix: String },
    #[error("{key}: {problem}: {fix}")]
    Value { key: String, problem: String, fix: String },
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
            schema_registry_url: None,
            log: "info".to_owned(),
            log_format: LogFormat::default(),
            no_migrate: false,
            kafka: KafkaConfig::default(),
            database: DatabaseConfig::default(),
            engine: EngineConfig::default(),
            gateway: GatewayConfig::default(),
        }
    }
}

impl Config {
    /// The brokers, for a command that needs them.
    pub fn brokers(&self) -> Result<&str, ConfigError> {
        let example = "ANDON_KAFKA_BROKERS=127.0.0.1:9092";
        self.kafka.brokers.as_deref().ok_or_else(|| ConfigError::missing("kafka.brokers", example))
    }

    /// The global database, for a command that needs it.
    pub fn database_url(&self) -> Result<&SecretUrl, ConfigError> {
        let example = "ANDON_DATABASE_URL=mysql://user:password@127.0.0.1:3306/andon_global";
        self.database.url.as_ref().ok_or_else(|| ConfigError::missing("database.url", example))
    }

    /// What holds after file and environment, as TOML, passwords masked.
    pub fn effective(&self) -> String {
        let mut shown = self.clone();
        for url in [&mut shown.schema_registry_url, &mut shown.database.url].into_iter().flatten() {
            *url = SecretUrl::new(url.masked());
        }
        shown.kafka.properties = shown.kafka.masked_properties();
        // A struct of texts, numbers and tables always has a TOML form.
        toml::to_string(&shown).unwrap_or_default()
    }
}

/// Whether a property of librdkafka holds a secret.
fn is_secret(property: &str) -> bool {
    let name = property.to_ascii_lowercase();
    ["password", "secret", "key.pem", "jaas", "token", "oauthbearer.config", "credential"]
        .iter()
        .any(|word| name.contains(word))
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: None,
            group: "andon".to_owned(),
            session_timeout_ms: 6_000,
            instance: None,
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaConfig {
    fn masked_properties(&self) -> BTreeMap<String, String> {
        let shown = |(name, value): (&String, &String)| {
            let value = if is_secret(name) { secret::MASK } else { value.as_str() };
            (name.clone(), value.to_owned())
        };
        self.properties.iter().map(shown).collect()
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("session_timeout_ms", &self.session_timeout_ms)
            .field("instance", &self.instance)
            .field("properties", &self.masked_properties())
            .finish()
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: None, pool: 8 }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            batch_idle_ms: 30,
            batch_max_ms: 100,
            batch_max_rows: 10_000,
            buffered_max: 20_000,
            command_poll_ms: 250,
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { origins: Vec::new(), session_idle_minutes: 30, requests_per_minute: 100, secure_cookies: true }
    }
}

// === impl ConfigError ===

impl ConfigError {
    fn value(key: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Value { key: key.into(), problem: problem.into(), fix: fix.into() }
    }

    fn missing(key: &str, example: &str) -> Self {
        Self::value(key, "is not set", format!("set it in the file or as {example}"))
    }
}
