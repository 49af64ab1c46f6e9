//! The one place where the engine reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::Ms;

/// Wall time for what is stored and said, monotonic time for waiting.
pub trait Clock: Clone + Send + Sync + 'static {
    fn now(&self) -> Ms;
    fn instant(&self) -> Instant;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

// === impl Clock ===

impl Clock for SystemClock {
    fn now(&self) -> Ms {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Ms)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}
