//! Who there is: tenants with their lines, as their latest file says; read from the database every few seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::config::tenant::{LineSpec, Locale, TenantSpec};
use crate::domain::time::Ms;
use crate::gateway::settings::STOPS_OF_SEVERAL_LINES;
use crate::store::{Store, StoreError, TenantDb};

/// What the tenant's file says of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct LineInfo {
    pub name: String,
    pub title: String,
    pub group: Option<String>,
    pub ideal_cycle_ns: Option<i64>,
    pub performance: Option<f64>,
    pub oee_target: Option<f64>,
    pub availability_target: Option<f64>,
    pub downtime_threshold_ms: Option<Ms>,
    pub micro_stop_threshold_ms: Option<Ms>,
}

/// A tenant as its latest file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    pub name: String,
    pub company: String,
    pub time_zone: String,
    pub locale: String,
    /// In the file's order.
    pub lines: Vec<Arc<LineInfo>>,
    /// None before the first file.
    pub spec: Option<Arc<TenantSpec>>,
    /// Whether widgets about stops are shown for several lines together.
    pub stops_of_several_lines: bool,
}

/// The tenants by name.
#[derive(Debug, Default)]
pub struct Directory {
    tenants: RwLock<BTreeMap<String, Arc<Tenant>>>,
    databases: RwLock<BTreeMap<String, Arc<TenantDb>>>,
    is_known: AtomicBool,
}

// === impl LineInfo ===

impl From<&LineSpec> for LineInfo {
    fn from(spec: &LineSpec) -> LineInfo {
        LineInfo {
            name: spec.name.clone(),
            title: spec.title.clone(),
            group: spec.group.clone(),
            ideal_cycle_ns: spec.ideal_cycle_ns(),
            performance: spec.performance,
            oee_target: spec.oee_target,
            availability_target: spec.availability_target,
            downtime_threshold_ms: spec.downtime_threshold_ms(),
            micro_stop_threshold_ms: spec.micro_stop_threshold_ms(),
        }
    }
}

// === impl Tenant ===

impl From<&Arc<TenantSpec>> for Tenant {
    fn from(spec: &Arc<TenantSpec>) -> Tenant {
        let locale = match spec.tenant.locale {
            Locale::Es => "es",
            Locale::En => "en",
        };
        Tenant {
            name: spec.tenant.name.clone(),
            company: spec.tenant.company.clone(),
            time_zone: spec.tenant.time_zone.clone(),
            locale: locale.to_owned(),
            lines: spec.lines.iter().map(|line| Arc::new(LineInfo::from(line))).collect(),
            spec: Some(spec.clone()),
            stops_of_several_lines: false,
        }
    }
}

impl From<&crate::store::Tenant> for Tenant {
    /// Of a tenant without a file.
    fn from(row: &crate::store::Tenant) -> Tenant {
        Tenant {
            name: row.name.clone(),
            company: row.company.clone(),
            time_zone: row.time_zone.clone(),
            locale: row.locale.clone(),
            lines: Vec::new(),
            spec: None,
            stops_of_several_lines: false,
        }
    }
}

impl Tenant {
    /// The lines that a name stands for: a line, or else a group; nothing for an unknown one.
    pub fn resolve(&self, name: &str) -> BTreeSet<String> {
        let in_group = |info: &&Arc<LineInfo>| info.group.as_deref() == Some(name);
        match self.line(name) {
            Some(info) => BTreeSet::from([info.name.clone()]),
            None => self.lines.iter().filter(in_group).map(|info| info.name.clone()).collect(),
        }
    }

    pub fn line(&self, name: &str) -> Option<&Arc<LineInfo>> {
        self.lines.iter().find(|info| info.name == name)
    }
}

// === impl Directory ===

impl Directory {
    pub fn get(&self, tenant: &str) -> Option<Arc<Tenant>> {
        self.tenants.read().get(tenant).cloned()
    }

    /// All tenants, by name.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        self.tenants.read().values().cloned().collect()
    }

    /// The database of a tenant in the directory.
    pub fn database(&self, tenant: &str) -> Option<Arc<TenantDb>> {
        self.databases.read().get(tenant).cloned()
    }

    /// Whether it was ever read: before, an unknown tenant may well exist.
    pub fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// Puts a tenant in the place of its former self.
    pub fn put(&self, tenant: Tenant) {
        let mut tenants = self.tenants.write();
        if tenants.get(&tenant.name).is_none_or(|before| **before != tenant) {
            tenants.insert(tenant.name.clone(), Arc::new(tenant));
        }
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Reads everything anew. A tenant whose own database is away keeps what is known of it.
    ///
    /// # Errors
    /// The global database cannot be asked.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let rows: Vec<_> = store.tenants().await?.into_iter().filter(|row| row.is_active).collect();
        for row in &rows {
            if let Err(error) = self.refresh_tenant(store, row).await {
                tracing::warn!(tenant = row.name, %error, "configuration of a tenant could not be read");
                if self.get(&row.name).is_none() {
                    self.put(Tenant::from(row));
                }
            }
        }
        let is_there = |name: &String| rows.iter().any(|row| row.name == *name);
        self.tenants.write().retain(|name, _| is_there(name));
        self.databases.write().retain(|name, _| is_there(name));
        self.is_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn refresh_tenant(&self, store: &Store, row: &crate::store::Tenant) -> Result<(), StoreError> {
        let known = self.database(&row.name);
        let database = match known {
            Some(database) => database,
            None => {
                let database = store.tenant(&row.name).await?;
                self.databases.write().insert(row.name.clone(), database.clone());
                database
            }
        };
        database.refresh().await?;
        let current = database.current().await?;
        let told = database.setting(STOPS_OF_SEVERAL_LINES.key).await?;
        let stops_of_several_lines = STOPS_OF_SEVERAL_LINES.of(told) == true;
        let tenant = current.map_or_else(|| Tenant::from(row), |version| Tenant::from(&version.spec));
        self.put(Tenant { stops_of_several_lines, ..tenant });
        Ok(())
    }
}
