//! The store by itself, each test on MariaDB and on MySQL 8.

mod commit;
mod hours;
mod migrate;
mod partitions;
mod read;
mod speed;

use std::sync::Arc;

use andon::config::tenant::TenantSpec;
use andon::domain::production::changes::Changes;
use andon::domain::production::detection::Detection;
use andon::domain::time::Ms;
use andon::store::{Checkpoint, LineCommit, Store, TenantDb};

use crate::support::{Servers, Site};

/// 2026-01-01T00:00:00Z.
pub const NEW_YEAR: Ms = 1_767_225_600_000;

/// Makes of each function a test per server.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod mariadb {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::support::Site::new()).await;
            })*
        }
        mod mysql8 {
            $(#[tokio::test]
            async fn $name() {
                // Left out where there is no build of it.
                if let Some(site) = crate::pipeline::store::mysql8() {
                    super::$name(site).await;
                }
            })*
        }
    };
}
use on_both;

fn mysql8() -> Option<Site> {
    Servers::mysql8().map(Site::on)
}

/// The file of a tenant with lines `l1` and `l2`.
pub fn file(tenant: &str, threshold_s: u32) -> TenantSpec {
    let mut text = format!(
        r##"
        [tenant]
        name = "{tenant}"
        company = "Demo Foods"
        time_zone = "Europe/Madrid"

        [[shift]]
        name = "night"
        start = "22:00"
        end = "06:00"

        [[break]]
        shift = "night"
        name = "meal"
        start = "02:00"
        end = "02:30"

        [[exception]]
        date = "2026-12-25"

        [[product]]
        id = 7
        code = "BOT-500"
        weight_g = 512.5
        production_std = 120.1

        [[reason]]
        code = "jam"
        name = "Atasco; '--"
        category = "breakdown"
        "##
    );
    for line in ["l1", "l2"] {
        text.push_str(&format!(
            r#"
            [[line]]
            name = "{line}"
            performance = 100.0
            downtime_threshold_s = {threshold_s}
              [[line.area]]
              id = 1
              role = "output"
              cameras = [11, 12]
              rect = [120, 80, 420, 300]
            "#
        ));
    }
    TenantSpec::parse(&text).unwrap()
}

/// A migrated store with one tenant.
pub struct Plant {
    pub store: Store,
    pub db: Arc<TenantDb>,
    pub tenant: String,
    /// Dropped last.
    pub site: Site,
}

impl Plant {
    pub async fn new(site: Site) -> Plant {
        let store = Store::connect(&site.global_url()).await.unwrap();
        store.migrate().await.unwrap();
        let tenant = site.tenant("store");
        store.apply_spec(&file(&tenant, 60), NEW_YEAR, "tester", false).await.unwrap();
        let db = store.tenant(&tenant).await.unwrap();
        Plant { store, db, tenant, site }
    }

    pub fn topic(&self, line: &str) -> String {
        format!("detections.{}.{line}", self.tenant)
    }

    pub async fn take_over(&self, line: &str) -> Owner {
        let topic = self.topic(line);
        let checkpoint = self.db.take_over(line, &topic, "test").await.unwrap();
        Owner { line: line.to_owned(), topic, checkpoint }
    }

    /// A connection of its own to the tenant's database.
    pub async fn connection(&self) -> sqlx::MySqlConnection {
        use sqlx::Connection;
        sqlx::MySqlConnection::connect(&self.site.tenant_url(&self.tenant)).await.unwrap()
    }

    pub async fn count(&self, sql: String) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut self.connection().await).await.unwrap()
    }
}

/// What a process knows of a line that it has taken over.
pub struct Owner {
    pub line: String,
    pub topic: String,
    pub checkpoint: Checkpoint,
}

impl Owner {
    /// A commit that carries `changes`.
    pub fn commit<'a>(&'a self, changes: &'a Changes) -> LineCommit<'a> {
        LineCommit {
            line: &self.line,
            topic: &self.topic,
            expected_epoch: self.checkpoint.owner_epoch,
            expected_seq: self.checkpoint.commit_seq,
            next_offset: self.checkpoint.next_offset.max(0) + changes.detections.len() as i64,
            clock: None,
            told_seq: Some(self.checkpoint.commit_seq + 1),
            state: b"state\x00\xff'",
            state_version: 1,
            changes,
            first_input_seq: 1,
            after_offset: -1,
            replaces_timer: false,
            applied_commands: Vec::new(),
            outbox: Some(b"\x00\xfe'records".to_vec()),
        }
    }

    /// After a commit that went through.
    pub fn moved(&mut self, changes: &Changes) {
        self.checkpoint.next_offset = self.checkpoint.next_offset.max(0) + changes.detections.len() as i64;
        self.checkpoint.commit_seq += 1;
        self.checkpoint.told_seq = Some(self.checkpoint.commit_seq);
    }
}

/// `count` detections from `from` on, 20 ms apart.
pub fn detections(from: Ms, count: usize) -> Changes {
    let detection = |n: usize| Detection {
        detection_id: n as i64 - 5,
        detected_at: from + n as i64 * 20,
        area_id: 1,
        product_id: 7,
        quantity: 1 + n as i32 % 3,
        camera_id: (!n.is_multiple_of(3)).then_some(11),
        confidence: (!n.is_multiple_of(5)).then_some(n as f32 / 7.0),
    };
    Changes { detections: (0..count).map(|n| (detection(n), n % 4 == 1)).collect(), ..Changes::default() }
}
