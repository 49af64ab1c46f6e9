//! Times and lengths of time on the command line.

use andon::domain::time::{Ms, parse_rfc3339};
use jiff::SpanRelativeTo;

/// Milliseconds since the epoch, by the wall clock.
pub fn now() -> Ms {
    jiff::Timestamp::now().as_millisecond()
}

/// RFC 3339, epoch milliseconds, `now`, or `now` with a length: `now-24h`, `now+90m`.
pub fn time(text: &str) -> Result<Ms, String> {
    time_at(text, now())
}

fn time_at(text: &str, now: Ms) -> Result<Ms, String> {
    if let Ok(at) = text.parse::<Ms>() {
        return Ok(at);
    }
    if let Some(rest) = text.strip_prefix("now") {
        return match rest.split_at_checked(1) {
            None => Ok(now),
            Some(("-", length)) => Ok(now - length_of(length)?),
            Some(("+", length)) => Ok(now + length_of(length)?),
            Some(_) => Err("write now, or now-24h".to_owned()),
        };
    }
    parse_rfc3339(text).map_err(|_| "write RFC 3339 (2026-01-01T06:00:00Z), epoch milliseconds or now-24h".to_owned())
}

/// `90s`, `10m`, `24h`, `7d`, `1h30m`, in milliseconds; positive.
pub fn length_of(text: &str) -> Result<Ms, String> {
    let span: jiff::Span = text.parse().map_err(|_| "write a length such as 90s, 10m, 24h or 7d".to_owned())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let ms = duration.ok().and_then(|duration| Ms::try_from(duration.as_millis()).ok());
    ms.filter(|ms| *ms > 0).ok_or_else(|| "write a positive length in weeks or less, such as 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(length_of("90s"), Ok(90_000));
        assert_eq!(length_of("1h30m"), Ok(5_400_000));
        assert_eq!(length_of("7d"), Ok(7 * 86_400_000));
        assert_eq!(length_of("250ms"), Ok(250));
        for wrong in ["", "10", "-5m", "0s", "soon"] {
            assert!(length_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time_at("2026-01-01T01:00:00+01:00", 0), Ok(1_767_225_600_000));
        assert_eq!(time_at("1767225600000", 0), Ok(1_767_225_600_000));
        assert_eq!(time_at("now", 100_000), Ok(100_000));
        assert_eq!(time_at("now-1m", 100_000), Ok(40_000));
        assert_eq!(time_at("now+1m", 100_000), Ok(160_000));
        for wrong in ["yesterday", "now24h", "now-", "2026-01-01"] {
            assert!(time_at(wrong, 0).is_err(), "{wrong}");
        }
    }
}
