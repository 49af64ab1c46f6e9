//! The seeds' tables, written from a tenant's file: what is in it is active, what no longer is stays, inactive.

use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row};

use super::super::command::CommandBody;
use super::super::error::{Result, StoreError};
use super::ConfigVersion;
use crate::config::tenant::{LineSpec, TenantSpec, WallTime};

/// Tables whose rows the file decides.
const FROM_FILE: [&str; 7] = ["production_line", "area", "camera_area", "product", "shift", "calendar", "reason"];

/// What a new tenant's pages offer to filter by; the tenant's own afterwards.
const FILTERS: [(&str, &str); 7] = [
    ("date_range", r#"{"type":"daterange","show_time":true}"#),
    ("line", r#"{"type":"line","groups":true}"#),
    ("area", r#"{"type":"area","cascades_from":"line"}"#),
    ("product", r#"{"type":"product"}"#),
    ("shift", r#"{"type":"shift"}"#),
    ("interval", r#"{"type":"interval","options":["minute","15min","hour","day","week","month"]}"#),
    ("reason", r#"{"type":"reason"}"#),
];

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Conflict(format!("a value has no JSON form: {error}")))
}

/// A word of an enum as its JSON has it.
fn word<T: Serialize>(value: &T) -> Result<String> {
    Ok(json(value)?.trim_matches('"').to_owned())
}

fn hash(kind: &str, entry: &str) -> String {
    Sha256::digest(format!("{kind}:{entry}")).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn wall(time: WallTime) -> Result<String> {
    word(&time)
}

fn names(names: Option<&Vec<String>>) -> Result<Option<String>> {
    names.map(json).transpose()
}

pub(super) async fn write(connection: &mut MySqlConnection, spec: &TenantSpec) -> Result<()> {
    for table in FROM_FILE {
        let sql = format!("UPDATE {table} SET is_active = FALSE WHERE is_active");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    for line in &spec.lines {
        write_line(connection, line).await?;
    }
    products(connection, spec).await?;
    reasons(connection, spec).await?;
    shifts(connection, spec).await?;
    calendar(connection, spec).await?;
    filters(connection).await
}

async fn write_line(connection: &mut MySqlConnection, line: &LineSpec) -> Result<()> {
    let seconds = |ms: Option<i64>| ms.map(|ms| ms as f64 / 1000.0);
    sqlx::query(
        "INSERT INTO production_line (line_name, title, line_group, performance, availability, oee, downtime_threshold,
             micro_stop_threshold, retention_months, is_active)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, TRUE)
         ON DUPLICATE KEY UPDATE title = VALUES(title), line_group = VALUES(line_group),
             performance = VALUES(performance), availability = VALUES(availability), oee = VALUES(oee),
             downtime_threshold = VALUES(downtime_threshold), micro_stop_threshold = VALUES(micro_stop_threshold),
             retention_months = VALUES(retention_months), is_active = TRUE",
    )
    .bind(&line.name)
    .bind(&line.title)
    .bind(&line.group)
    .bind(line.performance)
    .bind(line.availability_target)
    .bind(line.oee_target)
    .bind(seconds(line.downtime_threshold_ms()).unwrap_or_default())
    .bind(seconds(line.micro_stop_threshold_ms()))
    .bind(line.retention_months)
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query("SELECT line_id FROM production_line WHERE line_name = ?")
        .bind(&line.name)
        .fetch_one(&mut *connection)
        .await?;
    let line_id: i32 = row.try_get(0)?;
    for (position, area) in (0_i32..).zip(&line.areas) {
        let rect = area.rect.map(|rect| rect.map(Some)).unwrap_or_default();
        sqlx::query(
            "INSERT INTO area (line_id, area_id, area_name, area_type, position, coord_x1, coord_y1, coord_x2, coord_y2,
                 is_active)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, TRUE)
             ON DUPLICATE KEY UPDATE area_name = VALUES(area_name), area_type = VALUES(area_type),
                 position = VALUES(position), coord_x1 = VALUES(coord_x1), coord_y1 = VALUES(coord_y1),
                 coord_x2 = VALUES(coord_x2), coord_y2 = VALUES(coord_y2), is_active = TRUE",
        )
        .bind(line_id)
        .bind(area.id)
        .bind(&area.name)
        .bind(word(&area.role)?)
        .bind(position)
        .bind(rect[0])
        .bind(rect[1])
        .bind(rect[2])
        .bind(rect[3])
        .execute(&mut *connection)
        .await?;
        for camera in &area.cameras {
            sqlx::query(
                "INSERT INTO camera_area (camara_id, line_id, area_id, is_active) VALUES (?, ?, ?, TRUE)
                 ON DUPLICATE KEY UPDATE is_active = TRUE",
            )
            .bind(camera)
            .bind(line_id)
            .bind(area.id)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(())
}

async fn products(connection: &mut MySqlConnection, spec: &TenantSpec) -> Result<()> {
    for product in &spec.products {
        sqlx::query(
            "INSERT INTO product (product_id, product_code, product_name, product_weight, product_color, production_std,
                 is_active)
             VALUES (?, ?, ?, ?, ?, ?, TRUE)
             ON DUPLICATE KEY UPDATE product_code = VALUES(product_code), product_name = VALUES(product_name),
                 product_weight = VALUES(product_weight), product_color = VALUES(product_color),
                 production_std = VALUES(production_std), is_active = TRUE",
        )
        .bind(product.id)
        .bind(&product.code)
        .bind(&product.name)
        .bind(product.weight_g)
        .bind(&product.color)
        .bind(product.production_std)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn reasons(connection: &mut MySqlConnection, spec: &TenantSpec) -> Result<()> {
    for reason in &spec.reasons {
        sqlx::query(
            "INSERT INTO reason (reason_code, reason_name, parent_code, kind, category, is_active)
             VALUES (?, ?, ?, ?, ?, TRUE)
             ON DUPLICATE KEY UPDATE reason_name = VALUES(reason_name), parent_code = VALUES(parent_code),
                 kind = VALUES(kind), category = VALUES(category), is_active = TRUE",
        )
        .bind(&reason.code)
        .bind(&reason.name)
        .bind(&reason.parent)
        .bind(word(&reason.kind)?)
        .bind(reason.category.as_ref().map(word).transpose()?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn shifts(connection: &mut MySqlConnection, spec: &TenantSpec) -> Result<()> {
    for shift in &spec.shifts {
        sqlx::query(
            "INSERT INTO shift (shift_name, start_time, end_time, is_overnight, days_implemented, line_names, spec_hash,
                 is_active)
             VALUES (?, ?, ?, ?, ?, ?, ?, TRUE)
             ON DUPLICATE KEY UPDATE is_active = TRUE",
        )
        .bind(&shift.name)
        .bind(wall(shift.start)?)
        .bind(wall(shift.end)?)
        .bind(shift.end <= shift.start)
        .bind(json(&shift.days)?)
        .bind(names(shift.lines.as_ref())?)
        .bind(hash("shift", &json(shift)?))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// A row of `calendar`.
#[derive(Default)]
struct Entry {
    kind: &'static str,
    name: Option<String>,
    shift_names: Option<String>,
    date: Option<String>,
    start: Option<String>,
    end: Option<String>,
    days: Option<String>,
    lines: Option<String>,
    spec: String,
}

fn calendar_entries(spec: &TenantSpec) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for rule in &spec.breaks {
        entries.push(Entry {
            kind: "break",
            name: rule.name.clone(),
            shift_names: rule.shift.as_ref().map(|shift| json(&[shift])).transpose()?,
            start: Some(wall(rule.start)?),
            end: Some(wall(rule.end)?),
            days: Some(json(&rule.days)?),
            lines: names(rule.lines.as_ref())?,
            spec: json(rule)?,
            ..Entry::default()
        });
    }
    for rule in &spec.exceptions {
        entries.push(Entry {
            kind: "exception",
            shift_names: names(rule.shifts.as_ref())?,
            date: Some(rule.date.to_string()),
            lines: names(rule.lines.as_ref())?,
            spec: json(rule)?,
            ..Entry::default()
        });
    }
    for rule in &spec.extra_shifts {
        entries.push(Entry {
            kind: "extra_shift",
            name: Some(rule.name.clone()),
            date: Some(rule.date.to_string()),
            start: Some(wall(rule.start)?),
            end: Some(wall(rule.end)?),
            lines: names(rule.lines.as_ref())?,
            spec: json(rule)?,
            ..Entry::default()
        });
    }
    Ok(entries)
}

async fn calendar(connection: &mut MySqlConnection, spec: &TenantSpec) -> Result<()> {
    for entry in calendar_entries(spec)? {
        sqlx::query(
            "INSERT INTO calendar (kind, name, shift_names, date, start_time, end_time, days, line_names, spec_hash,
                 is_active)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, TRUE)
             ON DUPLICATE KEY UPDATE is_active = TRUE",
        )
        .bind(entry.kind)
        .bind(entry.name)
        .bind(entry.shift_names)
        .bind(entry.date)
        .bind(entry.start)
        .bind(entry.end)
        .bind(entry.days)
        .bind(entry.lines)
        .bind(hash(entry.kind, &entry.spec))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The usual filters, where the tenant has none of its own.
async fn filters(connection: &mut MySqlConnection) -> Result<()> {
    let count: i64 =
        sqlx::query_scalar("SELECT CAST(COUNT(*) AS SIGNED) FROM filter").fetch_one(&mut *connection).await?;
    if count > 0 {
        return Ok(());
    }
    for (order, (name, additional)) in (0_i32..).zip(FILTERS) {
        sqlx::query("INSERT INTO filter (filter_name, display_order, additional_filter) VALUES (?, ?, ?)")
            .bind(name)
            .bind(order)
            .bind(additional)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Tells the owner of every line that had a version before that a new one begins to hold.
pub(super) async fn tell_lines(
    connection: &mut MySqlConnection,
    version: &ConfigVersion,
    previous: &TenantSpec,
) -> Result<()> {
    let had_before = |line: &&LineSpec| previous.lines.iter().any(|known| known.name == line.name);
    for line in version.spec.lines.iter().filter(had_before) {
        let body = CommandBody::Version { version: version.version, valid_from: version.valid_from };
        sqlx::query(
            "INSERT INTO command (idempotency_key, line, kind, payload, author, created_at)
             VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(format!("version:{}:{}", version.version, line.name))
        .bind(&line.name)
        .bind(body.kind())
        .bind(json(&body)?)
        .bind(&version.author)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
