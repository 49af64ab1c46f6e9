//! File and environment to a checked [`Config`].

use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::keys::{KEYS, Key, Kind, nearest};
use super::{Config, ConfigError};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "andon.toml";

/// What a configuration is read from: the process, or a test's idea of one.
pub trait Environment {
    /// The text of a file.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// All variables.
    fn variables(&self) -> Vec<(String, String)>;
}

/// The process we are in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Environment for Process {
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn variables(&self) -> Vec<(String, String)> {
        // A name or value that is no UTF-8 cannot be one of ours.
        std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect()
    }
}

impl Config {
    /// Reads the named file, or `andon.toml` when it is there, then the environment over it, and checks all.
    ///
    /// # Errors
    /// A named file that cannot be read, an unknown key, a value of the wrong type or out of range.
    pub fn load(file: Option<&Path>, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let mut table = read_file(file, environment)?;
        for (name, text) in environment.variables() {
            let Some(rest) = name.strip_prefix("ANDON_") else { continue };
            let Some((path, key)) = variable_key(&name, rest)? else { continue };
            insert(&mut table, &path, from_text(key, &name, &text)?);
        }
        let config = Config::deserialize_table(table)?;
        config.check()?;
        Ok(config)
    }

    fn deserialize_table(table: Table) -> Result<Self, ConfigError> {
        // Names and types are checked already; what is left are enumerations and addresses, each of one key.
        for key in ["listen", "admin_listen"] {
            if let Some(Value::String(text)) = table.get(key)
                && text.parse::<std::net::SocketAddr>().is_err()
            {
                let problem = format!("{text:?} is no address");
                return Err(ConfigError::value(key, problem, "write address and port, as \"127.0.0.1:8080\""));
            }
        }
        if let Some(Value::String(text)) = table.get("log_format")
            && !["text", "json"].contains(&text.as_str())
        {
            let problem = format!("{text:?} is no log format");
            return Err(ConfigError::value("log_format", problem, "write \"text\" or \"json\""));
        }
        table.try_into().map_err(|error: toml::de::Error| {
            ConfigError::value("configuration", error.message().to_owned(), "see the keys in the documentation")
        })
    }

    /// What types cannot say.
    fn check(&self) -> Result<(), ConfigError> {
        let range = |key: &str, value: u64, low: u64, high: u64| {
            let fits = (low..=high).contains(&value);
            let error =
                || ConfigError::value(key, format!("{value} is out of range"), format!("write {low} to {high}"));
            fits.then_some(()).ok_or_else(error)
        };
        range("kafka.session_timeout_ms", self.kafka.session_timeout_ms, 1_000, 1_800_000)?;
        range("database.pool", u64::from(self.database.pool), 1, 1_000)?;
        range("engine.batch_idle_ms", self.engine.batch_idle_ms, 1, 10_000)?;
        range("engine.batch_max_ms", self.engine.batch_max_ms, self.engine.batch_idle_ms, 60_000)?;
        range("engine.batch_max_rows", self.engine.batch_max_rows as u64, 1, 10_000_000)?;
        range("engine.buffered_max", self.engine.buffered_max as u64, self.engine.batch_max_rows as u64, 100_000_000)?;
        range("engine.command_poll_ms", self.engine.command_poll_ms, 10, 60_000)?;
        range("gateway.requests_per_minute", u64::from(self.gateway.requests_per_minute), 1, 1_000_000)?;
        range("gateway.session_idle_minutes", u64::from(self.gateway.session_idle_minutes), 1, 525_600)?;
        if let Some(url) = &self.database.url
            && !url.expose().starts_with("mysql://")
        {
            let fix = "write mysql://user:password@host:port/andon_global";
            return Err(ConfigError::value("database.url", "is no MySQL URL", fix));
        }
        if let Some(url) = &self.schema_registry_url
            && !url.expose().starts_with("http://")
            && !url.expose().starts_with("https://")
        {
            return Err(ConfigError::value("schema_registry_url", "is no web address", "write http://host:8081"));
        }
        if self.kafka.brokers.as_deref().is_some_and(|brokers| brokers.trim().is_empty()) {
            return Err(ConfigError::value("kafka.brokers", "is empty", "write host:port, several with commas"));
        }
        if self.kafka.group.trim().is_empty() {
            return Err(ConfigError::value("kafka.group", "is empty", "write a name, or leave the key out"));
        }
        if self.kafka.instance.as_deref().is_some_and(|name| !is_name(name)) {
            let fix = "write 1 to 100 of a-z, A-Z, 0-9, '.', '_' and '-', or leave the key out";
            return Err(ConfigError::value("kafka.instance", "is no name", fix));
        }
        for origin in &self.gateway.origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', '?', '#', '@'])) {
                let fix = "write scheme and host, as \"https://board.example.com\"";
                return Err(ConfigError::value("gateway.origins", format!("{origin:?} is no origin"), fix));
            }
        }
        Ok(())
    }
}

