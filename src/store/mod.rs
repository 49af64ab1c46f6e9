//! MySQL: the truth. A global database with tenants and users, and a database per tenant.
//!
//! [`Store`] knows the global one and hands out a [`TenantDb`] per tenant. The heart is [`TenantDb::commit`]: one
//! transaction that moves lines' checkpoints forward, or does nothing. Reads, commands and configuration go through
//! sqlx; the commit goes through mysql_async, which can stream rows into `LOAD DATA LOCAL` (sqlx cannot).
//! The same SQL runs on MySQL 8 and MariaDB 10.11.

pub mod account;
mod address;
mod audit;
pub mod bench;
pub mod camera;
mod checkpoint;
mod command;
mod commit;
mod error;
pub mod incident;
mod layout;
pub mod maintenance;
mod migrate;
pub mod monitor;
mod name;
mod partition;
mod read;
mod rollup;
pub mod screens;
pub mod session;
pub mod settings;
mod spec;
pub mod stamp;
mod stretch;
mod tenant;
mod told;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use sqlx::mysql::{MySqlConnection, MySqlPool, MySqlPoolOptions};
use sqlx::{Executor, Row};

pub use self::address::Address;
pub use self::audit::{AuditEntry, AuditFilter, AuditRow, QueryEntry};
pub use self::checkpoint::{Checkpoint, Forward, OutboxBatch};
pub use self::command::{Command, CommandBody, CommandOutcome, NewCommand, STALE, Words};
pub use self::commit::{CommitError, LineCommit};
pub use self::error::{Result, StoreError};
pub use self::layout::{CatalogueRow, FilterRow, TemplateRow};
pub use self::name::tenant_database;
pub use self::read::{DetectionPage, StoredInput};
pub use self::rollup::{CameraSign, StopTally, StopsWanted, whole_hours};
pub use self::spec::ConfigVersion;
pub use self::tenant::TenantDb;
pub use self::told::Told;
use crate::config::tenant::TenantSpec;
use crate::domain::time::Ms;

/// Connections per database at most, unless told otherwise.
const DEFAULT_CONNECTIONS: u32 = 8;

/// The global database, and through it every tenant's.
#[derive(Debug)]
pub struct Store {
    address: Address,
    pool: MySqlPool,
    connections: u32,
    tenants: DashMap<String, Arc<TenantDb>>,
}

/// A row of `tenant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub id: i32,
    /// `[a-z0-9_]{1,48}`
    pub name: String,
    pub company: String,
    /// IANA name.
    pub time_zone: String,
    /// `es` or `en`.
    pub locale: String,
    pub is_active: bool,
    /// Where its database is, when not beside the global one.
    pub database_url: Option<crate::config::SecretUrl>,
}

/// A pool that connects when it is first used: a database that is away delays nobody else's start.
fn pool(address: &Address, connections: u32) -> Result<MySqlPool> {
    let options = MySqlPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(Duration::from_secs(120))
        .after_connect(|connection, _| Box::pin(set_session(connection)));
    Ok(options.connect_lazy_with(address.sqlx(Some(address.database()?))))
}

async fn set_session(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    for statement in address::SESSION {
        connection.execute(statement).await?;
    }
    Ok(())
}

// === impl Store ===

