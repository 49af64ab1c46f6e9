//! When the line moves. Running time counts only while it does; stretches of it map to wall time.
//!
//! Outside shifts and in breaks the line stands. Else it runs until the next halt is due, by chance: a micro-stop every
//! few minutes, a stop every hour or so, a changeover every few hours where there is more than one product.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Made;
use super::chance::Chance;
use crate::config::tenant::TenantSpec;
use crate::domain::calendar::{Calendar, Schedule};
use crate::domain::production::config::{LineConfig, ReasonKind};
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};

/// Mean running time between halts of each kind.
const BETWEEN_MICRO_STOPS: Ms = 7 * MINUTE_MS;
const BETWEEN_STOPS: Ms = 50 * MINUTE_MS;
const BETWEEN_CHANGEOVERS: Ms = 3 * HOUR_MS;
/// Share of stops that were planned: cleaning, maintenance.
const PLANNED: f64 = 0.12;
/// A calendar that schedules nothing for so long never does.
const LONGEST_CALM: Ms = 3 * 366 * 24 * HOUR_MS;
/// Halts remembered for those who give reasons.
const REMEMBERED: usize = 10_000;

/// Why the line stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HaltKind {
    Stop,
    Changeover,
}

/// A stop as the people of the plant know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    pub span: Span,
    pub kind: HaltKind,
    /// Code of the tenant's reason for it; none where the file has none that fits.
    pub reason_code: Option<Arc<str>>,
}

/// An instant of running time.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Wall time.
    pub at: Ms,
    pub made: Made,
    /// Of the ideal rate; below 1 most of the time.
    pub speed: f64,
}

/// A stretch in which the line runs.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: f64,
    to: f64,
    at: Ms,
    made: Made,
    speed: f64,
}

#[derive(Debug)]
pub struct Timeline {
    chance: Chance,
    calendar: Arc<Calendar>,
    products: Vec<Made>,
    product: usize,
    speed: f64,
    micro_stop: (Ms, Ms),
    shortest_stop: Ms,
    unplanned: Vec<Arc<str>>,
    planned: Vec<Arc<str>>,
    changeover: Vec<Arc<str>>,
    /// Up to where it is decided what the line does.
    decided: Ms,
    micro_stop_due: Ms,
    stop_due: Ms,
    changeover_due: Ms,
    runs: VecDeque<Run>,
    halts: VecDeque<Halt>,
}

/// Reasons that can be given: those of a kind that are nobody's parent.
fn reasons(spec: &TenantSpec, kind: ReasonKind) -> Vec<Arc<str>> {
    let is_heading = |code: &str| spec.reasons.iter().any(|reason| reason.parent.as_deref() == Some(code));
    let fits = spec.reasons.iter().filter(|reason| reason.kind == kind && !is_heading(&reason.code));
    fits.map(|reason| Arc::from(reason.code.as_str())).collect()
}

// === impl Timeline ===

impl Timeline {
    pub fn new(spec: &TenantSpec, config: &LineConfig, products: Vec<Made>, start: Ms, mut chance: Chance) -> Timeline {
        let threshold = config.downtime_threshold_ms;
        let shortest = config.micro_stop_threshold_ms.unwrap_or(threshold / 10).max(1) * 5 / 4;
        let product = chance.between(0, products.len() as Ms - 1) as usize;
        let speed = chance.uniform(0.84, 0.98);
        Timeline {
            calendar: config.calendar.clone(),
            product,
            speed,
            micro_stop: (shortest, (threshold * 3 / 4).max(shortest)),
            shortest_stop: threshold + threshold / 4 + 1000,
            unplanned: reasons(spec, ReasonKind::Unplanned),
            planned: reasons(spec, ReasonKind::Planned),
            changeover: reasons(spec, ReasonKind::Changeover),
            decided: start,
            micro_stop_due: start + chance.until(BETWEEN_MICRO_STOPS),
            stop_due: start + chance.until(BETWEEN_STOPS),
            changeover_due: if products.len() > 1 { start + chance.until(BETWEEN_CHANGEOVERS) } else { Ms::MAX },
            products,
            chance,
            runs: VecDeque::new(),
            halts: VecDeque::new(),
        }
    }

