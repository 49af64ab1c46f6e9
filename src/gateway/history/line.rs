//! Sums and figures of one line over any period.

use crate::domain::calendar::Slot;
use crate::domain::production::changes::{MinuteRow, PieceCount};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::Detection;
use crate::domain::production::figure::{Figure, Frame, Window};
use crate::domain::production::sums::Sums;
use crate::domain::time::{BEGINNING, FOREVER, HOUR_MS, MINUTE_MS, Ms, Span};
use crate::gateway::hub::board::LineFacts;
use crate::store::{StoreError, TenantDb};

/// Spans that are asked for one by one; of more their hull is read.
pub(super) const FEW_SPANS: usize = 8;

/// A line's past, as of what its topics said last.
pub struct LineHistory<'a> {
    database: &'a TenantDb,
    pub line: String,
    /// Ascending by `valid_from`.
    configs: Vec<LineConfig>,
    /// The line clock; none of a line that was never heard.
    clock: Option<Ms>,
    watermark: Option<Ms>,
}

// === impl LineHistory ===

impl<'a> LineHistory<'a> {
    pub async fn of(
        database: &'a TenantDb,
        line: &str,
        facts: Option<&LineFacts>,
    ) -> Result<LineHistory<'a>, StoreError> {
        let configs = database.line_configs(line).await?;
        Ok(LineHistory {
            database,
            line: line.to_owned(),
            configs,
            clock: facts.map(|facts| facts.state.as_of),
            watermark: facts.map(|facts| facts.watermark),
        })
    }

    /// The line clock.
    pub fn clock(&self) -> Option<Ms> {
        self.clock
    }

    /// Every version of the line, ascending.
    pub(super) fn configs(&self) -> &[LineConfig] {
        &self.configs
    }

    /// The version that holds at an instant.
    pub(super) fn in_force(&self, at: Ms) -> Option<&LineConfig> {
        self.configs.iter().rev().find(|config| config.valid_from <= at).or(self.configs.first())
    }

    /// Accepted detections of the period that are not late.
    pub(super) async fn detections(&self, period: Span) -> Result<Vec<Detection>, StoreError> {
        let stored = self.database.detections(&self.line, period, false).await?;
        Ok(stored.into_iter().map(|(detection, _)| detection).collect())
    }

    /// What the calendars in force say of a period, in order.
    pub fn slots(&self, period: Span) -> Vec<Slot> {
        let mut found = Vec::new();
        let ends = self.configs.iter().skip(1).map(|config| config.valid_from).chain([FOREVER]);
        for (index, (config, end)) in self.configs.iter().zip(ends).enumerate() {
            let from = if index == 0 { BEGINNING } else { config.valid_from };
            if let Some(part) = period.intersect(&Span::new(from, end)) {
                found.extend(config.calendar.slots(part));
            }
        }
        found
    }

    /// The milliseconds of a live window's period that are its own: of a business day not its holes.
    pub fn own(&self, window: Window, period: Span) -> Vec<Span> {
        let (Some(config), Window::BusinessDay) = (self.in_force(period.from), window) else {
            return vec![period];
        };
        let date = config.calendar.slot(period.from).date;
        config.calendar.day(date).into_iter().filter_map(|span| span.intersect(&period)).collect()
    }

    /// The rollup of the minutes that begin in [from, to).
    pub async fn minutes(&self, period: Span) -> Result<Vec<MinuteRow>, StoreError> {
        self.database.minutes(&self.line, period).await
    }

    /// The pieces of the hours that begin in [from, to).
    pub(super) async fn hour_pieces(&self, period: Span) -> Result<Vec<(Ms, PieceCount)>, StoreError> {
        self.database.hour_pieces(&self.line, period).await
    }

    /// Up to where every hour has been added up.
    pub(super) async fn hours_until(&self) -> Result<Option<Ms>, StoreError> {
        self.database.hours_until(&self.line).await
    }

    /// The pieces of the minutes that begin in [from, to).
    pub(super) async fn minute_pieces(&self, period: Span) -> Result<Vec<(Ms, Vec<PieceCount>)>, StoreError> {
        self.database.minute_pieces(&self.line, period).await
    }

    /// The sums of a period, to the millisecond.
    pub async fn sums(&self, period: Span) -> Result<Sums, StoreError> {
        self.sums_over(&[period]).await
    }

    /// The sums over several spans, which do not overlap, to the millisecond.
    pub async fn sums_over(&self, spans: &[Span]) -> Result<Sums, StoreError> {
        let mut sums = Sums::default();
        let wholes: Vec<Span> = spans.iter().filter_map(|span| inner_minutes(*span)).collect();
        let ends = (wholes.iter().map(|span| span.from).min(), wholes.iter().map(|span| span.to).max());
        if wholes.len() <= FEW_SPANS {
            for whole in &wholes {
                sums += &self.database.sums(&self.line, *whole).await?;
            }
        } else if let (Some(from), Some(to)) = ends {
            let hull = Span::new(from, to);
            let step = Step::within(hull, &wholes);
            for (at, part) in self.database.minute_sums(&self.line, hull, step.ms()).await? {
                if wholes.iter().any(|whole| whole.contains(at)) {
                    sums += &part;
                }
            }
        }
        for fragment in spans.iter().flat_map(|span| fragments(*span)) {
            sums += &self.fragment(fragment).await?;
        }
        Ok(sums)
    }

    /// The sums of each of `cuts`, which are whole minutes in ascending order and do not overlap.
    pub async fn sums_of_each(&self, cuts: &[Span]) -> Result<Vec<Sums>, StoreError> {
        let mut sums = vec![Sums::default(); cuts.len()];
        let (Some(first), Some(last)) = (cuts.first(), cuts.last()) else { return Ok(sums) };
        let hull = Span::new(first.from, last.to);
        let step = Step::within(hull, cuts);
        for (at, part) in self.database.minute_sums(&self.line, hull, step.ms()).await? {
            let place = cuts.partition_point(|cut| cut.to <= at);
            if cuts.get(place).is_some_and(|cut| cut.contains(at)) {
                sums[place] += &part;
            }
        }
        Ok(sums)
    }

    /// The milliseconds of a period that lie in shifts of that name, by the calendars in force.
    pub fn shift(&self, name: &str, period: Span) -> Vec<Span> {
        let mut found: Vec<Span> = Vec::new();
        for slot in self.slots(period) {
            if slot.shift.is_none_or(|shift| *shift.name != *name) {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.to == slot.span.from => last.to = slot.span.to,
                _ => found.push(slot.span),
            }
        }
        found
    }

    /// A part of a minute: what the plain route makes of the stored inputs around it.
    async fn fragment(&self, part: Span) -> Result<Sums, StoreError> {
        let minute = part.from.div_euclid(MINUTE_MS) * MINUTE_MS;
        let rows = self.minutes(Span::new(minute, minute + MINUTE_MS)).await?;
        if rows.first().is_none_or(|row| row.sums.is_zero()) || self.configs.is_empty() {
            return Ok(Sums::default());
        }
        super::edge::sums(self.database, &self.line, &self.configs, part).await
    }

    /// What a figure of the period says beside its sums.
    pub fn frame(&self, window: Window, period: Span) -> Frame {
        let ends = self.configs.iter().skip(1).map(|config| config.valid_from).chain([FOREVER]);
        let in_force = |(config, end): &(&LineConfig, Ms)| config.valid_from < period.to && period.from < *end;
        let spanned: Vec<&LineConfig> =
            self.configs.iter().zip(ends).filter(in_force).map(|(config, _)| config).collect();
        let clock = self.clock.unwrap_or(0);
        let lateness = self.configs.last().map_or(0, |config| config.allowed_lateness_ms);
        Frame {
            line: Some(self.line.clone()),
            window,
            from: period.from,
            to: period.to,
            as_of: clock,
            watermark: self.watermark.unwrap_or(clock - lateness),
            revision: 0,
            config_versions: numbers(&spanned, |config| config.version),
            policy_versions: numbers(&spanned, |config| config.policy_version),
            holes_ms: 0,
            has_cycle: spanned.iter().any(|c| c.ideal_cycle_ns.is_some() || !c.product_cycles_ns.is_empty()),
        }
    }

    /// The figure of any period.
    pub async fn figure(&self, period: Span) -> Result<(Frame, Sums, Figure), StoreError> {
        let sums = self.sums(period).await?;
        let frame = self.frame(Window::Range, period);
        let figure = Figure::new(frame.clone(), &sums);
        Ok((frame, sums, figure))
    }
}

