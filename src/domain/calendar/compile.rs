//! Rules to slots, over a window.
//!
//! The order of the work is the order of precedence: regular shifts (less holidays), then extra shifts in what is
//! left, then breaks inside both, then local days outside.

use std::sync::Arc;

use jiff::civil::Date;

use super::rules::{CalendarRules, ShiftRule, wall_span};
use super::wall::{DAY_MS, Wall, local_date, local_midnight};
use super::{Schedule, ShiftId, Slot};
use crate::domain::time::{Ms, Span};

/// How far around a window the rules are compiled so that no slot that touches the window is cut: a slot has one
/// business date, hence lies within two local days, and a zone that crosses the date line can repeat one.
const MARGIN_MS: Ms = 5 * DAY_MS;

/// Time of one shift.
struct Piece {
    span: Span,
    shift: ShiftId,
}

struct Compiler<'a> {
    rules: &'a CalendarRules,
    wall: Wall,
    /// The compiled stretch in parts of one local date.
    days: Vec<(Date, Span)>,
    /// Local midnights of all dates with a shift or break that could touch the stretch.
    midnights: Vec<Ms>,
}

/// The maximal slots that intersect `window`, in order.
pub(super) fn slots(rules: &CalendarRules, window: Span) -> Vec<Slot> {
    let stretch = Span::new(window.from - MARGIN_MS, window.to + MARGIN_MS);
    let mut slots = Compiler::new(rules, stretch).slots(stretch);
    slots.retain(|slot| slot.span.intersect(&window).is_some());
    slots
}

/// The parts of `span` that none of `taken` (sorted, disjoint) covers.
fn without(span: Span, taken: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut rest = Vec::new();
    let mut from = span.from;
    for other in taken {
        if let Some(free) = Span::new(from, other.from).intersect(&span) {
            rest.push(free);
        }
        from = from.max(other.to);
    }
    rest.extend(Span::new(from, span.to).intersect(&span));
    rest
}

// === impl Compiler ===

impl<'a> Compiler<'a> {
    fn new(rules: &'a CalendarRules, stretch: Span) -> Self {
        let wall = Wall::new(&rules.zone, stretch);
        let days = wall.local_days();
        let first = days.first().map_or(0, |(date, _)| local_midnight(*date)) - 2 * DAY_MS;
        let last = days.last().map_or(0, |(date, _)| local_midnight(*date)) + DAY_MS;
        let midnights = (0..=(last - first) / DAY_MS).map(|day| first + day * DAY_MS).collect();
        Self { rules, wall, days, midnights }
    }

    fn slots(&self, stretch: Span) -> Vec<Slot> {
        let anywhere = self.breaks_of_no_shift();
        let mut slots = Vec::new();
        let mut done = stretch.from;
        for piece in self.pieces() {
            self.outside(Span::new(done, piece.span.from), &mut slots);
            self.inside(&piece, &anywhere, &mut slots);
            done = piece.span.to;
        }
        self.outside(Span::new(done, stretch.to), &mut slots);
        slots
    }

