//! Users as a login finds them, and the record of logins, in the global database.

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::error::{Result, StoreError};
use super::stamp::{ms_of, stamp};
use super::{Store, Tenant};
use crate::domain::time::{MINUTE_MS, Ms};

/// Characters of a user's name at most.
pub const NAME_CHARACTERS: usize = 100;
/// Failures in a row after which a name is locked.
pub const FAILURES: usize = 10;
/// Failures older than this do not count; so long is a name locked, from the first of them.
pub const LOCKED_MS: Ms = 15 * MINUTE_MS;

/// An active user as a login finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: i32,
    pub username: String,
    /// Argon2id in PHC form.
    pub password: String,
    /// `SUPER_ADMIN`, `ADMIN`, `MANAGER`, `OPERATOR` or `VIEWER`.
    pub role: String,
    /// None: of no tenant, a super admin.
    pub tenant: Option<String>,
    /// JSON that narrows the role.
    pub permissions: Option<String>,
    pub locale: Option<String>,
}

/// A user to add.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    pub tenant: Option<&'a Tenant>,
    pub username: &'a str,
    /// Argon2id in PHC form.
    pub password: &'a str,
    pub role: &'a str,
}

/// What else a new user can have.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserDetails<'a> {
    pub email: Option<&'a str>,
    /// JSON that narrows the role.
    pub permissions: Option<&'a str>,
    pub locale: Option<&'a str>,
}

/// Where a request came from, for the records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    pub ip_address: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

pub(super) const USER_COLUMNS: &str =
    "u.user_id, u.username, u.password, u.role, t.name, CAST(u.permissions AS CHAR), u.locale";

pub(super) fn user(row: &MySqlRow) -> Result<User> {
    Ok(User {
        id: row.try_get(0)?,
        username: row.try_get(1)?,
        password: row.try_get(2)?,
        role: row.try_get(3)?,
        tenant: row.try_get(4)?,
        permissions: row.try_get(5)?,
        locale: row.try_get(6)?,
    })
}

/// As much of a client's text as its column takes.
pub(super) fn cut(text: Option<&str>, characters: usize) -> Option<String> {
    text.map(|text| text.chars().take(characters).collect())
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken, in whatever tenant.
    pub async fn create_user(&self, new: &NewUser<'_>) -> Result<i32> {
        self.create_user_with(new, UserDetails::default()).await
    }

    /// As [`Store::create_user`], narrowed from the first moment on.
    pub async fn create_user_with(&self, new: &NewUser<'_>, details: UserDetails<'_>) -> Result<i32> {
        let inserted = sqlx::query(
            "INSERT INTO user (tenant_id, username, password, role, email, permissions, locale, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(new.tenant.map(|tenant| tenant.id))
        .bind(new.username)
        .bind(new.password)
        .bind(new.role)
        .bind(details.email)
        .bind(details.permissions)
        .bind(details.locale)
        .execute(&self.pool)
        .await;
        match inserted {
            Ok(done) => Ok(done.last_insert_id() as i32),
            Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => {
                Err(StoreError::Conflict(format!("user {:?} exists already: choose another name", new.username)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The active user of that name, of an active tenant or none.
    pub async fn user(&self, username: &str) -> Result<Option<User>> {
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM user u LEFT JOIN tenant t ON t.tenant_id = u.tenant_id
             WHERE u.username = ? AND u.is_active AND (t.is_active OR u.tenant_id IS NULL)"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(username).fetch_optional(&self.pool).await?;
        row.as_ref().map(user).transpose()
    }

    /// Notes an attempt to log in; answers its number.
    pub async fn record_login(
        &self,
        username: &str,
        user_id: Option<i32>,
        succeeded: bool,
        from: Origin<'_>,
    ) -> Result<i64> {
        let done = sqlx::query(
            "INSERT INTO user_login (user_id, username, name_key, succeeded, login_at, ip_address, user_agent)
             VALUES (?, ?, ?, ?, UTC_TIMESTAMP(3), ?, ?)",
        )
        .bind(user_id)
        .bind(cut(Some(username), NAME_CHARACTERS))
        .bind(cut(Some(username), NAME_CHARACTERS))
        .bind(succeeded)
        .bind(cut(from.ip_address, 45))
        .bind(cut(from.user_agent, 255))
        .execute(&self.pool)
        .await?;
        Ok(done.last_insert_id() as i64)
    }

    /// Until when a name may not be logged in with, after many failures in a row; the same whether it is anybody's.
    pub async fn locked_until(&self, username: &str, now: Ms) -> Result<Option<Ms>> {
        let sql = format!(
            "SELECT succeeded, {} FROM user_login WHERE name_key = ? AND login_at > ?
             ORDER BY login_id DESC LIMIT {FAILURES}",
            ms_of("login_at")
        );
        let rows: Vec<(bool, Ms)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(cut(Some(username), NAME_CHARACTERS))
            .bind(stamp(now - LOCKED_MS))
            .fetch_all(&self.pool)
            .await?;
        let is_locked = rows.len() == FAILURES && rows.iter().all(|(succeeded, _)| !succeeded);
        Ok(rows.last().filter(|_| is_locked).map(|(_, first)| first + LOCKED_MS))
    }
}
