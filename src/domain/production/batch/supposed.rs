//! What would have been under another configuration, beside what was.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;

use super::BatchInput;
use super::figures::{by_calendar, frame};
use super::passage::Passage;
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::Detection;
use crate::domain::production::figure::{Figure, Window};
use crate::domain::production::input::LineInput;
use crate::domain::production::stop::Stop;
use crate::domain::production::sums::Sums;
use crate::domain::time::{Ms, Span};

/// Stops that are listed of each kind; beyond that they are counted.
pub const LISTED: usize = 100;

/// A figure as it is and as it would have been.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Both {
    pub before: Figure,
    pub after: Figure,
}

/// What the milliseconds of a business date within the period come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Day {
    /// By the calendar that was in force.
    pub date: Date,
    pub before: Figure,
    pub after: Figure,
}

/// So many stops, the first of them listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Listed {
    pub count: u64,
    /// By start, at most [`LISTED`].
    pub items: Vec<Stop>,
}

/// Stops of the period that are not the same before and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StopChanges {
    /// Not there before.
    pub appearing: Listed,
    /// Not there after.
    pub vanishing: Listed,
    /// How many are there both times and end elsewhere, or are planned in one only.
    pub changed: u64,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub days: Vec<Day>,
    pub total: Both,
    pub stops: StopChanges,
}

/// Two ways through the same stretches: with the versions that were saved, and with what is supposed.
#[derive(Clone, Debug)]
pub struct Supposition {
    line: String,
    period: Span,
    dates: Vec<Date>,
    before: Side,
    after: Side,
    changes: StopChanges,
}

#[derive(Clone, Debug)]
struct Side {
    passage: Passage,
    /// By start; told by this side, and not yet compared.
    stops: BTreeMap<Ms, Stop>,
}

/// Milliseconds of the period by the business date that the calendars in force give them.
fn days(passage: &Passage, period: Span) -> Vec<(Date, Vec<Span>)> {
    let versions = passage.versions();
    let date = |at: Ms| versions.at(at).calendar.slot(at).date;
    // A version may begin in the midst of a night shift: then dates do not come one after the other.
    let (first, last) = (date(period.from), date(period.to - 1));
    let first = first.yesterday().unwrap_or(first);
    let last = last.tomorrow().unwrap_or(last);
    let own = |date: &Date| -> Vec<Span> {
        let spans = by_calendar(versions, |calendar| calendar.day(*date));
        spans.into_iter().filter_map(|span| span.intersect(&period)).collect()
    };
    let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(|date| *date <= last);
    dates.map(|date| (date, own(&date))).filter(|(_, own)| !own.is_empty()).collect()
}

// === impl BatchInput ===

impl BatchInput {
    /// The same stored inputs, as if `config` had been saved to hold from its `valid_from` on: versions that began then
    /// or later, by what the line recorded where it did, never were.
    #[must_use]
    pub fn supposing(mut self, config: LineConfig) -> Self {
        let recorded = |version: u32| {
            self.inputs.iter().rev().find_map(|input| match input {
                LineInput::Version { version: of, at } if *of == version => Some(*at),
                _ => None,
            })
        };
        let began = |saved: &LineConfig| recorded(saved.version).unwrap_or(saved.valid_from);
        let configs: Vec<LineConfig> =
            self.configs.iter().filter(|saved| began(saved) < config.valid_from).cloned().collect();
        self.configs = configs;
        self.inputs.retain(|input| !matches!(input, LineInput::Version { version, .. } if *version == config.version));
        self.configs.push(config);
        self
    }
}

// === impl Supposition ===

impl Supposition {
    /// What `period`, which is not empty, would have been with `config` from its `valid_from` on. `words` has the
    /// versions that were saved and all inputs but statuses and timers, and no detections.
    ///
    /// # Panics
    /// On words without a configuration.
    pub fn new(words: BatchInput, config: LineConfig, period: Span) -> Self {
        let line = words.line.clone();
        let undivided = Passage::new(words.clone(), period, Vec::new());
        let days = days(&undivided, period);
        let (dates, parts): (Vec<Date>, Vec<Vec<Span>>) = days.into_iter().unzip();
        let side = |input| Side { passage: Passage::new(input, period, parts.clone()), stops: BTreeMap::new() };
        let (before, after) = (side(words.clone()), side(words.supposing(config)));
        Self { line, period, dates, before, after, changes: StopChanges::default() }
    }

