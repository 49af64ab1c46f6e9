//! Who may see and do what. Asked before any filter; what one may not see looks as if it did not exist.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::account::token::TokenHash;
use super::directory::{LineInfo, Tenant};
use super::problem::Problem;

/// What a user is; each may all that those after it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserRole {
    /// Of no tenant; chooses one with `tenant=` in the query.
    SuperAdmin,
    Admin,
    Manager,
    /// Gives stops their reasons.
    Operator,
    /// Looks only.
    Viewer,
}

/// What a user's `permissions` say; empty: all that the role may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Permissions {
    /// None: all lines of the tenant.
    #[serde(default)]
    pub lines: Option<BTreeSet<String>>,
}

/// Who asks, as told by a session.
#[derive(Clone, Debug)]
pub struct Identity {
    pub session_id: i64,
    pub user_id: i32,
    pub username: String,
    pub role: UserRole,
    /// None: a super admin's.
    pub tenant: Option<String>,
    pub permissions: Permissions,
    pub locale: Option<String>,
    /// What its session is found by.
    pub token: TokenHash,
    /// Done when the session ends or its rights change: sockets close then.
    pub ended: CancellationToken,
}

// === impl UserRole ===

impl UserRole {
    pub const ALL: [UserRole; 5] =
        [UserRole::SuperAdmin, UserRole::Admin, UserRole::Manager, UserRole::Operator, UserRole::Viewer];

    pub fn as_str(self) -> &'static str {
        match self {
            UserRole::SuperAdmin => "SUPER_ADMIN",
            UserRole::Admin => "ADMIN",
            UserRole::Manager => "MANAGER",
            UserRole::Operator => "OPERATOR",
            UserRole::Viewer => "VIEWER",
        }
    }

    pub fn parse(name: &str) -> Option<UserRole> {
        UserRole::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether it gives stops their reasons.
    pub fn may_classify(self) -> bool {
        self <= UserRole::Operator
    }
}

// === impl Identity ===

impl Identity {
    /// Whether the user may see anything of `tenant`.
    pub fn may_see_tenant(&self, tenant: &str) -> bool {
        self.role == UserRole::SuperAdmin || self.tenant.as_deref() == Some(tenant)
    }

    pub fn may_see_line(&self, line: &str) -> bool {
        self.permissions.lines.as_ref().is_none_or(|lines| lines.contains(line))
    }

    /// The lines of `tenant` that the user may see, in the tenant's order.
    pub fn lines<'a>(&'a self, tenant: &'a Tenant) -> impl Iterator<Item = &'a Arc<LineInfo>> {
        tenant.lines.iter().filter(|line| self.may_see_line(&line.name))
    }

    /// The lines that `names` (lines or groups) stand for; without names, none is given back: all.
    ///
    /// # Errors
    /// 404 for a name that stands for nothing the user may see.
    pub fn choose(&self, tenant: &Tenant, names: &[String]) -> Result<Option<BTreeSet<String>>, Problem> {
        if names.is_empty() {
            return Ok(None);
        }
        let mut chosen = BTreeSet::new();
        for name in names {
            let mut found = tenant.resolve(name);
            found.retain(|line| self.may_see_line(line));
            if found.is_empty() {
                return Err(Problem::unknown_line(name));
            }
            chosen.extend(found);
        }
        Ok(Some(chosen))
    }
}
