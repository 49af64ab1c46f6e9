//! A line's stored inputs a stretch at a time, and what has to be known of before a stretch.

use sqlx::AssertSqlSafe;

use super::error::{Result, StoreError};
use super::name::LineName;
use super::stamp::{ms_of, stamp};
use super::tenant::TenantDb;
use crate::domain::production::detection::Health;
use crate::domain::production::input::LineInput;
use crate::domain::time::{Ms, Span};

/// What the payload of a status that was not late has in it. Texts have their quotes escaped, so none looks like this.
const IN_TIME: &str = "%\"late\":false%";

fn input(payload: &str) -> Result<LineInput> {
    serde_json::from_str(payload).map_err(|error| StoreError::corrupt("line_input", error))
}

impl TenantDb {
    /// How many detections the span has, late ones included, counted up to `limit`.
    pub async fn count_detections(&self, line: &str, span: Span, limit: u64) -> Result<u64> {
        let line = self.line(line).await?;
        let sql = format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM `{}` WHERE detected_at >= ? AND detected_at < ? LIMIT ?) AS counted",
            line.detections()
        );
        let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql));
        let count = query.bind(stamp(span.from)).bind(stamp(span.to)).bind(limit).fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }

    /// The greatest event time of the line's stored inputs, its clock; none: nothing was ever heard.
    pub async fn heard_until(&self, line: &str) -> Result<Option<Ms>> {
        let name = self.line(line).await?;
        let at = ms_of("MAX(detected_at)");
        // Late ones lie before the clock anyway.
        let sql = format!("SELECT {at} FROM `{}`", name.detections());
        let mut clock: Option<Ms> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await?;
        for kind in ["camera_status", "timer"] {
            let sql = format!("SELECT {} FROM line_input WHERE line = ? AND kind = ?", ms_of("MAX(at)"));
            let query = sqlx::query_scalar::<_, Option<Ms>>(AssertSqlSafe(sql)).bind(line).bind(kind);
            clock = clock.max(query.fetch_one(&self.pool).await?);
        }
        Ok(clock)
    }

    /// The first accepted detection that is not late.
    pub async fn first_detection(&self, line: &str) -> Result<Option<Ms>> {
        let line = self.line(line).await?;
        let sql = format!(
            "SELECT {} FROM `{}` WHERE late = FALSE ORDER BY detected_at LIMIT 1",
            ms_of("detected_at"),
            line.detections()
        );
        Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(&self.pool).await?)
    }

    /// The last detection in the span, late ones left out, in one of `areas`.
    pub async fn last_detection_in(&self, line: &str, span: Span, areas: &[i32]) -> Result<Option<Ms>> {
        if areas.is_empty() {
            return Ok(None);
        }
        let column = format!("area_id IN ({})", vec!["?"; areas.len()].join(", "));
        self.last_detection(line, span, &column, areas).await
    }

    /// The last detection in the span by a camera, late ones left out.
    pub async fn last_detection_by(&self, line: &str, span: Span, camera: i32) -> Result<Option<Ms>> {
        self.last_detection(line, span, "camera_id = ?", &[camera]).await
    }

    async fn last_detection(&self, line: &str, span: Span, whose: &str, keys: &[i32]) -> Result<Option<Ms>> {
        let line = self.line(line).await?;
        let sql = format!(
            "SELECT {} FROM `{}` WHERE detected_at >= ? AND detected_at < ? AND late = FALSE AND {whose}
             ORDER BY detected_at DESC LIMIT 1",
            ms_of("detected_at"),
            line.detections()
        );
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(stamp(span.from)).bind(stamp(span.to));
        let query = keys.iter().fold(query, |query, key| query.bind(*key));
        Ok(query.fetch_optional(&self.pool).await?)
    }

    /// What people said and commands recorded: every input of the line but camera statuses and timers, in their order.
    pub async fn words(&self, line: &str) -> Result<Vec<LineInput>> {
        let line = LineName::new(line)?;
        let payloads: Vec<String> = sqlx::query_scalar(
            "SELECT payload FROM line_input
             WHERE line = ? AND kind IN ('classification', 'split', 'version', 'hole') ORDER BY seq",
        )
        .bind(line.as_str())
        .fetch_all(&self.pool)
        .await?;
        payloads.iter().map(|payload| input(payload)).collect()
    }

    /// The first `limit` camera statuses of the span by time, those that were late left out.
    pub async fn camera_statuses(&self, line: &str, span: Span, limit: u32) -> Result<Vec<LineInput>> {
        let line = LineName::new(line)?;
        let payloads: Vec<String> = sqlx::query_scalar(
            "SELECT payload FROM line_input
             WHERE line = ? AND kind = 'camera_status' AND at >= ? AND at < ? AND payload LIKE ? ORDER BY at LIMIT ?",
        )
        .bind(line.as_str())
        .bind(stamp(span.from))
        .bind(stamp(span.to))
        .bind(IN_TIME)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        payloads.iter().map(|payload| input(payload)).collect()
    }

    /// The last status of a camera in the span, one that was late left out; of two at one instant `offline`.
    pub async fn last_status(&self, line: &str, span: Span, camera: i32) -> Result<Option<LineInput>> {
        let line = LineName::new(line)?;
        let whose = format!("%\"camera_id\":{camera},%");
        let payloads: Vec<String> = sqlx::query_scalar(
            "SELECT payload FROM line_input WHERE line = ? AND kind = 'camera_status' AND at >= ? AND at < ?
                AND payload LIKE ? AND payload LIKE ? ORDER BY at DESC LIMIT 2",
        )
        .bind(line.as_str())
        .bind(stamp(span.from))
        .bind(stamp(span.to))
        .bind(whose)
        .bind(IN_TIME)
        .fetch_all(&self.pool)
        .await?;
        let found: Result<Vec<LineInput>> = payloads.iter().map(|payload| input(payload)).collect();
        let offline = |input: &LineInput| match input {
            LineInput::CameraStatus { status, .. } => status.status == Health::Offline,
            _ => false,
        };
        Ok(found?.into_iter().max_by_key(|input| (input.at(), offline(input))))
    }
}
