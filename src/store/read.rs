//! What is stored, read back.

use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};

use super::commit::{PieceRow, SUMS_COLUMNS};
use super::error::{Result, StoreError};
use super::name::LineName;
use super::stamp::{ms_of, stamp};
use super::tenant::TenantDb;
use crate::domain::production::changes::{MinuteRow, PieceCount, ShiftRecord};
use crate::domain::production::detection::{CameraStatus, Detection};
use crate::domain::production::input::{Classification, LineInput};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::production::sums::Sums;
use crate::domain::time::{Ms, Span};

/// Identities asked for in one statement.
const KNOWN_AT_ONCE: usize = 256;

/// A row of `line_input`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredInput {
    pub seq: u64,
    pub input: LineInput,
    /// Last offset of the line's topic before it; -1: none.
    pub after_offset: i64,
}

/// Which detections of a line a page has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectionPage {
    pub span: Span,
    /// Time and id of the last one before the page.
    pub after: Option<(Ms, i64)>,
    pub area: Option<i32>,
    pub product: Option<i32>,
    pub limit: u32,
}

/// Reads a column's JSON.
fn from_json<T: serde::de::DeserializeOwned>(table: &str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| StoreError::corrupt(table, error))
}

fn detection_columns() -> String {
    format!("detection_id, {}, area_id, product_id, quantity, camera_id, confidence, late", ms_of("detected_at"))
}

fn detection(row: &MySqlRow) -> Result<(Detection, bool)> {
    let detection = Detection {
        detection_id: row.try_get(0)?,
        detected_at: row.try_get(1)?,
        area_id: row.try_get(2)?,
        product_id: row.try_get(3)?,
        quantity: row.try_get(4)?,
        camera_id: row.try_get(5)?,
        confidence: row.try_get(6)?,
    };
    Ok((detection, row.try_get(7)?))
}

pub(super) fn stop_columns() -> String {
    format!(
        "downtime_id, revision, status, {}, {}, duration_ms, reason_code, comment, planned, shift_id, \
         CAST(business_date AS CHAR), segments",
        ms_of("start_time"),
        ms_of("end_time")
    )
}

pub(super) fn stop(line: &LineName, row: &MySqlRow) -> Result<Stop> {
    let status: String = row.try_get(2)?;
    let status =
        [StopStatus::Open, StopStatus::Closed, StopStatus::Retracted].into_iter().find(|s| s.as_str() == status);
    Ok(Stop {
        downtime_id: row.try_get(0)?,
        line: line.as_str().to_owned(),
        revision: row.try_get(1)?,
        status: status.ok_or_else(|| StoreError::corrupt(line.stops(), "an unknown status"))?,
        started_at: row.try_get(3)?,
        ended_at: row.try_get(4)?,
        duration_ms: row.try_get(5)?,
        reason_code: row.try_get(6)?,
        comment: row.try_get(7)?,
        planned: row.try_get(8)?,
        shift: row.try_get(9)?,
        business_date: row.try_get(10)?,
        segments: from_json(&line.stops(), &row.try_get::<String, _>(11)?)?,
    })
}

pub(super) fn shift_columns() -> String {
    format!(
        "shift, CAST(business_date AS CHAR), {}, {}, revision, figure, {}, previous_hash, hash",
        ms_of("from_time"),
        ms_of("to_time"),
        ms_of("watermark")
    )
}

pub(super) fn shift_record(line: &LineName, row: &MySqlRow) -> Result<ShiftRecord> {
    Ok(ShiftRecord {
        line: line.as_str().to_owned(),
        shift: row.try_get(0)?,
        business_date: row.try_get(1)?,
        from: row.try_get(2)?,
        to: row.try_get(3)?,
        revision: row.try_get(4)?,
        figure: from_json("shift_record", &row.try_get::<String, _>(5)?)?,
        watermark: row.try_get(6)?,
        previous_hash: row.try_get(7)?,
        hash: row.try_get(8)?,
    })
}

impl TenantDb {
    /// Accepted detections with `detected_at` in the span, in the order of time, then id; `true`: late.
    pub async fn detections(&self, line: &str, span: Span, include_late: bool) -> Result<Vec<(Detection, bool)>> {
        let line = self.line(line).await?;
        let only = if include_late { "" } else { "AND late = FALSE" };
        let sql = format!(
            "SELECT {} FROM `{}` WHERE detected_at >= ? AND detected_at < ? {only} ORDER BY detected_at, detection_id",
            detection_columns(),
            line.detections()
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(span.from)).bind(stamp(span.to));
        query.fetch_all(&self.pool).await?.iter().map(detection).collect()
    }

