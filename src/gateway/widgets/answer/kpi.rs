//! One number per line, and of several lines their total.

use serde::Serialize;
use serde_json::{Value, json};

use super::pieces::amount;
use crate::domain::production::figure::Figure;
use crate::domain::time::Span;
use crate::gateway::directory::LineInfo;
use crate::gateway::history::together::{Told, total};
use crate::gateway::widgets::scope::{Failure, Item, Scope};

/// The key of the total of several lines.
pub const TOTAL: &str = "total";

const NS_PER_MS: f64 = 1e6;

#[derive(Serialize)]
struct Kpi<'a> {
    /// None of a total.
    line: Option<&'a str>,
    title: Option<&'a str>,
    value: Value,
    target: Option<f64>,
    figure: &'a Figure,
}

/// Pieces due by now: planned busy time × ideal rate × OEE target. The rate is that of the mix that was made, else the
/// line's own; none without a rate or a target.
pub fn due(figure: &Figure, line: &LineInfo) -> Option<f64> {
    let judged = figure.pieces.total - figure.pieces.outside_pbt;
    let cycle_ns = if judged > 0 && figure.ideal_ns > 0 {
        figure.ideal_ns as f64 / judged as f64
    } else {
        line.ideal_cycle_ns? as f64
    };
    let buckets = &figure.buckets_ms;
    let busy_ms = (buckets.running + buckets.micro_stop + buckets.stopped) as f64;
    Some(busy_ms * NS_PER_MS / cycle_ns * line.oee_target?)
}

/// The items of figures: of each line, and of several their total. `judge` gives value and target of a line's figure,
/// `together` those of the total.
fn items(
    scope: &Scope<'_>,
    told: &[Told],
    judge: impl Fn(&Figure, &LineInfo) -> (Value, Option<f64>),
    together: impl FnOnce(&Figure) -> (Value, Option<f64>),
) -> Vec<Item> {
    let period = told.iter().map(|told| Span::new(told.figure.from, told.figure.to));
    let period = period.reduce(|a, b| Span::new(a.from.min(b.from), a.to.max(b.to)));
    let mut items = vec![scope.about(period, &json!({}))];
    for told in told {
        let figure = &told.figure;
        let Some(line) = figure.line.as_deref().and_then(|line| scope.info(line)) else { continue };
        let (value, target) = judge(figure, line);
        let kpi = Kpi { line: Some(&line.name), title: Some(&line.title), value, target, figure };
        items.push(Item::of(&line.name, &kpi));
    }
    if let Some(figure) = total(told) {
        let (value, target) = together(&figure);
        items.push(Item::of(TOTAL, &Kpi { line: None, title: None, value, target, figure: &figure }));
    }
    items
}

/// A ratio of the figure, beside its target.
pub async fn of(
    scope: &Scope<'_>,
    ratio: fn(&Figure) -> Option<f64>,
    target: fn(&LineInfo) -> Option<f64>,
) -> Result<Vec<Item>, Failure> {
    let told = scope.told().await?;
    let judge = |figure: &Figure, line: &LineInfo| (json!(ratio(figure)), target(line));
    // Lines can have different targets: of a total none is said.
    Ok(items(scope, &told, judge, |figure| (json!(ratio(figure)), None)))
}

/// Milliseconds stopped.
pub async fn downtime(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let told = scope.told().await?;
    let stopped = |figure: &Figure| (json!(figure.buckets_ms.stopped), None);
    Ok(items(scope, &told, |figure, _| stopped(figure), stopped))
}

/// Good pieces and what was due; with an area or a product its pieces, of which nothing is due.
pub async fn production(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let params = scope.params;
    if params.area.is_none() && params.product.is_none() {
        let told = scope.told().await?;
        let dues: Vec<Option<f64>> =
            told.iter().map(|told| due(&told.figure, scope.info(told.figure.line.as_deref()?)?)).collect();
        let all_due = dues.into_iter().sum::<Option<f64>>();
        let judge = |figure: &Figure, line: &LineInfo| (json!(figure.pieces.good), due(figure, line));
        return Ok(items(scope, &told, judge, |figure| (json!(figure.pieces.good), all_due)));
    }
    let mut told = Vec::new();
    let mut amounts = std::collections::BTreeMap::new();
    for part in scope.parts().await? {
        let counted = part.history.counted(&part.own).await?;
        amounts.insert(part.line().to_owned(), counted.iter().filter_map(|one| amount(params, one)).sum::<i64>());
        told.push(part.figure().await?);
    }
    let all: i64 = amounts.values().sum();
    let judge = |_: &Figure, line: &LineInfo| (json!(amounts.get(&line.name)), None);
    Ok(items(scope, &told, judge, |_| (json!(all), None)))
}
