//! What else can be said of sums: TEEP, OOE, MTBF, MTTR, and where the time went.
//!
//! All of it reads the same sums as the figure, so every index agrees with the OEE beside it: the three losses, and
//! the six big ones, add up to PBT · (1 − OEE). Formulas: Nakajima's six big losses; TEEP and OOE as OEE of the
//! whole time and of the time without what is unscheduled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::production::config::ReasonKind;
use crate::domain::production::figure::ratios;
use crate::domain::production::sums::{Bucket, Sums};
use crate::domain::time::Ms;

const NS_PER_MS: i128 = 1_000_000;

/// Of the six big losses, the one that a reason belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossCategory {
    Breakdown,
    Setup,
    Idling,
    Speed,
    Defect,
    Startup,
}

/// Indices of a period. Null where OEE is null, or where nothing was counted to divide by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Indices {
    /// OEE · PBT / (the period without what is outside).
    pub teep: Option<f64>,
    /// OEE · PBT / (PBT + planned stops).
    pub ooe: Option<f64>,
    /// Mean time between failures in ms: APT / stops.
    pub mtbf_ms: Option<f64>,
    /// Mean time to repair in ms: stopped / stops.
    pub mttr_ms: Option<f64>,
    pub losses: Losses,
}

/// Time lost, by the factor that it lowers, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Losses {
    /// PBT − APT.
    pub availability_ms: Ms,
    /// Speed loss: APT − Σ ideal. Negative where the standard is too low; null without an ideal cycle.
    pub performance_ms: Option<f64>,
    /// Σ ideal of what was not good. Null without an ideal cycle, and where pieces have no total.
    pub quality_ms: Option<f64>,
}

/// Losses in pieces that the line would have made in that time at its ideal cycle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LostPieces {
    pub availability: f64,
    pub performance: Option<f64>,
    pub quality: Option<f64>,
}

/// The six big losses in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SixLosses {
    /// Stops without another category.
    pub breakdown_ms: f64,
    pub setup_ms: f64,
    /// Micro-stops, and stops of that category.
    pub idling_ms: f64,
    /// What running took longer than ideal, and stops of that category.
    pub speed_ms: f64,
    /// Ideal time of bad pieces, and stops of that category.
    pub defect_ms: f64,
    /// Ideal time of bad pieces during stops of that category, and those stops.
    pub startup_ms: f64,
}

/// The category of a stop: the reason's own, else by its kind; a stop without a reason is a breakdown.
pub fn category(kind: ReasonKind, given: Option<LossCategory>) -> LossCategory {
    given.unwrap_or(match kind {
        ReasonKind::Changeover => LossCategory::Setup,
        ReasonKind::Unplanned | ReasonKind::Planned => LossCategory::Breakdown,
    })
}

fn divide(above: i128, below: i128) -> Option<f64> {
    (below != 0).then(|| above as f64 / below as f64)
}

fn total_and_good(sums: &Sums) -> (i128, i128) {
    (i128::from(sums.total - sums.outside_pbt), i128::from(sums.good - sums.good_outside))
}

/// OEE · PBT / `whole`.
fn oee_over(sums: &Sums, whole: Ms) -> Option<f64> {
    if ratios(sums).oee? == 0.0 {
        return Some(0.0);
    }
    let (total, good) = total_and_good(sums);
    divide(i128::from(sums.ideal_ns) * good, i128::from(whole) * NS_PER_MS * total)
}

// === impl Indices ===

impl Indices {
    pub fn new(sums: &Sums) -> Self {
        let stops = i128::from(sums.stops);
        Self {
            teep: oee_over(sums, sums.accounted_ms()),
            ooe: oee_over(sums, sums.pbt_ms() + sums.bucket(Bucket::PlannedStop)),
            mtbf_ms: divide(i128::from(sums.apt_ms), stops),
            mttr_ms: divide(i128::from(sums.bucket(Bucket::Stopped)), stops),
            losses: Losses::new(sums),
        }
    }
}

// === impl Losses ===

