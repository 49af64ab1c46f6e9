//! Instants and intervals: integer milliseconds since the Unix epoch, UTC, half-open.

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
pub type Ms = i64;

/// One minute, in milliseconds.
pub const MINUTE_MS: Ms = 60_000;
/// One hour, in milliseconds.
pub const HOUR_MS: Ms = 3_600_000;
/// Before every real instant: the start of what holds "from the beginning".
pub const BEGINNING: Ms = i64::MIN / 4;
/// After every real instant: the end of what holds "until further notice".
pub const FOREVER: Ms = i64::MAX / 4;

/// The interval [from, to).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub from: Ms,
    pub to: Ms,
}

impl Span {
    pub fn new(from: Ms, to: Ms) -> Self {
        Self { from, to }
    }

    /// Length in milliseconds; 0 for an empty or inverted span.
    pub fn len(&self) -> Ms {
        (self.to - self.from).max(0)
    }

    pub fn is_empty(&self) -> bool {
        self.to <= self.from
    }

    pub fn contains(&self, at: Ms) -> bool {
        self.from <= at && at < self.to
    }

    /// The part that both have; empty spans come back as `None`.
    pub fn intersect(&self, other: &Span) -> Option<Span> {
        let both = Span::new(self.from.max(other.from), self.to.min(other.to));
        (!both.is_empty()).then_some(both)
    }
}

/// RFC 3339 in UTC with milliseconds, the form of every time outside Andon: `2026-01-01T00:00:00.000Z`.
///
/// # Errors
/// None: an instant outside the years that the calendar library knows is clamped to its ends.
pub fn rfc3339(at: Ms) -> String {
    let at = at.clamp(jiff::Timestamp::MIN.as_millisecond(), jiff::Timestamp::MAX.as_millisecond());
    let stamp = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}

/// Reads RFC 3339 with any offset, down to milliseconds (finer digits are cut).
pub fn parse_rfc3339(text: &str) -> Result<Ms, jiff::Error> {
    Ok(text.parse::<jiff::Timestamp>()?.as_millisecond())
}

/// Serde: an instant as RFC 3339 text.
pub mod as_rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(at: &super::Ms, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&super::rfc3339(*at))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<super::Ms, D::Error> {
        let text = String::deserialize(input)?;
        super::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// Serde: an instant or nothing, as RFC 3339 text or null.
pub mod as_rfc3339_option {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(at: &Option<super::Ms>, out: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => out.serialize_some(&super::rfc3339(*at)),
            None => out.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<super::Ms>, D::Error> {
        match Option::<String>::deserialize(input)? {
            Some(text) => super::parse_rfc3339(&text).map(Some).map_err(D::Error::custom),
            None => Ok(None),
        }
    }
}
