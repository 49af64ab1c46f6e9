//! What pages hold: the catalogue as a table, templates per role, each user's own layouts, and a tenant's filters.

use sqlx::Row;
use sqlx::mysql::MySqlConnection;

use super::error::Result;
use super::tenant::TenantDb;
use super::{Store, StoreError};

/// A row of `widget_catalog`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueRow {
    pub name: String,
    /// The widget's id.
    pub kind: String,
    /// JSON Schema of its parameters.
    pub params: String,
    /// `{"w": columns, "h": rows}`
    pub size: String,
}

/// A row of `filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRow {
    pub name: String,
    /// JSON.
    pub default_value: Option<String>,
    /// JSON: its type, and what goes with that.
    pub additional: Option<String>,
}

/// A template of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRow {
    /// As it was saved.
    pub layout: String,
    /// It is the tenant's own, not that of every tenant.
    pub is_own: bool,
}

async fn template(connection: &mut MySqlConnection, tenant: &str, role: &str) -> Result<Option<TemplateRow>> {
    let sql = "SELECT CAST(layout_config AS CHAR), tenant_id IS NOT NULL FROM dashboard_template
         WHERE role_access = ? AND user_id IS NULL AND is_active
             AND (tenant_id IS NULL OR tenant_id = (SELECT tenant_id FROM tenant WHERE name = ?))
         ORDER BY tenant_id IS NULL, template_id DESC LIMIT 1";
    let row = sqlx::query(sql).bind(role).bind(tenant).fetch_optional(connection).await?;
    row.map(|row| Ok(TemplateRow { layout: row.try_get(0)?, is_own: row.try_get(1)? })).transpose()
}

/// In the row that the role had before, or in a new one.
async fn put_template(connection: &mut MySqlConnection, tenant: i32, role: &str, layout: &str) -> Result<()> {
    let before: Option<i32> = sqlx::query_scalar(
        "SELECT template_id FROM dashboard_template WHERE tenant_id = ? AND role_access = ? AND user_id IS NULL
         ORDER BY template_id DESC LIMIT 1",
    )
    .bind(tenant)
    .bind(role)
    .fetch_optional(&mut *connection)
    .await?;
    let write = match before {
        Some(id) => sqlx::query(
            "UPDATE dashboard_template SET layout_config = ?, is_active = TRUE, updated_at = UTC_TIMESTAMP(3)
             WHERE template_id = ?",
        )
        .bind(layout)
        .bind(id),
        None => sqlx::query(
            "INSERT INTO dashboard_template (layout_config, tenant_id, role_access, template_name, is_active,
                 updated_at)
             VALUES (?, ?, ?, 'main', TRUE, UTC_TIMESTAMP(3))",
        )
        .bind(layout)
        .bind(tenant)
        .bind(role),
    };
    write.execute(connection).await?;
    Ok(())
}

impl Store {
    /// Brings `widget_catalog` to these rows; rows of other widgets are marked inactive, never deleted.
    pub async fn put_catalogue(&self, rows: &[CatalogueRow]) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("UPDATE widget_catalog SET is_active = FALSE").execute(&mut *transaction).await?;
        for row in rows {
            sqlx::query(
                "INSERT INTO widget_catalog (widget_name, widget_type, required_params, default_size, is_active)
                 VALUES (?, ?, ?, ?, TRUE)
                 ON DUPLICATE KEY UPDATE widget_name = VALUES(widget_name),
                     required_params = VALUES(required_params), default_size = VALUES(default_size), is_active = TRUE",
            )
            .bind(&row.name)
            .bind(&row.kind)
            .bind(&row.params)
            .bind(&row.size)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// A user's own layout of that name, as it was saved.
    pub async fn layout(&self, user_id: i32, name: &str) -> Result<Option<String>> {
        let sql = "SELECT CAST(layout_config AS CHAR) FROM dashboard_template WHERE user_id = ? AND template_name = ?
             AND is_active";
        Ok(sqlx::query_scalar(sql).bind(user_id).bind(name).fetch_optional(&self.pool).await?)
    }

    /// The template of a role: the tenant's, else that of every tenant.
    pub async fn template(&self, tenant: &str, role: &str) -> Result<Option<TemplateRow>> {
        template(&mut *self.pool.acquire().await?, tenant, role).await
    }

    /// Gives a tenant's role another template, or takes its own away (none), if `is_known` accepts the one before.
    /// Whether it did.
    pub async fn save_template(
        &self,
        tenant: &str,
        role: &str,
        layout: Option<&str>,
        is_known: impl FnOnce(Option<&TemplateRow>) -> bool,
    ) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        // The tenant's row, so that two first saves wait for each other too.
        let id: Option<i32> = sqlx::query_scalar("SELECT tenant_id FROM tenant WHERE name = ? FOR UPDATE")
            .bind(tenant)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(id) = id else { return Err(StoreError::UnknownTenant(tenant.to_owned())) };
        if !is_known(template(&mut transaction, tenant, role).await?.as_ref()) {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE dashboard_template SET is_active = FALSE
             WHERE tenant_id = ? AND role_access = ? AND user_id IS NULL AND is_active",
        )
        .bind(id)
        .bind(role)
        .execute(&mut *transaction)
        .await?;
        if let Some(layout) = layout {
            put_template(&mut transaction, id, role, layout).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Puts a layout in the place of the one that `is_known` accepts; none: there is none yet. Whether it did.
    pub async fn save_layout(
        &self,
        user_id: i32,
        name: &str,
        layout: &str,
        is_known: impl FnOnce(Option<&str>) -> bool,
    ) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        // The user's row, so that two first saves wait for each other too.
        let user: Option<i32> = sqlx::query_scalar("SELECT user_id FROM user WHERE user_id = ? FOR UPDATE")
            .bind(user_id)
            .fetch_optional(&mut *transaction)
            .await?;
        if user.is_none() {
            return Err(StoreError::Refused(format!("user {user_id} is gone")));
        }
        let before: Option<String> = sqlx::query_scalar(
            "SELECT CAST(layout_config AS CHAR) FROM dashboard_template WHERE user_id = ? AND template_name = ?
             AND is_active",
        )
        .bind(user_id)
        .bind(name)
        .fetch_optional(&mut *transaction)
        .await?;
        if !is_known(before.as_deref()) {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO dashboard_template (user_id, template_name, layout_config, is_active, updated_at)
             VALUES (?, ?, ?, TRUE, UTC_TIMESTAMP(3))
             ON DUPLICATE KEY UPDATE layout_config = VALUES(layout_config), is_active = TRUE,
                 updated_at = VALUES(updated_at)",
        )
        .bind(user_id)
        .bind(name)
        .bind(layout)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes a user's own layout away: the template of the role holds again.
    pub async fn forget_layout(&self, user_id: i32, name: &str) -> Result<()> {
        sqlx::query("UPDATE dashboard_template SET is_active = FALSE WHERE user_id = ? AND template_name = ?")
            .bind(user_id)
            .bind(name)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

impl TenantDb {
    /// The filters that the tenant's pages have, in their order; empty: the tenant says nothing of them.
    pub async fn filters(&self) -> Result<Vec<FilterRow>> {
        let rows = sqlx::query(
            "SELECT filter_name, CAST(default_value AS CHAR), CAST(additional_filter AS CHAR) FROM filter
             WHERE filter_status ORDER BY display_order, filter_id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(FilterRow { name: row.try_get(0)?, default_value: row.try_get(1)?, additional: row.try_get(2)? })
            })
            .collect()
    }
}
