//! `GET /downtime/summary`: how often and how long lines stood in a period, by reason, shift and line.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::caller::Asked;
use super::{lines_of, needs_database};
use crate::domain::production::stop::Stop;
use crate::domain::time::{Ms, Span, as_rfc3339};
use crate::gateway::App;
use crate::gateway::problem::Problem;

/// Stops read at once.
const AT_ONCE: u32 = 1_000;

/// How often and how long. A stop that reaches over an end of the period counts with the part inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Tally {
    stops: i64,
    duration_ms: Ms,
    /// The longest part inside the period.
    longest_ms: Ms,
}

#[derive(Debug, Serialize)]
struct OfReason {
    /// None: no reason was given.
    reason_code: Option<String>,
    /// None of a reason that the tenant's file no longer names.
    name: Option<String>,
    planned: bool,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
struct OfShift {
    /// Of the stop's start; none outside shifts.
    shift: Option<String>,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
struct OfLine {
    line: String,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    total: Tally,
    unplanned: Tally,
    planned: Tally,
    /// The longest together first: a Pareto.
    by_reason: Vec<OfReason>,
    by_shift: Vec<OfShift>,
    by_line: Vec<OfLine>,
}

/// Tallies as they grow.
#[derive(Debug, Default)]
struct Tallies {
    of_planned: [Tally; 2],
    by_reason: BTreeMap<(Option<String>, bool), Tally>,
    by_shift: BTreeMap<Option<String>, Tally>,
    by_line: BTreeMap<String, Tally>,
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, ms: Ms) {
        self.stops += 1;
        self.duration_ms += ms;
        self.longest_ms = self.longest_ms.max(ms);
    }
}

// === impl Tallies ===

impl Tallies {
    fn add(&mut self, stop: &Stop, period: Span) {
        let own = Span::new(stop.started_at, stop.started_at + stop.duration_ms);
        let Some(inside) = own.intersect(&period) else { return };
        let ms = inside.len();
        self.of_planned[usize::from(stop.planned)].add(ms);
        self.by_reason.entry((stop.reason_code.clone(), stop.planned)).or_default().add(ms);
        self.by_shift.entry(stop.shift.clone()).or_default().add(ms);
        self.by_line.entry(stop.line.clone()).or_default().add(ms);
    }

    fn told(self, period: Span, name: impl Fn(&str) -> Option<String>) -> Summary {
        let [unplanned, planned] = self.of_planned;
        let mut by_reason: Vec<OfReason> = self
            .by_reason
            .into_iter()
            .map(|((reason_code, planned), tally)| OfReason {
                name: reason_code.as_deref().and_then(&name),
                reason_code,
                planned,
                tally,
            })
            .collect();
        by_reason.sort_by_key(|reason| -reason.tally.duration_ms);
        Summary {
            from: period.from,
            to: period.to,
            total: Tally {
                stops: unplanned.stops + planned.stops,
                duration_ms: unplanned.duration_ms + planned.duration_ms,
                longest_ms: unplanned.longest_ms.max(planned.longest_ms),
            },
            unplanned,
            planned,
            by_reason,
            by_shift: self.by_shift.into_iter().map(|(shift, tally)| OfShift { shift, tally }).collect(),
            by_line: self.by_line.into_iter().map(|(line, tally)| OfLine { line, tally }).collect(),
        }
    }
}

/// `GET /downtime/summary`
pub async fn summary(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Summary>, Problem> {
    asked.query.only(&["line", "from", "to", "shift", "reason"])?;
    let lines = lines_of(&asked)?;
    let period = asked.query.period()?.ok_or_else(|| Problem::bad_request("from and to: are missing"))?;
    let (shifts, reasons) = (asked.query.all("shift"), asked.query.all("reason"));
    let is_among =
        |names: &[String], name: Option<&String>| names.is_empty() || name.is_some_and(|name| names.contains(name));
    let database = needs_database(&app, &asked.tenant)?;
    let mut tallies = Tallies::default();
    for line in &lines {
        tallies.by_line.insert(line.clone(), Tally::default());
        let mut after = None;
        loop {
            let page = database.stops(line, period, after, AT_ONCE).await.map_err(Problem::database)?;
            after = page.last().map(|stop| stop.started_at);
            let is_last = page.len() < AT_ONCE as usize;
            for stop in page {
                if is_among(&shifts, stop.shift.as_ref()) && is_among(&reasons, stop.reason_code.as_ref()) {
                    tallies.add(&stop, period);
                }
            }
            if is_last {
                break;
            }
        }
    }
    let spec = asked.tenant.spec.as_deref();
    let name = |code: &str| {
        let mut reasons = spec.into_iter().flat_map(|spec| &spec.reasons);
        reasons.find(|reason| reason.code == code).map(|reason| reason.name.clone())
    };
    Ok(Json(tallies.told(period, name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::production::stop::{StopStatus, downtime_id};

    fn stop(line: &str, from: Ms, ms: Ms, reason: Option<&str>, planned: bool) -> Stop {
        Stop {
            downtime_id: downtime_id(line, from),
            line: line.into(),
            revision: 1,
            status: StopStatus::Closed,
            started_at: from,
            ended_at: Some(from + ms),
            duration_ms: ms,
            reason_code: reason.map(str::to_owned),
            comment: None,
            planned,
            shift: None,
            business_date: "2026-01-01".into(),
            segments: Vec::new(),
        }
    }

    #[test]
    fn parts_outside_the_period_do_not_count() {
        let period = Span::new(100, 200);
        let mut tallies = Tallies::default();
        for one in [
            stop("l1", 50, 60, Some("jam"), false),
            stop("l1", 150, 100, Some("jam"), false),
            stop("l2", 120, 5, Some("meal"), true),
            stop("l2", 200, 5, None, false),
        ] {
            tallies.add(&one, period);
        }
        let told = tallies.told(period, |code| (code == "jam").then(|| "Jam".to_owned()));
        assert_eq!(told.total, Tally { stops: 3, duration_ms: 65, longest_ms: 50 });
        assert_eq!(told.unplanned, Tally { stops: 2, duration_ms: 60, longest_ms: 50 });
        assert_eq!(told.planned, Tally { stops: 1, duration_ms: 5, longest_ms: 5 });
        let names: Vec<_> = told.by_reason.iter().map(|r| (r.reason_code.as_deref(), r.name.as_deref())).collect();
        assert_eq!(names, [(Some("jam"), Some("Jam")), (Some("meal"), None)]);
        let of_lines: Vec<_> = told.by_line.iter().map(|l| (l.line.as_str(), l.tally.duration_ms)).collect();
        assert_eq!(of_lines, [("l1", 60), ("l2", 5)]);
    }
}
