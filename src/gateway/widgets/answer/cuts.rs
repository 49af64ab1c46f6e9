//! Figures over time: a period cut by the wall clock, in whole minutes as the rollup has them.

use serde::Serialize;
use serde_json::json;

use super::pieces::{amount, is_wanted};
use super::stops;
use crate::domain::calendar::Schedule;
use crate::domain::production::figure::{BucketsMs, Pieces, ratios};
use crate::domain::production::sums::{Bucket, Sums};
use crate::domain::time::{Ms, Span, as_rfc3339, rfc3339};
use crate::gateway::history::interval::Interval;
use crate::gateway::history::pieces::Counts;
use crate::gateway::history::together::{Part, whole_minutes};
use crate::gateway::widgets::params::{By, MAX_ITEMS};
use crate::gateway::widgets::scope::{Failure, Item, Scope, hull};

const NS_PER_MS: f64 = 1e6;

/// A stretch of time and what was in it.
#[derive(Serialize)]
struct Cut {
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    buckets_ms: BucketsMs,
    /// Before the first detection, after the clock.
    outside_ms: Ms,
    pieces: Pieces,
    /// Of the area or product asked for; none when neither is.
    quantity: Option<i64>,
    ideal_ns: i64,
    stops: i64,
    micro_stops: i64,
    availability: Option<f64>,
    performance: Option<f64>,
    quality: Option<f64>,
    oee: Option<f64>,
}

#[derive(Serialize)]
struct PartsCut {
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct LineCut<'a> {
    line: &'a str,
    title: &'a str,
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    buckets_ms: BucketsMs,
}

#[derive(Serialize)]
struct Hour {
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    /// Good pieces.
    actual: i64,
    /// What the whole hour should give: its scheduled time × the lines' ideal rates × their OEE targets. None where a
    /// line lacks one.
    plan: Option<f64>,
    buckets_ms: BucketsMs,
    outside_ms: Ms,
    oee: Option<f64>,
}

fn buckets(sums: &Sums) -> BucketsMs {
    BucketsMs {
        unscheduled: sums.bucket(Bucket::Unscheduled),
        planned_stop: sums.bucket(Bucket::PlannedStop),
        no_data: sums.bucket(Bucket::NoData),
        running: sums.bucket(Bucket::Running),
        micro_stop: sums.bucket(Bucket::MicroStop),
        stopped: sums.bucket(Bucket::Stopped),
    }
}

fn cut_of(span: Span, sums: &Sums, own_ms: Ms, quantity: Option<i64>) -> Cut {
    let ratios = ratios(sums);
    Cut {
        from: span.from,
        to: span.to,
        buckets_ms: buckets(sums),
        outside_ms: own_ms - sums.accounted_ms(),
        pieces: Pieces { total: sums.total, good: sums.good, reject: sums.reject, outside_pbt: sums.outside_pbt },
        quantity,
        ideal_ns: sums.ideal_ns,
        stops: sums.stops,
        micro_stops: sums.micro_stops,
        availability: ratios.availability,
        performance: ratios.performance,
        quality: ratios.quality,
        oee: ratios.oee,
    }
}

/// The period of all lines in whole minutes, up to the last clock where the future has nothing to say.
fn charted(scope: &Scope<'_>, parts: &[Part<'_>], with_future: bool) -> Option<Span> {
    let whole = whole_minutes(hull(parts)?);
    if with_future {
        return Some(whole);
    }
    let clocks = scope.lines.iter().filter_map(|line| scope.board.facts(&line.name)).map(|facts| facts.state.as_of);
    let known = whole_minutes(Span::new(whole.from, clocks.max()? + 1));
    let charted = Span::new(whole.from, whole.to.min(known.to));
    (!charted.is_empty()).then_some(charted)
}