impl Store {
    /// A store at the global database's URL, `mysql://user:password@host:port/andon_global`. Nothing is asked of the
    /// server that the database must exist for: [`Store::migrate`] makes it.
    ///
    /// # Errors
    /// A wrong URL; a server that cannot be reached.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, DEFAULT_CONNECTIONS).await
    }

    /// [`Store::connect`] with a limit on connections per database.
    pub async fn connect_with(url: &str, connections: u32) -> Result<Self> {
        let address = Address::parse(url)?;
        let pool = pool(&address, connections.max(1))?;
        // Without its database: a server that answers is enough.
        let probe =
            sqlx::Connection::close(<MySqlConnection as sqlx::Connection>::connect_with(&address.sqlx(None)).await?);
        probe.await?;
        Ok(Self { address, pool, connections: connections.max(1), tenants: DashMap::new() })
    }

    /// Creates or upgrades the global database and that of every active tenant; answers what was applied. A tenant
    /// whose database is away or refuses is passed over with its error, so that it holds up nobody else.
    ///
    /// # Errors
    /// The global database cannot be brought up to date.
    pub async fn migrate(&self) -> Result<Migrated> {
        let mut applied = migrate::global(&self.address).await?;
        let mut failed = Vec::new();
        for tenant in self.tenants().await? {
            if !tenant.is_active {
                continue;
            }
            let upgraded = match self.tenant_db(&tenant) {
                Ok(db) => db.migrate().await,
                Err(error) => Err(error),
            };
            match upgraded {
                Ok(names) => applied.extend(names),
                Err(error) => failed.push((tenant.name, error)),
            }
        }
        Ok(Migrated { applied, failed })
    }

    /// Every tenant, by name.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let rows = sqlx::query(
            "SELECT tenant_id, name, company_name, time_zone, locale, is_active, database_url FROM tenant ORDER BY name",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(tenant_row).collect()
    }

    /// The database of an active tenant; one and the same for every caller.
    ///
    /// # Errors
    /// An unknown or deactivated tenant.
    pub async fn tenant(&self, name: &str) -> Result<Arc<TenantDb>> {
        let row = self.tenant_row(name).await?.ok_or_else(|| StoreError::UnknownTenant(name.to_owned()))?;
        if !row.is_active {
            return Err(StoreError::InactiveTenant(name.to_owned()));
        }
        self.tenant_db(&row)
    }

    /// Registers a tenant, or changes its company, zone, language and address to what the file says, and brings its
    /// database to it; answers what changed, nothing when all was so. With `dry_run` only tells. `valid_from` is when a
    /// changed version begins to hold.
    ///
    /// # Errors
    /// A file that is refused, a `valid_from` that is not after the last version's.
    pub async fn apply_spec(
        &self,
        spec: &TenantSpec,
        valid_from: Ms,
        author: &str,
        dry_run: bool,
    ) -> Result<Vec<String>> {
        let wanted = &spec.tenant;
        let mut changes = Vec::new();
        let existing = self.tenant_row(&wanted.name).await?;
        let row = match existing {
            Some(row) => row,
            None => {
                changes.push(format!("tenant {}: created", wanted.name));
                Tenant {
                    id: 0,
                    name: wanted.name.clone(),
                    company: wanted.company.clone(),
                    time_zone: wanted.time_zone.clone(),
                    locale: spec::locale(wanted).to_owned(),
                    is_active: true,
                    database_url: wanted.database_url.clone(),
                }
            }
        };
        if wanted.database_url.is_some() && wanted.database_url != row.database_url {
            // Detections and checkpoints stay where they are: pointing elsewhere would start an empty second truth.
            let problem = format!("tenant {}: its database cannot be moved by its file", wanted.name);
            return Err(StoreError::Conflict(problem));
        }
        let is_new = row.id == 0;
        if dry_run && is_new {
            changes.extend(spec::first_changes(spec));
            return Ok(changes);
        }
        if !dry_run {
            self.write_tenant(spec).await?;
        }
        let db = self.tenant_db(&row)?;
        if !dry_run {
            changes.extend(db.migrate().await?);
        }
        changes.extend(db.apply_spec(spec, valid_from, author, dry_run).await?);
        Ok(changes)
    }

    /// Saves a changed file of a tenant as the version after `base`, with the company, zone and language of its row;
    /// answers what changed, none when another version was saved in between.
    ///
    /// # Errors
    /// A `valid_from` that is not after that of `base`.
    pub async fn apply_after(
        &self,
        db: &TenantDb,
        base: &Arc<ConfigVersion>,
        spec: &TenantSpec,
        valid_from: Ms,
        author: &str,
    ) -> Result<Option<Vec<String>>> {
        let changes = db.apply_after(base, spec, valid_from, author).await?;
        if changes.is_some() && base.spec.tenant != spec.tenant {
            self.write_tenant(spec).await?;
        }
        Ok(changes)
    }

    /// Deactivates or activates a tenant; its data stays.
    ///
    /// # Errors
    /// An unknown tenant.
    pub async fn set_tenant_active(&self, name: &str, is_active: bool) -> Result<()> {
        let row = self.tenant_row(name).await?.ok_or_else(|| StoreError::UnknownTenant(name.to_owned()))?;
        let mut transaction = self.pool.begin().await?;
        sqlx::query("UPDATE tenant SET is_active = ? WHERE tenant_id = ?")
            .bind(is_active)
            .bind(row.id)
            .execute(&mut *transaction)
            .await?;
        // Whoever is signed in has other rights now.
        session::changed(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether the global database answers.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    async fn tenant_row(&self, name: &str) -> Result<Option<Tenant>> {
        let row = sqlx::query(
            "SELECT tenant_id, name, company_name, time_zone, locale, is_active, database_url
             FROM tenant WHERE name = ?",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(tenant_row).transpose()
    }

    async fn write_tenant(&self, spec: &TenantSpec) -> Result<()> {
        let wanted = &spec.tenant;
        tenant_database(&wanted.name)?;
        sqlx::query(
            "INSERT INTO tenant (name, company_name, time_zone, locale, database_url, asociated_since)
             VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(3))
             ON DUPLICATE KEY UPDATE company_name = VALUES(company_name), time_zone = VALUES(time_zone),
                 locale = VALUES(locale)",
        )
        .bind(&wanted.name)
        .bind(&wanted.company)
        .bind(&wanted.time_zone)
        .bind(spec::locale(wanted))
        .bind(wanted.database_url.as_ref().map(|url| url.expose().to_owned()))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    fn tenant_db(&self, tenant: &Tenant) -> Result<Arc<TenantDb>> {
        if let Some(db) = self.tenants.get(&tenant.name) {
            return Ok(Arc::clone(&db));
        }
        let address = match &tenant.database_url {
            Some(url) => Address::parse(url.expose())?,
            None => self.address.with_database(&tenant_database(&tenant.name)?),
        };
        let db = Arc::new(TenantDb::new(tenant.name.clone(), address, self.connections)?);
        Ok(Arc::clone(&self.tenants.entry(tenant.name.clone()).or_insert(db)))
    }
}

fn tenant_row(row: &sqlx::mysql::MySqlRow) -> Result<Tenant> {
    Ok(Tenant {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        company: row.try_get(2)?,
        time_zone: row.try_get(3)?,
        locale: row.try_get(4)?,
        is_active: row.try_get(5)?,
        database_url: row.try_get::<Option<String>, _>(6)?.map(crate::config::SecretUrl::new),
    })
}

/// What [`Store::migrate`] did.
#[derive(Debug)]
pub struct Migrated {
    /// Migrations that were applied now.
    pub applied: Vec<String>,
    /// Tenants whose database could not be brought up to date, and why.
    pub failed: Vec<(String, StoreError)>,
}
