//! The rollup and the stops, added up where they lie: for figures over long periods.

use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};

use super::commit::{PieceRow, SUMS_COLUMNS};
use super::error::{Result, StoreError};
use super::name::LineName;
use super::read::{stop, stop_columns};
use super::stamp::{ms_of, stamp};
use super::tenant::TenantDb;
use crate::domain::production::changes::PieceCount;
use crate::domain::production::detection::Health;
use crate::domain::production::input::LineInput;
use crate::domain::production::stop::Stop;
use crate::domain::production::sums::Sums;
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};

/// Stops of one reason inside a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopTally {
    pub reason_code: Option<String>,
    pub planned: bool,
    pub stops: i64,
    /// Of the parts inside the period.
    pub duration_ms: Ms,
    pub longest_ms: Ms,
}

/// Which stops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopsWanted {
    /// Shift of the start.
    pub shift: Option<String>,
    pub reason: Option<String>,
}

/// The last that is known of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameraSign {
    pub camera_id: i32,
    /// Its own last word, and when it said so.
    pub status: Option<(Health, Ms)>,
    /// Its last detection.
    pub seen: Option<Ms>,
}

impl StopsWanted {
    /// As a condition; its places take [`StopsWanted::values`].
    const CONDITION: &str = "AND (? OR shift_id = ?) AND (? OR reason_code = ?)";

    fn values(&self) -> [(bool, &str); 2] {
        [&self.shift, &self.reason].map(|value| (value.is_none(), value.as_deref().unwrap_or_default()))
    }
}

/// The whole hours of a span that have rows; none: not one.
pub fn whole_hours(span: Span, hours_until: Option<Ms>) -> Option<Span> {
    let up = -span.from.saturating_neg().div_euclid(HOUR_MS) * HOUR_MS;
    let down = span.to.min(hours_until?).div_euclid(HOUR_MS) * HOUR_MS;
    (up < down).then(|| Span::new(up, down))
}

/// Stops that overlap a span and are not retracted. Stops of a line do not overlap each other: of those that start
/// before the span only the last can reach it, so that the index on the start is all that is walked.
fn overlapping(table: &str) -> String {
    format!(
        "start_time < ? AND start_time >= COALESCE((SELECT MAX(start_time) FROM `{table}`
             WHERE start_time <= ? AND status <> 'retracted'), '1000-01-01')
         AND (end_time IS NULL OR end_time > ?) AND status <> 'retracted'"
    )
}

impl TenantDb {
    /// Up to where every hour of the line has a row of its own, which is the sum of its minutes; none: no hour has.
    /// It only grows.
    pub async fn hours_until(&self, line: &str) -> Result<Option<Ms>> {
        let line = self.line(line).await?;
        let sql = format!("SELECT {} FROM `{}`", ms_of("MAX(hour)"), line.hours());
        let last: Option<Ms> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await?;
        Ok(last.map(|hour| hour + HOUR_MS))
    }

    /// The sums of the minutes that begin in the span.
    pub async fn sums(&self, line: &str, span: Span) -> Result<Sums> {
        let mut sums = Sums::default();
        // One step from the epoch on would do as well, but for its length in minutes.
        for (_, part) in self.added_up(line, span, span.len().max(HOUR_MS), true).await? {
            sums += &part;
        }
        Ok(sums)
    }

    /// The sums of the minutes that begin in the span, added up by steps of `step_ms` from the epoch, in their order;
    /// steps without a row are left out. A step is a number of minutes and begins at its first stored minute's step.
    pub async fn minute_sums(&self, line: &str, span: Span, step_ms: Ms) -> Result<Vec<(Ms, Sums)>> {
        self.added_up(line, span, step_ms, step_ms % HOUR_MS == 0).await
    }

