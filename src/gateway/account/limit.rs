//! How often something may be tried.

use std::hash::Hash;
use std::time::{Duration, Instant};

use dashmap::DashMap;

/// Keys remembered; those that have regained all their tries are forgotten beyond that.
const MAX_KEYS: usize = 50_000;

/// So many tries in a period per key, regained evenly (GCRA).
#[derive(Debug)]
pub struct Limit<K: Eq + Hash> {
    period: Duration,
    tries: u32,
    /// When all tries are regained.
    full_at: DashMap<K, Instant>,
}

// === impl Limit ===

impl<K: Eq + Hash> Limit<K> {
    pub fn new(tries: u32, period: Duration) -> Limit<K> {
        Limit { period, tries, full_at: DashMap::new() }
    }

    /// Takes a try.
    ///
    /// # Errors
    /// How long to wait for the next.
    pub fn take(&self, key: K) -> Result<(), Duration> {
        self.take_at(key, Instant::now())
    }

    fn take_at(&self, key: K, now: Instant) -> Result<(), Duration> {
        if self.full_at.len() > MAX_KEYS {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        let one = self.period / self.tries;
        let mut full_at = self.full_at.entry(key).or_insert(now);
        let next = (*full_at).max(now) + one;
        let latest = now + self.period;
        if next > latest {
            return Err(next - latest);
        }
        *full_at = next;
        Ok(())
    }

    /// Whether a try would be let through now.
    pub fn has_room(&self, key: &K) -> Result<(), Duration> {
        let now = Instant::now();
        let Some(full_at) = self.full_at.get(key).map(|full_at| *full_at) else { return Ok(()) };
        let next = full_at.max(now) + self.period / self.tries;
        if next > now + self.period { Err(next - (now + self.period)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_run_out_and_come_back() {
        let limit = Limit::new(20, Duration::from_secs(60));
        let start = Instant::now();
        for _ in 0..20 {
            limit.take_at("a", start).unwrap();
        }
        let wait = limit.take_at("a", start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(3));
        limit.take_at("b", start).unwrap();
        limit.take_at("a", start + wait).unwrap();
        assert!(limit.take_at("a", start + wait).is_err());
        for _ in 0..20 {
            limit.take_at("a", start + Duration::from_secs(120)).unwrap();
        }
    }
}