    /// The first `limit` accepted detections of the span after `after` (time, id), late ones included, in the order of
    /// time, then id; of one area, of one product, or of all.
    pub async fn detections_page(&self, line: &str, wanted: &DetectionPage) -> Result<Vec<(Detection, bool)>> {
        let line = self.line(line).await?;
        let (at, id) = wanted.after.unwrap_or((wanted.span.from - 1, i64::MAX));
        let sql = format!(
            "SELECT {} FROM `{}` WHERE detected_at >= ? AND detected_at < ?
                AND (detected_at > ? OR detection_id > ?)
                AND (? OR area_id = ?) AND (? OR product_id = ?)
             ORDER BY detected_at, detection_id LIMIT ?",
            detection_columns(),
            line.detections()
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(stamp(wanted.span.from.max(at)))
            .bind(stamp(wanted.span.to))
            .bind(stamp(at))
            .bind(id)
            .bind(wanted.area.is_none())
            .bind(wanted.area.unwrap_or(0))
            .bind(wanted.product.is_none())
            .bind(wanted.product.unwrap_or(0))
            .bind(wanted.limit);
        query.fetch_all(&self.pool).await?.iter().map(detection).collect()
    }

    /// Whether the line has more than `count` detections.
    pub async fn has_more_detections(&self, line: &str, count: u64) -> Result<bool> {
        let line = self.line(line).await?;
        let sql = format!("SELECT 1 FROM `{}` LIMIT 1 OFFSET ?", line.detections());
        Ok(sqlx::query(AssertSqlSafe(sql)).bind(count).fetch_optional(&self.pool).await?.is_some())
    }

    /// Which of these identities (id, time) are stored, late ones included, and with what content; in no order.
    pub async fn known(&self, line: &str, identities: &[(i64, Ms)]) -> Result<Vec<Detection>> {
        let line = self.line(line).await?;
        let mut known = Vec::new();
        for chunk in identities.chunks(KNOWN_AT_ONCE) {
            // Always as many as the statement has room for, so that one prepared statement serves all.
            let Some(last) = chunk.last() else { continue };
            let ors = vec!["(detected_at = ? AND detection_id = ?)"; KNOWN_AT_ONCE].join(" OR ");
            let sql = format!("SELECT {} FROM `{}` WHERE {ors}", detection_columns(), line.detections());
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (id, at) in chunk.iter().chain(std::iter::repeat_n(last, KNOWN_AT_ONCE - chunk.len())) {
                query = query.bind(stamp(*at)).bind(*id);
            }
            for row in query.fetch_all(&self.pool).await? {
                known.push(detection(&row)?.0);
            }
        }
        Ok(known)
    }

    /// All stored inputs of the line that are no detections, in their order.
    pub async fn inputs(&self, line: &str) -> Result<Vec<StoredInput>> {
        self.inputs_since(line, 0).await
    }

    /// Stored inputs from `seq` on.
    pub async fn inputs_since(&self, line: &str, seq: u64) -> Result<Vec<StoredInput>> {
        let line = LineName::new(line)?;
        let rows =
            sqlx::query("SELECT seq, payload, after_offset FROM line_input WHERE line = ? AND seq >= ? ORDER BY seq")
                .bind(line.as_str())
                .bind(seq)
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|row| {
                let input = from_json("line_input", &row.try_get::<String, _>(1)?)?;
                Ok(StoredInput { seq: row.try_get(0)?, input, after_offset: row.try_get(2)? })
            })
            .collect()
    }

    /// Classifications whose covered interval overlaps the span, in the order given.
    pub async fn classifications(&self, line: &str, span: Span) -> Result<Vec<Classification>> {
        let line = LineName::new(line)?;
        let payloads: Vec<String> = sqlx::query_scalar(
            "SELECT payload FROM line_input WHERE line = ? AND kind = 'classification' AND at < ? ORDER BY seq",
        )
        .bind(line.as_str())
        .bind(stamp(span.to))
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::new();
        for payload in payloads {
            if let LineInput::Classification(words) = from_json("line_input", &payload)?
                && words.to > span.from
            {
                found.push(words);
            }
        }
        Ok(found)
    }

