//! Stops one by one, and by reason.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::domain::production::stop::Stop;
use crate::domain::time::{Ms, Span};
use crate::gateway::widgets::scope::{Failure, Item, Scope, hull};
use crate::store::{StopTally, StopsWanted};

/// Stops of an answer: the newest.
const MOST: u32 = 500;

#[derive(Serialize)]
struct OfReason<'a> {
    /// None: no reason was given.
    reason_code: Option<&'a str>,
    /// None of a reason that the tenant's file no longer names.
    name: Option<&'a str>,
    planned: bool,
    stops: i64,
    /// Of the parts inside the period.
    duration_ms: Ms,
    longest_ms: Ms,
    /// From 1, by duration.
    rank: usize,
    /// Of this and all before it.
    cumulative_ms: Ms,
}

fn wanted(scope: &Scope<'_>) -> StopsWanted {
    StopsWanted { shift: scope.params.shift.clone(), reason: scope.params.reason.clone() }
}

/// The newest stops of spans of lines, and whether there are more.
pub async fn newest(scope: &Scope<'_>, spans: &[(String, Span)]) -> Result<(Vec<Stop>, bool), Failure> {
    let mut found = Vec::new();
    for (line, span) in spans {
        found.extend(scope.database.last_stops(line, *span, &wanted(scope), MOST + 1).await?);
    }
    found.sort_by(|a, b| (Reverse(a.started_at), &a.line).cmp(&(Reverse(b.started_at), &b.line)));
    let has_more = found.len() > MOST as usize;
    found.truncate(MOST as usize);
    Ok((found, has_more))
}

/// The stops that overlap the period, the newest 500.
pub async fn list(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    // The shift is that of a stop's start, so the period is not cut to it.
    let mut spans = Vec::new();
    for part in scope.parts().await? {
        spans.push((part.line().to_owned(), part.period));
    }
    let period = spans.iter().map(|(_, span)| *span).reduce(|a, b| Span::new(a.from.min(b.from), a.to.max(b.to)));
    let (stops, has_more) = newest(scope, &spans).await?;
    let mut items = vec![scope.about(period, &json!({"more": has_more}))];
    items.extend(stops.iter().map(|stop| Item::of(&stop.downtime_id, stop)));
    Ok(items)
}

/// How often and how long, by reason, the longest together first.
pub async fn pareto(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let parts = scope.parts().await?;
    let mut found: BTreeMap<(Option<String>, bool), StopTally> = BTreeMap::new();
    for part in &parts {
        for tally in scope.database.stop_tallies(part.line(), part.period, &wanted(scope)).await? {
            found
                .entry((tally.reason_code.clone(), tally.planned))
                .and_modify(|so_far| {
                    so_far.stops += tally.stops;
                    so_far.duration_ms += tally.duration_ms;
                    so_far.longest_ms = so_far.longest_ms.max(tally.longest_ms);
                })
                .or_insert(tally);
        }
    }
    let total_ms: Ms = found.values().map(|tally| tally.duration_ms).sum();
    let stops: i64 = found.values().map(|tally| tally.stops).sum();
    let mut items = vec![scope.about(hull(&parts), &json!({"total_ms": total_ms, "stops": stops}))];
    let mut tallies: Vec<StopTally> = found.into_values().collect();
    // Those of equal length stay in the order of their codes.
    tallies.sort_by_key(|tally| Reverse(tally.duration_ms));
    let mut cumulative_ms = 0;
    for (place, tally) in tallies.iter().enumerate() {
        cumulative_ms += tally.duration_ms;
        let code = tally.reason_code.as_deref();
        let mut reasons = scope.tenant.spec.iter().flat_map(|spec| &spec.reasons);
        let name = code.and_then(|code| reasons.find(|reason| reason.code == code));
        let item = OfReason {
            reason_code: code,
            name: name.map(|reason| reason.name.as_str()),
            planned: tally.planned,
            stops: tally.stops,
            duration_ms: tally.duration_ms,
            longest_ms: tally.longest_ms,
            rank: place + 1,
            cumulative_ms,
        };
        let kind = if tally.planned { "planned" } else { "unplanned" };
        items.push(Item::of(format!("{kind}/{}", code.unwrap_or_default()), &item));
    }
    Ok(items)
}