    /// All shift time, in order and disjoint.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = self.regular();
        let extras = self.extras(&pieces);
        pieces.extend(extras);
        pieces.sort_unstable_by_key(|piece| piece.span);
        pieces
    }

    fn regular(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for &midnight in &self.midnights {
            let date = local_date(midnight);
            for shift in self.rules.shifts.iter().filter(|s| s.days.contains(date.weekday())) {
                if !self.is_removed(shift, date) {
                    let wall = wall_span(shift.start, shift.end);
                    self.push(&mut pieces, midnight, wall, &shift.name, date);
                }
            }
        }
        pieces.sort_unstable_by_key(|piece| piece.span);
        pieces
    }

    fn is_removed(&self, shift: &ShiftRule, date: Date) -> bool {
        let named = |names: &[Arc<str>]| names.is_empty() || names.contains(&shift.name);
        self.rules.exceptions.iter().any(|e| e.date == date && named(&e.shifts))
    }

    /// Whether a line without shifts rests on this local day.
    fn is_holiday(&self, date: Date) -> bool {
        self.rules.exceptions.iter().any(|e| e.date == date && e.shifts.is_empty())
    }

    fn push(&self, pieces: &mut Vec<Piece>, midnight: Ms, wall: Span, name: &Arc<str>, date: Date) {
        let span = self.wall.instants(Span::new(midnight + wall.from, midnight + wall.to));
        if !span.is_empty() {
            pieces.push(Piece { span, shift: ShiftId { name: name.clone(), date } });
        }
    }

    /// What the regular shifts leave of the extra shifts; on a line without shifts, what lies on holidays.
    fn extras(&self, regular: &[Piece]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for extra in &self.rules.extra_shifts {
            // Empty for a date outside the stretch.
            let span = self.wall.instants(extra.local_span());
            let rest = if self.rules.shifts.is_empty() {
                let holidays = self.days.iter().filter(|(date, _)| self.is_holiday(*date));
                holidays.filter_map(|(_, day)| day.intersect(&span)).collect()
            } else {
                without(span, regular.iter().map(|piece| piece.span))
            };
            let shift = ShiftId { name: extra.name.clone(), date: extra.date };
            pieces.extend(rest.into_iter().map(|span| Piece { span, shift: shift.clone() }));
        }
        pieces
    }

    /// Breaks that belong to no shift, wherever they may lie.
    fn breaks_of_no_shift(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for rule in self.rules.breaks.iter().filter(|rule| rule.shift.is_none()) {
            let wall = wall_span(rule.start, rule.end);
            for &midnight in self.midnights.iter().filter(|m| rule.days.contains(local_date(**m).weekday())) {
                spans.push(self.wall.instants(Span::new(midnight + wall.from, midnight + wall.to)));
            }
        }
        spans
    }

    /// Breaks of a shift of a date: the wall times come around every day, and those inside the shift count.
    fn breaks_of(&self, shift: &ShiftId) -> Vec<Span> {
        let midnight = local_midnight(shift.date);
        let mut spans = Vec::new();
        for rule in &self.rules.breaks {
            if rule.shift.as_ref() == Some(&shift.name) && rule.days.contains(shift.date.weekday()) {
                let wall = wall_span(rule.start, rule.end);
                for day in [midnight - DAY_MS, midnight, midnight + DAY_MS] {
                    spans.push(self.wall.instants(Span::new(day + wall.from, day + wall.to)));
                }
            }
        }
        spans
    }

    fn inside(&self, piece: &Piece, anywhere: &[Span], slots: &mut Vec<Slot>) {
        let own = self.breaks_of(&piece.shift);
        let mut breaks: Vec<Span> = own.iter().chain(anywhere).filter_map(|span| span.intersect(&piece.span)).collect();
        breaks.sort_unstable();
        let mut done = piece.span.from;
        let mut push = |span, schedule| {
            let slot = Slot { span, schedule, shift: Some(piece.shift.clone()), date: piece.shift.date };
            append(slots, slot);
        };
        for rest in breaks {
            push(Span::new(done, rest.from), Schedule::Scheduled);
            push(Span::new(rest.from.max(done), rest.to), Schedule::Break);
            done = done.max(rest.to);
        }
        push(Span::new(done, piece.span.to), Schedule::Scheduled);
    }

    /// Time outside shifts, by local days.
    fn outside(&self, span: Span, slots: &mut Vec<Slot>) {
        let around_the_clock = self.rules.shifts.is_empty();
        let first = self.days.partition_point(|(_, day)| day.to <= span.from);
        for (date, day) in self.days[first..].iter().take_while(|(_, day)| day.from < span.to) {
            let Some(span) = day.intersect(&span) else { continue };
            let works = around_the_clock && !self.is_holiday(*date);
            let schedule = if works { Schedule::Scheduled } else { Schedule::Unscheduled };
            append(slots, Slot { span, schedule, shift: None, date: *date });
        }
    }
}

/// Adds a slot, or lengthens the last one where nothing changes between the two.
fn append(slots: &mut Vec<Slot>, slot: Slot) {
    if slot.span.is_empty() {
        return;
    }
    match slots.last_mut() {
        Some(last) if last.schedule == slot.schedule && last.shift == slot.shift && last.date == slot.date => {
            last.span.to = slot.span.to;
        }
        _ => slots.push(slot),
    }
}
