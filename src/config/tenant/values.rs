//! Values as people write them in a tenant's file, and their serde forms.

use std::fmt;

use jiff::civil::{Time, Weekday};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::time::Ms;

/// A wall time, `22:00` or `22:00:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub Time);

/// A length of time, written in seconds with at most three decimals: `60`, `2.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(Ms);

/// A day of the week, `mon` to `sun`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

// === impl WallTime ===

impl WallTime {
    /// Reads two digits each for hour and minute, and for the second if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        let part = |part: &str| -> Option<i8> {
            let is_two_digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            is_two_digits.then(|| part.parse().ok()).flatten()
        };
        let mut parts = text.split(':');
        let (hour, minute) = (part(parts.next()?)?, part(parts.next()?)?);
        let second = parts.next().map_or(Some(0), part)?;
        if parts.next().is_some() {
            return None;
        }
        Time::new(hour, minute, second, 0).ok().map(Self)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = (self.0.hour(), self.0.minute(), self.0.second());
        write!(f, "{hour:02}:{minute:02}")?;
        if second != 0 {
            write!(f, ":{second:02}")?;
        }
        Ok(())
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let expected = "a wall time from \"00:00\" to \"23:59\" (midnight at the end of a day is \"00:00\")";
        WallTime::parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
    }
}

/// Serde: a wall time, or the empty text for never.
pub(super) mod wall_time_or_never {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Option<WallTime>, out: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => time.serialize(out),
            None => out.serialize_str(""),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<WallTime>, D::Error> {
        let text = String::deserialize(input)?;
        if text.is_empty() {
            return Ok(None);
        }
        let expected = "a wall time such as \"04:00\", or \"\" for never";
        let time = WallTime::parse(&text);
        time.map(Some).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
    }
}

// === impl Seconds ===

impl Seconds {
    pub fn from_secs(seconds: u32) -> Self {
        Self(Ms::from(seconds) * 1000)
    }

    pub fn from_ms(ms: Ms) -> Self {
        Self(ms)
    }

    pub fn ms(self) -> Ms {
        self.0
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 { out.serialize_i64(self.0 / 1000) } else { out.serialize_f64(self.0 as f64 / 1000.0) }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(SecondsVisitor)
    }
}

struct SecondsVisitor;

impl SecondsVisitor {
    /// Far beyond every limit that a key sets for itself.
    const MAX_S: f64 = 1e9;
}

impl Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds, not negative, in whole milliseconds")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Seconds, E> {
        self.visit_f64(seconds as f64)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Seconds, E> {
        self.visit_f64(seconds as f64)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Seconds, E> {
        let ms = (seconds * 1000.0).round();
        let is_whole = (ms / 1000.0 - seconds).abs() < 1e-9 * seconds.abs().max(1.0);
        if !(0.0..=Self::MAX_S).contains(&seconds) || !is_whole {
            return Err(E::invalid_value(Unexpected::Float(seconds), &self));
        }
        Ok(Seconds(ms as Ms))
    }
}

// === impl Day ===

impl Day {
    pub const EVERY: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

    pub fn weekday(self) -> Weekday {
        match self {
            Day::Mon => Weekday::Monday,
            Day::Tue => Weekday::Tuesday,
            Day::Wed => Weekday::Wednesday,
            Day::Thu => Weekday::Thursday,
            Day::Fri => Weekday::Friday,
            Day::Sat => Weekday::Saturday,
            Day::Sun => Weekday::Sunday,
        }
    }
}