/// The interval asked for, else the shortest that fits; of `times` rows each.
fn cut(scope: &Scope<'_>, period: Span, times: usize) -> Result<(Interval, Vec<Span>), Failure> {
    let most = MAX_ITEMS / times.max(1);
    if let Some(interval) = scope.params.interval {
        return Ok((interval, interval.cut(period, &scope.zone(), most)?));
    }
    let mut last = None;
    for interval in Interval::ALL.into_iter().filter(|interval| *interval >= Interval::fitting(period.len())) {
        match interval.cut(period, &scope.zone(), most) {
            Ok(cuts) => return Ok((interval, cuts)),
            Err(beyond) => last = Some(beyond),
        }
    }
    Err(last.map_or_else(|| Failure::Refused("interval: none fits".to_owned()), Failure::from))
}

/// What of each cut belongs to a part, in whole minutes: with the cut's place, in order.
fn own(part: &Part<'_>, cuts: &[Span]) -> Vec<(usize, Span)> {
    let mut found = Vec::new();
    let mut reached = Ms::MIN;
    for own in &part.own {
        let mut own = whole_minutes(*own);
        own.from = own.from.max(reached);
        reached = own.to;
        let first = cuts.partition_point(|cut| cut.to <= own.from);
        for (place, cut) in cuts.iter().enumerate().skip(first) {
            match cut.intersect(&own) {
                Some(both) => found.push((place, both)),
                None => break,
            }
        }
    }
    found
}

/// A line's sums in each cut, and how many of the cut's milliseconds are its own.
async fn sums(part: &Part<'_>, cuts: &[Span]) -> Result<Vec<(Sums, Ms)>, Failure> {
    let mut found = vec![(Sums::default(), 0); cuts.len()];
    let own = own(part, cuts);
    let spans: Vec<Span> = own.iter().map(|(_, span)| *span).collect();
    for ((place, span), sums) in own.iter().zip(part.history.sums_of_each(&spans).await?) {
        found[*place].0 += &sums;
        found[*place].1 += span.len();
    }
    Ok(found)
}

