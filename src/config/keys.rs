//! Every key of the process configuration: its type, short form and meaning, in one table.
//!
//! The environment, the check of a file and the printed help all go by it; a test holds it against [`super::Config`].

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A whole number, not negative.
    Number,
    Flag,
    /// A list of texts; in the environment separated by commas.
    List,
    /// A table of texts with open names; in the environment `…__NAME`, with `_` for the dots of the name.
    Table,
}

/// A key of the process configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As in the file, with dots: `kafka.brokers`.
    pub path: &'static str,
    pub kind: Kind,
    /// A shorter name in the environment beside `ANDON_SECTION__KEY`.
    pub short: Option<&'static str>,
    pub meaning: &'static str,
}

const fn key(path: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { path, kind, short: None, meaning }
}

/// All keys, in the order of the printed configuration.
pub const KEYS: &[Key] = &[
    key("listen", Kind::Text, "address and port of the gateway"),
    key("admin_listen", Kind::Text, "address and port of /live, /ready, /metrics and PUT /log"),
    key("schema_registry_url", Kind::Text, "a Confluent schema registry; without it the gateway is one, read only"),
    key("log", Kind::Text, "what is logged, as `info` or `andon=debug,info`"),
    key("log_format", Kind::Text, "`text` or `json`"),
    key("no_migrate", Kind::Flag, "leave the databases' tables as they are on start"),
    Key {
        path: "kafka.brokers",
        kind: Kind::Text,
        short: Some("ANDON_KAFKA_BROKERS"),
        meaning: "bootstrap servers, host:port separated by commas",
    },
    key("kafka.group", Kind::Text, "consumer group of the processes that share the lines"),
    key("kafka.session_timeout_ms", Kind::Number, "silence after which a process loses its lines"),
    key(
        "kafka.instance",
        Kind::Text,
        "name of this process in its group, the same after a restart; host and admin port",
    ),
    key("kafka.properties", Kind::Table, "further settings of librdkafka, for every client"),
    Key {
        path: "database.url",
        kind: Kind::Text,
        short: Some("ANDON_DATABASE_URL"),
        meaning: "the global database, mysql://user:password@host:port/andon_global",
    },
    key("database.pool", Kind::Number, "connections per database at most"),
    key("engine.batch_idle_ms", Kind::Number, "a batch waits this long for more while little comes in"),
    key("engine.batch_max_ms", Kind::Number, "a batch is committed after this long under load"),
    key("engine.batch_max_rows", Kind::Number, "a batch is committed at this many detections"),
    key("engine.buffered_max", Kind::Number, "records waiting in memory at which reading pauses"),
    key("engine.command_poll_ms", Kind::Number, "how often reasons, splits and repairs are looked for"),
    key("gateway.origins", Kind::List, "origins of browsers that may connect beside the gateway's own"),
    key("gateway.session_idle_minutes", Kind::Number, "a login ends after this long without a request"),
    key("gateway.requests_per_minute", Kind::Number, "requests that a user or an API key may make in a minute"),
    key("gateway.secure_cookies", Kind::Flag, "cookies over HTTPS only; off for plain HTTP on a local machine"),
];

/// How alike two words are: the edits from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let swap = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = swap.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The known key that a wrong one was probably meant to be.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let best = KEYS.iter().map(|key| (distance(path, key.path), key.path)).min()?;
    (best.0 <= 3).then_some(best.1)
}

// === impl Key ===

impl Key {
    /// The name in the environment: `ANDON_KAFKA__BROKERS`.
    pub fn variable(&self) -> String {
        format!("ANDON_{}", self.path.replace('.', "__").to_uppercase())
    }

    /// Whether a file's path is this key or, for a table, lies in it.
    pub(super) fn find(path: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| {
            let inner = path.strip_prefix(key.path).map(|rest| rest.starts_with('.'));
            key.path == path || (key.kind == Kind::Table && inner == Some(true))
        })
    }
}
