//! `GET /export/…`: detections, stops and figures as CSV, row by row as they are read, so that a year is no more to the
//! gateway than a day.
//!
//! A file that ends early ends with a broken connection, never as if it were whole.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::caller::Asked;
use super::{aggregate, lines_of, needs_database};
use crate::domain::production::detection::Detection;
use crate::domain::time::{Ms, Span, rfc3339};
use crate::gateway::App;
use crate::gateway::problem::Problem;
use crate::store::{DetectionPage, StoreError, TenantDb};

/// Rows read at once.
const AT_ONCE: u32 = 5_000;

const DETECTIONS: &str = "line,detection_id,detected_at,area_id,product_id,quantity,camera_id,confidence,late\r\n";
const STOPS: [&str; 12] = [
    "/downtime_id",
    "/line",
    "/revision",
    "/status",
    "/started_at",
    "/ended_at",
    "/duration_ms",
    "/reason_code",
    "/comment",
    "/planned",
    "/shift",
    "/business_date",
];
const FIGURES: [&str; 22] = [
    "/from",
    "/to",
    "/oee",
    "/availability",
    "/performance",
    "/quality",
    "/pieces/total",
    "/pieces/good",
    "/pieces/reject",
    "/pieces/outside_pbt",
    "/ideal_ns",
    "/stops",
    "/micro_stops",
    "/buckets_ms/running",
    "/buckets_ms/stopped",
    "/buckets_ms/micro_stop",
    "/buckets_ms/planned_stop",
    "/buckets_ms/no_data",
    "/buckets_ms/unscheduled",
    "/outside_ms",
    "/lines",
    "/interval",
];

/// What is exported, line after line.
struct Rows {
    db: Arc<TenantDb>,
    lines: VecDeque<String>,
    span: Span,
    what: What,
    /// The head, before the first rows.
    head: Option<String>,
    /// Given back at the end.
    _turn: OwnedSemaphorePermit,
}

enum What {
    Detections { after: Option<(Ms, i64)>, area: Option<i32>, product: Option<i32> },
    Stops { after: Option<Ms>, shifts: Vec<String>, reasons: Vec<String> },
}

/// A cell by RFC 4180. A text that a spreadsheet would take for a formula is made none.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => {
            let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
            let text = if is_formula { format!("'{text}") } else { text.clone() };
            if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
        }
        Value::Array(items) => cell(&Value::String(items.iter().map(cell).collect::<Vec<_>>().join(" "))),
        other => other.to_string(),
    }
}

/// The head of a file: the names of its columns.
fn head(columns: &[&str]) -> String {
    let name = |path: &&str| path.trim_start_matches('/').replace('/', "_");
    columns.iter().map(name).collect::<Vec<_>>().join(",") + "\r\n"
}

fn row(columns: &[&str], item: &Value) -> String {
    let cells = columns.iter().map(|path| item.pointer(path).map(cell).unwrap_or_default());
    cells.collect::<Vec<_>>().join(",") + "\r\n"
}

// === impl Rows ===

impl Rows {
    /// The next rows as text; none at the end.
    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        while let Some(line) = self.lines.front().cloned() {
            let (text, is_last) = self.of_line(&line).await?;
            if is_last {
                self.lines.pop_front();
                match &mut self.what {
                    What::Detections { after, .. } => *after = None,
                    What::Stops { after, .. } => *after = None,
                }
            }
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// The next rows of a line, and whether they are its last.
    async fn of_line(&mut self, line: &str) -> Result<(String, bool), StoreError> {
        let corrupt = |error: serde_json::Error| StoreError::Refused(error.to_string());
        let mut text = String::new();
        match &mut self.what {
            What::Detections { after, area, product } => {
                let page =
                    DetectionPage { span: self.span, after: *after, area: *area, product: *product, limit: AT_ONCE };
                let found = self.db.detections_page(line, &page).await?;
                *after = found.last().map(|(last, _)| (last.detected_at, last.detection_id));
                for (detection, late) in &found {
                    let Detection { detection_id, area_id, product_id, quantity, .. } = detection;
                    let at = rfc3339(detection.detected_at);
                    let camera = detection.camera_id.map(|camera| camera.to_string()).unwrap_or_default();
                    let confidence = detection.confidence.map(|confidence| confidence.to_string()).unwrap_or_default();
                    // Writing to a string never fails.
                    let _ = write!(text, "{line},{detection_id},{at},{area_id},{product_id},{quantity},");
                    let _ = write!(text, "{camera},{confidence},{late}\r\n");
                }
                Ok((text, found.len() < AT_ONCE as usize))
            }
            What::Stops { after, shifts, reasons } => {
                let found = self.db.stops(line, self.span, *after, AT_ONCE).await?;
                *after = found.last().map(|last| last.started_at);
                let among = |names: &[String], name: Option<&String>| {
                    names.is_empty() || name.is_some_and(|name| names.contains(name))
                };
                let wanted = found
                    .iter()
                    .filter(|stop| among(shifts, stop.shift.as_ref()) && among(reasons, stop.reason_code.as_ref()));
                for stop in wanted {
                    text += &row(&STOPS, &serde_json::to_value(stop).map_err(corrupt)?);
                }
                Ok((text, found.len() < AT_ONCE as usize))
            }
        }
    }

    fn stream(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), |rows| async move {
            let mut rows = rows?;
            match rows.next().await {
                Ok(Some(text)) => Some((Ok(Bytes::from(text)), Some(rows))),
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(%error, "an export was broken off");
                    Some((Err(std::io::Error::other(error.to_string())), None))
                }
            }
        }))
    }
}