    /// Where running time `run` lies; none when the line never runs so long. Not before what was forgotten.
    pub fn find(&mut self, run: f64) -> Option<Spot> {
        while self.runs.back().is_none_or(|last| last.to <= run) {
            self.decide()?;
        }
        let index = self.runs.partition_point(|stretch| stretch.to <= run);
        let stretch = self.runs.get(index)?;
        let at = stretch.at + (run - stretch.from).max(0.0) as Ms;
        Some(Spot { at, made: stretch.made, speed: stretch.speed })
    }

    /// Stretches that end before `run` are not asked for again.
    pub fn forget_before(&mut self, run: f64) {
        while self.runs.front().is_some_and(|first| first.to < run) {
            self.runs.pop_front();
        }
    }

    /// In the order of time, those taken before left out.
    pub fn halts(&self) -> impl Iterator<Item = &Halt> {
        self.halts.iter()
    }

    /// The next halt that is over at `at`.
    pub fn take_halt(&mut self, at: Ms) -> Option<Halt> {
        self.halts.pop_front_if(|halt| halt.span.to <= at)
    }

    /// Decides the next stretch, or none if the line never runs again.
    fn decide(&mut self) -> Option<()> {
        let calm_since = self.decided;
        loop {
            let slot = self.calendar.slot(self.decided);
            if slot.schedule != Schedule::Scheduled {
                if slot.span.to.saturating_sub(calm_since) > LONGEST_CALM {
                    return None;
                }
                // People take their places first.
                let begins = slot.span.to + self.chance.between(5_000, 90_000);
                self.postpone(begins - self.decided);
                self.decided = begins;
                continue;
            }
            let due = self.micro_stop_due.min(self.stop_due).min(self.changeover_due);
            if due <= self.decided {
                self.halt();
                continue;
            }
            let until = due.min(slot.span.to);
            let from = self.runs.back().map_or(0.0, |last| last.to);
            let to = from + (until - self.decided) as f64;
            let made = self.products[self.product];
            self.runs.push_back(Run { from, to, at: self.decided, made, speed: self.speed });
            self.decided = until;
            return Some(());
        }
    }

    /// Nothing wears while the line stands by the calendar.
    fn postpone(&mut self, by: Ms) {
        for due in [&mut self.micro_stop_due, &mut self.stop_due, &mut self.changeover_due] {
            *due = due.saturating_add(by);
        }
    }

    /// The halt that is due.
    fn halt(&mut self) {
        let from = self.decided;
        if self.changeover_due <= from {
            let length = self.chance.length(11 * MINUTE_MS, 0.4, 4 * MINUTE_MS..=25 * MINUTE_MS);
            let reason = self.chance.pick(&self.changeover).cloned();
            self.stand(length.max(self.shortest_stop), HaltKind::Changeover, reason);
            let step = self.chance.between(1, (self.products.len() as Ms - 1).max(1)) as usize;
            self.product = (self.product + step) % self.products.len();
            self.changeover_due = self.decided + self.chance.until(BETWEEN_CHANGEOVERS);
        } else if self.stop_due <= from {
            let planned = !self.planned.is_empty() && self.chance.happens(PLANNED);
            let (reasons, median) = if planned { (&self.planned, 12) } else { (&self.unplanned, 3) };
            let reason = self.chance.pick(reasons).cloned();
            let length = self.chance.length(median * MINUTE_MS, 0.9, self.shortest_stop..=self.shortest_stop + HOUR_MS);
            self.stand(length, HaltKind::Stop, reason);
            self.stop_due = self.decided + self.chance.until(BETWEEN_STOPS);
        } else {
            self.decided += self.chance.between(self.micro_stop.0, self.micro_stop.1);
        }
        // A longer halt swallows the micro-stops that would have come in it.
        if self.micro_stop_due <= self.decided {
            self.micro_stop_due = self.decided + self.chance.until(BETWEEN_MICRO_STOPS);
        }
    }

    fn stand(&mut self, length: Ms, kind: HaltKind, reason_code: Option<Arc<str>>) {
        let span = Span::new(self.decided, self.decided + length);
        self.decided = span.to;
        self.speed = self.chance.uniform(0.84, 0.98);
        if self.halts.len() == REMEMBERED {
            self.halts.pop_front();
        }
        self.halts.push_back(Halt { span, kind, reason_code });
    }
}
