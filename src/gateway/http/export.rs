//! `GET /export/…`: detections, stops and figures as CSV or Parquet, row by row as they are read, so that a year is no
//! more to the gateway than a day.
//!
//! A file that ends early ends with a broken connection, never as if it were whole.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use parquet::errors::ParquetError;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use super::caller::Asked;
use super::columns::{Cell, GROUP, Kind, Parquet};
use super::{aggregate, lines_of, needs_database};
use crate::domain::production::detection::Detection;
use crate::domain::time::{Ms, Span, rfc3339};
use crate::gateway::App;
use crate::gateway::problem::Problem;
use crate::store::{DetectionPage, TenantDb};

/// Rows read at once.
const AT_ONCE: u32 = 5_000;
/// The type of a Parquet file.
pub const PARQUET: &str = "application/vnd.apache.parquet";

const DETECTIONS: [(&str, Kind); 9] = [
    ("/line", Kind::Text),
    ("/detection_id", Kind::Whole),
    ("/detected_at", Kind::Time),
    ("/area_id", Kind::Small),
    ("/product_id", Kind::Small),
    ("/quantity", Kind::Small),
    ("/camera_id", Kind::Small),
    ("/confidence", Kind::Single),
    ("/late", Kind::Flag),
];
const STOPS: [(&str, Kind); 12] = [
    ("/downtime_id", Kind::Text),
    ("/line", Kind::Text),
    ("/revision", Kind::Whole),
    ("/status", Kind::Text),
    ("/started_at", Kind::Time),
    ("/ended_at", Kind::Time),
    ("/duration_ms", Kind::Whole),
    ("/reason_code", Kind::Text),
    ("/comment", Kind::Text),
    ("/planned", Kind::Flag),
    ("/shift", Kind::Text),
    ("/business_date", Kind::Text),
];
const FIGURES: [(&str, Kind); 22] = [
    ("/from", Kind::Time),
    ("/to", Kind::Time),
    ("/oee", Kind::Ratio),
    ("/availability", Kind::Ratio),
    ("/performance", Kind::Ratio),
    ("/quality", Kind::Ratio),
    ("/pieces/total", Kind::Whole),
    ("/pieces/good", Kind::Whole),
    ("/pieces/reject", Kind::Whole),
    ("/pieces/outside_pbt", Kind::Whole),
    ("/ideal_ns", Kind::Whole),
    ("/stops", Kind::Whole),
    ("/micro_stops", Kind::Whole),
    ("/buckets_ms/running", Kind::Whole),
    ("/buckets_ms/stopped", Kind::Whole),
    ("/buckets_ms/micro_stop", Kind::Whole),
    ("/buckets_ms/planned_stop", Kind::Whole),
    ("/buckets_ms/no_data", Kind::Whole),
    ("/buckets_ms/unscheduled", Kind::Whole),
    ("/outside_ms", Kind::Whole),
    ("/lines", Kind::Text),
    ("/interval", Kind::Text),
];

/// Columns of a file: where their cells are in an item, and what they hold.
type Columns = &'static [(&'static str, Kind)];

/// Why a file ends early.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Csv,
    Parquet,
}

/// A file that is being written.
enum File {
    /// The head goes before the first rows.
    Csv { columns: Columns, head: Option<String> },
    /// None once it has ended.
    Parquet { columns: Columns, parquet: Option<Box<Parquet>> },
}

/// What is exported, line after line.
struct Rows {
    db: Arc<TenantDb>,
    lines: VecDeque<String>,
    span: Span,
    what: What,
    file: File,
    /// Given back at the end.
    _turn: OwnedSemaphorePermit,
}

enum What {
    Detections { after: Option<(Ms, i64)>, area: Option<i32>, product: Option<i32> },
    Stops { after: Option<Ms>, shifts: Vec<String>, reasons: Vec<String> },
}