    /// Which of these camera statuses are stored, by their identity (camera, time, status); in no order.
    pub async fn known_statuses(&self, line: &str, statuses: &[CameraStatus]) -> Result<Vec<CameraStatus>> {
        let line = LineName::new(line)?;
        let mut found = Vec::new();
        for chunk in statuses.chunks(KNOWN_AT_ONCE) {
            let Some(last) = chunk.last() else { continue };
            let sql = format!(
                "SELECT payload FROM line_input WHERE line = ? AND kind = 'camera_status' AND at IN ({})",
                vec!["?"; KNOWN_AT_ONCE].join(", ")
            );
            let mut query = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).bind(line.as_str());
            for status in chunk.iter().chain(std::iter::repeat_n(last, KNOWN_AT_ONCE - chunk.len())) {
                query = query.bind(stamp(status.at));
            }
            for payload in query.fetch_all(&self.pool).await? {
                let LineInput::CameraStatus { status, .. } = from_json("line_input", &payload)? else { continue };
                let is_same = |asked: &CameraStatus| {
                    (asked.camera_id, asked.at, asked.status) == (status.camera_id, status.at, status.status)
                };
                if chunk.iter().any(is_same) {
                    found.push(status);
                }
            }
        }
        Ok(found)
    }

    /// Minutes that begin in the span, in order; those without a row never had anything.
    pub async fn minutes(&self, line: &str, span: Span) -> Result<Vec<MinuteRow>> {
        let line = self.line(line).await?;
        let table = line.minutes();
        let sql = format!(
            "SELECT {}, pieces, slices, {} FROM `{table}` WHERE minute >= ? AND minute < ? ORDER BY minute",
            ms_of("minute"),
            SUMS_COLUMNS.map(|column| format!("CAST({column} AS SIGNED)")).join(", ")
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(span.from)).bind(stamp(span.to));
        let read = |row: &MySqlRow| {
            let pieces: Vec<PieceRow> = from_json(&table, &row.try_get::<String, _>(1)?)?;
            let mut values = [0; SUMS_COLUMNS.len()];
            for (index, value) in values.iter_mut().enumerate() {
                *value = row.try_get(3 + index)?;
            }
            let count = |PieceRow(area_id, product_id, quantity)| PieceCount { area_id, product_id, quantity };
            Ok(MinuteRow {
                minute: row.try_get(0)?,
                sums: Sums::from_fields(values),
                pieces: pieces.into_iter().map(count).collect(),
                slices: row.try_get(2)?,
            })
        };
        query.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// Stops that overlap the span and are not retracted, by start; at most `limit`, after the one that `cursor`
    /// names by its start.
    pub async fn stops(&self, line: &str, span: Span, cursor: Option<Ms>, limit: u32) -> Result<Vec<Stop>> {
        let line = self.line(line).await?;
        let table = line.stops();
        // Stops of a line do not overlap each other: of those that start before the span only the last can reach it,
        // so that the index on the start is all that is walked.
        let sql = format!(
            "SELECT {} FROM `{table}` WHERE start_time < ? AND start_time > ?
                AND start_time >= COALESCE((SELECT MAX(start_time) FROM `{table}`
                    WHERE start_time <= ? AND status <> 'retracted'), '1000-01-01')
                AND (end_time IS NULL OR end_time > ?) AND status <> 'retracted'
             ORDER BY start_time LIMIT ?",
            stop_columns()
        );
        let after = cursor.unwrap_or(Ms::MIN);
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(stamp(span.to))
            .bind(stamp(after))
            .bind(stamp(span.from))
            .bind(stamp(span.from))
            .bind(limit);
        query.fetch_all(&self.pool).await?.iter().map(|row| stop(&line, row)).collect()
    }

    /// The stop that contains the instant, if any does; retracted ones do not.
    pub async fn stop_around(&self, line: &str, at: Ms) -> Result<Option<Stop>> {
        Ok(self.stops(line, Span::new(at, at + 1), None, 1).await?.pop())
    }

    /// The stop of that id, `{line}:{start}`, retracted ones included.
    pub async fn stop(&self, downtime_id: &str) -> Result<Option<Stop>> {
        let Some((line, _)) = downtime_id.rsplit_once(':') else { return Ok(None) };
        // Anybody can ask for any id: only a line that the tenant has gets tables.
        let Ok(name) = LineName::new(line) else { return Ok(None) };
        if !self.has_line(line).await? {
            return Ok(None);
        }
        self.line(line).await?;
        let sql = format!("SELECT {} FROM `{}` WHERE downtime_id = ?", stop_columns(), name.stops());
        let row = sqlx::query(AssertSqlSafe(sql)).bind(downtime_id).fetch_optional(&self.pool).await?;
        row.map(|row| stop(&name, &row)).transpose()
    }

    /// Records of closed shifts that overlap the span, every revision, by time and revision.
    pub async fn shift_records(&self, line: &str, span: Span) -> Result<Vec<ShiftRecord>> {
        let line = LineName::new(line)?;
        let sql = format!(
            "SELECT {} FROM shift_record WHERE line = ? AND to_time > ? AND from_time < ? ORDER BY from_time, revision",
            shift_columns()
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(line.as_str()).bind(stamp(span.from)).bind(stamp(span.to));
        query.fetch_all(&self.pool).await?.iter().map(|row| shift_record(&line, row)).collect()
    }
}
