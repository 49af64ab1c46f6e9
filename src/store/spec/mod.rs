//! A tenant's configuration: versions of its file, cached, and the tables that say the same for people and SQL.

mod diff;
mod tables;

use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::Row;

use super::error::{Result, StoreError, server_code};
use super::tenant::TenantDb;
use crate::config::tenant::{Locale, TenantInfo, TenantSpec};
use crate::domain::production::config::LineConfig;
use crate::domain::time::{BEGINNING, Ms, rfc3339};

/// A version of a tenant's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigVersion {
    /// From 1.
    pub version: u32,
    /// From 1; counts the versions that changed the loss policy.
    pub policy_version: u32,
    /// When it begins to hold; the first from [`BEGINNING`].
    pub valid_from: Ms,
    pub author: String,
    /// Without the database's address.
    pub spec: Arc<TenantSpec>,
    /// The spec as it is stored.
    json: String,
}

/// A duplicate key.
const DUPLICATE: u16 = 1062;

/// The versions that are known, in their order.
#[derive(Debug, Default)]
pub(super) struct SpecCache {
    versions: Mutex<Option<Arc<Vec<Arc<ConfigVersion>>>>>,
}

/// The word in the `locale` column.
pub(super) fn locale(tenant: &TenantInfo) -> &'static str {
    match tenant.locale {
        Locale::Es => "es",
        Locale::En => "en",
    }
}

/// What applying a file to nothing changes.
pub(super) fn first_changes(spec: &TenantSpec) -> Vec<String> {
    stored_json(spec).map(|json| diff::changes(None, &json)).unwrap_or_default()
}

/// The spec as it is stored: without the database's address, which may hold a password and is the tenant row's.
fn stored_json(spec: &TenantSpec) -> Result<String> {
    let mut stored = spec.clone();
    stored.tenant.database_url = None;
    Ok(stored.to_json()?)
}

// === impl TenantDb ===

impl TenantDb {
    /// Every version, oldest first; from memory after the first call, see [`TenantDb::refresh`].
    pub async fn versions(&self) -> Result<Arc<Vec<Arc<ConfigVersion>>>> {
        if let Some(versions) = self.specs.versions.lock().clone() {
            return Ok(versions);
        }
        self.refresh().await?;
        Ok(self.specs.versions.lock().clone().unwrap_or_default())
    }

    /// The newest version, whether it holds already or not; none before the first file.
    pub async fn current(&self) -> Result<Option<Arc<ConfigVersion>>> {
        Ok(self.versions().await?.last().cloned())
    }

    /// The version of that number.
    pub async fn spec(&self, version: u32) -> Result<Option<Arc<ConfigVersion>>> {
        Ok(self.versions().await?.iter().find(|known| known.version == version).cloned())
    }

    /// Looks whether there are versions that are not in memory and reads them; answers whether there were. One row of
    /// one index, so that it can be called every second.
    pub async fn refresh(&self) -> Result<bool> {
        let known = self.specs.versions.lock().clone();
        let known_version = known.as_ref().and_then(|versions| versions.last()).map_or(0, |last| last.version);
        let newer = self.versions_after(known_version).await?;
        if newer.is_empty() && known.is_some() {
            return Ok(false);
        }
        let is_news = !newer.is_empty();
        let mut all = known.map(|versions| versions.to_vec()).unwrap_or_default();
        all.extend(newer.into_iter().map(Arc::new));
        let mut versions = self.specs.versions.lock();
        // Another caller may have read further in the meantime.
        if versions.as_ref().is_none_or(|others| others.len() < all.len()) {
            *versions = Some(Arc::new(all));
        }
        Ok(is_news)
    }

    /// What judges a line, version by version, oldest first. The first version that has the line holds from the
    /// beginning; none has it: empty.
    ///
    /// # Errors
    /// A stored version that the configuration's rules refuse.
    pub async fn line_configs(&self, line: &str) -> Result<Vec<LineConfig>> {
        let versions = self.versions().await?;
        let having = versions.iter().filter(|version| version.spec.lines.iter().any(|spec| spec.name == line));
        having
            .enumerate()
            .map(|(index, version)| {
                let valid_from = if index == 0 { BEGINNING } else { version.valid_from };
                Ok(version.spec.line_config(line, version.version, version.policy_version, valid_from)?)
            })
            .collect()
    }

    /// Whether the newest version has the line.
    pub async fn has_line(&self, line: &str) -> Result<bool> {
        let current = self.current().await?;
        Ok(current.is_some_and(|current| current.spec.lines.iter().any(|spec| spec.name == line)))
    }

