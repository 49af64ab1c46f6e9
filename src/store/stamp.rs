//! Instants as MySQL's `DATETIME(3)` and back, always UTC.

use crate::domain::time::{MINUTE_MS, Ms};

/// First instant that a `DATETIME` holds: 1000-01-01.
pub const FIRST_STORABLE: Ms = -30_610_224_000_000;
/// End of what a `DATETIME` holds: 10000-01-01.
pub const LAST_STORABLE: Ms = 253_402_300_800_000;

/// Whether a `DATETIME` column can hold the instant.
pub fn is_storable(at: Ms) -> bool {
    (FIRST_STORABLE..LAST_STORABLE).contains(&at)
}

/// Days since 1970-01-01 to year, month, day (Gregorian, also before 1582).
fn civil(days: i64) -> (i64, u32, u32) {
    // Years begin in March, so that the leap day is the last; 400 years are 146,097 days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// Writes instants as `YYYY-MM-DD HH:MM:SS.mmm`; those of one minute share the work.
#[derive(Clone, Debug)]
pub(super) struct StampWriter {
    /// Minutes since the epoch that `text` is of.
    minute: i64,
    text: [u8; 17],
}

/// A UTC calendar month, as months since year 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Month(i64);

// === impl StampWriter ===

fn two(value: u32) -> [u8; 2] {
    [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

impl StampWriter {
    pub fn new() -> Self {
        Self { minute: i64::MIN, text: *b"0000-00-00 00:00:" }
    }

    /// Appends the instant, which must be storable.
    #[inline]
    pub fn write(&mut self, at: Ms, out: &mut Vec<u8>) {
        let minute = at.div_euclid(MINUTE_MS);
        if minute != self.minute {
            self.turn(minute);
        }
        let rest = at.rem_euclid(MINUTE_MS) as u32;
        let [s1, s2] = two(rest / 1000);
        let ms = rest % 1000;
        let [m2, m3] = two(ms % 100);
        let mut stamp = [0; 23];
        stamp[..17].copy_from_slice(&self.text);
        stamp[17..].copy_from_slice(&[s1, s2, b'.', b'0' + (ms / 100) as u8, m2, m3]);
        out.extend_from_slice(&stamp);
    }

    #[cold]
    fn turn(&mut self, minute: i64) {
        let (year, month, day) = civil(minute.div_euclid(1440));
        let of_day = minute.rem_euclid(1440) as u32;
        let year = year as u32;
        self.text[0..2].copy_from_slice(&two(year / 100));
        self.text[2..4].copy_from_slice(&two(year));
        self.text[5..7].copy_from_slice(&two(month));
        self.text[8..10].copy_from_slice(&two(day));
        self.text[11..13].copy_from_slice(&two(of_day / 60));
        self.text[14..16].copy_from_slice(&two(of_day % 60));
        self.minute = minute;
    }
}

/// The instant as a parameter, clamped to what a column can hold.
pub(super) fn stamp(at: Ms) -> String {
    let mut out = Vec::with_capacity(23);
    StampWriter::new().write(at.clamp(FIRST_STORABLE, LAST_STORABLE - 1), &mut out);
    // Digits and punctuation only.
    String::from_utf8_lossy(&out).into_owned()
}

/// SQL that reads a `DATETIME` column as epoch milliseconds.
pub(super) fn ms_of(column: &str) -> String {
    format!("CAST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column}) DIV 1000 AS SIGNED)")
}

// === impl Month ===

impl Month {
    pub fn of(at: Ms) -> Self {
        let (year, month, _) = civil(at.div_euclid(1440 * MINUTE_MS));
        Self(year * 12 + i64::from(month) - 1)
    }

    /// `p202601`'s digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let number: i64 = (digits.len() == 6).then(|| digits.parse().ok()).flatten()?;
        let (year, month) = (number / 100, number % 100);
        (1..=12).contains(&month).then_some(Self(year * 12 + month - 1))
    }

    pub fn digits(self) -> String {
        format!("{:04}{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }

    /// `2026-01-01`, where it begins.
    pub fn first_day(self) -> String {
        format!("{:04}-{:02}-01", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }

    pub fn plus(self, months: i64) -> Self {
        Self(self.0 + months)
    }

    /// Where it begins, epoch milliseconds.
    pub fn start(self) -> Ms {
        let (year, month) = (self.0.div_euclid(12), self.0.rem_euclid(12));
        // Days before the first of the month, in the years of `civil`.
        let shifted = year - i64::from(month < 2);
        let march = (month + 10) % 12;
        let era = shifted.div_euclid(400);
        let year_of_era = shifted.rem_euclid(400);
        let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * march + 2) / 5;
        (days - 719_468) * 1440 * MINUTE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{parse_rfc3339, rfc3339};

    #[test]
    fn stamps_are_the_calendar_librarys() {
        let mut writer = StampWriter::new();
        let mut at = FIRST_STORABLE;
        while at < LAST_STORABLE {
            let mut out = Vec::new();
            writer.write(at, &mut out);
            let expected = rfc3339(at).replace('T', " ");
            assert_eq!(String::from_utf8(out).unwrap(), expected.trim_end_matches('Z'));
            at += 86_400_000 * 211 + 3_723_457;
        }
        assert_eq!(stamp(i64::MAX), "9999-12-31 23:59:59.999");
        assert_eq!(stamp(i64::MIN), "1000-01-01 00:00:00.000");
    }

    #[test]
    fn a_month_begins_on_its_first_and_reads_back() {
        for text in ["1000-01-01", "1969-12-01", "1970-01-01", "2000-02-01", "2024-03-01", "2100-12-01"] {
            let start = parse_rfc3339(&format!("{text}T00:00:00Z")).unwrap();
            let month = Month::of(start);
            assert_eq!(month.start(), start);
            assert_eq!(month.first_day(), text);
            assert_eq!(Month::parse(&month.digits()), Some(month));
            assert_eq!(Month::of(start - 1), month.plus(-1));
            assert_eq!(Month::of(month.plus(1).start() - 1), month);
        }
        assert_eq!(Month::parse("202613"), None);
    }
}
