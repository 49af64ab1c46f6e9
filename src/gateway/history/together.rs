//! Lines side by side and together: each line's part of a period or window, and the total from the sums of their sums.

use crate::domain::production::figure::{Figure, Flag, Frame, Window};
use crate::domain::production::sums::Sums;
use crate::domain::time::{MINUTE_MS, Ms, Span};
use crate::gateway::history::LineHistory;
use crate::gateway::hub::board::Board;
use crate::store::{StoreError, TenantDb};

/// What a figure is asked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// On each line's own clock, as its topic told it last.
    Window(Window),
    Range(Span),
}

/// A line's part of a period.
pub struct Part<'a> {
    pub history: LineHistory<'a>,
    pub window: Window,
    pub period: Span,
    /// The milliseconds of `period` that are asked about: of a business day not its holes, of a shift its own.
    pub own: Vec<Span>,
    /// The figure that the topic told, where it is of just these milliseconds.
    told: Option<Figure>,
}

/// A line's figure with what totals are made of.
#[derive(Clone, Debug)]
pub struct Told {
    pub frame: Frame,
    pub sums: Sums,
    pub figure: Figure,
}

// === impl Part ===

impl<'a> Part<'a> {
    /// The part of `line`; `shift` leaves of it what lies in shifts of that name, of a window in whole minutes. None:
    /// the line has no such window now, as between shifts.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of(
        database: &'a TenantDb,
        board: &Board,
        line: &str,
        period: Period,
        shift: Option<&str>,
    ) -> Result<Option<Part<'a>>, StoreError> {
        let history = LineHistory::of(database, line, board.facts(line).as_ref()).await?;
        let (window, mut span, told) = match period {
            Period::Range(span) => (Window::Range, span, None),
            Period::Window(window) => {
                let Some(figure) = board.latest(line, window) else { return Ok(None) };
                (window, Span::new(figure.from, figure.to), Some(figure))
            }
        };
        let Some(shift) = shift else {
            let own = history.own(window, span);
            return Ok(Some(Part { history, window, period: span, own, told }));
        };
        if told.is_some() {
            span = whole_minutes(span);
        }
        let own = history.shift(shift, span);
        Ok(Some(Part { history, window, period: span, own, told: None }))
    }

    pub fn line(&self) -> &str {
        &self.history.line
    }

    /// The figure of the part: the very one that was told, where one was.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn figure(&self) -> Result<Told, StoreError> {
        let frame = self.history.frame(self.window, self.period);
        if let Some(told) = &self.told {
            let accounted = sums_of(told);
            let sums = match accounted {
                Some(sums) => sums,
                None => self.history.sums_over(&self.own).await?,
            };
            let holes_ms = told.to - told.from - told.outside_ms - sums.accounted_ms();
            let frame = Frame { as_of: told.as_of, holes_ms, ..frame };
            return Ok(Told { frame, sums, figure: told.clone() });
        }
        let sums = self.history.sums_over(&self.own).await?;
        let holes_ms = self.period.len() - self.own.iter().map(Span::len).sum::<Ms>();
        let frame = Frame { holes_ms, ..frame };
        let figure = Figure::new(frame.clone(), &sums);
        Ok(Told { frame, sums, figure })
    }
}

/// The total of lines; none of fewer than two.
pub fn total(lines: &[Told]) -> Option<Figure> {
    if lines.len() < 2 {
        return None;
    }
    let parts: Vec<(Frame, Sums)> = lines.iter().map(|told| (told.frame.clone(), told.sums)).collect();
    Figure::total(&parts)
}

/// A period out to whole minutes.
pub fn whole_minutes(period: Span) -> Span {
    let up = -period.to.saturating_neg().div_euclid(MINUTE_MS) * MINUTE_MS;
    Span::new(period.from.div_euclid(MINUTE_MS) * MINUTE_MS, up)
}

