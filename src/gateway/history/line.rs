//! Sums and figures of one line over any period.

use crate::domain::production::changes::MinuteRow;
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::Detection;
use crate::domain::production::figure::{Figure, Frame, Window};
use crate::domain::production::sums::Sums;
use crate::domain::time::{FOREVER, MINUTE_MS, Ms, Span};
use crate::gateway::hub::board::LineFacts;
use crate::store::{StoreError, TenantDb};

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

    /// The sums of a period, to the millisecond.
    pub async fn sums(&self, period: Span) -> Result<Sums, StoreError> {
        let first = period.from.div_euclid(MINUTE_MS) * MINUTE_MS;
        let last = period.to.div_euclid(MINUTE_MS) * MINUTE_MS;
        let whole = Span::new(if first < period.from { first + MINUTE_MS } else { first }, last);
        let mut sums = Sums::default();
        if !whole.is_empty() {
            for row in self.minutes(whole).await? {
                sums += &row.sums;
            }
        }
        for fragment in fragments(period) {
            sums += &self.fragment(fragment).await?;
        }
        Ok(sums)
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
