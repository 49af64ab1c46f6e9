//! A line's part of a tenant's file, ready for the core.

use std::sync::Arc;

use super::{BreakSpec, Day, LineSpec, Problem, SpecError, TenantSpec, WallTime};
use crate::domain::calendar::{
    BreakRule, Calendar, CalendarError, CalendarRules, Days, ExceptionRule, ExtraShift, ShiftRule, zone,
};
use crate::domain::production::config::{Area, LineConfig, cycle_ns};
use crate::domain::time::Ms;

/// Whether an entry with this list of lines is about `line`.
fn is_for(lines: Option<&Vec<String>>, line: &str) -> bool {
    lines.is_none_or(|lines| lines.iter().any(|name| name == line))
}

fn days(days: &[Day]) -> Days {
    days.iter().map(|day| day.weekday()).collect()
}

fn wall((start, end): (WallTime, WallTime)) -> (jiff::civil::Time, jiff::civil::Time) {
    (start.0, end.0)
}

/// Cycles to milliseconds, rounded half up; cycles count to a millionth. `None` when the result is no positive,
/// representable time.
pub(super) fn cycles_ms(cycles: f64, cycle_ns: i64) -> Option<Ms> {
    const NS_PER_MS_AND_MILLIONTHS: i128 = 1_000_000 * 1_000_000;
    if !cycles.is_finite() || !(0.0..=1e9).contains(&cycles) {
        return None;
    }
    let millionths = (cycles * 1e6).round() as i128;
    let ms = (millionths * i128::from(cycle_ns) + NS_PER_MS_AND_MILLIONTHS / 2) / NS_PER_MS_AND_MILLIONTHS;
    Ms::try_from(ms).ok().filter(|ms| *ms > 0)
}

impl LineSpec {
    /// The line's ideal cycle in nanoseconds per piece, from `performance`.
    pub fn ideal_cycle_ns(&self) -> Option<i64> {
        self.performance.and_then(cycle_ns)
    }

    /// A longer piece of a gap is a stop. `None` where it cannot be told: cycles without a `performance`.
    pub fn downtime_threshold_ms(&self) -> Option<Ms> {
        match (self.downtime_threshold_s, self.downtime_threshold_cycles) {
            (Some(seconds), _) => Some(seconds.ms()),
            (None, Some(cycles)) => cycles_ms(cycles, self.ideal_cycle_ns()?),
            (None, None) => None,
        }
    }

    /// A longer piece that is no stop is a micro-stop; `None`: never.
    pub fn micro_stop_threshold_ms(&self) -> Option<Ms> {
        match (self.micro_stop_threshold_s, self.micro_stop_threshold_cycles) {
            (Some(seconds), _) => Some(seconds.ms()),
            (None, Some(cycles)) => cycles_ms(cycles, self.ideal_cycle_ns()?),
            (None, None) => None,
        }
    }
}

impl TenantSpec {
    /// The calendar's rules for one line.
    ///
    /// # Errors
    /// An unknown time zone.
    pub fn calendar_rules(&self, line: &str) -> Result<CalendarRules, CalendarError> {
        let shifts = self.shifts.iter().filter(|shift| is_for(shift.lines.as_ref(), line)).map(|shift| {
            let (start, end) = wall((shift.start, shift.end));
            ShiftRule { name: shift.name.as_str().into(), start, end, days: days(&shift.days) }
        });
        let breaks = self.breaks.iter().filter(|rule| is_for(rule.lines.as_ref(), line)).map(BreakSpec::rule);
        let exceptions = self.exceptions.iter().filter(|exception| is_for(exception.lines.as_ref(), line));
        let exceptions = exceptions.map(|exception| ExceptionRule {
            date: exception.date,
            shifts: exception.shifts.iter().flatten().map(|name| name.as_str().into()).collect(),
        });
        let extra_shifts = self.extra_shifts.iter().filter(|extra| is_for(extra.lines.as_ref(), line)).map(|extra| {
            let (start, end) = wall((extra.start, extra.end));
            ExtraShift { date: extra.date, name: extra.name.as_str().into(), start, end }
        });
        Ok(CalendarRules {
            zone: zone(&self.tenant.time_zone)?,
            shifts: shifts.collect(),
            breaks: breaks.collect(),
            exceptions: exceptions.collect(),
            extra_shifts: extra_shifts.collect(),
        })
    }

    /// What judges `line` from `valid_from` on, under these version numbers.
    ///
    /// # Errors
    /// A line that is not in the file; in a spec that was put together without [`TenantSpec::parse`], also what
    /// parsing would have refused.
    pub fn line_config(
        &self,
        line: &str,
        version: u32,
        policy_version: u32,
        valid_from: Ms,
    ) -> Result<LineConfig, SpecError> {
        let spec = self.line(line)?;
        let refused = |key: String, problem: String| {
            let fix = "read the file again with its checks".to_owned();
            SpecError::Invalid(vec![Problem { key, problem, fix }])
        };
        let rules = self.calendar_rules(line).and_then(Calendar::new);
        let calendar = rules.map_err(|error| refused("shift".to_owned(), error.to_string()))?;
        let no_threshold = || refused(format!("line[{line}].downtime_threshold_s"), "is not known".to_owned());
        let area = |area: &super::AreaSpec| Area {
            id: area.id,
            name: area.name.clone(),
            role: area.role,
            cameras: area.cameras.clone(),
        };
        let product_cycle = |product: &super::ProductSpec| Some((product.id, cycle_ns(product.production_std?)?));
        Ok(LineConfig {
            version,
            policy_version,
            valid_from,
            areas: spec.areas.iter().map(area).collect(),
            product_cycles_ns: self.products.iter().filter_map(product_cycle).collect(),
            ideal_cycle_ns: spec.ideal_cycle_ns(),
            downtime_threshold_ms: spec.downtime_threshold_ms().ok_or_else(no_threshold)?,
            micro_stop_threshold_ms: spec.micro_stop_threshold_ms(),
            cycle_credit: spec.cycle_credit,
            allowed_lateness_ms: spec.allowed_lateness_s.ms(),
            heartbeat_ms: spec.heartbeat_s.map(super::Seconds::ms),
            retention_months: spec.retention_months,
            policy: self.loss_policy,
            reasons: self.reasons.iter().map(|reason| (reason.code.clone(), reason.kind)).collect(),
            calendar: Arc::new(calendar),
        })
    }
}

impl BreakSpec {
    fn rule(&self) -> BreakRule {
        let (start, end) = wall((self.start, self.end));
        BreakRule { shift: self.shift.as_deref().map(Into::into), start, end, days: days(&self.days) }
    }
}
