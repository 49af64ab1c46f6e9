//! Who may see and do what. Asked before any filter; what one may not see looks as if it did not exist.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

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

/// What a request can take. Which role has which is said in [`RULES`] and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// One's own sessions and password.
    Own,
    /// Lines, figures and stops, live and of the past.
    Look,
    /// Giving stops their reasons, noting what happened to lines, cameras and machines.
    Classify,
    /// Reading who did what, and how machines were.
    Audit,
    /// Users, their roles and lines.
    Users,
    /// API keys.
    Keys,
    /// Pairing wall displays.
    Screens,
    /// Lines, areas, products, shifts, reasons and what else the tenant's file says; templates of pages.
    Configure,
    /// Adding, changing and deactivating tenants; their settings.
    Tenants,
}

/// Who has a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub right: Right,
    /// The least role that has it; those above have it too.
    pub least: UserRole,
    /// Whether an API key can be given it, as a scope.
    pub for_keys: bool,
}

const fn rule(right: Right, least: UserRole, for_keys: bool) -> Rule {
    Rule { right, least, for_keys }
}

/// The rights, one rule each: every check asks here, and the tests are made from it.
pub const RULES: [Rule; 9] = [
    rule(Right::Own, UserRole::Viewer, false),
    rule(Right::Look, UserRole::Viewer, true),
    rule(Right::Classify, UserRole::Operator, true),
    rule(Right::Audit, UserRole::Manager, true),
    rule(Right::Users, UserRole::Admin, false),
    rule(Right::Keys, UserRole::Admin, false),
    rule(Right::Screens, UserRole::Manager, false),
    rule(Right::Configure, UserRole::Admin, true),
    rule(Right::Tenants, UserRole::SuperAdmin, false),
];

/// What a user's `permissions` say; empty: all that the role may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// None: all lines of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<BTreeSet<String>>,
}

/// What an API key's `permissions` say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPermissions {
    pub scopes: BTreeSet<Right>,
    /// None: all lines of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<BTreeSet<String>>,
}

// === impl Permissions ===

impl Permissions {
    /// Whether whoever is narrowed so may see all that `other` may.
    pub fn cover(&self, other: &Permissions) -> bool {
        match (&self.lines, &other.lines) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => other.is_subset(own),
        }
    }
}

/// What an identity stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// The session of that number.
    Session(i64),
    /// The API key of that number.
    Key(i32),
}

/// Who asks, as told by a session or an API key.
#[derive(Clone, Debug)]
pub struct Identity {
    pub principal: Principal,
    /// The user's number; an API key's below zero: what is counted by user is counted by key.
    pub user_id: i32,
    /// Or the key's name.
    pub username: String,
    /// Of an API key the least; its scopes decide.
    pub role: UserRole,
    /// None: a user, whose role decides.
    pub scopes: Option<BTreeSet<Right>>,
    /// None: a super admin's.
    pub tenant: Option<String>,
    pub permissions: Permissions,
    pub locale: Option<String>,
    /// Where this request came from, where that is known.
    pub address: Option<IpAddr>,
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

    pub fn may(self, right: Right) -> bool {
        self <= right.rule().least
    }
}

// === impl Right ===

impl Right {
    pub fn rule(self) -> &'static Rule {
        // One for each, in their order; a test holds the two together.
        &RULES[self as usize]
    }

    /// As scopes of API keys are named.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Own => "own",
            Right::Look => "look",
            Right::Classify => "classify",
            Right::Audit => "audit",
            Right::Users => "users",
            Right::Keys => "keys",
            Right::Screens => "screens",
            Right::Configure => "configure",
            Right::Tenants => "tenants",
        }
    }
}

// === impl Identity ===

impl Identity {
    /// Whether the user may see anything of `tenant`.
    pub fn may_see_tenant(&self, tenant: &str) -> bool {
        self.role == UserRole::SuperAdmin || self.tenant.as_deref() == Some(tenant)
    }

    pub fn may(&self, right: Right) -> bool {
        match &self.scopes {
            None => self.role.may(right),
            Some(scopes) => right.rule().for_keys && scopes.contains(&right),
        }
    }

    /// The session, of a user.
    pub fn session_id(&self) -> Option<i64> {
        match self.principal {
            Principal::Session(id) => Some(id),
            Principal::Key(_) => None,
        }
    }

    /// The user's number; none of an API key.
    pub fn user(&self) -> Option<i32> {
        self.session_id().map(|_| self.user_id)
    }

    /// Refuses what takes a right that the caller has not.
    ///
    /// # Errors
    /// 403, with the role that it takes.
    pub fn needs(&self, right: Right) -> Result<(), Problem> {
        if self.may(right) {
            return Ok(());
        }
        let (right, least) = (right.as_str(), right.rule().least.as_str());
        Err(Problem::forbidden(format!("this takes the right {right:?}, which the role {least} and those above have")))
    }

    /// Refuses those who may see only some lines what is of all of them.
    pub fn needs_all_lines(&self) -> Result<(), Problem> {
        match self.permissions.lines {
            None => Ok(()),
            Some(_) => Err(Problem::forbidden("what is of all lines is for those who may see all lines")),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_has_its_rule() {
        for (index, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.right as usize, index);
            assert_eq!(rule.right.rule(), rule);
            assert_eq!(serde_json::to_value(rule.right).unwrap(), rule.right.as_str());
        }
    }

    /// The page that a security reviewer reads says the same as the table.
    #[test]
    fn the_documented_matrix_is_the_table() {
        let page = include_str!("../../docs/security.md");
        let row = |rule: &Rule| {
            let cell = |is: bool| if is { " yes |" } else { " – |" };
            let roles: String = UserRole::ALL.into_iter().map(|role| cell(role.may(rule.right))).collect();
            format!("| `{}` |{roles}{}", rule.right.as_str(), cell(rule.for_keys))
        };
        for rule in &RULES {
            assert!(page.contains(&row(rule)), "docs/security.md lacks the row {}", row(rule));
        }
    }
}
