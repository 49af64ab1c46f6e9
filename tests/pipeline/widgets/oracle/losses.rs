//! Stops, their reasons, and where the time went.

use std::collections::BTreeMap;

use andon::domain::production::indices::{Indices, Losses};
use andon::domain::production::stop::Stop;
use andon::domain::production::sums::{Bucket, Sums};
use andon::domain::time::Ms;
use serde_json::json;

use super::{Asked, Items, items};

impl<'a> Asked<'a> {
    /// Stops that overlap the period, the newest first.
    pub(super) fn stops_in(&self) -> Vec<&'a Stop> {
        let overlaps =
            |stop: &&Stop| stop.started_at < self.span.to && stop.ended_at.is_none_or(|end| end > self.span.from);
        let is_wanted = |stop: &&Stop| {
            self.shift.as_deref().is_none_or(|shift| stop.shift.as_deref() == Some(shift))
                && self.reason.as_deref().is_none_or(|reason| stop.reason_code.as_deref() == Some(reason))
        };
        let all = self.lines.iter().flat_map(|line| &line.stops);
        let mut found: Vec<&Stop> = all.filter(overlaps).filter(is_wanted).collect();
        found.sort_by_key(|stop| -stop.started_at);
        found
    }

    pub(super) fn stops(&self) -> Items {
        let stops = self.stops_in();
        let mut found = items([self.about(Some(self.span), &json!({"more": stops.len() > 500}))]);
        found.extend(stops.into_iter().take(500).map(|stop| (stop.downtime_id.clone(), json!(stop))));
        found
    }

    pub(super) fn pareto(&self) -> Items {
        let mut groups: BTreeMap<(Option<String>, bool), Vec<Ms>> = BTreeMap::new();
        for stop in self.stops_in() {
            let inside = (stop.started_at + stop.duration_ms).min(self.span.to) - stop.started_at.max(self.span.from);
            if inside > 0 {
                groups.entry((stop.reason_code.clone(), stop.planned)).or_default().push(inside);
            }
        }
        let total: Ms = groups.values().flatten().sum();
        let stops: usize = groups.values().map(Vec::len).sum();
        let mut found = items([self.about(Some(self.span), &json!({"total_ms": total, "stops": stops}))]);
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, lengths)| -lengths.iter().sum::<Ms>());
        let mut cumulative_ms = 0;
        for (place, ((code, planned), lengths)) in groups.into_iter().enumerate() {
            let duration_ms: Ms = lengths.iter().sum();
            cumulative_ms += duration_ms;
            let reason = self.truth.spec.reasons.iter().find(|reason| Some(&reason.code) == code.as_ref());
            let item = json!({"reason_code": code, "name": reason.map(|reason| &reason.name), "planned": planned,
                "stops": lengths.len(), "duration_ms": duration_ms, "longest_ms": lengths.iter().max(),
                "rank": place + 1, "cumulative_ms": cumulative_ms});
            let kind = if planned { "planned" } else { "unplanned" };
            found.insert(format!("{kind}/{}", code.unwrap_or_default()), item);
        }
        found
    }

    pub(super) fn waterfall(&self) -> Items {
        let mut sums = Sums::default();
        self.figures().iter().for_each(|(_, _, of_line, _)| sums += of_line);
        let Indices { teep, ooe, mtbf_ms, mttr_ms, .. } = Indices::new(&sums);
        let losses = Losses::new(&sums);
        let bucket = |bucket| sums.bucket(bucket) as f64;
        let busy = bucket(Bucket::Running) + bucket(Bucket::MicroStop) + bucket(Bucket::Stopped);
        let availability = losses.availability_ms as f64;
        let effective = losses.performance_ms.zip(losses.quality_ms).map(|(p, q)| busy - availability - p - q);
        let more = json!({"teep": teep, "ooe": ooe, "mtbf_ms": mtbf_ms, "mttr_ms": mttr_ms});
        let mut found = items([self.about(Some(self.span), &more)]);
        let steps = [
            ("all", "whole", Some(sums.buckets.iter().sum::<Ms>() as f64)),
            ("unscheduled", "loss", Some(bucket(Bucket::Unscheduled))),
            ("planned_stop", "loss", Some(bucket(Bucket::PlannedStop))),
            ("no_data", "loss", Some(bucket(Bucket::NoData))),
            ("busy", "rest", Some(busy)),
            ("availability", "loss", Some(availability)),
            ("performance", "loss", losses.performance_ms),
            ("quality", "loss", losses.quality_ms),
            ("effective", "rest", effective),
        ];
        for (order, (key, kind, ms)) in steps.into_iter().enumerate() {
            found.insert(key.to_owned(), json!({"order": order, "kind": kind, "ms": ms}));
        }
        found
    }
}