/// What the brokers and the checkpoints take as a part of a name.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn read_file(file: Option<&Path>, environment: &dyn Environment) -> Result<Table, ConfigError> {
    let path = file.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_path_buf);
    let text = match environment.read(&path) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Table::new()),
        Err(source) => return Err(ConfigError::File { path, source }),
    };
    let table: Table =
        toml::from_str(&text).map_err(|error| ConfigError::Syntax { path, message: syntax_error(&text, &error) })?;
    check_names(&table, "")?;
    Ok(table)
}

/// Line and message; the line itself stays out, since it may hold a password.
pub(super) fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    // Of several lines the first says what is wrong and the rest what was expected.
    let message = error.message().trim().replace('\n', ", ");
    format!("line {line}: {message}")
}

/// Refuses keys of a file that are not in [`KEYS`] and values of another type.
fn check_names(table: &Table, above: &str) -> Result<(), ConfigError> {
    for (name, value) in table {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let is_section = KEYS.iter().any(|key| key.path.split_once('.').is_some_and(|(section, _)| section == path));
        match (Key::find(&path), value) {
            (Some(key), Value::Table(inner)) if key.kind == Kind::Table && key.path == path => {
                check_names(inner, &path)?;
            }
            (Some(key), _) => check_type(key, &path, value)?,
            (None, Value::Table(inner)) if is_section => check_names(inner, &path)?,
            (None, _) if is_section => {
                return Err(ConfigError::value(&path, "is a section", format!("write [{path}] and its keys below")));
            }
            (None, _) => return Err(unknown(&path, &path)),
        }
    }
    Ok(())
}

fn check_type(key: &Key, path: &str, value: &Value) -> Result<(), ConfigError> {
    let (fits, fix) = match (key.kind, value) {
        (Kind::Text, value) => (value.is_str(), "write a text in quotes"),
        (Kind::Table, value) => {
            (value.is_str() && path != key.path, "write names and values in quotes, as \"security.protocol\" = \"SSL\"")
        }
        (Kind::Number, Value::Integer(number)) => (*number >= 0 && u32::try_from(*number).is_ok(), NUMBER_FIX),
        (Kind::Number, _) => (false, NUMBER_FIX),
        (Kind::Flag, value) => (value.is_bool(), "write true or false"),
        (Kind::List, Value::Array(items)) => (items.iter().all(Value::is_str), LIST_FIX),
        (Kind::List, _) => (false, LIST_FIX),
    };
    fits.then_some(()).ok_or_else(|| ConfigError::value(path, "has the wrong type", fix))
}

const NUMBER_FIX: &str = "write a whole number from 0 to 4294967295";
const LIST_FIX: &str = "write a list of texts, as [\"a\", \"b\"]";

/// The key of a variable, with its path in the file. Variables without `__` that are no short form or key of the
/// top level are somebody else's (orchestrators put `ANDON_SERVICE_HOST` and the like in every container).
fn variable_key(name: &str, rest: &str) -> Result<Option<(String, &'static Key)>, ConfigError> {
    if let Some(key) = KEYS.iter().find(|key| key.short == Some(name) || key.variable() == name) {
        // A whole table has no form in one variable.
        return if key.kind == Kind::Table { Err(unknown(name, key.path)) } else { Ok(Some((key.path.into(), key))) };
    }
    for key in KEYS.iter().filter(|key| key.kind == Kind::Table) {
        if let Some(property) = name.strip_prefix(&format!("{}__", key.variable())) {
            return Ok(Some((format!("{}.{}", key.path, property.to_lowercase().replace('_', ".")), key)));
        }
    }
    if rest.contains("__") { Err(unknown(name, &rest.to_lowercase().replace("__", "."))) } else { Ok(None) }
}

fn unknown(key: &str, path: &str) -> ConfigError {
    let fix = match nearest(path) {
        Some(near) => format!("did you mean {near}?"),
        None => "take it out; `andon config check` prints the keys there are".to_owned(),
    };
    ConfigError::UnknownKey { key: key.to_owned(), fix }
}

fn from_text(key: &Key, name: &str, text: &str) -> Result<Value, ConfigError> {
    let text = text.trim();
    match key.kind {
        Kind::Text | Kind::Table => Ok(Value::String(text.to_owned())),
        Kind::Number => match text.parse::<u32>() {
            Ok(number) => Ok(Value::Integer(i64::from(number))),
            Err(_) => Err(ConfigError::value(name, format!("{text:?} is no number"), NUMBER_FIX)),
        },
        Kind::Flag => match text {
            "true" | "1" => Ok(Value::Boolean(true)),
            "false" | "0" => Ok(Value::Boolean(false)),
            _ => Err(ConfigError::value(name, format!("{text:?} is neither true nor false"), "write true or false")),
        },
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
    }
}

/// Puts a value at `section.key`, or at `section.key.property.with.dots`.
fn insert(table: &mut Table, path: &str, value: Value) {
    let mut parts = path.splitn(3, '.');
    let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let mut inside = table;
    let mut name = first;
    for part in [second, third].into_iter().flatten() {
        let section = inside.entry(name).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(section) = section else { return };
        inside = section;
        name = part;
    }
    inside.insert(name.to_owned(), value);
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
