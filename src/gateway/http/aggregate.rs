//! `GET /data/aggregate`: pieces, time and OEE by interval, for charts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::caller::Asked;
use super::query::Query;
use super::{body, lines_of, needs_database};
use crate::domain::production::figure::{BucketsMs, Figure, Pieces, Window};
use crate::domain::production::sums::Sums;
use crate::domain::time::{MINUTE_MS, Ms, Span, as_rfc3339};
use crate::gateway::App;
use crate::gateway::history::LineHistory;
use crate::gateway::history::interval::{Beyond, Interval};
use crate::gateway::problem::Problem;

/// Intervals of an answer.
const MAX_ITEMS: usize = 20_000;

/// An interval's figure, without what all of them have in common.
#[derive(Debug, Serialize)]
struct Item {
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    buckets_ms: BucketsMs,
    outside_ms: Ms,
    pieces: Pieces,
    ideal_ns: i64,
    stops: i64,
    micro_stops: i64,
    availability: Option<f64>,
    performance: Option<f64>,
    quality: Option<f64>,
    oee: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Aggregate {
    lines: Vec<String>,
    interval: &'static str,
    /// Length of the window that ends with each interval, where one was asked for.
    rolling: Option<&'static str>,
    items: Vec<Item>,
}

/// The minutes of some lines, added up.
struct Minutes {
    /// From the epoch.
    first: i64,
    /// Running sums: of `[0, n)` minutes from the first.
    running: Vec<Sums>,
}

// === impl Minutes ===

impl Minutes {
    async fn of(histories: &[LineHistory<'_>], period: Span) -> Result<Minutes, Problem> {
        let first = period.from.div_euclid(MINUTE_MS);
        let count = usize::try_from(period.to.div_euclid(MINUTE_MS) - first).unwrap_or(0);
        let mut running = vec![Sums::default(); count + 1];
        for history in histories {
            for row in history.minutes(period).await.map_err(Problem::database)? {
                let place = usize::try_from(row.minute.div_euclid(MINUTE_MS) - first).ok();
                if let Some(sums) = place.and_then(|place| running.get_mut(place + 1)) {
                    *sums += &row.sums;
                }
            }
        }
        let mut so_far = Sums::default();
        for sums in &mut running {
            so_far += sums;
            *sums = so_far;
        }
        Ok(Minutes { first, running })
    }

    fn sums(&self, period: Span) -> Sums {
        let place = |at: Ms| {
            let minutes = at.div_euclid(MINUTE_MS) - self.first;
            usize::try_from(minutes).unwrap_or(0).min(self.running.len() - 1)
        };
        let mut sums = self.running[place(period.to)];
        sums -= &self.running[place(period.from)];
        sums
    }
}

/// `GET /data/aggregate`
pub async fn aggregate(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Aggregate>, Problem> {
    asked.query.only(&["line", "from", "to", "interval", "rolling"])?;
    let lines = lines_of(&asked)?;
    let asked_for = asked.query.period()?.ok_or_else(|| Problem::bad_request("from and to: are missing"))?;
    let name = asked.query.one("interval")?.unwrap_or("hour");
    let interval = Interval::parse(name).ok_or_else(|| Problem::bad_request(Interval::names()))?;
    let rolling = rolling(asked.query.one("rolling")?)?;
    let database = needs_database(&app, &asked.tenant)?;
    let board = app.hub.board(&asked.tenant.name);
    let mut histories = Vec::with_capacity(lines.len());
    for line in &lines {
        let facts = board.facts(line);
        histories.push(LineHistory::of(&database, line, facts.as_ref()).await.map_err(Problem::database)?);
    }
    let period = whole_minutes(asked_for, &histories);
    let reach = rolling.and_then(Window::slices).map_or(0, |slices| slices * 10_000);
    let items = match period {
        None => Vec::new(),
        Some(period) => {
            let zone = TimeZone::get(&asked.tenant.time_zone).unwrap_or(TimeZone::UTC);
            let cuts = interval.cut(period, &zone, MAX_ITEMS).map_err(refusal)?;
            let minutes = Minutes::of(&histories, Span::new(period.from - reach, period.to)).await?;
            let of_cut = |cut: Span| if reach > 0 { Span::new(cut.to - reach, cut.to) } else { cut };
            cuts.into_iter().map(of_cut).map(|span| item(&histories, span, &minutes.sums(span))).collect()
        }
    };
    Ok(Json(Aggregate { lines, interval: interval.as_str(), rolling: rolling.map(Window::as_str), items }))
}

fn refusal(beyond: Beyond) -> Problem {
    Problem::bad_request(beyond.to_string())
}

/// As the query of `GET /data/aggregate`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    from: String,
    to: String,
    /// Lines or groups; none: all that one may see.
    #[serde(default)]
    line: Vec<String>,
    #[serde(default)]
    interval: Option<String>,
    #[serde(default)]
    rolling: Option<String>,
}

/// `POST /data/detections/aggregate`: the same question as a body.
pub async fn aggregate_by_body(
    state: State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Json<Aggregate>, Problem> {
    asked.query.only(&[])?;
    let Wish { from, to, line, interval, rolling } = body(wish)?;
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let mut pairs = vec![pair("from", from), pair("to", to)];
    pairs.extend(line.into_iter().map(|line| pair("line", line)));
    pairs.extend(interval.map(|interval| pair("interval", interval)));
    pairs.extend(rolling.map(|rolling| pair("rolling", rolling)));
    aggregate(state, Asked { query: Query::from_pairs(pairs), ..asked }).await
}

fn rolling(name: Option<&str>) -> Result<Option<Window>, Problem> {
    let Some(name) = name else { return Ok(None) };
    let found = Window::LIVE.into_iter().find(|window| window.slices().is_some() && window.as_str() == name);
    found.map(Some).ok_or_else(|| Problem::bad_request("rolling: one of 5m, 15m, 1h, 8h, 24h"))
}

/// The asked period out to whole minutes, up to the last line's clock: what is to come has no items.
fn whole_minutes(asked: Span, histories: &[LineHistory<'_>]) -> Option<Span> {
    let clock = histories.iter().filter_map(LineHistory::clock).max()?;
    let up = |at: Ms| -at.saturating_neg().div_euclid(MINUTE_MS) * MINUTE_MS;
    let period = Span::new(asked.from.div_euclid(MINUTE_MS) * MINUTE_MS, up(asked.to).min(up(clock + 1)));
    (!period.is_empty()).then_some(period)
}

fn item(histories: &[LineHistory<'_>], span: Span, sums: &Sums) -> Item {
    let frames: Vec<_> = histories.iter().map(|history| history.frame(Window::Range, span)).collect();
    let has_cycle = frames.iter().all(|frame| frame.has_cycle);
    let length = span.len() * histories.len() as Ms;
    let figure = frames.into_iter().next().map(|mut frame| {
        frame.has_cycle = has_cycle;
        Figure::new(frame, sums)
    });
    let ratio = |of: fn(&Figure) -> Option<f64>| figure.as_ref().and_then(of);
    let bucket = |of: fn(&BucketsMs) -> Ms| figure.as_ref().map_or(0, |figure| of(&figure.buckets_ms));
    Item {
        from: span.from,
        to: span.to,
        buckets_ms: BucketsMs {
            unscheduled: bucket(|b| b.unscheduled),
            planned_stop: bucket(|b| b.planned_stop),
            no_data: bucket(|b| b.no_data),
            running: bucket(|b| b.running),
            micro_stop: bucket(|b| b.micro_stop),
            stopped: bucket(|b| b.stopped),
        },
        outside_ms: length - sums.accounted_ms(),
        pieces: Pieces { total: sums.total, good: sums.good, reject: sums.reject, outside_pbt: sums.outside_pbt },
        ideal_ns: sums.ideal_ns,
        stops: sums.stops,
        micro_stops: sums.micro_stops,
        availability: ratio(|figure| figure.availability),
        performance: ratio(|figure| figure.performance),
        quality: ratio(|figure| figure.quality),
        oee: ratio(|figure| figure.oee),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_sums_give_any_minutes() {
        let minute = |total: i64| Sums { total, ..Sums::default() };
        let minutes = Minutes { first: 10, running: vec![minute(0), minute(1), minute(3), minute(6)] };
        let of = |from: i64, to: i64| minutes.sums(Span::new(from * MINUTE_MS, to * MINUTE_MS)).total;
        assert_eq!((of(10, 13), of(11, 12), of(12, 13), of(5, 11)), (6, 2, 3, 1));
    }
}