    /// By steps, from hours where `by_hours` and where they have rows, from minutes elsewhere.
    async fn added_up(&self, line: &str, span: Span, step_ms: Ms, by_hours: bool) -> Result<Vec<(Ms, Sums)>> {
        let hours = match by_hours {
            true => whole_hours(span, self.hours_until(line).await?),
            false => None,
        };
        let line = self.line(line).await?;
        let columns = SUMS_COLUMNS.join(", ");
        let from_minutes =
            format!("SELECT minute AS at, {columns} FROM `{}` WHERE minute >= ? AND minute < ?", line.minutes());
        let (parts, stretches) = match hours {
            None => (from_minutes, vec![span]),
            Some(hours) => (
                format!(
                    "{from_minutes} UNION ALL SELECT hour AS at, {columns} FROM `{}` WHERE hour >= ? AND hour < ?
                     UNION ALL {from_minutes}",
                    line.hours()
                ),
                vec![Span::new(span.from, hours.from), hours, Span::new(hours.to, span.to)],
            ),
        };
        let added = SUMS_COLUMNS.map(|column| format!("CAST(SUM({column}) AS SIGNED)")).join(", ");
        let sql = format!(
            "SELECT CAST((TIMESTAMPDIFF(MINUTE, ?, at) DIV ?) AS SIGNED) AS step, {added} FROM ({parts}) AS parts
             GROUP BY step ORDER BY step"
        );
        let steps = (step_ms / MINUTE_MS).max(1);
        // Steps are counted from the first that the span touches, so that none is before it.
        let first = span.from.div_euclid(steps * MINUTE_MS) * steps * MINUTE_MS;
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(first)).bind(steps);
        for stretch in stretches {
            query = query.bind(stamp(stretch.from)).bind(stamp(stretch.to));
        }
        let read = |row: &MySqlRow| {
            let step: i64 = row.try_get(0)?;
            let mut values = [0; SUMS_COLUMNS.len()];
            for (index, value) in values.iter_mut().enumerate() {
                *value = row.try_get(1 + index)?;
            }
            Ok(((first + step * steps * MINUTE_MS).max(span.from), Sums::from_fields(values)))
        };
        query.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// The pieces of the hours that begin in the span and have rows, in order, each area and product by itself.
    pub async fn hour_pieces(&self, line: &str, span: Span) -> Result<Vec<(Ms, PieceCount)>> {
        let line = self.line(line).await?;
        let sql = format!(
            "SELECT {}, area_id, product_id, quantity FROM `{}` WHERE hour >= ? AND hour < ? ORDER BY hour",
            ms_of("hour"),
            line.hour_pieces()
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(span.from)).bind(stamp(span.to));
        let read = |row: &MySqlRow| {
            let count = PieceCount { area_id: row.try_get(1)?, product_id: row.try_get(2)?, quantity: row.try_get(3)? };
            Ok((row.try_get(0)?, count))
        };
        query.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// The pieces of the minutes that begin in the span, in order; minutes without any are left out.
    pub async fn minute_pieces(&self, line: &str, span: Span) -> Result<Vec<(Ms, Vec<PieceCount>)>> {
        let line = self.line(line).await?;
        let table = line.minutes();
        let sql = format!(
            "SELECT {}, pieces FROM `{table}` WHERE minute >= ? AND minute < ? AND pieces <> '[]' ORDER BY minute",
            ms_of("minute")
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(span.from)).bind(stamp(span.to));
        let read = |row: &MySqlRow| {
            let json: String = row.try_get(1)?;
            let pieces: Vec<PieceRow> =
                serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&table, error))?;
            let count = |PieceRow(area_id, product_id, quantity)| PieceCount { area_id, product_id, quantity };
            Ok((row.try_get(0)?, pieces.into_iter().map(count).collect()))
        };
        query.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// The newest `limit` stops that overlap the span and are not retracted, newest first.
    pub async fn last_stops(&self, line: &str, span: Span, wanted: &StopsWanted, limit: u32) -> Result<Vec<Stop>> {
        let line = self.line(line).await?;
        let table = line.stops();
        let sql = format!(
            "SELECT {} FROM `{table}` WHERE {} {} ORDER BY start_time DESC LIMIT ?",
            stop_columns(),
            overlapping(&table),
            StopsWanted::CONDITION
        );
        let mut query =
            sqlx::query(AssertSqlSafe(sql)).bind(stamp(span.to)).bind(stamp(span.from)).bind(stamp(span.from));
        for (is_any, value) in wanted.values() {
            query = query.bind(is_any).bind(value);
        }
        query.bind(limit).fetch_all(&self.pool).await?.iter().map(|row| stop(&line, row)).collect()
    }

