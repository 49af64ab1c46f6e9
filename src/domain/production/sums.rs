//! The sums that every figure is made of: integers that add up over any periods and lines.

use std::ops::{AddAssign, SubAssign};

use serde::{Deserialize, Serialize};

use crate::domain::time::Ms;

/// Where a millisecond of a line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    Unscheduled = 0,
    PlannedStop = 1,
    NoData = 2,
    Running = 3,
    MicroStop = 4,
    Stopped = 5,
}

impl Bucket {
    pub const ALL: [Bucket; 6] =
        [Bucket::Unscheduled, Bucket::PlannedStop, Bucket::NoData, Bucket::Running, Bucket::MicroStop, Bucket::Stopped];

    /// The word in shapes, topics, tables and screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Bucket::Unscheduled => "unscheduled",
            Bucket::PlannedStop => "planned_stop",
            Bucket::NoData => "no_data",
            Bucket::Running => "running",
            Bucket::MicroStop => "micro_stop",
            Bucket::Stopped => "stopped",
        }
    }
}

/// Additive facts of a period. Two periods' sums add to the sums of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Milliseconds by [`Bucket`].
    pub buckets: [Ms; 6],
    /// Actual production time: running, plus micro-stops where the policy has them on the performance side.
    pub apt_ms: Ms,
    /// Pieces of the quality basis' total, whole period.
    pub total: i64,
    /// Good pieces, whole period.
    pub good: i64,
    /// Pieces in reject areas, whole period, whatever the basis.
    pub reject: i64,
    /// The part of `total` in unscheduled, break and no-data time.
    pub outside_pbt: i64,
    /// The part of `good` in unscheduled, break and no-data time.
    pub good_outside: i64,
    /// Σ quantity × ideal cycle, in nanoseconds, of the pieces that P runs over, without those outside PBT.
    pub ideal_ns: i64,
    /// Pieces seen in any counted area and inside PBT, whatever the basis: tells "no piece" from "none counted".
    pub seen: i64,
    /// Pieces inside PBT that P runs over but that have no ideal cycle: with any, P is null.
    pub without_cycle: i64,
    /// Pieces counted under a basis that does not measure quality.
    pub unmeasured: i64,
    /// Stops that start in the period and are not planned, whatever the kind of their reason.
    pub stops: i64,
    /// Micro-stops that start in the period.
    pub micro_stops: i64,
}

/// Numbers in [`Sums`].
pub const FIELDS: usize = 18;

impl Sums {
    /// Every number, in the order of tables and stored slices: it never changes, new ones come last.
    pub fn to_fields(&self) -> [i64; FIELDS] {
        let [unscheduled, planned, no_data, running, micro, stopped] = self.buckets;
        [
            unscheduled,
            planned,
            no_data,
            running,
            micro,
            stopped,
            self.apt_ms,
            self.total,
            self.good,
            self.reject,
            self.outside_pbt,
            self.good_outside,
            self.ideal_ns,
            self.seen,
            self.without_cycle,
            self.unmeasured,
            self.stops,
            self.micro_stops,
        ]
    }

    /// The sums of [`Sums::to_fields`].
    pub fn from_fields(fields: [i64; FIELDS]) -> Sums {
        let [b0, b1, b2, b3, b4, b5, apt_ms, total, good, reject, outside_pbt, good_outside, rest @ ..] = fields;
        let [ideal_ns, seen, without_cycle, unmeasured, stops, micro_stops] = rest;
        Sums {
            buckets: [b0, b1, b2, b3, b4, b5],
            apt_ms,
            total,
            good,
            reject,
            outside_pbt,
            good_outside,
            ideal_ns,
            seen,
            without_cycle,
            unmeasured,
            stops,
            micro_stops,
        }
    }

    pub fn bucket(&self, bucket: Bucket) -> Ms {
        self.buckets[bucket as usize]
    }

    /// Planned busy time: running + micro_stop + stopped.
    pub fn pbt_ms(&self) -> Ms {
        self.bucket(Bucket::Running) + self.bucket(Bucket::MicroStop) + self.bucket(Bucket::Stopped)
    }

    /// All six buckets.
    pub fn accounted_ms(&self) -> Ms {
        self.buckets.iter().sum()
    }

    /// Whether nothing is in it.
    pub fn is_zero(&self) -> bool {
        *self == Sums::default()
    }
}

impl AddAssign<&Sums> for Sums {
    fn add_assign(&mut self, other: &Sums) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.apt_ms += other.apt_ms;
        self.total += other.total;
        self.good += other.good;
        self.reject += other.reject;
        self.outside_pbt += other.outside_pbt;
        self.good_outside += other.good_outside;
        self.ideal_ns += other.ideal_ns;
        self.seen += other.seen;
        self.without_cycle += other.without_cycle;
        self.unmeasured += other.unmeasured;
        self.stops += other.stops;
        self.micro_stops += other.micro_stops;
    }
}

impl SubAssign<&Sums> for Sums {
    fn sub_assign(&mut self, other: &Sums) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine -= theirs;
        }
        self.apt_ms -= other.apt_ms;
        self.total -= other.total;
        self.good -= other.good;
        self.reject -= other.reject;
        self.outside_pbt -= other.outside_pbt;
        self.good_outside -= other.good_outside;
        self.ideal_ns -= other.ideal_ns;
        self.seen -= other.seen;
        self.without_cycle -= other.without_cycle;
        self.unmeasured -= other.unmeasured;
        self.stops -= other.stops;
        self.micro_stops -= other.micro_stops;
    }
}
