//! Wall displays: paired by a short code, read-only, revocable. A paired screen's token is that of an API key with the
//! scope to look, so that what ends a key ends a screen, at every gateway.

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::error::Result;
use super::stamp::{ms_of, stamp};
use super::{Store, StoreError};
use crate::domain::time::Ms;

/// SHA-256 of a token.
type Hash = [u8; 32];

/// Screens that wait to be paired, of all tenants together.
const MAX_WAITING: i64 = 1_000;

/// A paired screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenRow {
    pub id: i32,
    pub title: String,
    /// JSON: scopes and lines.
    pub permissions: Option<String>,
    pub paired_at: Ms,
    /// Its key's last use.
    pub last_seen_at: Option<Ms>,
    pub revoked_at: Option<Ms>,
}

/// A screen to pair.
#[derive(Clone, Copy, Debug)]
pub struct Pairing<'a> {
    pub code: &'a str,
    /// Codes given before this no longer hold.
    pub since: Ms,
    pub tenant: &'a str,
    pub title: &'a str,
    /// JSON: scopes and lines.
    pub permissions: &'a str,
    pub author: Option<i32>,
    pub now: Ms,
}

fn screen(row: &MySqlRow) -> Result<ScreenRow> {
    Ok(ScreenRow {
        id: row.try_get(0)?,
        title: row.try_get(1)?,
        permissions: row.try_get(2)?,
        paired_at: row.try_get(3)?,
        last_seen_at: row.try_get(4)?,
        revoked_at: row.try_get(5)?,
    })
}

impl Store {
    /// A screen that waits under a code; codes given before `since` make room. `false`: the code is taken, or too many
    /// wait.
    pub async fn await_pairing(&self, code: &str, token_hash: &Hash, since: Ms, now: Ms) -> Result<bool> {
        sqlx::query("DELETE FROM screen WHERE tenant_id IS NULL AND created_at < ?")
            .bind(stamp(since))
            .execute(&self.pool)
            .await?;
        let done = sqlx::query(
            "INSERT IGNORE INTO screen (pairing_code, token_hash, created_at)
             SELECT ?, ?, ? FROM (SELECT COUNT(*) AS waiting FROM screen WHERE tenant_id IS NULL) AS now
             WHERE waiting < ?",
        )
        .bind(code)
        .bind(token_hash.as_slice())
        .bind(stamp(now))
        .bind(MAX_WAITING)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether the screen of a token is paired; none: nobody waits with it, or no longer.
    pub async fn is_paired(&self, token_hash: &Hash, since: Ms) -> Result<Option<bool>> {
        let row = sqlx::query(
            "SELECT CAST(tenant_id IS NOT NULL AS SIGNED) FROM screen
             WHERE token_hash = ? AND revoked_at IS NULL AND (tenant_id IS NOT NULL OR created_at >= ?)",
        )
        .bind(token_hash.as_slice())
        .bind(stamp(since))
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(row.try_get::<i64, _>(0)? != 0)).transpose()
    }

    /// Pairs the screen that waits under a code; none: there is none.
    pub async fn pair(&self, pairing: &Pairing<'_>) -> Result<Option<i32>> {
        let mut transaction = self.pool.begin().await?;
        let waiting: Option<(i32, Vec<u8>)> = sqlx::query_as(
            "SELECT screen_id, token_hash FROM screen
             WHERE pairing_code = ? AND tenant_id IS NULL AND created_at >= ? FOR UPDATE",
        )
        .bind(pairing.code)
        .bind(stamp(pairing.since))
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((id, token_hash)) = waiting else { return Ok(None) };
        let tenant_id: Option<i32> = sqlx::query_scalar("SELECT tenant_id FROM tenant WHERE name = ? AND is_active")
            .bind(pairing.tenant)
            .fetch_optional(&mut *transaction)
            .await?;
        let tenant_id = tenant_id.ok_or_else(|| StoreError::UnknownTenant(pairing.tenant.to_owned()))?;
        sqlx::query(
            "UPDATE screen SET tenant_id = ?, title = ?, pairing_code = NULL, permissions = ?, created_by = ?,
                 paired_at = ? WHERE screen_id = ?",
        )
        .bind(tenant_id)
        .bind(pairing.title)
        .bind(pairing.permissions)
        .bind(pairing.author)
        .bind(stamp(pairing.now))
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO api_key (tenant_id, name, key_hash, permissions, created_by, created_at)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(tenant_id)
        .bind(pairing.title)
        .bind(token_hash)
        .bind(pairing.permissions)
        .bind(pairing.author)
        .bind(stamp(pairing.now))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// The paired screens of a tenant, the newest first.
    pub async fn screens(&self, tenant: &str) -> Result<Vec<ScreenRow>> {
        let sql = format!(
            "SELECT s.screen_id, s.title, CAST(s.permissions AS CHAR), {}, {}, {} FROM screen s
             JOIN tenant t ON t.tenant_id = s.tenant_id
             LEFT JOIN api_key k ON k.key_hash = s.token_hash
             WHERE t.name = ? ORDER BY s.screen_id DESC LIMIT 1000",
            ms_of("s.paired_at"),
            ms_of("k.last_used_at"),
            ms_of("COALESCE(s.revoked_at, k.revoked_at)")
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant);
        query.fetch_all(&self.pool).await?.iter().map(screen).collect()
    }

    /// Marks a tenant's screen as revoked and answers the number of its key, which is still to be revoked; none: there
    /// is no such screen that holds.
    pub async fn revoke_screen(&self, tenant: &str, id: i32, now: Ms) -> Result<Option<i32>> {
        let key: Option<i32> = sqlx::query_scalar(
            "SELECT k.api_key_id FROM screen s JOIN tenant t ON t.tenant_id = s.tenant_id
             JOIN api_key k ON k.key_hash = s.token_hash
             WHERE s.screen_id = ? AND t.name = ? AND s.revoked_at IS NULL",
        )
        .bind(id)
        .bind(tenant)
        .fetch_optional(&self.pool)
        .await?;
        if key.is_some() {
            sqlx::query("UPDATE screen SET revoked_at = ? WHERE screen_id = ?")
                .bind(stamp(now))
                .bind(id)
                .execute(&self.pool)
                .await?;
        }
        Ok(key)
    }
}
