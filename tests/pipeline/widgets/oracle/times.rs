//! What happened when: a period cut by the wall clock.

use andon::domain::calendar::Schedule;
use andon::domain::production::figure::ratios;
use andon::domain::production::sums::{Bucket, Sums};
use andon::domain::time::{MINUTE_MS, Ms, Span, rfc3339};
use andon::gateway::history::interval::Interval;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::pieces::Counts;
use super::{Asked, Items, Line, items};

impl Asked<'_> {
    /// The period in whole minutes, up to the last clock of the lines; none: all of it is still to come.
    pub(super) fn charted(&self) -> Option<Span> {
        let whole = whole_minutes(self.span);
        let clock = self.lines.iter().filter_map(|line| line.ledger.clock).max()?;
        let known = Span::new(whole.from, whole.to.min(whole_minutes(Span::new(clock, clock + 1)).to));
        (known.from < known.to).then_some(known)
    }

    /// The interval asked for or fitting, and its cuts.
    pub(super) fn cuts(&self, period: Span, times: usize) -> (Interval, Vec<Span>) {
        let zone = TimeZone::get(&self.truth.spec.tenant.time_zone).expect("a zone");
        let cut = |interval: Interval| Some((interval, interval.cut(period, &zone, 2_000 / times).ok()?));
        match self.interval {
            Some(interval) => cut(interval).expect("few enough"),
            None => {
                let fitting = Interval::fitting(period.len());
                let all = Interval::ALL.into_iter().filter(|interval| *interval >= fitting);
                all.filter_map(cut).next().expect("one fits")
            }
        }
    }

    /// What of a cut is a line's own, in whole minutes.
    pub(super) fn own_of(&self, line: &Line, cut: Span) -> Vec<Span> {
        let mut found: Vec<Span> = Vec::new();
        for own in self.own(line) {
            let own = whole_minutes(own);
            let from = found.last().map_or(own.from, |last| own.from.max(last.to));
            found.push(Span::new(from, own.to));
        }
        found.iter().filter_map(|own| own.intersect(&cut)).collect()
    }

    /// The sums of all lines in a cut, and how many milliseconds are asked about.
    pub(super) fn sums_of(&self, cut: Span) -> (Sums, Ms) {
        let (mut sums, mut own_ms) = (Sums::default(), 0);
        for line in &self.lines {
            let own = self.own_of(line, cut);
            own_ms += own.iter().map(Span::len).sum::<Ms>();
            sums += &line.sums(own);
        }
        (sums, own_ms)
    }

    pub(super) fn production(&self) -> Items {
        let Some(period) = self.charted() else { return items([self.about(None, &json!({}))]) };
        let (interval, cuts) = self.cuts(period, 1);
        let hidden = self.lines.len() > 1;
        let stops = if hidden { Vec::new() } else { self.stops_in() };
        let more = json!({"interval": interval.as_str(), "more": stops.len() > 500, "stops_hidden": hidden});
        let mut found = items([self.about(Some(period), &more)]);
        for cut in cuts {
            let (sums, own_ms) = self.sums_of(cut);
            let ratios = ratios(&sums);
            let filtered = self.area.is_some() || self.product.is_some();
            let amount = |line: &&Line| self.amount(line, &self.own_of(line, cut));
            let item = json!({"from": rfc3339(cut.from), "to": rfc3339(cut.to), "buckets_ms": buckets(&sums),
                "outside_ms": own_ms - sums.buckets.iter().sum::<Ms>(),
                "pieces": {"total": sums.total, "good": sums.good, "reject": sums.reject,
                    "outside_pbt": sums.outside_pbt},
                "quantity": filtered.then(|| self.lines.iter().map(amount).sum::<i64>()),
                "ideal_ns": sums.ideal_ns, "stops": sums.stops, "micro_stops": sums.micro_stops,
                "availability": ratios.availability, "performance": ratios.performance,
                "quality": ratios.quality, "oee": ratios.oee});
            found.insert(rfc3339(cut.from), item);
        }
        found.extend(stops.into_iter().take(500).map(|stop| (stop.downtime_id.clone(), json!({"stop": stop}))));
        found
    }

    pub(super) fn comparison(&self) -> Items {
        let Some(period) = self.charted() else { return items([self.about(None, &json!({}))]) };
        let (interval, cuts) = self.cuts(period, 1);
        let mut found = items([self.about(Some(period), &json!({"interval": interval.as_str()}))]);
        for cut in cuts {
            let mut counts = Counts::default();
            for line in &self.lines {
                let own = self.own_of(line, cut);
                self.pieces(line, &own).for_each(|(_, part, quantity)| counts.add(part, quantity));
            }
            let mut item = counts.told();
            item.insert("from".to_owned(), rfc3339(cut.from).into());
            item.insert("to".to_owned(), rfc3339(cut.to).into());
            found.insert(rfc3339(cut.from), item.into());
        }
        found
    }

    pub(super) fn timeline(&self) -> Items {
        let Some(period) = self.charted() else { return items([self.about(None, &json!({}))]) };
        let (interval, cuts) = self.cuts(period, self.lines.len());
        let mut found = items([self.about(Some(period), &json!({"interval": interval.as_str()}))]);
        for line in &self.lines {
            for cut in &cuts {
                let sums = line.sums(self.own_of(line, *cut));
                if sums.buckets.iter().sum::<Ms>() > 0 {
                    let item = json!({"line": line.spec.name, "title": line.spec.title, "from": rfc3339(cut.from),
                        "to": rfc3339(cut.to), "buckets_ms": buckets(&sums)});
                    found.insert(format!("{}/{}", line.spec.name, rfc3339(cut.from)), item);
                }
            }
        }
        found
    }

    pub(super) fn hours(&self) -> Items {
        let period = whole_minutes(self.span);
        let zone = TimeZone::get(&self.truth.spec.tenant.time_zone).expect("a zone");
        let mut found = items([self.about(Some(period), &json!({}))]);
        for cut in Interval::Hour.cut(period, &zone, 2_000).expect("few enough") {
            let plan = |line: &&Line| {
                let pieces_per_ms = 1e6 / line.config.ideal_cycle_ns? as f64 * line.spec.oee_target?;
                let own = self.own_of(line, cut).into_iter();
                let slots = own.flat_map(|span| line.config.calendar.slots(span));
                let scheduled = slots.filter(|slot| slot.schedule == Schedule::Scheduled);
                Some(scheduled.map(|slot| slot.span.len()).sum::<Ms>() as f64 * pieces_per_ms)
            };
            let (sums, own_ms) = self.sums_of(cut);
            let mut plans = self.lines.iter().map(plan);
            let item = json!({"from": rfc3339(cut.from), "to": rfc3339(cut.to), "actual": sums.good,
                "plan": plans.try_fold(0.0, |sum, plan| Some(sum + plan?)),
                "buckets_ms": buckets(&sums), "outside_ms": own_ms - sums.buckets.iter().sum::<Ms>(),
                "oee": ratios(&sums).oee});
            found.insert(rfc3339(cut.from), item);
        }
        found
    }
}

fn whole_minutes(span: Span) -> Span {
    let up = (span.to + MINUTE_MS - 1).div_euclid(MINUTE_MS) * MINUTE_MS;
    Span::new(span.from.div_euclid(MINUTE_MS) * MINUTE_MS, up)
}

fn buckets(sums: &Sums) -> Value {
    json!({"unscheduled": sums.bucket(Bucket::Unscheduled), "planned_stop": sums.bucket(Bucket::PlannedStop),
        "no_data": sums.bucket(Bucket::NoData), "running": sums.bucket(Bucket::Running),
        "micro_stop": sums.bucket(Bucket::MicroStop), "stopped": sums.bucket(Bucket::Stopped)})
}
