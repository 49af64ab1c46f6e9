//! Figures of periods: any, those that live on the clock, a shift's and a business day's.

use serde::Serialize;

use super::Ledger;
use super::spans;
use super::versions::Versions;
use crate::domain::calendar::{Calendar, ShiftId};
use crate::domain::production::config::LineConfig;
use crate::domain::production::figure::{Figure, Frame, Window};
use crate::domain::production::stop::Stop;
use crate::domain::production::sums::Sums;
use crate::domain::time::{BEGINNING, FOREVER, Ms, Span};

/// Length of the slices of rolling windows.
const SLICE_MS: Ms = 10_000;

/// What `recompute` prints of a period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Those that overlap the period, by start.
    pub stops: Vec<Stop>,
    /// One, window `range`.
    pub figures: Vec<Figure>,
}

impl Ledger {
    /// Stops and figure of a period.
    pub fn report(&self, period: Span) -> Report {
        Report { stops: self.stops_in(period).cloned().collect(), figures: vec![self.figure_range(period)] }
    }

    /// The figure of any period. Of a line that was never heard, `as_of` is the epoch.
    pub fn figure_range(&self, period: Span) -> Figure {
        self.figure(Window::Range, &[period])
    }

    /// The figure of a window that lives on the clock; none for [`Window::Range`], between shifts, and without a
    /// clock. Rolling windows end 1 ms after the clock; a shift and a day are whole, what is to come is `outside`.
    pub fn figure_window(&self, window: Window) -> Option<Figure> {
        let clock = self.clock?;
        let slot = || self.versions.at(clock).calendar.slot(clock);
        match window {
            Window::Range => None,
            Window::Shift => self.shift_figure(&slot().shift?),
            Window::BusinessDay => self.day_figure(slot().date),
            Window::FiveMinutes | Window::QuarterHour | Window::Hour | Window::EightHours | Window::Day24 => {
                let current_slice = clock.div_euclid(SLICE_MS) * SLICE_MS;
                let from = current_slice - (window.slices()? - 1) * SLICE_MS;
                Some(self.figure(window, &[Span::new(from, clock + 1)]))
            }
        }
    }

    /// The figure of a shift; none where the calendar has no such shift.
    pub fn shift_figure(&self, shift: &ShiftId) -> Option<Figure> {
        let own = by_calendar(&self.versions, |calendar| calendar.shift_spans(shift));
        (!own.is_empty()).then(|| self.figure(Window::Shift, &own))
    }

    /// The figure of a business day; none where no millisecond has that date.
    pub fn day_figure(&self, date: jiff::civil::Date) -> Option<Figure> {
        let own = by_calendar(&self.versions, |calendar| calendar.day(date));
        (!own.is_empty()).then(|| self.figure(Window::BusinessDay, &own))
    }

    /// The figure of the milliseconds in `own`, from their first edge to their last.
    fn figure(&self, window: Window, own: &[Span]) -> Figure {
        let mut sums = Sums::default();
        for span in own {
            sums += &self.sums(*span);
        }
        Figure::new(frame(&self.line, &self.versions, window, own, self.clock), &sums)
    }
}

/// What each version's calendar says, for the time in which that version is in force.
pub(super) fn by_calendar(versions: &Versions, ask: impl Fn(&Calendar) -> Vec<Span>) -> Vec<Span> {
    let stretches = versions.stretches(Span::new(BEGINNING, FOREVER));
    let spans = stretches.into_iter().flat_map(|(in_force, config)| {
        ask(&config.calendar).into_iter().filter_map(move |span| span.intersect(&in_force))
    });
    spans::union(spans.collect())
}

/// What a figure of the milliseconds in `own` says beside its sums. Of a line that was never heard, `as_of` is the
/// epoch.
pub(super) fn frame(line: &str, versions: &Versions, window: Window, own: &[Span], clock: Option<Ms>) -> Frame {
    let from = own.first().map_or(0, |span| span.from);
    let to = own.last().map_or(0, |span| span.to);
    let clock = clock.unwrap_or(0);
    let spanned: Vec<&LineConfig> =
        versions.stretches(Span::new(from, to)).into_iter().map(|(_, config)| config).collect();
    Frame {
        line: Some(line.to_owned()),
        window,
        from,
        to,
        as_of: clock,
        watermark: clock - versions.at(clock).allowed_lateness_ms,
        revision: 0,
        config_versions: numbers(&spanned, |config| config.version),
        policy_versions: numbers(&spanned, |config| config.policy_version),
        holes_ms: to - from - own.iter().map(Span::len).sum::<Ms>(),
        has_cycle: spanned.iter().any(|c| c.ideal_cycle_ns.is_some() || !c.product_cycles_ns.is_empty()),
    }
}

/// Ascending, each once.
fn numbers(configs: &[&LineConfig], number: impl Fn(&LineConfig) -> u32) -> Vec<u32> {
    let mut numbers: Vec<u32> = configs.iter().map(|config| number(config)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
