//! Managing users and API keys, in the global database.

use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};

use super::Store;
use super::error::{Result, StoreError};
use super::session::{Hash, TOUCHED_AT_ONCE, changed, end_all, hash, marks};
use super::stamp::{ms_of, stamp};
use crate::domain::time::Ms;

/// A user as those see it who manage users: all but the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    pub id: i32,
    pub username: String,
    pub email: Option<String>,
    pub role: String,
    /// JSON that narrows the role.
    pub permissions: Option<String>,
    pub locale: Option<String>,
    pub is_active: bool,
    pub created_at: Ms,
    pub last_login_at: Option<Ms>,
    /// Counts changes.
    pub revision: i32,
}

/// Which users are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserFilter<'a> {
    pub role: Option<&'a str>,
    pub is_active: Option<bool>,
    /// A part of the username, compared as names of users are: neither case nor accents count.
    pub name: Option<&'a str>,
    /// Only those behind this number.
    pub after: i32,
}

/// What of a user can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChange<'a> {
    pub email: Option<&'a str>,
    pub role: &'a str,
    pub permissions: Option<&'a str>,
    pub locale: Option<&'a str>,
    pub is_active: bool,
    /// Argon2id in PHC form; none: as before.
    pub password: Option<&'a str>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was made; these sessions ended by it.
    Done { ended: Vec<i64> },
    /// There was another change in between.
    Stale,
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    pub id: i32,
    pub name: String,
    /// Its tenant's name.
    pub tenant: String,
    /// JSON: scopes and lines.
    pub permissions: Option<String>,
    pub created_at: Ms,
    pub last_used_at: Option<Ms>,
    pub revoked_at: Option<Ms>,
}

fn user_columns() -> String {
    format!(
        "u.user_id, u.username, u.email, u.role, CAST(u.permissions AS CHAR), u.locale, u.is_active, {}, {}, u.revision",
        ms_of("u.created_at"),
        ms_of("u.last_login_at")
    )
}

fn record(row: &MySqlRow) -> Result<UserRecord> {
    Ok(UserRecord {
        id: row.try_get(0)?,
        username: row.try_get(1)?,
        email: row.try_get(2)?,
        role: row.try_get(3)?,
        permissions: row.try_get(4)?,
        locale: row.try_get(5)?,
        is_active: row.try_get(6)?,
        created_at: row.try_get(7)?,
        last_login_at: row.try_get(8)?,
        revision: row.try_get(9)?,
    })
}

fn key_columns() -> String {
    format!(
        "k.api_key_id, k.name, t.name, CAST(k.permissions AS CHAR), {}, {}, {}",
        ms_of("k.created_at"),
        ms_of("k.last_used_at"),
        ms_of("k.revoked_at")
    )
}

fn key(row: &MySqlRow) -> Result<KeyRow> {
    Ok(KeyRow {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        tenant: row.try_get(2)?,
        permissions: row.try_get(3)?,
        created_at: row.try_get(4)?,
        last_used_at: row.try_get(5)?,
        revoked_at: row.try_get(6)?,
    })
}

/// The pattern of what has `part` in it, every sign of which stands for itself.
fn holding(part: &str) -> String {
    let mut pattern = String::from("%");
    for sign in part.chars() {
        if matches!(sign, '%' | '_' | '|') {
            pattern.push('|');
        }
        pattern.push(sign);
    }
    pattern + "%"
}

impl Store {
    /// Users of a tenant, by number.
    pub async fn users(&self, tenant: &str, filter: &UserFilter<'_>, limit: u32) -> Result<Vec<UserRecord>> {
        let sql = format!(
            "SELECT {} FROM user u JOIN tenant t ON t.tenant_id = u.tenant_id
             WHERE t.name = ? AND u.user_id > ? AND (? IS NULL OR u.role = ?) AND (? IS NULL OR u.is_active = ?)
                 AND (? IS NULL OR u.username LIKE ? ESCAPE '|')
             ORDER BY u.user_id LIMIT ?",
            user_columns()
        );
        let name = filter.name.map(holding);
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(tenant)
            .bind(filter.after)
            .bind(filter.role)
            .bind(filter.role)
            .bind(filter.is_active)
            .bind(filter.is_active)
            .bind(name.as_deref())
            .bind(name.as_deref())
            .bind(limit);
        query.fetch_all(&self.pool).await?.iter().map(record).collect()
    }