/// Some rows of a line.
enum Page {
    Detections(Vec<(Detection, bool)>),
    Items(Vec<Value>),
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

/// The name of a column by its place.
fn name(path: &str) -> String {
    path.trim_start_matches('/').replace('/', "_")
}

/// The head of a file: the names of its columns.
fn head(columns: &[(&str, Kind)]) -> String {
    columns.iter().map(|(path, _)| name(path)).collect::<Vec<_>>().join(",") + "\r\n"
}

fn row(columns: &[(&str, Kind)], item: &Value) -> String {
    let cells = columns.iter().map(|(path, _)| item.pointer(path).map(cell).unwrap_or_default());
    cells.collect::<Vec<_>>().join(",") + "\r\n"
}

fn write_detection(text: &mut String, line: &str, detection: &Detection, late: bool) {
    let Detection { detection_id, area_id, product_id, quantity, .. } = detection;
    let at = rfc3339(detection.detected_at);
    let camera = detection.camera_id.map(|camera| camera.to_string()).unwrap_or_default();
    let confidence = detection.confidence.map(|confidence| confidence.to_string()).unwrap_or_default();
    // Writing to a string never fails.
    let _ = write!(text, "{line},{detection_id},{at},{area_id},{product_id},{quantity},");
    let _ = write!(text, "{camera},{confidence},{late}\r\n");
}

fn detection_cells(line: &str, detection: &Detection, late: bool) -> [Cell; DETECTIONS.len()] {
    [
        Cell::Text(line.to_owned()),
        Cell::whole(detection.detection_id),
        Cell::time(detection.detected_at),
        Cell::whole(detection.area_id),
        Cell::whole(detection.product_id),
        Cell::whole(detection.quantity),
        detection.camera_id.map_or(Cell::Empty, Cell::whole),
        detection.confidence.map_or(Cell::Empty, Cell::Single),
        Cell::Flag(late),
    ]
}

// === impl Form ===

impl Form {
    /// The form that a request wants: by name, else by what it accepts, else CSV.
    fn of(asked: &Asked, headers: &HeaderMap) -> Result<Form, Problem> {
        let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        match asked.query.one("format")? {
            Some("csv") => Ok(Form::Csv),
            Some("parquet") => Ok(Form::Parquet),
            Some(_) => Err(Problem::bad_request("format: csv or parquet")),
            None if accepts.flat_map(|all| all.split(',')).any(|one| one.trim().starts_with(PARQUET)) => {
                Ok(Form::Parquet)
            }
            None => Ok(Form::Csv),
        }
    }
}

// === impl File ===

impl File {
    fn new(form: Form, columns: Columns) -> Result<File, Problem> {
        Ok(match form {
            Form::Csv => File::Csv { columns, head: Some(head(columns)) },
            Form::Parquet => {
                let names: Vec<(String, Kind)> = columns.iter().map(|(path, kind)| (name(path), *kind)).collect();
                let named = names.iter().map(|(name, kind)| (name.as_str(), *kind));
                let parquet = Parquet::new(named, GROUP).map_err(Problem::internal)?;
                File::Parquet { columns, parquet: Some(Box::new(parquet)) }
            }
        })
    }

    /// Takes rows in; answers the next piece of the file when there is one.
    async fn take(&mut self, line: &str, page: Page) -> Result<Option<Bytes>, Failure> {
        match self {
            File::Csv { columns, head } => {
                let mut text = head.take().unwrap_or_default();
                match page {
                    Page::Detections(all) => {
                        all.iter().for_each(|(detection, late)| write_detection(&mut text, line, detection, *late));
                    }
                    Page::Items(all) => all.iter().for_each(|item| text += &row(columns, item)),
                }
                Ok((!text.is_empty()).then(|| text.into()))
            }
            File::Parquet { columns, parquet } => {
                let Some(mut file) = parquet.take() else { return Ok(None) };
                match page {
                    Page::Detections(all) => {
                        all.iter().for_each(|(detection, late)| file.push(detection_cells(line, detection, *late)));
                    }
                    Page::Items(all) => {
                        for item in &all {
                            file.push(columns.iter().map(|(path, kind)| kind.cell(item.pointer(path))));
                        }
                    }
                }
                if !file.is_full() {
                    *parquet = Some(file);
                    return Ok(None);
                }
                // A group is some milliseconds of work: not on the threads that sockets wait for.
                let (file, piece) = spawn_blocking(move || {
                    let piece = file.flush()?;
                    Ok::<_, ParquetError>((file, piece))
                })
                .await??;
                *parquet = Some(file);
                Ok(Some(piece.into()))
            }
        }
    }

    /// The last piece; none when it was given.
    async fn end(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            File::Csv { head, .. } => Ok(head.take().map(Bytes::from)),
            File::Parquet { parquet, .. } => {
                let Some(file) = parquet.take() else { return Ok(None) };
                Ok(Some(spawn_blocking(move || file.finish()).await??.into()))
            }
        }
    }
}

// === impl Rows ===