async fn sums_of_all(parts: &[Part<'_>], cuts: &[Span]) -> Result<Vec<(Sums, Ms)>, Failure> {
    let mut all = vec![(Sums::default(), 0); cuts.len()];
    for part in parts {
        for (so_far, (sums, own_ms)) in all.iter_mut().zip(sums(part, cuts).await?) {
            so_far.0 += &sums;
            so_far.1 += own_ms;
        }
    }
    Ok(all)
}

/// The place of a cut that has an instant.
fn place(cuts: &[Span], at: Ms) -> Option<usize> {
    let place = cuts.partition_point(|cut| cut.to <= at);
    cuts.get(place)?.contains(at).then_some(place)
}

fn whole_own(part: &Part<'_>, cuts: &[Span]) -> Vec<Span> {
    own(part, cuts).into_iter().map(|(_, span)| span).collect()
}

/// Pieces and OEE over time, with the stops of the same time beside.
pub async fn production(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let parts = scope.parts().await?;
    let Some(period) = charted(scope, &parts, false) else {
        return Ok(vec![scope.about(None, &json!({}))]);
    };
    let (interval, cuts) = cut(scope, period, 1)?;
    let all = sums_of_all(&parts, &cuts).await?;
    let is_filtered = scope.params.area.is_some() || scope.params.product.is_some();
    let mut quantities = vec![is_filtered.then_some(0); cuts.len()];
    if is_filtered {
        for part in &parts {
            for counted in part.history.counted(&whole_own(part, &cuts)).await? {
                let (Some(place), Some(amount)) = (place(&cuts, counted.at), amount(scope.params, &counted)) else {
                    continue;
                };
                quantities[place] = quantities[place].map(|so_far| so_far + amount);
            }
        }
    }
    let (stops, has_more) = if scope.hides_stops() {
        (Vec::new(), false)
    } else {
        let spans: Vec<(String, Span)> = parts.iter().map(|part| (part.line().to_owned(), part.period)).collect();
        stops::newest(scope, &spans).await?
    };
    let about = json!({"interval": interval.as_str(), "more": has_more, "stops_hidden": scope.hides_stops()});
    let mut items = vec![scope.about(Some(period), &about)];
    for ((span, (sums, own_ms)), quantity) in cuts.iter().zip(all).zip(quantities) {
        items.push(Item::of(rfc3339(span.from), &cut_of(*span, &sums, own_ms, quantity)));
    }
    items.extend(stops.iter().map(|stop| Item::new(&stop.downtime_id, json!({"stop": stop}))));
    Ok(items)
}

/// Input, output and rejects over time, or lines side by side.
pub async fn comparison(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    if scope.params.by == By::Lines {
        return super::kpi::of(scope, |figure| figure.oee, |line| line.oee_target).await;
    }
    let parts = scope.parts().await?;
    let Some(period) = charted(scope, &parts, false) else {
        return Ok(vec![scope.about(None, &json!({}))]);
    };
    let (interval, cuts) = cut(scope, period, 1)?;
    let mut all = vec![Counts::default(); cuts.len()];
    for part in &parts {
        for counted in part.history.counted(&whole_own(part, &cuts)).await? {
            if let Some(place) = place(&cuts, counted.at).filter(|_| is_wanted(scope.params, &counted)) {
                all[place] += counted.counts;
            }
        }
    }
    let mut items = vec![scope.about(Some(period), &json!({"interval": interval.as_str()}))];
    for (span, counts) in cuts.iter().zip(all) {
        items.push(Item::of(rfc3339(span.from), &PartsCut { from: span.from, to: span.to, counts }));
    }
    Ok(items)
}

/// What each line did, stretch by stretch: how long each state held in it.
pub async fn timeline(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let parts = scope.parts().await?;
    let Some(period) = charted(scope, &parts, false) else {
        return Ok(vec![scope.about(None, &json!({}))]);
    };
    let (interval, cuts) = cut(scope, period, parts.len())?;
    let mut items = vec![scope.about(Some(period), &json!({"interval": interval.as_str()}))];
    for part in &parts {
        let line = part.line();
        let title = scope.info(line).map_or(line, |info| info.title.as_str());
        for (span, (sums, _)) in cuts.iter().zip(sums(part, &cuts).await?) {
            if sums.accounted_ms() > 0 {
                let item = LineCut { line, title, from: span.from, to: span.to, buckets_ms: buckets(&sums) };
                items.push(Item::of(format!("{line}/{}", rfc3339(span.from)), &item));
            }
        }
    }
    Ok(items)
}

/// Each hour of the period, those to come as well, with what it should give and what it gave.
pub async fn hours(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    let parts = scope.parts().await?;
    let Some(period) = charted(scope, &parts, true) else {
        return Ok(vec![scope.about(None, &json!({}))]);
    };
    let cuts = Interval::Hour.cut(period, &scope.zone(), MAX_ITEMS)?;
    let mut plans: Vec<Option<f64>> = vec![Some(0.0); cuts.len()];
    for part in &parts {
        let line = scope.info(part.line());
        let pieces_per_ms = line.and_then(|line| Some(NS_PER_MS / line.ideal_cycle_ns? as f64 * line.oee_target?));
        let mut scheduled = vec![0; cuts.len()];
        for (place, span) in own(part, &cuts) {
            scheduled[place] += scheduled_ms(part, span);
        }
        for (plan, ms) in plans.iter_mut().zip(scheduled) {
            *plan = plan.zip(pieces_per_ms).map(|(plan, rate)| plan + ms as f64 * rate);
        }
    }
    let all = sums_of_all(&parts, &cuts).await?;
    let mut items = vec![scope.about(Some(period), &json!({}))];
    for ((span, (sums, own_ms)), plan) in cuts.iter().zip(all).zip(plans) {
        let hour = Hour {
            from: span.from,
            to: span.to,
            actual: sums.good,
            plan,
            buckets_ms: buckets(&sums),
            outside_ms: own_ms - sums.accounted_ms(),
            oee: ratios(&sums).oee,
        };
        items.push(Item::of(rfc3339(span.from), &hour));
    }
    Ok(items)
}

/// Milliseconds that the calendar schedules.
fn scheduled_ms(part: &Part<'_>, span: Span) -> Ms {
    let slots = part.history.slots(span);
    slots.iter().filter(|slot| slot.schedule == Schedule::Scheduled).map(|slot| slot.span.len()).sum()
}
