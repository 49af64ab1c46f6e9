//! A line's life as a story: what happened, one thing after the other, in words that a person can follow.

use std::fmt;

use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{CameraStatus, Detection, Health};
use crate::domain::time::Ms;

/// What happens next.
#[derive(Clone)]
pub enum Act {
    /// Arrives in the topic and is read.
    Detection(Detection),
    /// As [`Act::Detection`].
    Status(CameraStatus),
    /// The topic was at its end: the clock goes on in silence.
    Silence { to: Ms },
    /// The micro-batch ends here.
    Commit,
    /// Killed: what is not committed is gone, and the next owner takes up what the store has.
    Crash,
    /// A person names the reason of a stop, counted from the latest told; none takes the last one away.
    Classify { nth_last: usize, reason: Option<&'static str> },
    /// A person divides a stop, counted from the latest told, after this many thousandths of its length.
    Split { nth_last: usize, per_mille: i64 },
    /// Input is known to be missing.
    Hole { from: Ms, to: Ms },
    /// A version is saved. `noticed`: the line's owner hears of it at once, else when it next asks. `asked`: the time
    /// was given with `--from`, so that one that some line cannot book anew any more is refused.
    Version { config: Box<LineConfig>, noticed: bool, asked: bool },
}

/// A line and what it goes through.
#[derive(Clone)]
pub struct Story {
    pub first: LineConfig,
    pub acts: Vec<Act>,
}

/// An instant as people write it.
pub fn when(at: Ms) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at).map(|stamp| stamp.strftime("%d. %H:%M:%S%.f").to_string());
    stamp.unwrap_or_else(|_| at.to_string())
}

// === impl Act ===

impl fmt::Display for Act {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Detection(d) => {
                write!(out, "{} detection {} area {} ×{}", when(d.detected_at), d.detection_id, d.area_id, d.quantity)?;
                write!(out, " product {}", d.product_id)?;
                d.camera_id.map_or(Ok(()), |camera| write!(out, " camera {camera}"))
            }
            Act::Status(s) => {
                let health = if s.status == Health::Offline { "offline" } else { "online" };
                write!(out, "{} camera {} says {health}", when(s.at), s.camera_id)
            }
            Act::Silence { to } => write!(out, "{} silence until here", when(*to)),
            Act::Commit => write!(out, "commit"),
            Act::Crash => write!(out, "crash"),
            Act::Classify { nth_last, reason } => {
                write!(out, "reason {} for stop {nth_last} from the end", reason.unwrap_or("taken away"))
            }
            Act::Split { nth_last, per_mille } => {
                write!(out, "split stop {nth_last} from the end at {per_mille} ‰ of it")
            }
            Act::Hole { from, to } => write!(out, "hole {} to {}", when(*from), when(*to)),
            Act::Version { config, noticed, asked } => {
                write!(out, "version {} saved", config.version)?;
                write!(out, "{}", if *asked { " (--from given)" } else { "" })?;
                write!(out, "{}: ", if *noticed { "" } else { ", its owner not told yet" })?;
                write!(out, "{}", Config(config))
            }
        }
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A configuration in a line of text.
struct Config<'a>(&'a LineConfig);

impl fmt::Display for Config<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.0;
        if c.version > 1 {
            write!(out, "from {} ", when(c.valid_from))?;
        }
        let areas = c.areas.iter().map(|a| format!("{} {:?} {:?}", a.id, a.role, a.cameras));
        write!(out, "areas {}", areas.collect::<Vec<_>>().join(", "))?;
        write!(out, "; stop > {} ms, micro {:?} ms", c.downtime_threshold_ms, c.micro_stop_threshold_ms)?;
        write!(out, ", lateness {} s", c.allowed_lateness_ms / 1000)?;
        write!(out, ", heartbeat {:?} ms, credit {}", c.heartbeat_ms, c.cycle_credit)?;
        write!(out, ", cycles {:?} {:?} ns", c.ideal_cycle_ns, c.product_cycles_ns)?;
        write!(out, ", {:?}", c.policy)?;
        let rules = c.calendar.rules();
        let shifts = rules.shifts.iter().map(|s| format!("{} {}–{}", s.name, s.start, s.end));
        let breaks = rules.breaks.iter().map(|b| format!("{}–{}", b.start, b.end));
        let holidays = rules.exceptions.iter().map(|e| e.date.to_string());
        write!(out, "; {:?}", rules.zone.iana_name().unwrap_or("UTC"))?;
        write!(out, " shifts {:?}", shifts.collect::<Vec<_>>())?;
        write!(out, " breaks {:?}", breaks.collect::<Vec<_>>())?;
        write!(out, " holidays {:?}", holidays.collect::<Vec<_>>())
    }
}

impl fmt::Debug for Story {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\n  version 1: {}", Config(&self.first))?;
        self.acts.iter().try_for_each(|act| writeln!(out, "  {act}"))
    }
}