/// The sums that a figure was made of, as far as another figure can be made of them: where only "none" or "some" counts
/// they say 0 or 1. None in the rare case that the figure does not tell them: pieces without a total, or without
/// production time.
///
/// A ratio of integers below 2^52 gives the integer back.
fn sums_of(figure: &Figure) -> Option<Sums> {
    let buckets = &figure.buckets_ms;
    let pbt = buckets.running + buckets.micro_stop + buckets.stopped;
    let counted = figure.pieces.total - figure.pieces.outside_pbt;
    let multiple = |ratio: f64, of: i64| (ratio * of as f64).round() as i64;
    let apt_ms = figure.availability.map_or(0, |availability| multiple(availability, pbt));
    let is_empty = pbt == 0 || (figure.quality.is_none() && figure.performance == Some(0.0) && figure.oee == Some(0.0));
    let (good_inside, without_cycle) = match figure.quality {
        None if is_empty => (0, 0),
        Some(quality) if apt_ms > 0 => (multiple(quality, counted), i64::from(figure.performance.is_none())),
        _ => return None,
    };
    Some(Sums {
        buckets: [
            buckets.unscheduled,
            buckets.planned_stop,
            buckets.no_data,
            buckets.running,
            buckets.micro_stop,
            buckets.stopped,
        ],
        apt_ms,
        total: figure.pieces.total,
        good: figure.pieces.good,
        reject: figure.pieces.reject,
        outside_pbt: figure.pieces.outside_pbt,
        good_outside: figure.pieces.good - good_inside,
        ideal_ns: figure.ideal_ns,
        seen: i64::from(!is_empty),
        without_cycle,
        unmeasured: i64::from(figure.flags.contains(&Flag::QualityNotMeasured)),
        stops: figure.stops,
        micro_stops: figure.micro_stops,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        /// Sums as ledgers have them: without production time no piece lies in it, and no good ones without any seen.
        fn sums()(
            buckets in prop::array::uniform6(prop_oneof![Just(0_i64), 0..100_000_000_i64]),
            micro_on_availability in any::<bool>(),
            (inside, good_share, outside, good_outside) in (0..1_000_000_i64, 0.0..1.2_f64, 0..1_000_i64, 0..1_000_i64),
            (reject, cycle, without_cycle, unmeasured) in (0..1_000_i64, 1..9_000_000_000_i64, 0..2_i64, 0..3_i64),
            (stops, micro_stops) in (0..100_i64, 0..100_i64),
        ) -> Sums {
            let mut sums = Sums { buckets, reject, unmeasured, stops, micro_stops, ..Sums::default() };
            let [.., running, micro, _] = sums.buckets;
            sums.apt_ms = running + if micro_on_availability { 0 } else { micro };
            let inside = if sums.pbt_ms() == 0 { 0 } else { inside };
            let good = (inside as f64 * good_share) as i64;
            sums.total = inside + outside;
            sums.outside_pbt = outside;
            sums.good = good + good_outside;
            sums.good_outside = good_outside;
            sums.seen = inside;
            sums.without_cycle = without_cycle.min(inside);
            sums.ideal_ns = (inside - sums.without_cycle) * cycle;
            sums
        }
    }

    fn frame(sums: &Sums) -> Frame {
        let (config_versions, policy_versions) = (vec![1], vec![1]);
        Frame {
            line: Some("l1".into()),
            window: Window::Hour,
            from: 0,
            to: sums.accounted_ms() + 7,
            as_of: 5,
            watermark: 3,
            revision: 0,
            config_versions,
            policy_versions,
            holes_ms: 0,
            has_cycle: true,
        }
    }

    proptest! {
        #[test]
        fn what_figures_tell_gives_the_same_total_as_what_they_were_made_of(all in prop::collection::vec(sums(), 2..5)) {
            let made: Vec<(Frame, Sums)> = all.iter().map(|sums| (frame(sums), *sums)).collect();
            let figures: Vec<Figure> = made.iter().map(|(frame, sums)| Figure::new(frame.clone(), sums)).collect();
            let told: Option<Vec<(Frame, Sums)>> =
                figures.iter().zip(&made).map(|(figure, (frame, _))| Some((frame.clone(), sums_of(figure)?))).collect();
            // Where figures do not tell enough the ledger is asked, not guessed at.
            if let Some(told) = told {
                prop_assert_eq!(Figure::total(&told), Figure::total(&made));
            }
        }
    }

    #[test]
    fn pieces_without_production_time_are_looked_up() {
        let sums = Sums { buckets: [0, 0, 0, 0, 0, 9], seen: 1, total: 1, good: 1, ..Sums::default() };
        assert_eq!(sums_of(&Figure::new(frame(&sums), &sums)), None);
        let none = Sums { buckets: [0, 0, 0, 0, 0, 9], ..Sums::default() };
        assert_eq!(sums_of(&Figure::new(frame(&none), &none)), Some(none));
    }
}
