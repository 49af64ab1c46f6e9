//! What a line's calendar is made of, as entered, and what is refused when it is saved.

use std::sync::Arc;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::wall::DAY_MS;
use crate::domain::time::{Ms, Span};

/// A set of days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Days(u8);

/// The rules of one line: wall times of `zone`.
#[derive(Clone, Debug)]
pub struct CalendarRules {
    pub zone: TimeZone,
    /// Regular shifts; none: the line is scheduled around the clock, holidays excepted.
    pub shifts: Vec<ShiftRule>,
    pub breaks: Vec<BreakRule>,
    /// Holidays.
    pub exceptions: Vec<ExceptionRule>,
    pub extra_shifts: Vec<ExtraShift>,
}

/// A regular shift. It starts on each of `days`; an end not after the start lies on the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShiftRule {
    pub name: Arc<str>,
    pub start: Time,
    pub end: Time,
    pub days: Days,
}

/// A break; it counts only inside a shift. An end not after the start lies on the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakRule {
    /// The shift, regular or extra, that it belongs to; none: it counts in any shift.
    pub shift: Option<Arc<str>>,
    pub start: Time,
    pub end: Time,
    /// For a break of a shift the days on which that shift starts, else those on which the break starts.
    pub days: Days,
}

/// A holiday: takes the regular shifts of a business date away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionRule {
    pub date: Date,
    /// The shifts that it takes away; empty: all, and the local day of a line without shifts.
    pub shifts: Vec<Arc<str>>,
}

/// A shift of one date, holiday or not. Where a regular shift lies, that one keeps its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraShift {
    pub date: Date,
    pub name: Arc<str>,
    pub start: Time,
    pub end: Time,
}

/// Why rules are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error(
        "shifts {first:?} and {second:?} overlap on {day:?}: let one end before the other starts, or take a day out"
    )]
    ShiftsOverlap { first: Arc<str>, second: Arc<str>, day: Weekday },
    #[error("shift {name:?} is there twice on {day:?}: give one another name, or take a day out")]
    ShiftTwice { name: Arc<str>, day: Weekday },
    #[error(
        "extra shifts {first:?} of {first_date} and {second:?} of {second_date} overlap: let one end before the other starts"
    )]
    ExtraShiftsOverlap { first: Arc<str>, first_date: Date, second: Arc<str>, second_date: Date },
    #[error("time zone {0:?} is not known: write an IANA name such as \"Europe/Madrid\"")]
    UnknownZone(String),
}

/// The zone of an IANA name, from the data built in: the same rules on every machine, whatever its system says.
pub fn zone(name: &str) -> Result<TimeZone, CalendarError> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| CalendarError::UnknownZone(name.to_owned()))
}

/// Milliseconds of a wall time since its midnight.
pub(super) fn time_ms(time: Time) -> Ms {
    let seconds = (Ms::from(time.hour()) * 60 + Ms::from(time.minute())) * 60 + Ms::from(time.second());
    seconds * 1000 + Ms::from(time.millisecond())
}

/// [start, end) in milliseconds of wall time since the midnight of the start's day.
pub(super) fn wall_span(start: Time, end: Time) -> Span {
    let (from, to) = (time_ms(start), time_ms(end));
    Span::new(from, if to > from { to } else { to + DAY_MS })
}

// === impl Days ===

impl Days {
    pub const EVERY: Days = Days(0b111_1111);
    pub const NONE: Days = Days(0);

    pub fn contains(self, day: Weekday) -> bool {
        self.0 & Self::bit(day) != 0
    }

    fn bit(day: Weekday) -> u8 {
        1 << day.to_monday_zero_offset()
    }
}

impl FromIterator<Weekday> for Days {
    fn from_iter<I: IntoIterator<Item = Weekday>>(days: I) -> Self {
        Days(days.into_iter().fold(0, |set, day| set | Self::bit(day)))
    }
}

// === impl CalendarRules ===

impl CalendarRules {
    /// Around the clock in `zone`, without holidays.
    pub fn always(zone: TimeZone) -> Self {
        Self { zone, shifts: Vec::new(), breaks: Vec::new(), exceptions: Vec::new(), extra_shifts: Vec::new() }
    }

    /// Refuses shifts that overlap on any day.
    ///
    /// Wall time decides: the instant of a wall time never falls as the wall time grows, also where the clock
    /// changes (see [`super::wall`]), so intervals apart on the wall are apart in UTC on every day of every year.
    pub(super) fn check(&self) -> Result<(), CalendarError> {
        self.check_shifts()?;
        self.check_extra_shifts()
    }

    fn check_shifts(&self) -> Result<(), CalendarError> {
        const WEEK_MS: Ms = 7 * DAY_MS;
        let mut week: Vec<(Span, usize, Weekday)> = Vec::new();
        for (index, shift) in self.shifts.iter().enumerate() {
            let span = wall_span(shift.start, shift.end);
            for day in Weekday::Monday.cycle_forward().take(7).filter(|day| shift.days.contains(*day)) {
                let twin = self.shifts[..index].iter().find(|s| s.name == shift.name && s.days.contains(day));
                if twin.is_some() {
                    return Err(CalendarError::ShiftTwice { name: shift.name.clone(), day });
                }
                let midnight = Ms::from(day.to_monday_zero_offset()) * DAY_MS;
                week.push((Span::new(midnight + span.from, midnight + span.to), index, day));
            }
        }
        week.sort_unstable_by_key(|(span, index, _)| (*span, *index));
        // Sorted by start, an interval that meets any later one meets the next one; the last is followed by the
        // first of the week after. A shift alone never meets itself: it is a day long at most.
        for (at, (span, index, day)) in week.iter().enumerate() {
            let (next, weeks_on) = if at + 1 < week.len() { (at + 1, 0) } else { (0, WEEK_MS) };
            let (next_span, next_index, _) = week[next];
            if next != at && span.to > next_span.from + weeks_on {
                let (first, second) = (self.shifts[*index].name.clone(), self.shifts[next_index].name.clone());
                return Err(CalendarError::ShiftsOverlap { first, second, day: *day });
            }
        }
        Ok(())
    }

    fn check_extra_shifts(&self) -> Result<(), CalendarError> {
        let mut extras: Vec<(Span, &ExtraShift)> =
            self.extra_shifts.iter().map(|extra| (extra.local_span(), extra)).collect();
        extras.sort_by_key(|(span, _)| *span);
        for pair in extras.windows(2) {
            let [(span, first), (next, second)] = pair else { continue };
            if span.to > next.from {
                return Err(CalendarError::ExtraShiftsOverlap {
                    first: first.name.clone(),
                    first_date: first.date,
                    second: second.name.clone(),
                    second_date: second.date,
                });
            }
        }
        Ok(())
    }
}

impl ExtraShift {
    /// [start, end) as local milliseconds.
    pub(super) fn local_span(&self) -> Span {
        let midnight = super::wall::local_midnight(self.date);
        let span = wall_span(self.start, self.end);
        Span::new(midnight + span.from, midnight + span.to)
    }
}
