//! What every client of the brokers is told.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

use crate::config::KafkaConfig;

/// How to reach the brokers, and as whom.
#[derive(Clone)]
pub struct Settings {
    /// Bootstrap servers, `host:port` separated by commas.
    pub brokers: String,
    /// Consumer group of the processes that share the lines.
    pub group: String,
    /// Silence after which a member of the group loses its lines, milliseconds.
    pub session_timeout_ms: u64,
    /// Name of this process in the group, the same after a restart; none: a new member each time.
    pub instance: Option<String>,
    /// Further settings by librdkafka's names; they win over Andon's tuning, not over what correctness needs.
    pub properties: BTreeMap<String, String>,
}

// === impl Settings ===

impl Settings {
    /// `config` at `brokers`, see [`crate::config::Config::brokers`].
    pub fn new(brokers: &str, config: &KafkaConfig) -> Settings {
        Settings {
            brokers: brokers.to_owned(),
            group: config.group.clone(),
            session_timeout_ms: config.session_timeout_ms,
            instance: config.instance.clone(),
            properties: config.properties.clone(),
        }
    }

    /// A `transactional.id` for a publisher: that of this process whenever it runs, or of this run alone where it has
    /// no name.
    pub fn transactional_id(&self) -> String {
        match &self.instance {
            Some(instance) => format!("andon-{}-{instance}", self.group),
            None => format!("andon-{}-{:016x}", self.group, rand::random::<u64>()),
        }
    }

    /// A client's configuration: `tuning`, then the properties of the user, then `required`.
    pub(super) fn client(&self, tuning: &[(&str, &str)], required: &[(&str, &str)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("client.id", "andon");
        client.set("socket.keepalive.enable", "true");
        client.set("log.connection.close", "false");
        client.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in tuning {
            client.set(*name, *value);
        }
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        client.set("bootstrap.servers", &self.brokers);
        for (name, value) in required {
            client.set(*name, *value);
        }
        client
    }
}
