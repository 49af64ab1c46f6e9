//! A tenant's database: its connections and the tables of its lines.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use sqlx::mysql::MySqlPool;

use super::address::Address;
use super::commit::Connections;
use super::error::Result;
use super::name::LineName;
use super::partition::Months;
use super::spec::SpecCache;
use super::{migrate, pool};

/// One tenant's database. Cheap to share; every method may be called from anywhere.
#[derive(Debug)]
pub struct TenantDb {
    pub(super) name: String,
    pub(super) address: Address,
    pub(super) pool: MySqlPool,
    /// Of the commits, apart from those of reads: a heavy query never holds up a line.
    pub(super) commits: Connections,
    /// Lines whose tables are known to be there.
    lines: Mutex<HashSet<LineName>>,
    /// Months that are known to have a partition, per line.
    pub(super) months: Mutex<HashMap<LineName, Months>>,
    pub(super) specs: SpecCache,
}

// === impl TenantDb ===

impl TenantDb {
    pub(super) fn new(name: String, address: Address, connections: u32) -> Result<Self> {
        Ok(Self {
            name,
            pool: pool(&address, connections)?,
            commits: Connections::new(address.mysql_async()),
            address,
            lines: Mutex::default(),
            months: Mutex::default(),
            specs: SpecCache::default(),
        })
    }

    /// The tenant's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Creates or upgrades the database and the tables of every line in the current file; answers what was applied.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        let mut applied = migrate::tenant(&self.address).await?;
        if let Some(current) = self.current().await? {
            for line in &current.spec.lines {
                applied.extend(migrate::line(&self.address, &LineName::new(&line.name)?).await?);
            }
        }
        Ok(applied)
    }

    /// The line's name, once its tables are there.
    pub(super) async fn line(&self, line: &str) -> Result<LineName> {
        let line = LineName::new(line)?;
        if self.lines.lock().contains(&line) {
            return Ok(line);
        }
        let is_current = migrate::line_is_current(&mut *self.pool.acquire().await?, &line).await?;
        if !is_current {
            migrate::line(&self.address, &line).await?;
        }
        self.lines.lock().insert(line.clone());
        Ok(line)
    }
}
