//! `system_config`: a tenant's settings, each a key with a JSON value.

use serde_json::Value;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};

use super::error::{Result, StoreError};
use super::stamp::ms_of;
use super::tenant::TenantDb;
use crate::domain::time::Ms;

/// Rows read at most.
const MAX_SETTINGS: u32 = 1_000;

/// A row of `system_config`.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingRow {
    pub key: String,
    pub value: Value,
    pub updated_at: Ms,
}

fn read(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt("system_config", error))
}

fn setting(row: &MySqlRow) -> Result<SettingRow> {
    Ok(SettingRow { key: row.try_get(0)?, value: read(row.try_get(1)?)?, updated_at: row.try_get(2)? })
}

impl TenantDb {
    /// What a setting says; none: nothing, its default holds.
    pub async fn setting(&self, key: &str) -> Result<Option<Value>> {
        let text: Option<String> = sqlx::query_scalar("SELECT CAST(value AS CHAR) FROM system_config WHERE `key` = ?")
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
        text.as_deref().map(read).transpose()
    }

    /// The settings that say something, by key.
    pub async fn settings(&self) -> Result<Vec<SettingRow>> {
        let sql = format!(
            "SELECT `key`, CAST(value AS CHAR), {} FROM system_config ORDER BY `key` LIMIT {MAX_SETTINGS}",
            ms_of("updated_at")
        );
        sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await?.iter().map(setting).collect()
    }

    /// Gives a setting another value if `is_known` accepts the one before (of a setting that said nothing: its
    /// default). Whether it did.
    pub async fn save_setting(
        &self,
        key: &str,
        default: &Value,
        value: &Value,
        is_known: impl FnOnce(&Value) -> bool,
    ) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        // A row to lock, also of what said nothing so far: two first changes wait for each other too.
        sqlx::query(
            "INSERT INTO system_config (`key`, value, updated_at) VALUES (?, ?, UTC_TIMESTAMP(3))
             ON DUPLICATE KEY UPDATE `key` = VALUES(`key`)",
        )
        .bind(key)
        .bind(default.to_string())
        .execute(&mut *transaction)
        .await?;
        let before: String =
            sqlx::query_scalar("SELECT CAST(value AS CHAR) FROM system_config WHERE `key` = ? FOR UPDATE")
                .bind(key)
                .fetch_one(&mut *transaction)
                .await?;
        if !is_known(&read(&before)?) {
            return Ok(false);
        }
        sqlx::query("UPDATE system_config SET value = ?, updated_at = UTC_TIMESTAMP(3) WHERE `key` = ?")
            .bind(value.to_string())
            .bind(key)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }
}
