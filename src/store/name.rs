//! Names that become part of tables and databases.

use std::fmt;

use super::error::{Result, StoreError};
use crate::config::tenant::is_name;

/// The name of a line, checked: the only text that is ever put into SQL, where it names tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LineName(String);

// === impl LineName ===

impl LineName {
    pub fn new(line: &str) -> Result<Self> {
        if is_name(line) { Ok(Self(line.to_owned())) } else { Err(StoreError::Name(line.to_owned())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn detections(&self) -> String {
        format!("detection_line_{}", self.0)
    }

    pub fn stops(&self) -> String {
        format!("downtime_events_{}", self.0)
    }

    pub fn minutes(&self) -> String {
        format!("rollup_minute_{}", self.0)
    }

    pub fn hours(&self) -> String {
        format!("rollup_hour_{}", self.0)
    }

    pub fn hour_pieces(&self) -> String {
        format!("pieces_hour_{}", self.0)
    }
}

impl fmt::Display for LineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a tenant's database where its row has no address of its own.
///
/// # Errors
/// A name that is none.
pub fn tenant_database(tenant: &str) -> Result<String> {
    if is_name(tenant) { Ok(format!("andon_t_{tenant}")) } else { Err(StoreError::Name(tenant.to_owned())) }
}
