//! The versions of a line's configuration on one axis: who judges a millisecond.

use std::collections::BTreeMap;

use crate::domain::calendar::{Schedule, ShiftId, Slot};
use crate::domain::production::config::{LineConfig, QualityBasis, Role};
use crate::domain::production::input::LineInput;
use crate::domain::time::{BEGINNING, FOREVER, HOUR_MS, Ms, Span};

/// What a detection in an area counts as, under one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ends a gap.
    pub exit: bool,
    /// Counts in the quality basis' total.
    pub total: bool,
    pub good: bool,
    pub reject: bool,
    /// P runs over it.
    pub ideal: bool,
    /// Counts under a basis that does not measure quality.
    pub unmeasured: bool,
}

impl Counts {
    /// Whether the piece shows in any figure.
    pub fn any(&self) -> bool {
        self.total || self.good || self.reject || self.ideal
    }
}

/// A version, with what the hot path asks of it looked up beforehand.
#[derive(Clone, Debug)]
pub struct Version {
    pub config: LineConfig,
    /// By area id, sorted.
    areas: Vec<(i32, Counts)>,
    /// Cameras of exit areas, sorted.
    pub exit_cameras: Vec<i32>,
    /// By product id, sorted.
    cycles: Vec<(i32, i64)>,
}

impl Version {
    fn new(config: LineConfig) -> Version {
        let areas = count_areas(&config);
        let cycles = config.product_cycles_ns.iter().map(|(id, ns)| (*id, *ns)).collect();
        Version { exit_cameras: config.exit_cameras(), areas, cycles, config }
    }

    /// What an area's detections count as; none: the line does not know the area.
    pub fn counts(&self, area: i32) -> Option<Counts> {
        self.areas.iter().find(|(id, _)| *id == area).map(|(_, counts)| *counts)
    }

    /// Ideal cycle in nanoseconds per piece.
    pub fn cycle_ns(&self, product: i32) -> Option<i64> {
        match self.cycles.binary_search_by_key(&product, |(id, _)| *id) {
            Ok(index) => Some(self.cycles[index].1),
            Err(_) => self.config.ideal_cycle_ns,
        }
    }

    /// A scheduled piece up to this long is running.
    pub fn running_limit(&self) -> Ms {
        self.config.micro_stop_threshold_ms.unwrap_or(self.config.downtime_threshold_ms)
    }
}

fn count_areas(config: &LineConfig) -> Vec<(i32, Counts)> {
    let has = |role: Role| config.areas.iter().any(|a| a.role == role);
    let basis = match config.policy.quality {
        QualityBasis::Auto if has(Role::Reject) => QualityBasis::Auto,
        QualityBasis::InputOutput if has(Role::Input) => QualityBasis::InputOutput,
        _ => QualityBasis::None,
    };
    // Without output areas the pieces are those of the last area that is no reject area.
    let last = config.areas.iter().rev().find(|a| a.role != Role::Reject).map(|a| a.id);
    let mut areas: Vec<(i32, Counts)> = config
        .areas
        .iter()
        .map(|area| {
            let output = if has(Role::Output) { area.role == Role::Output } else { Some(area.id) == last };
            let reject = area.role == Role::Reject;
            let input = area.role == Role::Input;
            let counts = match basis {
                QualityBasis::Auto => Counts { total: output || reject, ideal: output || reject, ..Counts::default() },
                QualityBasis::InputOutput => Counts { total: input, ideal: output, ..Counts::default() },
                QualityBasis::None => Counts { total: output, ideal: output, unmeasured: output, ..Counts::default() },
            };
            (area.id, Counts { exit: config.is_exit(area.id), good: output, reject, ..counts })
        })
        .collect();
    areas.sort_unstable_by_key(|(id, _)| *id);
    areas
}

/// A calendar slot, clipped to the version it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineSlot {
    pub slot: Slot,
    /// Index of the version in force.
    pub version: usize,
}

/// All versions of a line, and the calendar that they make together.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Ascending; the first holds from the beginning.
    versions: Vec<Version>,
    /// The two slots asked for last: consecutive questions are about the same hour.
    recent: [TimelineSlot; 2],
    turn: usize,
}

impl Timeline {
    /// `configs` in any order; the earliest is taken to hold from the beginning.
    pub fn new(mut configs: Vec<LineConfig>) -> Timeline {
        configs.sort_by_key(|c| (c.valid_from, c.version));
        if let Some(first) = configs.first_mut() {
            first.valid_from = BEGINNING;
        }
        let versions: Vec<Version> = configs.into_iter().map(Version::new).collect();
        let nowhere = TimelineSlot {
            slot: Slot {
                span: Span::new(FOREVER, FOREVER),
                schedule: Schedule::Unscheduled,
                shift: None,
                date: jiff::civil::Date::MIN,
            },
            version: 0,
        };
        Timeline { versions, recent: [nowhere.clone(), nowhere], turn: 0 }
    }

