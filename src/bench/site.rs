//! A place for benches: databases, topics and a group of their own on the configured servers, gone at the end.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{Connection, Executor};

use crate::bench::load::AREAS;
use crate::config::tenant::TenantSpec;
use crate::config::{Config, SecretUrl};
use crate::domain::production::detection::Detection;
use crate::domain::time::BEGINNING;
use crate::kafka::producer::{ProduceError, Producer};
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics::{self, Admin, AdminError};
use crate::kafka::{Settings, codec};
use crate::store::{Store, StoreError};

/// Tenants of a bench; lines are spread over them.
const TENANTS: u32 = 2;

/// Why a bench could not be run. Follows "failed to run the bench: ".
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Topics(#[from] AdminError),
    #[error(transparent)]
    Produce(#[from] ProduceError),
    #[error("write the bench's tenant: {0}")]
    Spec(#[from] crate::config::tenant::SpecError),
    #[error("run a process: {0}")]
    Process(#[from] std::io::Error),
    #[error("remove the bench's databases: {0}")]
    Database(#[from] sqlx::Error),
    #[error("read the records to repeat: {0}")]
    Replay(#[from] rdkafka::error::KafkaError),
    #[error("watch a board: {0}")]
    Socket(#[from] tokio_tungstenite::tungstenite::Error),
    #[error("{0}")]
    Failed(String),
}

/// See the module.
pub struct BenchSite {
    pub settings: Settings,
    pub store: Store,
    /// (tenant, line), in the order of their numbers.
    pub lines: Vec<(String, String)>,
    /// The global database of this bench alone.
    pub database_url: String,
    /// Where a gateway of the bench listens.
    listen: String,
    admin: Admin,
}

// === impl BenchSite ===

impl BenchSite {
    /// `lines` lines over two tenants, on the servers of the configuration; figures go out every `cadence_ms` at most.
    pub async fn open(config: &Config, lines: u32, cadence_ms: u32) -> Result<BenchSite, BenchError> {
        Self::with_detour(config, lines, cadence_ms, None).await
    }

    /// The same, where the last tenant's database is reached by another port of this host.
    pub async fn with_detour(
        config: &Config,
        lines: u32,
        cadence_ms: u32,
        detour: Option<u16>,
    ) -> Result<BenchSite, BenchError> {
        let missing = |why: crate::config::ConfigError| BenchError::Failed(why.to_string());
        let tag = format!("{:08x}", rand::random::<u32>());
        let url = config.database_url().map_err(missing)?.expose().to_owned();
        let server = url.rsplit_once('/').map_or(url.as_str(), |(server, _)| server);
        let database_url = format!("{server}/andon_bench_{tag}");
        let mut settings = Settings::new(config.brokers().map_err(missing)?, &config.kafka);
        settings.group = format!("bench_{tag}");
        let store = Store::connect(&database_url).await?;
        store.migrate().await?;
        let admin = Admin::connect(&settings)?;
        let mut named = Vec::new();
        for number in 0..lines {
            named.push((format!("bench_{tag}_{}", number % TENANTS), format!("l{number}")));
        }
        for tenant in 0..TENANTS {
            let name = format!("bench_{tag}_{tenant}");
            let own: Vec<&str> = named.iter().filter(|(t, _)| *t == name).map(|(_, l)| l.as_str()).collect();
            let mut spec = TenantSpec::parse(&file(&name, &own, cadence_ms))?;
            if let (Some(port), true) = (detour, tenant + 1 == TENANTS) {
                let (account, _) = server.rsplit_once('@').unwrap_or(("mysql://root", server));
                let detour = format!("{account}@127.0.0.1:{port}/andon_t_{name}");
                spec.tenant.database_url = Some(SecretUrl::new(detour));
            }
            store.apply_spec(&spec, BEGINNING, "bench", false).await?;
            admin.ensure_tenant_topics(&name).await?;
            for line in own {
                admin.ensure_line_topics(&name, line, None).await?;
            }
        }
        Ok(BenchSite { settings, store, lines: named, database_url, listen: "127.0.0.1:0".to_owned(), admin })
    }

    /// The same, with its gateway at an address.
    pub fn at(mut self, listen: &str) -> BenchSite {
        listen.clone_into(&mut self.listen);
        self
    }

    /// A producer of its own for a loader.
    pub fn producer(&self, linger: Duration) -> Result<Producer, BenchError> {
        Ok(Producer::connect(&self.settings, linger)?)
    }

    /// Sends a detection of a line.
    pub fn send(
        &self,
        producer: &mut Producer,
        topic: &str,
        detection: &Detection,
        payload: &mut Vec<u8>,
    ) -> Result<(), BenchError> {
        payload.clear();
        codec::encode_detection(detection, &SchemaIds::builtin(), payload);
        Ok(producer.send(topic, None, Some(payload))?)
    }

    /// The topic of a line by its number.
    pub fn topic(&self, number: usize) -> String {
        let (tenant, line) = &self.lines[number];
        topics::detections(tenant, line)
    }

    /// Environment that points a process here.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ANDON_KAFKA_BROKERS", self.settings.brokers.clone()),
            ("ANDON_DATABASE_URL", self.database_url.clone()),
            ("ANDON_KAFKA__GROUP", self.settings.group.clone()),
            ("ANDON_LISTEN", self.listen.clone()),
            ("ANDON_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            // Benches ask many times a second.
            ("ANDON_GATEWAY__REQUESTS_PER_MINUTE", "1000000".to_owned()),
            ("ANDON_LOG", "warn".to_owned()),
        ]
    }

    /// Whether every line is committed and published up to `offsets`. `reached` is the caller's, empty at first: the
    /// commits in which the lines got there. Their clocks go on committing afterwards, which is not waited for.
    pub async fn is_done(&self, offsets: &[i64], reached: &mut HashMap<usize, u64>) -> Result<bool, BenchError> {
        for (number, ((tenant, line), offset)) in self.lines.iter().zip(offsets).enumerate() {
            let there = self.store.tenant(tenant).await?.checkpoint(line).await?;
            let Some(there) = there.filter(|c| c.next_offset >= *offset) else { return Ok(false) };
            if there.published_seq < *reached.entry(number).or_insert(there.commit_seq) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes topics and databases.
    pub async fn close(self) -> Result<(), BenchError> {
        let mut tenants: Vec<&str> = self.lines.iter().map(|(tenant, _)| tenant.as_str()).collect();
        tenants.dedup();
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in &tenants {
            let own = self.admin.list(Some(tenant)).await?.into_iter().map(|(topic, _)| topic).collect::<Vec<_>>();
            self.admin.delete(&own).await?;
        }
        let mut connection = sqlx::MySqlConnection::connect(&self.database_url).await?;
        // Names that this bench made up itself: hexadecimal, nobody else's.
        let global = self.database_url.rsplit('/').next().unwrap_or_default().to_owned();
        for database in tenants.iter().map(|tenant| format!("andon_t_{tenant}")).chain([global]) {
            let sql = format!("DROP DATABASE IF EXISTS `{database}`");
            connection.execute(sqlx::AssertSqlSafe(sql)).await?;
        }
        Ok(())
    }
}

/// The file of a bench's tenant: three areas, stops over 60 s, micro-stops over 10 s, 10 min of lateness.
fn file(tenant: &str, lines: &[&str], cadence_ms: u32) -> String {
    let mut text =
        format!("[tenant]\nname = \"{tenant}\"\ncompany = \"Bench\"\ntime_zone = \"UTC\"\nlocale = \"en\"\n");
    for id in 1..=3 {
        let rate = 50 - 5 * id;
        text += &format!("[[product]]\nid = {id}\ncode = \"P{id}\"\nname = \"P{id}\"\nproduction_std = {rate}.0\n");
    }
    for line in lines {
        text += &format!(
            "[[line]]\nname = \"{line}\"\ntitle = \"{line}\"\nperformance = 40.0\navailability_target = 0.9\n\
             oee_target = 0.75\ndowntime_threshold_s = 60\nmicro_stop_threshold_s = 10\n\
             oee_cadence_ms = {cadence_ms}\n"
        );
        for (id, name, role) in AREAS {
            let camera = 10 + id;
            text += &format!(
                "  [[line.area]]\n  id = {id}\n  name = \"{name}\"\n  role = \"{role}\"\n  cameras = [{camera}]\n"
            );
        }
    }
    text
}
