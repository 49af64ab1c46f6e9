//! Chance that comes out the same for the same seed, on every machine and in every version.

use std::ops::RangeInclusive;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::domain::time::Ms;

/// A source of numbers with a published algorithm; the distributions are written out below for the same reason.
#[derive(Clone, Debug)]
pub struct Chance(Xoshiro256PlusPlus);

// === impl Chance ===

impl Chance {
    /// The numbers of one line.
    pub fn new(seed: u64, line: &str) -> Chance {
        // FNV-1a: lines of a plant differ, and a line keeps its numbers when another one is added.
        let name = line
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Chance(Xoshiro256PlusPlus::seed_from_u64(seed ^ name))
    }

    /// Numbers of its own for a part.
    pub fn branch(&mut self) -> Chance {
        Chance(Xoshiro256PlusPlus::seed_from_u64(self.0.next_u64()))
    }

    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number, both ends included.
    pub fn between(&mut self, low: Ms, high: Ms) -> Ms {
        low + (self.unit() * (high - low + 1) as f64) as Ms
    }

    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of several; none of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get((self.unit() * of.len() as f64) as usize)
    }

    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        // Box and Muller; the logarithm's argument is above 0.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        mean + deviation * radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Time until something that happens every `mean` ms on the average and has no memory.
    pub fn until(&mut self, mean: Ms) -> Ms {
        (-(1.0 - self.unit()).ln() * mean as f64) as Ms
    }

    /// A length with a long tail, as people's repairs have: half are below `median`.
    pub fn length(&mut self, median: Ms, spread: f64, within: RangeInclusive<Ms>) -> Ms {
        let length = (median as f64 * self.normal(0.0, spread).exp()) as Ms;
        length.clamp(*within.start(), *within.end())
    }
}