/// The lengths by which stored minutes are added up: the longest that every edge inside is a multiple of, from the epoch.
/// Hours of the wall clock are whole quarters of an hour. Where it all begins and ends a step may be a part of one: a
/// year up to this minute is read by hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step(Ms);

impl Step {
    fn within(hull: Span, spans: &[Span]) -> Step {
        let edges = spans.iter().flat_map(|span| [span.from, span.to]);
        let inside = edges.filter(|edge| hull.from < *edge && *edge < hull.to);
        let divides = |step: &Ms| inside.clone().all(|edge| edge.rem_euclid(*step) == 0);
        Step([HOUR_MS, 15 * MINUTE_MS].into_iter().find(divides).unwrap_or(MINUTE_MS))
    }

    fn ms(self) -> Ms {
        self.0
    }
}

/// The whole minutes inside a period.
fn inner_minutes(period: Span) -> Option<Span> {
    let first = period.from.div_euclid(MINUTE_MS) * MINUTE_MS;
    let last = period.to.div_euclid(MINUTE_MS) * MINUTE_MS;
    let whole = Span::new(if first < period.from { first + MINUTE_MS } else { first }, last);
    (!whole.is_empty()).then_some(whole)
}

/// The parts of a period that are no whole minutes: none, one or two.
pub(super) fn fragments(period: Span) -> Vec<Span> {
    let first = period.from.div_euclid(MINUTE_MS) * MINUTE_MS;
    let last = period.to.div_euclid(MINUTE_MS) * MINUTE_MS;
    if first == last {
        return vec![period];
    }
    let head = Span::new(period.from, first + MINUTE_MS);
    let tail = Span::new(last, period.to);
    [head, tail].into_iter().filter(|part| !part.is_empty() && part.len() < MINUTE_MS).collect()
}

