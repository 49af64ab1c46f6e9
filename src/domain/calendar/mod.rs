//! Shifts, breaks, holidays and zones, compiled to intervals of UTC milliseconds.
//!
//! [`rules`] is what people enter, [`wall`] turns wall time into instants, [`compile`] turns rules into slots, and
//! [`Calendar`] answers for any instant from the compiled blocks that it keeps.

mod compile;
mod rules;
mod wall;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use parking_lot::RwLock;

use self::wall::{DAY_MS, Wall, local_midnight};
use crate::domain::time::{Ms, Span};

pub use self::rules::{BreakRule, CalendarError, CalendarRules, Days, ExceptionRule, ExtraShift, ShiftRule, zone};

/// The compiled calendar of one line. Clones share what is compiled.
#[derive(Clone, Debug)]
pub struct Calendar {
    inner: Arc<Inner>,
}

/// What a calendar says of a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Schedule {
    Unscheduled,
    Break,
    Scheduled,
}

/// A shift of a line: its name and the business date on which it starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShiftId {
    pub name: Arc<str>,
    pub date: Date,
}

/// A maximal interval in which the calendar says one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub span: Span,
    pub schedule: Schedule,
    /// Set inside shifts, breaks included.
    pub shift: Option<ShiftId>,
    /// Business date: that of the shift, outside shifts the local date.
    pub date: Date,
}

#[derive(Debug)]
struct Inner {
    rules: CalendarRules,
    /// Slots that intersect a block, by the block's number. A memory of pure results: it changes speed only.
    blocks: RwLock<HashMap<i64, Arc<[Slot]>>>,
}

/// Length of a block: a few days, so that compiling the margin around it is not most of the work.
const BLOCK_MS: Ms = 8 * DAY_MS;
/// Blocks kept; a line in work needs one or two, a recomputation walks on.
const MAX_BLOCKS: usize = 32;
/// Some 7,900 years around the epoch, all of them known to the calendar library; what lies beyond is unscheduled.
const LAST_BLOCK: i64 = 7900 * 365 * DAY_MS / BLOCK_MS;
const FIRST_BLOCK: i64 = -LAST_BLOCK;

// === impl Calendar ===

impl Calendar {
    /// The calendar of a line.
    ///
    /// # Errors
    /// Regular shifts that overlap on any day, and extra shifts that overlap each other.
    pub fn new(rules: CalendarRules) -> Result<Self, CalendarError> {
        rules.check()?;
        Ok(Self::unchecked(rules))
    }

    /// A line without rules: scheduled around the clock, in local days of `zone`.
    pub fn always(zone: TimeZone) -> Self {
        Self::unchecked(CalendarRules::always(zone))
    }

    fn unchecked(rules: CalendarRules) -> Self {
        Self { inner: Arc::new(Inner { rules, blocks: RwLock::new(HashMap::new()) }) }
    }

    /// What it was made of.
    pub fn rules(&self) -> &CalendarRules {
        &self.inner.rules
    }

    /// The maximal interval around `at` in which schedule, shift and business date stay the same.
    pub fn slot(&self, at: Ms) -> Slot {
        let block = self.inner.block(at);
        let index = block.partition_point(|slot| slot.span.to <= at);
        block[index.min(block.len() - 1)].clone()
    }

    /// Consecutive slots, the first and last clipped to `span`; none for an empty one.
    pub fn slots(&self, span: Span) -> Vec<Slot> {
        let mut slots = Vec::new();
        let mut done = span.from;
        while done < span.to {
            let block = self.inner.block(done);
            let first = block.partition_point(|slot| slot.span.to <= done);
            for slot in block[first..].iter().take_while(|slot| slot.span.from < span.to) {
                let part = Span::new(slot.span.from.max(span.from), slot.span.to.min(span.to));
                done = part.to;
                slots.push(Slot { span: part, ..slot.clone() });
            }
        }
        slots
    }

    /// Full hours of the wall clock and changes of its offset, strictly inside `span`. The hour that is repeated
    /// at a clock change makes two.
    pub fn hour_edges(&self, span: Span) -> Vec<Ms> {
        if span.is_empty() { Vec::new() } else { Wall::new(&self.inner.rules.zone, span).hour_edges() }
    }

    /// The milliseconds of a business date, in order; abutting spans are one. A day can have holes, and a date
    /// that the zone skipped may have none at all.
    pub fn day(&self, date: Date) -> Vec<Span> {
        self.spans(date, |slot| slot.date == date)
    }

    /// The milliseconds of a shift, breaks included, in order: an extra shift around a regular one has a hole.
    pub fn shift_spans(&self, shift: &ShiftId) -> Vec<Span> {
        self.spans(shift.date, |slot| slot.shift.as_ref() == Some(shift))
    }

    /// From the start of a shift to its end; none where the calendar has no such shift.
    pub fn shift_span(&self, shift: &ShiftId) -> Option<Span> {
        let spans = self.shift_spans(shift);
        Some(Span::new(spans.first()?.from, spans.last()?.to))
    }

    /// What fulfils a condition of the slots that can have a business date.
    fn spans(&self, date: Date, wanted: impl Fn(&Slot) -> bool) -> Vec<Span> {
        let midnight = local_midnight(date);
        // A business date begins and ends within two local days; offsets and repeated days reach one further.
        let around = Span::new(midnight - 2 * DAY_MS, midnight + 4 * DAY_MS);
        let mut spans: Vec<Span> = Vec::new();
        for slot in self.slots(around).into_iter().filter(wanted) {
            match spans.last_mut() {
                Some(last) if last.to == slot.span.from => last.to = slot.span.to,
                _ => spans.push(slot.span),
            }
        }
        spans
    }
}

// === impl Inner ===

impl Inner {
    fn block(&self, at: Ms) -> Arc<[Slot]> {
        let number = at.div_euclid(BLOCK_MS).clamp(FIRST_BLOCK - 1, LAST_BLOCK + 1);
        if let Some(block) = self.blocks.read().get(&number) {
            return block.clone();
        }
        let block: Arc<[Slot]> = self.compile(number).into();
        let mut blocks = self.blocks.write();
        if blocks.len() >= MAX_BLOCKS {
            blocks.clear();
        }
        blocks.insert(number, block.clone());
        block
    }

    fn compile(&self, number: i64) -> Vec<Slot> {
        let span = Span::new(number * BLOCK_MS, (number + 1) * BLOCK_MS);
        let beyond = |span, date| vec![Slot { span, schedule: Schedule::Unscheduled, shift: None, date }];
        if number < FIRST_BLOCK {
            beyond(Span::new(Ms::MIN, span.to), Date::MIN)
        } else if number > LAST_BLOCK {
            beyond(Span::new(span.from, Ms::MAX), Date::MAX)
        } else {
            compile::slots(&self.rules, span)
        }
    }
}