    /// The stops that overlap the span, by reason; of each the part inside.
    pub async fn stop_tallies(&self, line: &str, span: Span, wanted: &StopsWanted) -> Result<Vec<StopTally>> {
        let line = self.line(line).await?;
        let table = line.stops();
        let sql = format!(
            "SELECT reason_code, planned, COUNT(*), CAST(SUM(inside) AS SIGNED), CAST(MAX(inside) AS SIGNED) FROM (
                 SELECT reason_code, planned,
                     LEAST({start} + duration_ms, ?) - GREATEST({start}, ?) AS inside
                 FROM `{table}` WHERE {} {}) AS stops
             WHERE inside > 0 GROUP BY reason_code, planned",
            overlapping(&table),
            StopsWanted::CONDITION,
            start = ms_of("start_time"),
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(span.to)
            .bind(span.from)
            .bind(stamp(span.to))
            .bind(stamp(span.from))
            .bind(stamp(span.from));
        for (is_any, value) in wanted.values() {
            query = query.bind(is_any).bind(value);
        }
        let read = |row: &MySqlRow| {
            Ok(StopTally {
                reason_code: row.try_get(0)?,
                planned: row.try_get(1)?,
                stops: row.try_get(2)?,
                duration_ms: row.try_get(3)?,
                longest_ms: row.try_get(4)?,
            })
        };
        query.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// The last that is known of each camera that was heard or that saw something in the span.
    pub async fn camera_signs(&self, line: &str, span: Span) -> Result<Vec<CameraSign>> {
        let line = self.line(line).await?;
        let mut signs: std::collections::BTreeMap<i32, CameraSign> = std::collections::BTreeMap::new();
        let new = |camera_id| CameraSign { camera_id, status: None, seen: None };
        let sql = format!(
            "SELECT camera_id, CAST(MAX({}) AS SIGNED) FROM `{}`
             WHERE detected_at >= ? AND detected_at < ? AND late = FALSE AND camera_id IS NOT NULL GROUP BY camera_id",
            ms_of("detected_at"),
            line.detections()
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(span.from)).bind(stamp(span.to));
        for row in query.fetch_all(&self.pool).await? {
            let camera: i32 = row.try_get(0)?;
            signs.entry(camera).or_insert_with(|| new(camera)).seen = row.try_get(1)?;
        }
        for camera in self.statuses(&line, span).await? {
            let sign = signs.entry(camera.camera_id).or_insert_with(|| new(camera.camera_id));
            let at = (camera.at, camera.status == Health::Offline);
            // At one instant offline wins.
            if sign.status.is_none_or(|(status, since)| at >= (since, status == Health::Offline)) {
                sign.status = Some((camera.status, camera.at));
            }
        }
        Ok(signs.into_values().collect())
    }

    async fn statuses(
        &self,
        line: &LineName,
        span: Span,
    ) -> Result<Vec<crate::domain::production::detection::CameraStatus>> {
        let payloads: Vec<String> = sqlx::query_scalar(
            "SELECT payload FROM line_input WHERE line = ? AND kind = 'camera_status' AND at >= ? AND at < ?",
        )
        .bind(line.as_str())
        .bind(stamp(span.from))
        .bind(stamp(span.to))
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::new();
        for payload in payloads {
            let input = serde_json::from_str(&payload).map_err(|error| StoreError::corrupt("line_input", error))?;
            if let LineInput::CameraStatus { status, late: false } = input {
                found.push(status);
            }
        }
        Ok(found)
    }
}
