//! A place of a test's own on the servers.

use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use rdkafka::ClientConfig;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{Connection, Executor, MySqlConnection};

use super::process::Andon;
use super::{Servers, random_name};

/// Its databases, topics and groups go when it is dropped.
pub struct Site {
    pub servers: Servers,
    /// The name of the global database.
    pub global: String,
    /// The consumer group of the processes that [`Site::spawn`] starts.
    pub group: String,
    tenants: Mutex<Vec<String>>,
}

impl Site {
    /// On Kafka and MariaDB.
    pub fn new() -> Site {
        Site::on(Servers::from_env())
    }

    pub fn on(servers: Servers) -> Site {
        let global = random_name("andon_global");
        let group = random_name("andon_test");
        Site { servers, global, group, tenants: Mutex::default() }
    }

    /// A tenant's name that nobody else has; its database and topics are dropped with the site.
    pub fn tenant(&self, prefix: &str) -> String {
        let name = random_name(prefix);
        self.tenants.lock().unwrap().push(name.clone());
        name
    }

    /// The global database's URL.
    pub fn global_url(&self) -> String {
        format!("{}/{}", self.servers.database, self.global)
    }

    /// The URL of a tenant's database.
    pub fn tenant_url(&self, tenant: &str) -> String {
        format!("{}/andon_t_{tenant}", self.servers.database)
    }

    /// The environment that points `andon` here.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ANDON_KAFKA_BROKERS", self.servers.kafka.clone()),
            ("ANDON_DATABASE_URL", self.global_url()),
            ("ANDON_KAFKA__GROUP", self.group.clone()),
            // Waiting is asking, many times a second.
            ("ANDON_GATEWAY__REQUESTS_PER_MINUTE", "1000000".to_owned()),
        ]
    }

    /// Runs a command of `andon` to its end.
    pub fn andon(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_andon"))
            .args(arguments)
            .envs(self.env())
            .stdin(Stdio::null())
            .output()
            .expect("failed to run andon")
    }

    /// Runs a command of `andon` that has to succeed, and returns what it printed.
    pub fn andon_ok(&self, arguments: &[&str]) -> String {
        let output = self.andon(arguments);
        assert!(
            output.status.success(),
            "andon {} ended with {}:\n{}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("andon printed something that is not UTF-8")
    }

    /// Runs a command of `andon` that has to succeed, with a line on its standard input.
    pub fn andon_with_input(&self, arguments: &[&str], line: &str) -> String {
        use std::io::Write;
        let mut child = Command::new(env!("CARGO_BIN_EXE_andon"))
            .args(arguments)
            .envs(self.env())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("failed to run andon");
        let input = child.stdin.take().expect("a pipe");
        writeln!(&input, "{line}").expect("failed to write to andon");
        drop(input);
        let output = child.wait_with_output().expect("failed to wait for andon");
        assert!(output.status.success(), "andon {} ended with {}", arguments.join(" "), output.status);
        String::from_utf8(output.stdout).expect("andon printed something that is not UTF-8")
    }

    /// Starts a role (`serve`, `process`, `gateway`) and waits until it is ready.
    pub async fn spawn(&self, role: &str) -> Andon {
        let andon = self.spawn_without_waiting(role);
        andon.ready().await;
        andon
    }

    pub fn spawn_without_waiting(&self, role: &str) -> Andon {
        Andon::start(&[role], &self.env())
    }

    async fn remove(&self, tenants: &[String]) {
        if let Ok(mut connection) = MySqlConnection::connect(&self.servers.database).await {
            for database in tenants.iter().map(|name| format!("andon_t_{name}")).chain([self.global.clone()]) {
                let statement = format!("DROP DATABASE IF EXISTS `{database}`");
                let _ = connection.execute(sqlx::AssertSqlSafe(statement)).await;
            }
        }
        let topics = self.topics_of(tenants);
        let admin = self.servers.admin();
        let options = AdminOptions::new();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        if !topics.is_empty() {
            let _ = admin.delete_topics(&topics, &options).await;
        }
        let _ = admin.delete_groups(&[&self.group], &options).await;
    }

    fn topics_of(&self, tenants: &[String]) -> Vec<String> {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.servers.kafka).create().expect("a client's settings");
        let Ok(metadata) = client.fetch_metadata(None, super::PATIENCE) else { return Vec::new() };
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| name.split('.').nth(1).is_some_and(|of| tenants.iter().any(|t| t == of))).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let tenants = std::mem::take(self.tenants.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner));
        // A runtime of its own: the test's may be the one that is being left, and it may be of one thread.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(self.remove(&tenants));
            });
        });
    }
}
