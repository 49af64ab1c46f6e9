//! `GET /data/detections`: what cameras saw, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::caller::Asked;
use super::{lines_of, needs_database};
use crate::domain::production::detection::Detection;
use crate::domain::time::{Ms, Span, as_rfc3339};
use crate::gateway::App;
use crate::gateway::problem::Problem;
use crate::store::DetectionPage;

/// Detections of a page, unless asked otherwise.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 10_000;

/// One detection as it is stored.
#[derive(Debug, Serialize)]
struct Item {
    line: String,
    detection_id: i64,
    #[serde(with = "as_rfc3339")]
    detected_at: Ms,
    area_id: i32,
    product_id: i32,
    quantity: i32,
    camera_id: Option<i32>,
    confidence: Option<f32>,
    /// Came after its allowed lateness: stored, and in no figure before a repair.
    late: bool,
}

#[derive(Debug, Serialize)]
pub struct Page {
    items: Vec<Item>,
    next_cursor: Option<String>,
}

/// After which detection a page begins: by time, then line, then id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor {
    at: Ms,
    id: i64,
    line: String,
}

// === impl Cursor ===

impl Cursor {
    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}:{}", self.at, self.id, self.line))
    }

    fn parse(text: &str) -> Option<Cursor> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(3, ':');
        let (at, id) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Cursor { at, id, line: parts.next()?.to_owned() })
    }

    /// The time and id after which detections of `line` come.
    fn of(&self, line: &str) -> (Ms, i64) {
        match line.cmp(self.line.as_str()) {
            std::cmp::Ordering::Less => (self.at, i64::MAX),
            std::cmp::Ordering::Equal => (self.at, self.id),
            std::cmp::Ordering::Greater => (self.at.saturating_sub(1), i64::MAX),
        }
    }
}

/// `GET /data/detections`
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Page>, Problem> {
    asked.query.only(&["line", "from", "to", "area", "product", "cursor", "limit"])?;
    let lines = lines_of(&asked)?;
    let span: Span = asked.query.period()?.ok_or_else(|| Problem::bad_request("from and to: are missing"))?;
    let limit = asked.query.count("limit", PAGE, MAX_PAGE)?;
    let wrong = || Problem::bad_request("cursor: not one that was given");
    let cursor = asked.query.one("cursor")?.map(|text| Cursor::parse(text).ok_or_else(wrong)).transpose()?;
    let (area, product) = (asked.query.number("area")?, asked.query.number("product")?);
    let database = needs_database(&app, &asked.tenant)?;
    let mut found: Vec<Item> = Vec::new();
    for line in &lines {
        let after = cursor.as_ref().map(|cursor| cursor.of(line));
        let wanted = DetectionPage { span, after, area, product, limit: limit + 1 };
        let rows = database.detections_page(line, &wanted).await.map_err(Problem::database)?;
        found.extend(rows.into_iter().map(|(detection, late)| item(line, &detection, late)));
    }
    found.sort_by(|a, b| (a.detected_at, &a.line, a.detection_id).cmp(&(b.detected_at, &b.line, b.detection_id)));
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| has_more);
    let cursor = |item: &Item| Cursor { at: item.detected_at, id: item.detection_id, line: item.line.clone() }.text();
    let next_cursor = last.map(cursor);
    Ok(Json(Page { items: found, next_cursor }))
}

fn item(line: &str, detection: &Detection, late: bool) -> Item {
    Item {
        line: line.to_owned(),
        detection_id: detection.detection_id,
        detected_at: detection.detected_at,
        area_id: detection.area_id,
        product_id: detection.product_id,
        quantity: detection.quantity,
        camera_id: detection.camera_id,
        confidence: detection.confidence,
        late,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let cursor = Cursor { at: -5, id: -9, line: "l1".into() };
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        assert_eq!(Cursor::parse("x"), None);
    }

    #[test]
    fn a_cursor_stands_between_lines_of_one_instant() {
        let cursor = Cursor { at: 10, id: 7, line: "l2".into() };
        assert_eq!((cursor.of("l1"), cursor.of("l2"), cursor.of("l3")), ((10, i64::MAX), (10, 7), (9, i64::MAX)));
    }
}
