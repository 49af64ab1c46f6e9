//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Ms;

/// Now.
pub fn now() -> Ms {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Ms)
}
