//! Users and their sessions, in the global database.

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::error::{Result, StoreError};
use super::stamp::{ms_of, stamp};
use super::{Store, Tenant};
use crate::domain::time::Ms;

/// Sessions that a user has at most: with one more, the one that was used longest ago ends.
const SESSIONS_PER_USER: u32 = 3;

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

/// Where a request came from, for the records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    pub ip_address: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

/// A session that goes on, with its user as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: i64,
    pub user: User,
    pub last_seen_at: Ms,
}

const USER_COLUMNS: &str = "u.user_id, u.username, u.password, u.role, t.name, CAST(u.permissions AS CHAR), u.locale";

fn user(row: &MySqlRow) -> Result<User> {
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
fn cut(text: Option<&str>, characters: usize) -> Option<String> {
    text.map(|text| text.chars().take(characters).collect())
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken, in whatever tenant.
    pub async fn create_user(&self, new: &NewUser<'_>) -> Result<i32> {
        let inserted = sqlx::query(
            "INSERT INTO user (tenant_id, username, password, role, created_at)
             VALUES (?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(new.tenant.map(|tenant| tenant.id))
        .bind(new.username)
        .bind(new.password)
        .bind(new.role)
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
            "INSERT INTO user_login (user_id, username, succeeded, login_at, ip_address, user_agent)
             VALUES (?, ?, ?, UTC_TIMESTAMP(3), ?, ?)",
        )
        .bind(user_id)
        .bind(cut(Some(username), 100))
        .bind(succeeded)
        .bind(cut(from.ip_address, 45))
        .bind(cut(from.user_agent, 255))
        .execute(&self.pool)
        .await?;
        Ok(done.last_insert_id() as i64)
    }

    /// Begins a session under a token's hash and ends the user's oldest ones beyond the limit; answers its number and
    /// those of the ended.
    pub async fn open_session(
        &self,
        user_id: i32,
        token_hash: &[u8; 32],
        login_id: i64,
        now: Ms,
        from: Origin<'_>,
    ) -> Result<(i64, Vec<i64>)> {
        let at = stamp(now);
        let mut transaction = self.pool.begin().await?;
        // The user's row is the lock: two logins at once must not both find room.
        sqlx::query("UPDATE user SET last_login_at = ? WHERE user_id = ?")
            .bind(&at)
            .bind(user_id)
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query(
            "INSERT INTO session (token_hash, user_id, login_id, created_at, last_seen_at, ip_address, user_agent)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(token_hash.as_slice())
        .bind(user_id)
        .bind(login_id)
        .bind(&at)
        .bind(&at)
        .bind(cut(from.ip_address, 45))
        .bind(cut(from.user_agent, 255))
        .execute(&mut *transaction)
        .await?;
        let opened = done.last_insert_id() as i64;
        let others: Vec<i64> = sqlx::query_scalar(
            "SELECT session_id FROM session WHERE user_id = ? AND revoked_at IS NULL AND session_id <> ?
             ORDER BY last_seen_at DESC, session_id DESC",
        )
        .bind(user_id)
        .bind(opened)
        .fetch_all(&mut *transaction)
        .await?;
        let ended: Vec<i64> = others.into_iter().skip(SESSIONS_PER_USER as usize - 1).collect();
        for session in &ended {
            sqlx::query("UPDATE session SET revoked_at = ? WHERE session_id = ?")
                .bind(&at)
                .bind(session)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok((opened, ended))
    }

    /// The session of a token's hash if it was used at or after `since`, with its user if that is still active.
    pub async fn session(&self, token_hash: &[u8; 32], since: Ms) -> Result<Option<SessionRow>> {
        let sql = format!(
            "SELECT {USER_COLUMNS}, s.session_id, {} FROM session s JOIN user u ON u.user_id = s.user_id
             LEFT JOIN tenant t ON t.tenant_id = u.tenant_id
             WHERE s.token_hash = ? AND s.revoked_at IS NULL AND s.last_seen_at >= ? AND u.is_active
                 AND (t.is_active OR u.tenant_id IS NULL)",
            ms_of("s.last_seen_at")
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(token_hash.as_slice()).bind(stamp(since));
        let Some(row) = query.fetch_optional(&self.pool).await? else { return Ok(None) };
        Ok(Some(SessionRow { user: user(&row)?, id: row.try_get(7)?, last_seen_at: row.try_get(8)? }))
    }

    /// Notes that a session was used.
    pub async fn touch_session(&self, id: i64, now: Ms) -> Result<()> {
        sqlx::query("UPDATE session SET last_seen_at = ? WHERE session_id = ? AND last_seen_at < ?")
            .bind(stamp(now))
            .bind(id)
            .bind(stamp(now))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Puts another token in the place of a session's; `false` when it is not the session's token any more.
    pub async fn rotate_session(&self, id: i64, from: &[u8; 32], to: &[u8; 32], now: Ms) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE session SET token_hash = ?, last_seen_at = ?
             WHERE session_id = ? AND token_hash = ? AND revoked_at IS NULL",
        )
        .bind(to.as_slice())
        .bind(stamp(now))
        .bind(id)
        .bind(from.as_slice())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a session, and notes it at the login that began it.
    pub async fn end_session(&self, id: i64, now: Ms) -> Result<()> {
        let at = stamp(now);
        sqlx::query(
            "UPDATE session s LEFT JOIN user_login l ON l.login_id = s.login_id
             SET s.revoked_at = ?, l.logout_at = ? WHERE s.session_id = ? AND s.revoked_at IS NULL",
        )
        .bind(&at)
        .bind(&at)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