impl Losses {
    pub fn new(sums: &Sums) -> Self {
        let ideal = i128::from(sums.ideal_ns);
        let (total, good) = total_and_good(sums);
        let known = sums.without_cycle == 0;
        let bad = if sums.seen == 0 { Some(0.0) } else { divide(ideal * (total - good), total * NS_PER_MS) };
        Self {
            availability_ms: sums.pbt_ms() - sums.apt_ms,
            performance_ms: divide(i128::from(sums.apt_ms) * NS_PER_MS - ideal, NS_PER_MS).filter(|_| known),
            quality_ms: bad.filter(|_| known),
        }
    }

    /// In pieces of an ideal cycle in nanoseconds, which must be positive.
    pub fn in_pieces(&self, cycle_ns: i64) -> LostPieces {
        let pieces = |ms: f64| ms * NS_PER_MS as f64 / cycle_ns as f64;
        LostPieces {
            availability: pieces(self.availability_ms as f64),
            performance: self.performance_ms.map(pieces),
            quality: self.quality_ms.map(pieces),
        }
    }
}

// === impl SixLosses ===

impl SixLosses {
    /// The six losses of a period, from its sums and, by category, the sums over its unplanned stops; a category that
    /// is left out is taken as breakdown. None without an ideal cycle, and where pieces have no total.
    pub fn new(sums: &Sums, by_category: &BTreeMap<LossCategory, Sums>) -> Option<Self> {
        let quality_ms = Losses::new(sums).quality_ms?;
        let of = |category: LossCategory| by_category.get(&category).copied().unwrap_or_default();
        let stopped_for = |category: LossCategory| of(category).bucket(Bucket::Stopped) as f64;

        let (total, good) = total_and_good(sums);
        let (startup_total, startup_good) = total_and_good(&of(LossCategory::Startup));
        let startup_share = divide(startup_total - startup_good, total - good).unwrap_or(0.0);
        let running_ms = sums.bucket(Bucket::Running) as f64;
        let ideal_ms = sums.ideal_ns as f64 / NS_PER_MS as f64;

        let others = [LossCategory::Setup, LossCategory::Idling, LossCategory::Speed];
        let others = others.into_iter().chain([LossCategory::Defect, LossCategory::Startup]);
        Some(Self {
            breakdown_ms: sums.bucket(Bucket::Stopped) as f64 - others.map(stopped_for).sum::<f64>(),
            setup_ms: stopped_for(LossCategory::Setup),
            idling_ms: sums.bucket(Bucket::MicroStop) as f64 + stopped_for(LossCategory::Idling),
            speed_ms: running_ms - ideal_ms + stopped_for(LossCategory::Speed),
            defect_ms: quality_ms * (1.0 - startup_share) + stopped_for(LossCategory::Defect),
            startup_ms: quality_ms * startup_share + stopped_for(LossCategory::Startup),
        })
    }