    /// The areas whose detections are exits before or after, with when: what is asked for from the end on to find
    /// where the stretches have to begin, which is at the earlier of the last exits of both.
    pub fn exit_areas(&self, span: Span) -> [Vec<(Span, Vec<i32>)>; 2] {
        [&self.before, &self.after].map(|side| {
            let stretches = side.passage.versions().stretches(span).into_iter().rev();
            let areas = |config: &LineConfig| {
                config.areas.iter().map(|area| area.id).filter(|area| config.is_exit(*area)).collect()
            };
            stretches.map(|(span, config)| (span, areas(config))).collect()
        })
    }

    /// Whose signs of life before the stretches count: the exit cameras of all versions.
    pub fn cameras(&self) -> BTreeSet<i32> {
        let sides = [&self.before, &self.after].into_iter();
        sides.flat_map(|side| side.passage.cameras()).collect()
    }

    /// The longest silence that any version allows a camera; 0: none demands heartbeats.
    pub fn heartbeat_ms(&self) -> Ms {
        self.before.passage.heartbeat_ms().max(self.after.passage.heartbeat_ms())
    }

    /// Takes a stretch in, after which everything before `until` is told.
    /// `until` is the line clock at most.
    pub fn take(&mut self, detections: &[Detection], statuses: &[LineInput], until: Ms) {
        for side in [&mut self.before, &mut self.after] {
            let settled = side.passage.take(detections, statuses, until);
            side.stops.extend(settled.into_iter().map(|stop| (stop.started_at, stop)));
        }
        self.compare(self.before.passage.settled().min(self.after.passage.settled()));
    }

    /// Whether nothing that could still be told would change the answer.
    pub fn is_through(&self) -> bool {
        self.before.passage.is_through() && self.after.passage.is_through()
    }

    /// Detections and inputs that are held because no exit has settled them yet.
    pub fn held(&self) -> usize {
        self.before.passage.held() + self.after.passage.held()
    }

    /// The answer, once the stretches have come to the line clock or the period is through.
    pub fn end(mut self, clock: Ms) -> Comparison {
        for side in [&mut self.before, &mut self.after] {
            let settled = side.passage.end(clock);
            side.stops.extend(settled.into_iter().map(|stop| (stop.started_at, stop)));
        }
        self.compare(Ms::MAX);
        let [before, after] = [&self.before, &self.after].map(|side| {
            let figure = |window, own: &[Span], sums: &Sums| {
                Figure::new(frame(&self.line, side.passage.versions(), window, own, Some(clock)), sums)
            };
            let days: Vec<Figure> =
                side.passage.parts().map(|(own, sums)| figure(Window::BusinessDay, own, sums)).collect();
            (days, figure(Window::Range, &[self.period], side.passage.whole()))
        });
        let days = self.dates.into_iter().zip(before.0.into_iter().zip(after.0));
        let days = days.map(|(date, (before, after))| Day { date, before, after }).collect();
        Comparison { days, total: Both { before: before.1, after: after.1 }, stops: self.changes }
    }

    /// Compares the stops that start before `to`, which both sides know.
    fn compare(&mut self, to: Ms) {
        let taken = |side: &mut Side| {
            let rest = side.stops.split_off(&to);
            std::mem::replace(&mut side.stops, rest)
        };
        let (mut before, after) = (taken(&mut self.before), taken(&mut self.after));
        for (start, stop) in after {
            match before.remove(&start) {
                None => self.changes.appearing.note(stop),
                Some(was) => {
                    let is_same = (was.ended_at, was.planned) == (stop.ended_at, stop.planned);
                    self.changes.changed += u64::from(!is_same);
                }
            }
        }
        for stop in before.into_values() {
            self.changes.vanishing.note(stop);
        }
    }
}

// === impl Listed ===

impl Listed {
    fn note(&mut self, stop: Stop) {
        self.count += 1;
        if self.items.len() < LISTED {
            self.items.push(stop);
        }
    }
}
