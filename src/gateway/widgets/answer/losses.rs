//! Where the time went: from the whole of it down to what was fully productive.

use serde::Serialize;
use serde_json::json;

use crate::domain::production::indices::{Indices, Losses};
use crate::domain::production::sums::{Bucket, Sums};
use crate::domain::time::Span;
use crate::gateway::widgets::scope::{Failure, Item, Scope};

#[derive(Serialize)]
struct Step {
    /// From the top.
    order: usize,
    /// `whole`, `loss` or `rest`.
    kind: &'static str,
    /// None where it cannot be told: without an ideal cycle, or pieces without a total.
    ms: Option<f64>,
}

/// The steps, of all lines together.
pub async fn waterfall(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let told = scope.told().await?;
    let period = told.iter().map(|told| Span::new(told.figure.from, told.figure.to));
    let period = period.reduce(|a, b| Span::new(a.from.min(b.from), a.to.max(b.to)));
    let mut sums = Sums::default();
    told.iter().for_each(|told| sums += &told.sums);
    let Indices { teep, ooe, mtbf_ms, mttr_ms, .. } = Indices::new(&sums);
    let more = json!({"teep": teep, "ooe": ooe, "mtbf_ms": mtbf_ms, "mttr_ms": mttr_ms});
    let mut items = vec![scope.about(period, &more)];
    for (order, (key, kind, ms)) in steps(&sums).into_iter().enumerate() {
        items.push(Item::of(key, &Step { order, kind, ms }));
    }
    Ok(items)
}

fn steps(sums: &Sums) -> [(&'static str, &'static str, Option<f64>); 9] {
    let bucket = |bucket| Some(sums.bucket(bucket) as f64);
    let busy = sums.pbt_ms() as f64;
    let losses = Losses::new(sums);
    let availability = losses.availability_ms as f64;
    let effective = losses.performance_ms.zip(losses.quality_ms).map(|(p, q)| busy - availability - p - q);
    [
        ("all", "whole", Some(sums.accounted_ms() as f64)),
        ("unscheduled", "loss", bucket(Bucket::Unscheduled)),
        ("planned_stop", "loss", bucket(Bucket::PlannedStop)),
        ("no_data", "loss", bucket(Bucket::NoData)),
        ("busy", "rest", Some(busy)),
        ("availability", "loss", Some(availability)),
        ("performance", "loss", losses.performance_ms),
        ("quality", "loss", losses.quality_ms),
        ("effective", "rest", effective),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_what_was_busy_is_oee() {
        // 400 s busy, 80 stopped, 20 of micro-stops on the performance side; 300 pieces of 1 s, 30 of them bad.
        let sums = Sums {
            buckets: [50_000, 60_000, 0, 300_000, 20_000, 80_000],
            apt_ms: 320_000,
            total: 300,
            good: 270,
            ideal_ns: 300_000_000_000,
            seen: 300,
            ..Sums::default()
        };
        let found: Vec<(&str, f64)> = steps(&sums).into_iter().map(|(key, _, ms)| (key, ms.unwrap())).collect();
        let expected = [
            ("all", 510_000.0),
            ("unscheduled", 50_000.0),
            ("planned_stop", 60_000.0),
            ("no_data", 0.0),
            ("busy", 400_000.0),
            ("availability", 80_000.0),
            ("performance", 20_000.0),
            ("quality", 30_000.0),
            ("effective", 270_000.0),
        ];
        assert_eq!(found, expected);
        let oee = crate::domain::production::figure::ratios(&sums).oee.unwrap();
        assert!((oee - 270.0 / 400.0).abs() < 1e-12);
    }
}
