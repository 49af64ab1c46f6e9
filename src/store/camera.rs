//! `camera_control_event`: what was done to cameras, by whom and why.

use serde::Serialize;
use sqlx::mysql::{MySql, MySqlRow};
use sqlx::{QueryBuilder, Row};

use super::error::{Result, StoreError};
use super::stamp::{ms_of, stamp};
use super::tenant::TenantDb;
use crate::domain::time::{Ms, Span, as_rfc3339};

/// Something that was done to a camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CameraEvent {
    pub id: i64,
    /// The camera's own number.
    pub camera: i32,
    /// `restart`, `recalibration`, `mask_change`, …
    pub action: String,
    pub reason: Option<String>,
    /// Of the graphics card that the camera's pictures are looked at with, as it was done.
    pub gpu_mem_used_bytes: Option<i64>,
    pub author: Option<String>,
    #[serde(with = "as_rfc3339")]
    pub at: Ms,
}

/// An event to note.
#[derive(Clone, Debug)]
pub struct NewCameraEvent<'a> {
    pub camera: i32,
    pub action: &'a str,
    pub reason: Option<&'a str>,
    pub gpu_mem_used_bytes: Option<i64>,
    pub author: &'a str,
    pub at: Ms,
}

/// Which events are asked for.
#[derive(Clone, Debug, Default)]
pub struct CameraFilter {
    /// None: of every camera.
    pub cameras: Option<Vec<i32>>,
    pub action: Option<String>,
    pub span: Option<Span>,
    /// Only those before this number.
    pub before: Option<i64>,
}

fn event(row: &MySqlRow) -> Result<CameraEvent> {
    Ok(CameraEvent {
        id: row.try_get(0)?,
        camera: row.try_get(1)?,
        action: row.try_get(2)?,
        reason: row.try_get(3)?,
        gpu_mem_used_bytes: row.try_get(4)?,
        author: row.try_get(5)?,
        at: row.try_get(6)?,
    })
}

impl TenantDb {
    /// Notes what was done to a camera; answers the event's number.
    pub async fn add_camera_event(&self, new: &NewCameraEvent<'_>) -> Result<i64> {
        let done = sqlx::query(
            "INSERT INTO camera_control_event (camara_id, action, reason, gpu_mem_used_bytes, author, created_at)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(new.camera)
        .bind(new.action)
        .bind(new.reason)
        .bind(new.gpu_mem_used_bytes)
        .bind(new.author)
        .bind(stamp(new.at))
        .execute(&self.pool)
        .await?;
        i64::try_from(done.last_insert_id()).map_err(|error| StoreError::corrupt("camera_control_event", error))
    }

    /// What was done to cameras, the newest first.
    pub async fn camera_events(&self, filter: &CameraFilter, limit: u32) -> Result<Vec<CameraEvent>> {
        let mut query = QueryBuilder::<MySql>::new(format!(
            "SELECT event_id, camara_id, action, reason, gpu_mem_used_bytes, author, {}
             FROM camera_control_event WHERE TRUE",
            ms_of("created_at")
        ));
        if let Some(cameras) = &filter.cameras {
            if cameras.is_empty() {
                return Ok(Vec::new());
            }
            query.push(" AND camara_id IN (");
            let mut places = query.separated(", ");
            for camera in cameras {
                places.push_bind(*camera);
            }
            query.push(")");
        }
        if let Some(action) = &filter.action {
            query.push(" AND action = ").push_bind(action);
        }
        if let Some(span) = filter.span {
            query.push(" AND created_at >= ").push_bind(stamp(span.from));
            query.push(" AND created_at < ").push_bind(stamp(span.to));
        }
        if let Some(before) = filter.before {
            query.push(" AND event_id < ").push_bind(before);
        }
        query.push(" ORDER BY event_id DESC LIMIT ").push_bind(limit);
        query.build().fetch_all(&self.pool).await?.iter().map(event).collect()
    }
}
