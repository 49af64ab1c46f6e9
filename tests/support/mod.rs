//! What the tests with servers share: the servers' addresses, a site of one's own on them, the real `andon` program.
//!
//! Each test takes a [`Site`]: its own global database, its own tenants with random names, its own topics and consumer
//! group; all of it is dropped at the end, also when the test fails.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

pub mod half_shared;
pub mod lost_end;
pub mod process;
pub mod protocol;
pub mod proxy;
pub mod python;
pub mod site;
pub mod wire;

use std::future::Future;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;

pub use process::{Andon, free_address};
pub use site::Site;

/// Longer than anything that works takes, also on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Addresses of the private servers.
#[derive(Clone, Debug)]
pub struct Servers {
    /// Bootstrap servers of Kafka.
    pub kafka: String,
    /// A MySQL or MariaDB server, without a database: `mysql://root@127.0.0.1:3306`.
    pub database: String,
}

impl Servers {
    /// Kafka and MariaDB.
    pub fn from_env() -> Servers {
        Servers { kafka: required("ANDON_TEST_KAFKA"), database: required("ANDON_TEST_DATABASE_URL") }
    }

    /// Kafka and MySQL 8, where there is one (it is left out on machines without a build of it).
    pub fn mysql8() -> Option<Servers> {
        let database = std::env::var("ANDON_TEST_MYSQL8_URL").ok()?;
        Some(Servers { kafka: required("ANDON_TEST_KAFKA"), database })
    }

    /// Who changes topics and groups behind Andon's back.
    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.kafka).create().expect("a client's settings")
    }
}

fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: this test needs the private servers; run it through `make test`, or start them with \
             `scripts/servers start` and set it by `eval \"$(scripts/servers env)\"`"
        )
    })
}

/// `prefix_` and eight random characters that fit a tenant's name.
pub fn random_name(prefix: &str) -> String {
    format!("{prefix}_{:08x}", rand::random::<u32>())
}

/// Asks until there is an answer; panics with what was waited for, and the last `None`'s reason where one is given.
pub async fn until<T, F, Fut>(what: &str, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
