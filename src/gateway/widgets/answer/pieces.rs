//! Pieces by area and product, and what they weigh.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::kpi::TOTAL;
use crate::config::tenant::ProductSpec;
use crate::domain::production::config::Role;
use crate::gateway::history::pieces::{Counted, Counts};
use crate::gateway::widgets::Params;
use crate::gateway::widgets::scope::{Failure, Item, Scope, hull};

/// Output by product.
type ByProduct = BTreeMap<i32, i64>;

#[derive(Serialize)]
struct Weight<'a> {
    line: Option<&'a str>,
    title: Option<&'a str>,
    /// Grams of the output's pieces whose product has a weight.
    value: f64,
    output: i64,
    /// Output pieces without a weight: with any, `value` is too small.
    without_weight: i64,
}

#[derive(Serialize)]
struct OfArea<'a> {
    line: &'a str,
    title: &'a str,
    area_id: i32,
    /// None of an area that the tenant's file no longer has.
    name: Option<&'a str>,
    role: Option<Role>,
    /// Place in the line.
    place: usize,
    quantity: i64,
}

#[derive(Serialize)]
struct OfProduct<'a> {
    product_id: i32,
    /// None of a product that the tenant's file does not name.
    code: Option<&'a str>,
    name: Option<&'a str>,
    color: Option<&'a str>,
    #[serde(flatten)]
    counts: Counts,
    /// From 1, by output.
    rank: usize,
    /// Of all output; none without any.
    share: Option<f64>,
    /// Grams of the output; none without a weight.
    weight_g: Option<f64>,
}

/// The pieces that a filter leaves: of an area all of them, else the output.
pub fn amount(params: &Params, counted: &Counted) -> Option<i64> {
    is_wanted(params, counted).then(|| match params.area {
        Some(_) => counted.counts.all(),
        None => counted.counts.output,
    })
}

/// Whether a filter leaves it.
pub fn is_wanted(params: &Params, counted: &Counted) -> bool {
    params.area.is_none_or(|area| area == counted.area_id)
        && params.product.is_none_or(|product| product == counted.product_id)
}

fn product<'a>(scope: &Scope<'a>, id: i32) -> Option<&'a ProductSpec> {
    scope.tenant.spec.as_deref()?.products.iter().find(|product| product.id == id)
}

fn weigh<'a>(scope: &Scope<'_>, line: Option<&'a str>, title: Option<&'a str>, output: &ByProduct) -> Weight<'a> {
    let mut weight = Weight { line, title, value: 0.0, output: output.values().sum(), without_weight: 0 };
    for (id, pieces) in output {
        match product(scope, *id).and_then(|product| product.weight_g) {
            Some(grams) => weight.value += grams * *pieces as f64,
            None => weight.without_weight += pieces,
        }
    }
    weight
}

/// What the output weighs, by line and together.
pub async fn weight(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let parts = scope.parts().await?;
    let mut items = vec![scope.about(hull(&parts), &json!({}))];
    let mut all = ByProduct::new();
    for part in &parts {
        let mut output = ByProduct::new();
        for counted in part.history.counted(&part.own).await? {
            if is_wanted(scope.params, &counted) && counted.counts.output != 0 {
                *output.entry(counted.product_id).or_default() += counted.counts.output;
                *all.entry(counted.product_id).or_default() += counted.counts.output;
            }
        }
        let title = scope.info(part.line()).map(|info| info.title.as_str());
        items.push(Item::of(part.line(), &weigh(scope, Some(part.line()), title, &output)));
    }
    if parts.len() > 1 {
        items.push(Item::of(TOTAL, &weigh(scope, None, None, &all)));
    }
    Ok(items)
}

/// Pieces of each area of each line; areas that saw nothing as well: an empty bar is an answer.
pub async fn areas(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let parts = scope.parts().await?;
    let mut items = vec![scope.about(hull(&parts), &json!({}))];
    for part in &parts {
        let specs = scope.tenant.spec.iter().flat_map(|spec| &spec.lines);
        let areas = specs.filter(|spec| spec.name == part.line()).flat_map(|spec| &spec.areas).collect::<Vec<_>>();
        let mut found: BTreeMap<i32, i64> = areas.iter().map(|area| (area.id, 0)).collect();
        for counted in part.history.counted(&part.own).await? {
            if is_wanted(scope.params, &counted) {
                *found.entry(counted.area_id).or_default() += counted.counts.all();
            }
        }
        found.retain(|area, _| scope.params.area.is_none_or(|only| only == *area));
        let title = scope.info(part.line()).map_or(part.line(), |info| info.title.as_str());
        for (area_id, quantity) in found {
            let place = areas.iter().position(|area| area.id == area_id).unwrap_or(areas.len());
            let spec = areas.get(place);
            let (name, role) = (spec.map(|spec| spec.name.as_str()), spec.map(|spec| spec.role));
            let item = OfArea { line: part.line(), title, area_id, name, role, place, quantity };
            items.push(Item::of(format!("{}/{area_id}", part.line()), &item));
        }
    }
    Ok(items)
}

/// Pieces of each product over all lines, the one with the most output first.
pub async fn products(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let parts = scope.parts().await?;
    let mut items = vec![scope.about(hull(&parts), &json!({}))];
    let mut found: BTreeMap<i32, Counts> = BTreeMap::new();
    for part in &parts {
        for counted in part.history.counted(&part.own).await? {
            if is_wanted(scope.params, &counted) {
                *found.entry(counted.product_id).or_default() += counted.counts;
            }
        }
    }
    let all: i64 = found.values().map(|counts| counts.output).sum();
    let mut found: Vec<(i32, Counts)> = found.into_iter().collect();
    found.sort_by_key(|(id, counts)| (-counts.output, *id));
    for (place, (product_id, counts)) in found.into_iter().enumerate() {
        let spec = product(scope, product_id);
        let item = OfProduct {
            product_id,
            code: spec.map(|spec| spec.code.as_str()),
            name: spec.map(|spec| spec.name.as_str()),
            color: spec.and_then(|spec| spec.color.as_deref()),
            counts,
            rank: place + 1,
            share: (all > 0).then(|| counts.output as f64 / all as f64),
            weight_g: spec.and_then(|spec| spec.weight_g).map(|grams| grams * counts.output as f64),
        };
        items.push(Item::of(product_id.to_string(), &item));
    }
    Ok(items)
}
