//! Periods cut by the wall clock, for charts.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit, ZonedRound};
use serde::{Deserialize, Serialize};

use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};

/// How long the items of a chart are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Interval {
    #[serde(rename = "minute")]
    Minute,
    #[serde(rename = "15min")]
    QuarterHour,
    #[serde(rename = "hour")]
    Hour,
    #[serde(rename = "day")]
    Day,
    #[serde(rename = "week")]
    Week,
    #[serde(rename = "month")]
    Month,
}

/// Why a period is not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    #[error("interval: more than {0} in this period; ask for longer ones")]
    TooMany(usize),
    #[error("from and to: beyond what calendars know")]
    Calendar,
}

// === impl Interval ===

impl Interval {
    pub const ALL: [Interval; 6] =
        [Interval::Minute, Interval::QuarterHour, Interval::Hour, Interval::Day, Interval::Week, Interval::Month];

    pub fn as_str(self) -> &'static str {
        match self {
            Interval::Minute => "minute",
            Interval::QuarterHour => "15min",
            Interval::Hour => "hour",
            Interval::Day => "day",
            Interval::Week => "week",
            Interval::Month => "month",
        }
    }

    pub fn parse(name: &str) -> Option<Interval> {
        Interval::ALL.into_iter().find(|interval| interval.as_str() == name)
    }

    /// "interval: one of …", for a problem's detail.
    pub fn names() -> String {
        format!("interval: one of {}", Interval::ALL.map(Interval::as_str).join(", "))
    }

    /// The shortest that gives a chart of a period a few hundred items.
    pub fn fitting(length: Ms) -> Interval {
        match length / HOUR_MS {
            ..5 => Interval::Minute,
            5..72 => Interval::QuarterHour,
            72..400 => Interval::Hour,
            400..9_600 => Interval::Day,
            9_600..67_200 => Interval::Week,
            _ => Interval::Month,
        }
    }

    /// The intervals of a period by the wall clock of `zone`, the first and last cut to it. At a change of the clock
    /// the repeated hour is one of its own.
    ///
    /// # Errors
    /// More than `most` of them; instants that no calendar knows.
    pub fn cut(self, period: Span, zone: &TimeZone, most: usize) -> Result<Vec<Span>, Beyond> {
        let mut edges = BTreeSet::from([period.from, period.to]);
        let mut at = period.from;
        loop {
            at = match self {
                Interval::Minute => (at.div_euclid(MINUTE_MS) + 1) * MINUTE_MS,
                _ => self.next_edge(at, zone).map_err(|_| Beyond::Calendar)?,
            };
            if at >= period.to {
                break;
            }
            edges.insert(at);
            if edges.len() > most + 1 {
                return Err(Beyond::TooMany(most));
            }
        }
        let edges: Vec<Ms> = edges.into_iter().collect();
        Ok(edges.windows(2).map(|pair| Span::new(pair[0], pair[1])).collect())
    }

    fn next_edge(self, at: Ms, zone: &TimeZone) -> Result<Ms, jiff::Error> {
        let here = Timestamp::from_millisecond(at)?.to_zoned(zone.clone());
        let next = match self {
            Interval::Minute | Interval::QuarterHour | Interval::Hour => {
                // Within the offset in force: an hour that the clock repeats begins a second time.
                let offset_ms = Ms::from(here.offset().seconds()) * 1_000;
                let length = if self == Interval::QuarterHour { 15 * MINUTE_MS } else { 60 * MINUTE_MS };
                return Ok(((at + offset_ms).div_euclid(length) + 1) * length - offset_ms);
            }
            Interval::Day => {
                here.round(ZonedRound::new().smallest(Unit::Day).mode(jiff::RoundMode::Floor))?.checked_add(1.day())?
            }
            Interval::Week => {
                let days = here.date().weekday().to_monday_zero_offset();
                here.date().checked_sub(i64::from(days).days())?.checked_add(7.days())?.to_zoned(zone.clone())?
            }
            Interval::Month => here.date().first_of_month().checked_add(1.month())?.to_zoned(zone.clone())?,
        };
        Ok(next.timestamp().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{parse_rfc3339, rfc3339};

    fn cut(interval: Interval, from: &str, to: &str) -> Vec<String> {
        let zone = TimeZone::get("Europe/Madrid").unwrap();
        let period = Span::new(parse_rfc3339(from).unwrap(), parse_rfc3339(to).unwrap());
        interval.cut(period, &zone, 100).unwrap().iter().map(|span| rfc3339(span.from)[5..16].to_owned()).collect()
    }

    #[test]
    fn intervals_go_by_the_wall_clock() {
        assert_eq!(
            cut(Interval::Day, "2026-03-28T12:00:00Z", "2026-03-31T00:00:00Z"),
            ["03-28T12:00", "03-28T23:00", "03-29T22:00", "03-30T22:00"]
        );
        assert_eq!(cut(Interval::Week, "2026-03-20T00:00:00Z", "2026-03-24T00:00:00Z"), ["03-20T00:00", "03-22T23:00"]);
        assert_eq!(
            cut(Interval::Month, "2026-03-31T00:00:00Z", "2026-04-02T00:00:00Z"),
            ["03-31T00:00", "03-31T22:00"]
        );
    }

    #[test]
    fn the_hour_that_a_clock_repeats_counts_twice() {
        // 25 October 2026: 03:00 summer time becomes 02:00.
        let hours = cut(Interval::Hour, "2026-10-24T23:30:00Z", "2026-10-25T03:00:00Z");
        assert_eq!(hours, ["10-24T23:30", "10-25T00:00", "10-25T01:00", "10-25T02:00"]);
    }

    #[test]
    fn too_many_intervals_are_refused() {
        let period = Span::new(0, 40_000 * MINUTE_MS);
        assert_eq!(Interval::Minute.cut(period, &TimeZone::UTC, 20_000), Err(Beyond::TooMany(20_000)));
        assert!(Interval::Hour.cut(period, &TimeZone::UTC, 20_000).is_ok());
    }

    #[test]
    fn a_chart_gets_a_few_hundred_items_unless_asked_otherwise() {
        for hours in [1, 4, 5, 8, 24, 71, 72, 24 * 7, 24 * 31, 24 * 366, 24 * 366 * 3] {
            let period = Span::new(0, hours * HOUR_MS);
            let items = Interval::fitting(period.len()).cut(period, &TimeZone::UTC, 20_000).unwrap().len();
            assert!((15..=420).contains(&items), "{hours} h: {items}");
        }
    }
}
