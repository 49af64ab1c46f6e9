//! The load of the benches: lines with a takt, micro-stops, stops, changeovers, rejects and repeats, in order of
//! arrival, always the same for the same seed.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::domain::production::detection::Detection;
use crate::domain::time::{HOUR_MS, Ms};

/// How a line behaves.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Share of detections that arrive up to 30 s after others of their time, in percent.
    pub late_percent: u32,
    /// Share of detections that arrive twice, in percent.
    pub repeat_percent: u32,
}

/// An endless sequence of detections of one line in order of arrival.
pub struct LineLoad {
    line: i64,
    shape: Shape,
    random: SmallRng,
    pending: BinaryHeap<Reverse<Arrival>>,
    takt: Ms,
    transit: Ms,
    now: Ms,
    changeover: Ms,
    product: i32,
    number: u64,
    sequence: i64,
}

/// A detection on its way, in the order of arrival, then of sending.
struct Arrival {
    at: Ms,
    number: u64,
    detection: Detection,
}

/// The areas of a loaded line: also those of the peer's records, so that one configuration fits both.
pub const AREAS: [(i32, &str, &str); 3] =
    [(1, "infeed", "input"), (OUTPUT, "outfeed", "output"), (4, "ejector", "reject")];
/// The area whose detections are exits.
pub const OUTPUT: i32 = 3;

// === impl Arrival ===

impl Arrival {
    fn order(&self) -> (Ms, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

// === impl LineLoad ===

impl LineLoad {
    pub fn new(seed: u64, line: u32, start: Ms, shape: Shape) -> LineLoad {
        let mut random = SmallRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(u64::from(line)));
        let takt = 1_200 + random.random_range(0..1_800);
        let transit = 4_000 + random.random_range(0..4_000);
        let now = start + random.random_range(0..60_000);
        LineLoad {
            line: i64::from(line),
            shape,
            random,
            pending: BinaryHeap::new(),
            takt,
            transit,
            now,
            changeover: now + 4 * HOUR_MS,
            product: 1,
            number: 0,
            sequence: 0,
        }
    }

    fn piece(&mut self) {
        if self.now >= self.changeover {
            self.product = 1 + self.product % 3;
            self.changeover = self.now + 4 * HOUR_MS;
            self.now += 300_000 + self.random.random_range(0..600_000);
        }
        let quantity = if self.random.random_range(0..100) < 97 { 1 } else { 2 + self.random.random_range(0..5) };
        self.detection(1, self.now, quantity);
        let exit = if self.random.random_range(0..100) < 2 { 4 } else { OUTPUT };
        let at = self.now + self.transit + self.random.random_range(0..400) - 200;
        self.detection(exit, at, quantity);
        self.now += self.takt * self.random.random_range(90..110) / 100;
        match self.random.random_range(0..3_000) {
            0..20 => self.now += 6_000 + self.random.random_range(0..44_000),
            20..24 => self.now += 61_000 + self.random.random_range(0..480_000),
            _ => {}
        }
    }

    fn detection(&mut self, area: i32, at: Ms, quantity: i32) {
        self.sequence += 1;
        let detection = Detection {
            detection_id: (self.line + 1) << 32 | self.sequence,
            detected_at: at,
            area_id: area,
            product_id: self.product,
            quantity,
            camera_id: Some(10 + area),
            confidence: Some(0.5 + 0.5 * self.random.random::<f32>()),
        };
        let mut arrival = at + 20 + self.random.random_range(0..180);
        if self.random.random_range(0..100) < self.shape.late_percent {
            arrival += self.random.random_range(0..29_800);
        }
        self.push(arrival, detection);
        if self.random.random_range(0..100) < self.shape.repeat_percent {
            let again = arrival + 50 + self.random.random_range(0..300_000);
            self.push(again, detection);
        }
    }

    fn push(&mut self, arrival: Ms, detection: Detection) {
        self.number += 1;
        self.pending.push(Reverse(Arrival { at: arrival, number: self.number, detection }));
    }
}

impl Iterator for LineLoad {
    /// When it arrives, and what.
    type Item = (Ms, Detection);

    fn next(&mut self) -> Option<(Ms, Detection)> {
        while self.pending.peek().is_none_or(|Reverse(first)| first.at > self.now) {
            self.piece();
        }
        self.pending.pop().map(|Reverse(first)| (first.at, first.detection))
    }
}