fn file(name: &str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.csv\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// One of the few exports that run at a time.
fn turn(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    let busy = |_| Problem::unavailable("as many exports as can be are running: try again in a moment");
    app.exports.clone().try_acquire_owned().map_err(busy)
}

fn period(asked: &Asked) -> Result<Span, Problem> {
    asked.query.period()?.ok_or_else(|| Problem::bad_request("from and to: are missing"))
}

/// `GET /export/detections`: of each line, by time.
pub async fn detections(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, Problem> {
    asked.query.only(&["line", "from", "to", "area", "product"])?;
    let (lines, span) = (lines_of(&asked)?, period(&asked)?);
    let what =
        What::Detections { after: None, area: asked.query.number("area")?, product: asked.query.number("product")? };
    let db = needs_database(&app, &asked.tenant)?;
    let rows = Rows { db, lines: lines.into(), span, what, head: Some(DETECTIONS.to_owned()), _turn: turn(&app)? };
    Ok(file("detections", rows.stream()))
}

/// `GET /export/downtime`: stops of each line that overlap the period, by their start.
pub async fn downtime(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, Problem> {
    asked.query.only(&["line", "from", "to", "shift", "reason"])?;
    let (lines, span) = (lines_of(&asked)?, period(&asked)?);
    let what = What::Stops { after: None, shifts: asked.query.all("shift"), reasons: asked.query.all("reason") };
    let db = needs_database(&app, &asked.tenant)?;
    let rows = Rows { db, lines: lines.into(), span, what, head: Some(head(&STOPS)), _turn: turn(&app)? };
    Ok(file("downtime", rows.stream()))
}

/// `GET /export/figures`: what `/data/aggregate` answers, a row an interval.
pub async fn figures(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, Problem> {
    let turn = turn(&app)?;
    let Json(told) = aggregate::aggregate(State(app.clone()), asked).await?;
    let told = serde_json::to_value(told).map_err(Problem::internal)?;
    let (lines, interval) = (told["lines"].clone(), told["interval"].clone());
    let mut text = head(&FIGURES);
    for item in told["items"].as_array().into_iter().flatten() {
        let mut item = item.clone();
        item["lines"] = lines.clone();
        item["interval"] = interval.clone();
        text += &row(&FIGURES, &item);
    }
    drop(turn);
    Ok(file("figures", Body::from(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_one_cell_each_and_no_formula() {
        assert_eq!(cell(&json!("belt, torn \"again\"\n")), "\"belt, torn \"\"again\"\"\n\"");
        assert_eq!(cell(&json!("=HYPERLINK(\"x\")")), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(
            (cell(&json!(-1.5)), cell(&Value::Null), cell(&json!(true))),
            ("-1.5".into(), String::new(), "true".into())
        );
        assert_eq!(cell(&json!(["l1", "l2"])), "l1 l2");
    }

    #[test]
    fn columns_are_named_by_their_place() {
        assert_eq!(head(&["/line", "/pieces/total"]), "line,pieces_total\r\n");
        assert_eq!(
            row(&["/line", "/pieces/total", "/none"], &json!({"line": "l1", "pieces": {"total": 3}})),
            "l1,3,\r\n"
        );
    }
}