    /// Brings the tenant to what its file says, as a new version from `valid_from` on, where anything differs; answers
    /// what changed. The seeds' tables are written from it, the tables of new lines made, and the lines that had an
    /// earlier version told by a command. Nothing is ever deleted.
    ///
    /// # Errors
    /// A `valid_from` that is not after that of the last version; another file applied at the same moment.
    pub async fn apply_spec(
        &self,
        spec: &TenantSpec,
        valid_from: Ms,
        author: &str,
        dry_run: bool,
    ) -> Result<Vec<String>> {
        if !dry_run || self.is_migrated().await? {
            self.refresh().await?;
        }
        let previous = self.specs.versions.lock().as_ref().and_then(|versions| versions.last().cloned());
        let changes = diff::changes(previous.as_ref().map(|previous| previous.json.as_str()), &stored_json(spec)?);
        if changes.is_empty() || dry_run {
            return Ok(changes);
        }
        self.save_after(previous.as_ref(), spec, valid_from, author).await?;
        Ok(changes)
    }

    /// As [`TenantDb::apply_spec`], when `base` still is the newest version; answers what changed, none when another was
    /// saved in between.
    ///
    /// # Errors
    /// A `valid_from` that is not after that of `base`.
    pub async fn apply_after(
        &self,
        base: &Arc<ConfigVersion>,
        spec: &TenantSpec,
        valid_from: Ms,
        author: &str,
    ) -> Result<Option<Vec<String>>> {
        let changes = diff::changes(Some(&base.json), &stored_json(spec)?);
        if changes.is_empty() {
            return Ok(Some(changes));
        }
        match self.save_after(Some(base), spec, valid_from, author).await {
            Ok(()) => Ok(Some(changes)),
            Err(StoreError::Overtaken) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn save_after(
        &self,
        previous: Option<&Arc<ConfigVersion>>,
        spec: &TenantSpec,
        valid_from: Ms,
        author: &str,
    ) -> Result<()> {
        let version = ConfigVersion {
            version: previous.map_or(1, |previous| previous.version + 1),
            policy_version: previous.map_or(1, |previous| {
                previous.policy_version + u32::from(previous.spec.loss_policy != spec.loss_policy)
            }),
            valid_from: if previous.is_none() { BEGINNING } else { valid_from },
            author: author.to_owned(),
            spec: Arc::new(spec.clone()),
            json: stored_json(spec)?,
        };
        if let Some(previous) = previous
            && version.valid_from <= previous.valid_from
        {
            let problem = format!(
                "version {} holds from {} on, a later version has to begin after it, not at {}",
                previous.version,
                rfc3339(previous.valid_from),
                rfc3339(version.valid_from)
            );
            return Err(StoreError::Conflict(problem));
        }
        for line in &spec.lines {
            self.line(&line.name).await?;
        }
        self.save(&version, previous.map(|previous| &**previous)).await?;
        self.refresh().await?;
        Ok(())
    }

    /// The line, and the time from which on it can still be booked anew, that bounds when a version of `spec` may begin:
    /// one that begins before would hold in a recomputation and not in what was told. None when nothing was told yet.
    ///
    /// # Errors
    /// A state that this binary cannot read.
    pub async fn earliest_version(&self, spec: &TenantSpec) -> Result<Option<(Ms, String)>> {
        let Some(current) = self.current().await? else { return Ok(None) };
        let mut latest = None;
        for line in spec.lines.iter().filter(|line| current.spec.line(&line.name).is_ok()) {
            latest = latest.max(Some((self.rebookable_from(&line.name).await?, line.name.clone())));
        }
        Ok(latest)
    }

    async fn is_migrated(&self) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT CAST(1 AS SIGNED) FROM information_schema.tables
             WHERE table_schema = DATABASE() AND table_name = 'config_version'",
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.is_some())
    }

    async fn versions_after(&self, version: u32) -> Result<Vec<ConfigVersion>> {
        let rows = sqlx::query(
            "SELECT version, policy_version, valid_from, author, spec FROM config_version
             WHERE version > ? ORDER BY version",
        )
        .bind(version)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let json: String = row.try_get(4)?;
                let spec = TenantSpec::from_json(&json)?;
                Ok(ConfigVersion {
                    version: row.try_get(0)?,
                    policy_version: row.try_get(1)?,
                    valid_from: row.try_get(2)?,
                    author: row.try_get(3)?,
                    spec: Arc::new(spec),
                    json,
                })
            })
            .collect()
    }

    async fn save(&self, version: &ConfigVersion, previous: Option<&ConfigVersion>) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO config_version (version, policy_version, valid_from, spec, author, created_at)
             VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(version.version)
        .bind(version.policy_version)
        .bind(version.valid_from)
        .bind(&version.json)
        .bind(&version.author)
        .execute(&mut *transaction)
        .await
        .map_err(|error| if server_code(&error) == Some(DUPLICATE) { StoreError::Overtaken } else { error.into() })?;
        tables::write(&mut transaction, &version.spec).await?;
        if let Some(previous) = previous {
            tables::tell_lines(&mut transaction, version, &previous.spec).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
