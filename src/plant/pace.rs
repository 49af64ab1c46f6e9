//! When a simulated or recorded instant is due.

use std::str::FromStr;
use std::time::Duration;

use crate::domain::time::Ms;

/// How fast recorded time goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as the wall clock; positive.
    Times(f64),
    /// As fast as it can be read and sent.
    Max,
}

/// Follows "failed to read the speed: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no speed: write a positive number such as 60, or max")]
pub struct BadSpeed(String);

/// The course of recorded time since a run began.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The recorded instant with which the run began.
    pub from: Ms,
    pub speed: Speed,
}

// === impl Speed ===

impl FromStr for Speed {
    type Err = BadSpeed;

    fn from_str(text: &str) -> Result<Self, BadSpeed> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Speed::Times(times)),
            _ => Err(BadSpeed(text.to_owned())),
        }
    }
}

// === impl Pace ===

impl Pace {
    /// How long to wait until `at` is due, `elapsed` after the run began. With `wall`, the wall clock now, what lies
    /// after it is not due yet however fast the run is: a fast run catches up with the present and goes on with it.
    pub fn wait(&self, at: Ms, elapsed: Duration, wall: Option<Ms>) -> Duration {
        let by_speed = match self.speed {
            Speed::Max => 0,
            Speed::Times(times) => ((at - self.from) as f64 / times) as Ms - elapsed.as_millis() as Ms,
        };
        let by_wall = wall.map_or(0, |wall| at - wall);
        Duration::from_millis(by_speed.max(by_wall).max(0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_ms(speed: Speed, at: Ms, elapsed_ms: u64, wall: Option<Ms>) -> u64 {
        Pace { from: 100_000, speed }.wait(at, Duration::from_millis(elapsed_ms), wall).as_millis() as u64
    }

    #[test]
    fn recorded_time_goes_by_at_the_speed() {
        assert_eq!(wait_ms(Speed::Times(10.0), 160_000, 0, None), 6_000);
        assert_eq!(wait_ms(Speed::Times(10.0), 160_000, 4_000, None), 2_000);
        assert_eq!(wait_ms(Speed::Times(0.5), 101_000, 0, None), 2_000);
    }

    #[test]
    fn what_is_overdue_waits_for_nothing() {
        assert_eq!(wait_ms(Speed::Times(1.0), 101_000, 5_000, None), 0);
        assert_eq!(wait_ms(Speed::Times(1.0), 90_000, 0, None), 0);
        assert_eq!(wait_ms(Speed::Max, 9_000_000, 0, None), 0);
    }

    #[test]
    fn the_present_is_not_overtaken() {
        assert_eq!(wait_ms(Speed::Max, 200_500, 0, Some(200_000)), 500);
        assert_eq!(wait_ms(Speed::Times(60.0), 200_500, 60_000, Some(200_000)), 500);
        assert_eq!(wait_ms(Speed::Max, 199_000, 0, Some(200_000)), 0);
    }

    #[test]
    fn a_speed_is_a_positive_number_or_max() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2.5".parse(), Ok(Speed::Times(2.5)));
        for wrong in ["0", "-1", "fast", "inf", "NaN", ""] {
            let error = wrong.parse::<Speed>().unwrap_err().to_string();
            assert!(error.contains("or max"), "{error}");
        }
    }
}