    /// The versions of `configs`, each from when `inputs` say that the line took it over.
    pub fn taken_over(mut configs: Vec<LineConfig>, inputs: &[LineInput]) -> Timeline {
        for input in inputs {
            let LineInput::Version { version, at } = input else { continue };
            for config in configs.iter_mut().filter(|config| config.version == *version) {
                config.valid_from = *at;
            }
        }
        Timeline::new(configs)
    }

    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// What each version says, ascending; the first from the beginning.
    pub fn configs(&self) -> Vec<LineConfig> {
        self.versions.iter().map(|version| version.config.clone()).collect()
    }

    /// Index of the version in force at `at`.
    pub fn version_at(&self, at: Ms) -> usize {
        self.versions.partition_point(|v| v.config.valid_from <= at).saturating_sub(1)
    }

    pub fn at(&self, at: Ms) -> &Version {
        &self.versions[self.version_at(at)]
    }

    fn reign(&self, index: usize) -> Span {
        let to = self.versions.get(index + 1).map_or(FOREVER, |next| next.config.valid_from);
        Span::new(self.versions[index].config.valid_from, to)
    }

    /// The slot around `at`, remembered for the next question.
    pub fn slot(&mut self, at: Ms) -> &TimelineSlot {
        if !self.recent[self.turn].slot.span.contains(at) {
            self.turn = 1 - self.turn;
            if !self.recent[self.turn].slot.span.contains(at) {
                self.recent[self.turn] = self.find(at);
            }
        }
        &self.recent[self.turn]
    }

    /// The slot around `at`, without remembering.
    pub fn find(&self, at: Ms) -> TimelineSlot {
        let version = self.version_at(at);
        let mut slot = self.versions[version].config.calendar.slot(at);
        slot.span = slot.span.intersect(&self.reign(version)).unwrap_or(slot.span);
        TimelineSlot { slot, version }
    }

    /// Consecutive slots that cover `span`.
    pub fn slots(&self, span: Span) -> Vec<TimelineSlot> {
        let mut slots = Vec::new();
        for version in self.version_at(span.from)..self.versions.len() {
            // A version that another replaced at the very time at which it begins never reigns.
            let Some(part) = self.reign(version).intersect(&span) else { continue };
            let calendar = &self.versions[version].config.calendar;
            slots.extend(calendar.slots(part).into_iter().map(|slot| TimelineSlot { slot, version }));
        }
        slots
    }

    /// The shift that contains `at` and its time over all versions; an extra shift can be cut by a regular one.
    pub fn shift_around(&self, at: Ms) -> Option<(ShiftId, Vec<Span>)> {
        let shift = self.find(at).slot.shift?;
        let spans = self.spans_around(at, |slot| slot.shift.as_ref() == Some(&shift));
        Some((shift, spans))
    }

    /// The business day that contains `at` and its milliseconds over all versions; it can have holes.
    pub fn day_around(&self, at: Ms) -> (jiff::civil::Date, Vec<Span>) {
        let date = self.find(at).slot.date;
        (date, self.spans_around(at, |slot| slot.date == date))
    }

    /// The time near `at` that is of a kind. A shift lasts a day at most and a business day lies within three.
    fn spans_around(&self, at: Ms, is_of: impl Fn(&Slot) -> bool) -> Vec<Span> {
        let reach = 72 * HOUR_MS;
        let mut spans: Vec<Span> = Vec::new();
        for part in self.slots(Span::new(at - reach, at + reach)).into_iter().filter(|part| is_of(&part.slot)) {
            match spans.last_mut() {
                Some(last) if last.to == part.slot.span.from => last.to = part.slot.span.to,
                _ => spans.push(part.slot.span),
            }
        }
        spans
    }

    /// Configuration and policy versions in force somewhere in `span`, ascending.
    pub fn versions_of(&self, span: Span) -> (Vec<u32>, Vec<u32>) {
        let mut configs = Vec::new();
        let mut policies = Vec::new();
        for (index, version) in self.versions.iter().enumerate() {
            if self.reign(index).intersect(&span).is_some() {
                configs.push(version.config.version);
                policies.push(version.config.policy_version);
            }
        }
        configs.sort_unstable();
        configs.dedup();
        policies.sort_unstable();
        policies.dedup();
        (configs, policies)
    }

    /// Whether any version of `span` knows an ideal cycle.
    pub fn has_cycle(&self, span: Span) -> bool {
        self.versions.iter().enumerate().any(|(index, v)| {
            self.reign(index).intersect(&span).is_some() && (v.config.ideal_cycle_ns.is_some() || !v.cycles.is_empty())
        })
    }

    /// The version with a number, by its number.
    pub fn by_number(&self) -> BTreeMap<u32, &LineConfig> {
        self.versions.iter().map(|v| (v.config.version, &v.config)).collect()
    }
}

/// Whether rule 1 leaves the time to the line.
pub fn is_scheduled(schedule: Schedule) -> bool {
    schedule == Schedule::Scheduled
}
