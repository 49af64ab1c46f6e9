//! Pieces of a period: in all, by product and by area.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::caller::Asked;
use super::{lines_of, needs_database};
use crate::config::tenant::ProductSpec;
use crate::domain::production::config::Role;
use crate::domain::production::figure::Pieces;
use crate::domain::time::{Ms, Span, as_rfc3339};
use crate::gateway::App;
use crate::gateway::history::LineHistory;
use crate::gateway::history::pieces::Counts;
use crate::gateway::problem::Problem;

/// `GET /data/production/summary`
#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    lines: Vec<LineSummary>,
    total: Amount,
}

#[derive(Debug, Serialize)]
struct LineSummary {
    line: String,
    #[serde(flatten)]
    amount: Amount,
}

/// Pieces as the quality basis counts them, and what the output weighs.
#[derive(Debug, Default, Serialize)]
struct Amount {
    pieces: Pieces,
    /// Grams of the output's pieces whose product has a weight.
    weight_g: f64,
    /// Output pieces without a weight: with any, `weight_g` is too small.
    without_weight: i64,
}

/// A product's pieces, over the lines asked for.
#[derive(Debug, Serialize)]
struct OfProduct {
    product_id: i32,
    /// None of a product that the tenant's file does not name.
    code: Option<String>,
    name: Option<String>,
    color: Option<String>,
    #[serde(flatten)]
    counts: Counts,
    /// Grams of the output; none without a weight.
    weight_g: Option<f64>,
}

/// An area's pieces.
#[derive(Debug, Serialize)]
struct OfArea {
    line: String,
    area_id: i32,
    name: Option<String>,
    role: Option<Role>,
    quantity: i64,
}

#[derive(Debug, Serialize)]
pub struct List<T> {
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    items: Vec<T>,
}

fn period_of(asked: &Asked) -> Result<Span, Problem> {
    asked.query.period()?.ok_or_else(|| Problem::bad_request("from and to: are missing"))
}

fn product(asked: &Asked, id: i32) -> Option<&ProductSpec> {
    asked.tenant.spec.iter().flat_map(|spec| &spec.products).find(|product| product.id == id)
}

async fn history<'a>(
    app: &App,
    asked: &Asked,
    database: &'a crate::store::TenantDb,
    line: &str,
) -> Result<LineHistory<'a>, Problem> {
    let facts = app.hub.board(&asked.tenant.name).facts(line);
    LineHistory::of(database, line, facts.as_ref()).await.map_err(Problem::database)
}

/// `GET /data/production/summary`
pub async fn summary(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Summary>, Problem> {
    asked.query.only(&["line", "from", "to"])?;
    let period = period_of(&asked)?;
    let database = needs_database(&app, &asked.tenant)?;
    let mut lines = Vec::new();
    let mut total = Amount::default();
    for line in lines_of(&asked)? {
        let history = history(&app, &asked, &database, &line).await?;
        let sums = history.sums(period).await.map_err(Problem::database)?;
        let pieces = Pieces { total: sums.total, good: sums.good, reject: sums.reject, outside_pbt: sums.outside_pbt };
        let mut amount = Amount { pieces, ..Amount::default() };
        for ((_, id), counts) in history.pieces(period).await.map_err(Problem::database)? {
            match product(&asked, id).and_then(|product| product.weight_g) {
                Some(weight) => amount.weight_g += weight * counts.output as f64,
                None => amount.without_weight += counts.output,
            }
        }
        total.add(&amount);
        lines.push(LineSummary { line, amount });
    }
    Ok(Json(Summary { from: period.from, to: period.to, lines, total }))
}

/// `GET /data/production/by-product`: the product with the most output first.
pub async fn by_product(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<List<impl Serialize>>, Problem> {
    asked.query.only(&["line", "from", "to", "area", "product"])?;
    let period = period_of(&asked)?;
    let (area, only) = (asked.query.number("area")?, asked.query.number("product")?);
    let database = needs_database(&app, &asked.tenant)?;
    let mut found: BTreeMap<i32, Counts> = BTreeMap::new();
    for line in lines_of(&asked)? {
        let history = history(&app, &asked, &database, &line).await?;
        for ((of_area, id), counts) in history.pieces(period).await.map_err(Problem::database)? {
            if area.is_none_or(|area| area == of_area) && only.is_none_or(|only| only == id) {
                *found.entry(id).or_default() += counts;
            }
        }
    }
    let mut items: Vec<OfProduct> = found.into_iter().map(|(id, counts)| of_product(&asked, id, counts)).collect();
    items.sort_by_key(|item| (-item.counts.output, item.product_id));
    Ok(Json(List { from: period.from, to: period.to, items }))
}

fn of_product(asked: &Asked, product_id: i32, counts: Counts) -> OfProduct {
    let spec = product(asked, product_id);
    OfProduct {
        product_id,
        code: spec.map(|spec| spec.code.clone()),
        name: spec.map(|spec| spec.name.clone()),
        color: spec.and_then(|spec| spec.color.clone()),
        weight_g: spec.and_then(|spec| spec.weight_g).map(|weight| weight * counts.output as f64),
        counts,
    }
}

/// `GET /data/production/by-area`: areas in the order of their lines.
pub async fn by_area(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<List<impl Serialize>>, Problem> {
    asked.query.only(&["line", "from", "to", "area", "product"])?;
    let period = period_of(&asked)?;
    let (only, of_product) = (asked.query.number("area")?, asked.query.number("product")?);
    let database = needs_database(&app, &asked.tenant)?;
    let mut items: Vec<OfArea> = Vec::new();
    for line in lines_of(&asked)? {
        let history = history(&app, &asked, &database, &line).await?;
        let specs = asked.tenant.spec.iter().flat_map(|spec| &spec.lines).find(|spec| spec.name == line);
        let areas = specs.map_or(&[][..], |spec| &spec.areas);
        // Areas that saw nothing are told as well: on a chart an empty bar is an answer.
        let mut found: BTreeMap<i32, i64> = areas.iter().map(|area| (area.id, 0)).collect();
        for ((area, id), counts) in history.pieces(period).await.map_err(Problem::database)? {
            if of_product.is_none_or(|product| product == id) {
                *found.entry(area).or_default() += counts.all();
            }
        }
        found.retain(|area, _| only.is_none_or(|only| only == *area));
        let place = |id: i32| areas.iter().position(|area| area.id == id).unwrap_or(usize::MAX);
        let mut found: Vec<(i32, i64)> = found.into_iter().collect();
        found.sort_by_key(|(id, _)| place(*id));
        items.extend(found.into_iter().map(|(area_id, quantity)| {
            let spec = areas.iter().find(|area| area.id == area_id);
            let (name, role) = (spec.map(|spec| spec.name.clone()), spec.map(|spec| spec.role));
            OfArea { line: line.clone(), area_id, name, role, quantity }
        }));
    }
    Ok(Json(List { from: period.from, to: period.to, items }))
}

// === impl Amount ===

impl Amount {
    fn add(&mut self, other: &Amount) {
        self.pieces.total += other.pieces.total;
        self.pieces.good += other.pieces.good;
        self.pieces.reject += other.pieces.reject;
        self.pieces.outside_pbt += other.pieces.outside_pbt;
        self.weight_g += other.weight_g;
        self.without_weight += other.without_weight;
    }
}