    /// A user of a tenant.
    pub async fn user_of(&self, tenant: &str, id: i32) -> Result<Option<UserRecord>> {
        let sql = format!(
            "SELECT {} FROM user u JOIN tenant t ON t.tenant_id = u.tenant_id WHERE t.name = ? AND u.user_id = ?",
            user_columns()
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(tenant).bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(record).transpose()
    }

    /// Changes a user if it still has that revision. A new password or an end of the account ends its sessions.
    pub async fn change_user(&self, id: i32, revision: i32, change: &UserChange<'_>, now: Ms) -> Result<Changed> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE user SET email = ?, role = ?, permissions = ?, locale = ?, is_active = ?,
                 password = COALESCE(?, password), revision = revision + 1
             WHERE user_id = ? AND revision = ?",
        )
        .bind(change.email)
        .bind(change.role)
        .bind(change.permissions)
        .bind(change.locale)
        .bind(change.is_active)
        .bind(change.password)
        .bind(id)
        .bind(revision)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(Changed::Stale);
        }
        let ended = if change.password.is_some() || !change.is_active {
            end_all(&mut transaction, id, None, None, &stamp(now)).await?
        } else {
            Vec::new()
        };
        changed(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Changed::Done { ended })
    }

    /// Sets a user's password and ends the other sessions; answers which.
    pub async fn set_password(&self, id: i32, hashed: &str, spared: Option<i64>, now: Ms) -> Result<Vec<i64>> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("UPDATE user SET password = ?, revision = revision + 1 WHERE user_id = ?")
            .bind(hashed)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let ended = end_all(&mut transaction, id, None, spared, &stamp(now)).await?;
        changed(&mut transaction).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Adds an API key to a tenant; answers its number.
    pub async fn create_key(
        &self,
        tenant: &str,
        name: &str,
        key_hash: &Hash,
        permissions: &str,
        created_by: Option<i32>,
    ) -> Result<i32> {
        let done = sqlx::query(
            "INSERT INTO api_key (tenant_id, name, key_hash, permissions, created_by, created_at)
             SELECT tenant_id, ?, ?, ?, ?, UTC_TIMESTAMP(3) FROM tenant WHERE name = ?",
        )
        .bind(name)
        .bind(key_hash.as_slice())
        .bind(permissions)
        .bind(created_by)
        .bind(tenant)
        .execute(&self.pool)
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::UnknownTenant(tenant.to_owned()));
        }
        Ok(done.last_insert_id() as i32)
    }

    /// A tenant's API keys, also those that were revoked.
    pub async fn keys(&self, tenant: &str) -> Result<Vec<KeyRow>> {
        let sql = format!(
            "SELECT {} FROM api_key k JOIN tenant t ON t.tenant_id = k.tenant_id WHERE t.name = ?
             ORDER BY k.api_key_id DESC LIMIT 1000",
            key_columns()
        );
        sqlx::query(AssertSqlSafe(sql)).bind(tenant).fetch_all(&self.pool).await?.iter().map(key).collect()
    }

    /// The key that holds, by the hash of its secret or by its number.
    pub async fn key(&self, key_hash: Option<&Hash>, id: Option<i32>) -> Result<Option<KeyRow>> {
        let sql = format!(
            "SELECT {} FROM api_key k JOIN tenant t ON t.tenant_id = k.tenant_id
             WHERE (k.key_hash = ? OR k.api_key_id = ?) AND k.revoked_at IS NULL AND t.is_active",
            key_columns()
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(key_hash.map(|hash| hash.as_slice())).bind(id);
        query.fetch_optional(&self.pool).await?.as_ref().map(key).transpose()
    }

    /// The keys that hold, each with the hash of its secret: `limit` of them, the latest made first.
    pub async fn live_keys(&self, limit: u32) -> Result<Vec<(Hash, KeyRow)>> {
        let sql = format!(
            "SELECT {}, k.key_hash FROM api_key k JOIN tenant t ON t.tenant_id = k.tenant_id
             WHERE k.revoked_at IS NULL AND t.is_active ORDER BY k.api_key_id DESC LIMIT ?",
            key_columns()
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((hash(row.try_get(7)?)?, key(row)?))).collect()
    }

    /// Notes that keys were used.
    pub async fn touch_keys(&self, ids: &[i32], now: Ms) -> Result<()> {
        for ids in ids.chunks(TOUCHED_AT_ONCE) {
            let sql = format!("UPDATE api_key SET last_used_at = ? WHERE api_key_id IN ({})", marks(ids.len()));
            let query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(now));
            ids.iter().fold(query, |query, id| query.bind(*id)).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Revokes a tenant's key; `false` when there is none that holds.
    pub async fn revoke_key(&self, tenant: &str, id: i32, now: Ms) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE api_key k JOIN tenant t ON t.tenant_id = k.tenant_id SET k.revoked_at = ?
             WHERE k.api_key_id = ? AND t.name = ? AND k.revoked_at IS NULL",
        )
        .bind(stamp(now))
        .bind(id)
        .bind(tenant)
        .execute(&mut *transaction)
        .await?;
        changed(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}