    /// All six: PBT · (1 − OEE).
    pub fn total_ms(&self) -> f64 {
        self.breakdown_ms + self.setup_ms + self.idling_ms + self.speed_ms + self.defect_ms + self.startup_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::production::batch::recompute;
    use crate::domain::production::testkit::scenarios;
    use crate::domain::time::{MINUTE_MS, Span};

    const MINUTE_NS: i64 = MINUTE_MS * 1_000_000;

    /// 480 min: 30 min of setup, 50 of a breakdown, 400 running; 700 pieces of 30 s, 100 of them bad.
    fn day() -> Sums {
        let mut sums = Sums { apt_ms: 400 * MINUTE_MS, total: 700, good: 600, seen: 700, stops: 2, ..Sums::default() };
        sums.buckets[Bucket::Running as usize] = 400 * MINUTE_MS;
        sums.buckets[Bucket::Stopped as usize] = 80 * MINUTE_MS;
        sums.ideal_ns = 350 * MINUTE_NS;
        sums
    }

    fn stopped(minutes: Ms) -> Sums {
        let mut sums = Sums::default();
        sums.buckets[Bucket::Stopped as usize] = minutes * MINUTE_MS;
        sums
    }

    #[test]
    fn six_losses_of_the_worked_example() {
        let startup = Sums { total: 40, good: 0, ..Sums::default() };
        let by_category = [(LossCategory::Setup, stopped(30)), (LossCategory::Startup, startup)].into();
        let losses = SixLosses::new(&day(), &by_category).expect("a cycle");
        let minutes = |ms: f64| (ms / MINUTE_MS as f64 * 1e6).round() / 1e6;
        assert_eq!((minutes(losses.breakdown_ms), minutes(losses.setup_ms)), (50.0, 30.0));
        assert_eq!((minutes(losses.idling_ms), minutes(losses.speed_ms)), (0.0, 50.0));
        assert_eq!((minutes(losses.defect_ms), minutes(losses.startup_ms)), (30.0, 20.0));
    }

    #[test]
    fn losses_in_time_and_in_pieces() {
        let losses = Indices::new(&day()).losses;
        assert_eq!(losses.availability_ms, 80 * MINUTE_MS);
        assert_eq!(losses.performance_ms, Some((50 * MINUTE_MS) as f64));
        assert_eq!(losses.quality_ms, Some((50 * MINUTE_MS) as f64));
        let pieces = losses.in_pieces(MINUTE_NS / 2);
        assert_eq!((pieces.availability, pieces.performance, pieces.quality), (160.0, Some(100.0), Some(100.0)));
    }

    #[test]
    fn mean_times_are_null_without_a_stop() {
        let indices = Indices::new(&day());
        assert_eq!(indices.mtbf_ms, Some((200 * MINUTE_MS) as f64));
        assert_eq!(indices.mttr_ms, Some((40 * MINUTE_MS) as f64));
        let none = Indices::new(&Sums { stops: 0, ..day() });
        assert_eq!((none.mtbf_ms, none.mttr_ms), (None, None));
    }

    #[test]
    fn the_wider_the_time_the_lower_the_index() {
        let mut sums = day();
        sums.buckets[Bucket::PlannedStop as usize] = 120 * MINUTE_MS;
        sums.buckets[Bucket::Unscheduled as usize] = 600 * MINUTE_MS;
        let indices = Indices::new(&sums);
        assert_eq!((ratios(&sums).oee, indices.ooe, indices.teep), (Some(0.625), Some(0.5), Some(0.25)));
    }

    #[test]
    fn nothing_is_known_without_an_ideal_cycle() {
        let sums = Sums { without_cycle: 1, ..day() };
        let indices = Indices::new(&sums);
        assert_eq!((indices.teep, indices.ooe), (None, None));
        assert_eq!((indices.losses.performance_ms, indices.losses.quality_ms), (None, None));
        assert_eq!(SixLosses::new(&sums, &BTreeMap::new()), None);
    }

    #[test]
    fn a_reason_without_a_category_goes_by_its_kind() {
        assert_eq!(category(ReasonKind::Changeover, None), LossCategory::Setup);
        assert_eq!(category(ReasonKind::Unplanned, None), LossCategory::Breakdown);
        assert_eq!(category(ReasonKind::Changeover, Some(LossCategory::Startup)), LossCategory::Startup);
    }

    proptest! {
        #[test]
        fn six_losses_are_what_oee_lacks(scenario in scenarios(60)) {
            let ledger = recompute(&scenario.batch_input());
            let period = Span::new(ledger.first.unwrap_or(0), ledger.clock.unwrap_or(0) + 1);
            let sums = ledger.sums(period);
            let mut by_category: BTreeMap<LossCategory, Sums> = BTreeMap::new();
            for (stop, category) in ledger.stops_in(period).filter(|stop| !stop.planned).zip([
                LossCategory::Setup, LossCategory::Startup, LossCategory::Idling, LossCategory::Breakdown,
            ].into_iter().cycle()) {
                let own = Span::new(stop.started_at, stop.started_at + stop.duration_ms);
                *by_category.entry(category).or_default() += &ledger.sums(own);
            }
            let (Some(losses), Some(oee)) = (SixLosses::new(&sums, &by_category), ratios(&sums).oee) else {
                return Ok(());
            };
            let lacking = sums.pbt_ms() as f64 * (1.0 - oee);
            prop_assume!(sums.apt_ms > 0);
            prop_assert!((losses.total_ms() - lacking).abs() < 1.0, "{losses:?} of {lacking}");
        }
    }
}