/// Ascending, each once.
fn numbers(configs: &[&LineConfig], number: impl Fn(&LineConfig) -> u32) -> Vec<u32> {
    let mut numbers: Vec<u32> = configs.iter().map(|config| number(config)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_edges_inside_make_steps_short() {
        let step = |spans: &[(Ms, Ms)]| {
            let spans: Vec<Span> = spans.iter().map(|(from, to)| Span::new(from * MINUTE_MS, to * MINUTE_MS)).collect();
            let hull = Span::new(spans[0].from, spans[spans.len() - 1].to);
            Step::within(hull, &spans).ms() / MINUTE_MS
        };
        assert_eq!(step(&[(7, 60), (60, 180), (180, 211)]), 60, "a year up to now, by the hour");
        assert_eq!(step(&[(7, 45), (45, 180), (180, 211)]), 15, "a zone of quarters");
        assert_eq!(step(&[(0, 60), (60, 121), (121, 240)]), 1);
        assert_eq!(step(&[(7, 59), (120, 180)]), 1, "a hole that begins within an hour");
        assert_eq!(step(&[(7, 211)]), 60);
    }

    #[test]
    fn fragments_and_whole_minutes_make_up_a_period() {
        for (from, to, parts) in [
            (0, 60_000, vec![]),
            (0, 120_000, vec![]),
            (1, 60_000, vec![(1, 60_000)]),
            (0, 59_999, vec![(0, 59_999)]),
            (10, 20, vec![(10, 20)]),
            (59_999, 60_001, vec![(59_999, 60_000), (60_000, 60_001)]),
            (30_000, 150_000, vec![(30_000, 60_000), (120_000, 150_000)]),
            (-30_000, 30_000, vec![(-30_000, 0), (0, 30_000)]),
        ] {
            let found: Vec<(Ms, Ms)> = fragments(Span::new(from, to)).iter().map(|s| (s.from, s.to)).collect();
            assert_eq!(found, parts, "{from}..{to}");
        }
    }
}