impl Rows {
    /// The next piece of the file; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while let Some(line) = self.lines.front().cloned() {
            let (page, is_last) = self.of_line(&line).await?;
            if is_last {
                self.lines.pop_front();
                match &mut self.what {
                    What::Detections { after, .. } => *after = None,
                    What::Stops { after, .. } => *after = None,
                }
            }
            if let Some(piece) = self.file.take(&line, page).await? {
                return Ok(Some(piece));
            }
        }
        self.file.end().await
    }

    /// The next rows of a line, and whether they are its last.
    async fn of_line(&mut self, line: &str) -> Result<(Page, bool), Failure> {
        match &mut self.what {
            What::Detections { after, area, product } => {
                let page =
                    DetectionPage { span: self.span, after: *after, area: *area, product: *product, limit: AT_ONCE };
                let found = self.db.detections_page(line, &page).await?;
                *after = found.last().map(|(last, _)| (last.detected_at, last.detection_id));
                let is_last = found.len() < AT_ONCE as usize;
                Ok((Page::Detections(found), is_last))
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
                let items = wanted.map(serde_json::to_value).collect::<Result<Vec<Value>, _>>()?;
                Ok((Page::Items(items), found.len() < AT_ONCE as usize))
            }
        }
    }

    fn stream(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), |rows| async move {
            let mut rows = rows?;
            match rows.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(rows))),
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(%error, "an export was broken off");
                    Some((Err(std::io::Error::other(error.to_string())), None))
                }
            }
        }))
    }
}

fn file(form: Form, name: &str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let (kind, ending) = match form {
        Form::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Form::Parquet => (PARQUET, "parquet"),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\"")) {
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
pub async fn detections(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap) -> Result<Response, Problem> {
    asked.query.only(&["line", "from", "to", "area", "product", "format"])?;
    let form = Form::of(&asked, &headers)?;
    let (lines, span) = (lines_of(&asked)?, period(&asked)?);
    let what =
        What::Detections { after: None, area: asked.query.number("area")?, product: asked.query.number("product")? };
    let db = needs_database(&app, &asked.tenant)?;
    let rows = Rows { db, lines: lines.into(), span, what, file: File::new(form, &DETECTIONS)?, _turn: turn(&app)? };
    Ok(file(form, "detections", rows.stream()))
}

/// `GET /export/downtime`: stops of each line that overlap the period, by their start.
pub async fn downtime(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap) -> Result<Response, Problem> {
    asked.query.only(&["line", "from", "to", "shift", "reason", "format"])?;
    let form = Form::of(&asked, &headers)?;
    let (lines, span) = (lines_of(&asked)?, period(&asked)?);
    let what = What::Stops { after: None, shifts: asked.query.all("shift"), reasons: asked.query.all("reason") };
    let db = needs_database(&app, &asked.tenant)?;
    let rows = Rows { db, lines: lines.into(), span, what, file: File::new(form, &STOPS)?, _turn: turn(&app)? };
    Ok(file(form, "downtime", rows.stream()))
}

/// `GET /export/figures`: what `/data/aggregate` answers, a row an interval.
pub async fn figures(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap) -> Result<Response, Problem> {
    let form = Form::of(&asked, &headers)?;
    let turn = turn(&app)?;
    let asked = Asked { query: asked.query.without("format"), ..asked };
    let Json(told) = aggregate::aggregate(State(app.clone()), asked).await?;
    let mut told = serde_json::to_value(told).map_err(Problem::internal)?;
    let (lines, interval) = (told["lines"].take(), told["interval"].take());
    let Value::Array(mut items) = told["items"].take() else { return Err(Problem::internal("figures are no list")) };
    for item in &mut items {
        item["lines"] = lines.clone();
        item["interval"] = interval.clone();
    }
    let mut whole = File::new(form, &FIGURES)?;
    let mut pieces = Vec::new();
    pieces.extend(whole.take("", Page::Items(items)).await.map_err(Problem::internal)?);
    pieces.extend(whole.end().await.map_err(Problem::internal)?);
    drop(turn);
    Ok(file(form, "figures", Body::from(pieces.concat())))
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
        let columns = [("/line", Kind::Text), ("/pieces/total", Kind::Whole), ("/none", Kind::Whole)];
        assert_eq!(head(&columns), "line,pieces_total,none\r\n");
        assert_eq!(row(&columns, &json!({"line": "l1", "pieces": {"total": 3}})), "l1,3,\r\n");
    }
}
