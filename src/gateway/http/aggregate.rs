//! `GET /data/aggregate`: pieces, time and OEE by interval, for charts.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit, ZonedRound};
use serde::Serialize;

use super::caller::Asked;
use super::{lines_of, needs_database};
use crate::domain::production::figure::{BucketsMs, Figure, Pieces, Window};
use crate::domain::production::sums::Sums;
use crate::domain::time::{MINUTE_MS, Ms, Span, as_rfc3339};
use crate::gateway::App;
use crate::gateway::history::LineHistory;
use crate::gateway::problem::Problem;

/// Intervals of an answer.
const MAX_ITEMS: usize = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interval {
    Minute,
    QuarterHour,
    Hour,
    Day,
    Week,
    Month,
}

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

// === impl Interval ===

impl Interval {
    const ALL: [Interval; 6] =
        [Interval::Minute, Interval::QuarterHour, Interval::Hour, Interval::Day, Interval::Week, Interval::Month];

    fn as_str(self) -> &'static str {
        match self {
            Interval::Minute => "minute",
            Interval::QuarterHour => "15min",
            Interval::Hour => "hour",
            Interval::Day => "day",
            Interval::Week => "week",
            Interval::Month => "month",
        }
    }

    fn parse(name: &str) -> Result<Interval, Problem> {
        let names = || Interval::ALL.map(Interval::as_str).join(", ");
        let found = Interval::ALL.into_iter().find(|interval| interval.as_str() == name);
        found.ok_or_else(|| Problem::bad_request(format!("interval: one of {}", names())))
    }

    /// The intervals of a period by the wall clock of `zone`, the first and last cut to it. At a change of the clock
    /// the repeated hour is one of its own.
    ///
    /// # Errors
    /// More than an answer has; instants that no calendar knows.
    fn cut(self, period: Span, zone: &TimeZone) -> Result<Vec<Span>, Problem> {
        let beyond = |_| Problem::bad_request("from and to: beyond what calendars know");
        let mut edges = BTreeSet::from([period.from, period.to]);
        let mut at = period.from;
        loop {
            at = match self {
                Interval::Minute => (at.div_euclid(MINUTE_MS) + 1) * MINUTE_MS,
                _ => self.next_edge(at, zone).map_err(beyond)?,
            };
            if at >= period.to {
                break;
            }
            edges.insert(at);
            if edges.len() > MAX_ITEMS + 1 {
                let detail = format!("interval: more than {MAX_ITEMS} in this period; ask for longer ones");
                return Err(Problem::bad_request(detail));
            }
        }
        let edges: Vec<Ms> = edges.into_iter().collect();
        Ok(edges.windows(2).map(|pair| Span::new(pair[0], pair[1])).collect())
    }

    fn next_edge(self, at: Ms, zone: &TimeZone) -> Result<Ms, jiff::Error> {
        let here = Timestamp::from_millisecond(at)?.to_zoned(zone.clone());
        let next = match self {
            Interval::Minute | Interval::QuarterHour | Interval::Hour => {
                // Within the offset in force: an hour that the clock repeats begins a second time.
                let offset_ms = Ms::from(here.offset().seconds()) * 1_000;
                let length = if self == Interval::QuarterHour { 15 * MINUTE_MS } else { 60 * MINUTE_MS };
                return Ok(((at + offset_ms).div_euclid(length) + 1) * length - offset_ms);
            }
            Interval::Day => {
                here.round(ZonedRound::new().smallest(Unit::Day).mode(jiff::RoundMode::Floor))?.checked_add(1.day())?
            }
            Interval::Week => {
                let days = here.date().weekday().to_monday_zero_offset();
                here.date().checked_sub(i64::from(days).days())?.checked_add(7.days())?.to_zoned(zone.clone())?
            }
            Interval::Month => here.date().first_of_month().checked_add(1.month())?.to_zoned(zone.clone())?,
        };
        Ok(next.timestamp().as_millisecond())
    }
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
    let interval = Interval::parse(asked.query.one("interval")?.unwrap_or("hour"))?;
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
            let cuts = interval.cut(period, &zone)?;
            let minutes = Minutes::of(&histories, Span::new(period.from - reach, period.to)).await?;
            let of_cut = |cut: Span| if reach > 0 { Span::new(cut.to - reach, cut.to) } else { cut };
            cuts.into_iter().map(of_cut).map(|span| item(&histories, span, &minutes.sums(span))).collect()
        }
    };
    Ok(Json(Aggregate { lines, interval: interval.as_str(), rolling: rolling.map(Window::as_str), items }))
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
    use crate::domain::time::{parse_rfc3339, rfc3339};

    fn cut(interval: Interval, from: &str, to: &str) -> Vec<String> {
        let zone = TimeZone::get("Europe/Madrid").unwrap();
        let period = Span::new(parse_rfc3339(from).unwrap(), parse_rfc3339(to).unwrap());
        interval.cut(period, &zone).unwrap().iter().map(|span| rfc3339(span.from)[5..16].to_owned()).collect()
    }

    #[test]
    fn intervals_go_by_the_wall_clock() {
        assert_eq!(
            cut(Interval::Day, "2026-03-28T12:00:00Z", "2026-03-31T00:00:00Z"),
            ["03-28T12:00", "03-28T23:00", "03-29T22:00", "03-30T22:00"]
        );
        assert_eq!(cut(Interval::Week, "2026-03-20T00:00:00Z", "2026-03-24T00:00:00Z"), ["03-20T00:00", "03-22T23:00"]);
        assert_eq!(
            cut(Interval::Month, "2026-03-31T00:00:00Z", "2026-04-02T00:00:00Z"),
            ["03-31T00:00", "03-31T22:00"]
        );
    }

    #[test]
    fn the_hour_that_a_clock_repeats_counts_twice() {
        // 25 October 2026: 03:00 summer time becomes 02:00.
        let hours = cut(Interval::Hour, "2026-10-24T23:30:00Z", "2026-10-25T03:00:00Z");
        assert_eq!(hours, ["10-24T23:30", "10-25T00:00", "10-25T01:00", "10-25T02:00"]);
    }

    #[test]
    fn too_many_intervals_are_refused() {
        let period = Span::new(0, 40_000 * MINUTE_MS);
        assert!(Interval::Minute.cut(period, &TimeZone::UTC).is_err());
        assert!(Interval::Hour.cut(period, &TimeZone::UTC).is_ok());
    }

    #[test]
    fn running_sums_give_any_minutes() {
        let minute = |total: i64| Sums { total, ..Sums::default() };
        let minutes = Minutes { first: 10, running: vec![minute(0), minute(1), minute(3), minute(6)] };
        let of = |from: i64, to: i64| minutes.sums(Span::new(from * MINUTE_MS, to * MINUTE_MS)).total;
        assert_eq!((of(10, 13), of(11, 12), of(12, 13), of(5, 11)), (6, 2, 3, 1));
    }
}
