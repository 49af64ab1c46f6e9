//! A plant that does not exist: lines with a takt, stops, changeovers, and cameras with faults of their own.
//!
//! Pure: the same file, seed and start give the same records. A [`Plant`] merges its lines in the order of arrival.
//! A [`LineModel`] is three sources of events (pieces, heartbeats, cameras going blind) and a heap of records on their
//! way; what is on top of the heap leaves once no source can still come before it.
//!
//! [`timeline`] is when the line moves, [`route`] which areas a piece passes, [`cameras`] what is seen and how late.

mod cameras;
mod chance;
mod route;
#[cfg(test)]
mod tests;
mod timeline;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use self::cameras::Cameras;
use self::chance::Chance;
use self::route::Route;
use self::timeline::Timeline;
pub use self::timeline::{Halt, HaltKind};
use crate::config::tenant::{SpecError, TenantSpec};
use crate::domain::production::detection::{Detection, Record};
use crate::domain::time::{BEGINNING, Ms};

/// Share of records that a camera sends twice.
const REPEATED: f64 = 0.01;
/// Share of detections that count more than one piece.
const BATCHES: f64 = 0.02;

/// What a plant is made from beside the tenant's file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Same seed, same plant.
    pub seed: u64,
    /// Where simulated time starts.
    pub start: Ms,
    /// The first `detection_id` of every line; they count up from there.
    pub first_id: i64,
    /// Detections per second of a running line; none: the takt of its products.
    pub rate: Option<f64>,
}

/// A record when it reaches the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Not before the record's event time.
    pub at: Ms,
    pub record: Record,
}

/// A halt and the line on which it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub line: String,
    pub halt: Halt,
}

/// All lines of a plant: an endless iterator over (place of the line, arrival), in the order of arrival.
#[derive(Debug)]
pub struct Plant {
    lines: Vec<LineModel>,
    /// The next arrival of every line that has one.
    next: BinaryHeap<Reverse<(Ms, usize)>>,
    held: Vec<Option<Arrival>>,
}

/// One line: an endless iterator, unless the calendar never schedules it and no heartbeat is demanded.
#[derive(Debug)]
pub struct LineModel {
    name: String,
    chance: Chance,
    timeline: Timeline,
    route: Route,
    cameras: Cameras,
    rate: Option<f64>,
    /// Where the next piece enters, in running time.
    head: f64,
    /// The same in wall time; none: the line never runs again.
    head_at: Option<Ms>,
    next_id: i64,
    underway: BinaryHeap<Reverse<Underway>>,
    /// Orders records that arrive in the same millisecond.
    sequence: u64,
}

/// A record on its way, first by arrival, then by the order in which it was sent.
#[derive(Debug)]
struct Underway {
    at: Ms,
    sequence: u64,
    record: Record,
}

/// A product and its ideal rate, pieces per minute.
#[derive(Clone, Copy, Debug)]
struct Made {
    product_id: i32,
    rate: f64,
}

/// Rates that differ by less are those of one line's products.
const ALIKE: f64 = 2.1;
/// Of a line whose file says none, pieces per minute.
const DEFAULT_RATE: f64 = 30.0;

/// What a line makes. A file does not say which products are whose: those whose own rate is like the line's. A line
/// that is like none makes a product without a rate of its own, each such line another one.
fn products(spec: &TenantSpec, line: &str) -> Vec<Made> {
    let rated = |performance: Option<f64>| {
        let own = performance.unwrap_or(DEFAULT_RATE);
        let alike = spec.products.iter().filter_map(move |product| {
            let rate = product.production_std?;
            ((rate / own).max(own / rate) <= ALIKE).then_some(Made { product_id: product.id, rate })
        });
        alike.collect::<Vec<Made>>()
    };
    let Ok(wanted) = spec.line(line) else { return Vec::new() };
    let known = rated(wanted.performance);
    if !known.is_empty() {
        return known;
    }
    let before = spec.lines.iter().take_while(|other| other.name != line);
    let place = before.filter(|other| rated(other.performance).is_empty()).count();
    let rate = wanted.performance.unwrap_or(DEFAULT_RATE);
    let unrated: Vec<i32> =
        spec.products.iter().filter(|product| product.production_std.is_none()).map(|product| product.id).collect();
    let product_id = if unrated.is_empty() { 0 } else { unrated[place % unrated.len()] };
    vec![Made { product_id, rate }]
}

// === impl Plant ===

impl Plant {
    /// The named lines of a tenant.
    ///
    /// # Errors
    /// A line that is not in the file.
    pub fn new(spec: &TenantSpec, lines: &[&str], settings: &Settings) -> Result<Plant, SpecError> {
        let lines: Result<Vec<LineModel>, SpecError> =
            lines.iter().enumerate().map(|(place, line)| LineModel::new(spec, line, place, settings)).collect();
        let mut plant = Plant { lines: lines?, next: BinaryHeap::new(), held: Vec::new() };
        plant.held = plant.lines.iter_mut().map(Iterator::next).collect();
        for (place, arrival) in plant.held.iter().enumerate() {
            plant.next.extend(arrival.iter().map(|arrival| Reverse((arrival.at, place))));
        }
        Ok(plant)
    }

    /// The lines, by place.
    pub fn lines(&self) -> &[LineModel] {
        &self.lines
    }

    /// Stops and changeovers that are over at `at`, each told once.
    pub fn take_halts(&mut self, at: Ms) -> Vec<Told> {
        let mut told = Vec::new();
        for line in &mut self.lines {
            while let Some(halt) = line.timeline.take_halt(at) {
                told.push(Told { line: line.name.clone(), halt });
            }
        }
        told
    }

    /// What a camera of each line says that is asked at `at` whether it is there, by the line's place.
    pub fn signs_of_life(&mut self, at: Ms) -> Vec<(usize, Record)> {
        let lines = self.lines.iter_mut().enumerate();
        lines.filter_map(|(place, line)| Some((place, Record::Status(line.cameras.sign_of_life(at)?)))).collect()
    }

    /// When the next record arrives.
    pub fn next_at(&self) -> Option<Ms> {
        self.next.peek().map(|Reverse((at, _))| *at)
    }
}

impl Iterator for Plant {
    type Item = (usize, Arrival);

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((_, place)) = self.next.pop()?;
        let following = self.lines[place].next();
        self.next.extend(following.iter().map(|arrival| Reverse((arrival.at, place))));
        let arrival = std::mem::replace(&mut self.held[place], following)?;
        Some((place, arrival))
    }
}

// === impl LineModel ===

impl LineModel {
    /// `place` is the line's place in the plant: every third line from the second has a late camera, every third from
    /// the first one that goes blind.
    ///
    /// # Errors
    /// A line that is not in the file.
    pub fn new(spec: &TenantSpec, line: &str, place: usize, settings: &Settings) -> Result<LineModel, SpecError> {
        let config = spec.line_config(line, 1, 1, BEGINNING)?;
        // Sources draw from numbers of their own: a camera more does not move a stop.
        let mut chance = Chance::new(settings.seed, line);
        let timeline = Timeline::new(spec, &config, products(spec, line), settings.start, chance.branch());
        let cameras = Cameras::new(&config, place, settings.start, chance.branch());
        let route = Route::new(&config, &mut chance);
        let rate = settings.rate.filter(|rate| rate.is_finite() && *rate > 0.0);
        let mut model = LineModel {
            name: line.to_owned(),
            chance,
            timeline,
            route,
            cameras,
            rate,
            head: 0.0,
            head_at: None,
            next_id: settings.first_id,
            underway: BinaryHeap::new(),
            sequence: 0,
        };
        if !model.route.is_empty() {
            model.head_at = model.timeline.find(0.0).map(|spot| spot.at);
        }
        Ok(model)
    }

    /// The line's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stops and changeovers so far, with what was behind them; some lie ahead of the last record.
    pub fn halts(&self) -> impl Iterator<Item = &Halt> {
        self.timeline.halts()
    }

    /// Lets the earliest source go one step; false when there is none left.
    fn step(&mut self) -> bool {
        let Some(first) = self.next_event() else { return false };
        if self.head_at == Some(first) {
            self.piece();
        } else {
            let status = self.cameras.step(first);
            let at = first + self.cameras.delay(status.camera_id, first);
            self.send(at, Record::Status(status));
        }
        true
    }

    /// A piece enters the line, and is seen along its way.
    fn piece(&mut self) {
        let Some(spot) = self.timeline.find(self.head) else {
            self.head_at = None;
            return;
        };
        let quantity = if self.chance.happens(BATCHES) { self.chance.between(2, 6) as i32 } else { 1 };
        for station in self.route.of_a_piece(&mut self.chance) {
            // A piece waits where it is while the line stands: its way is measured in running time.
            let Some(seen) = self.timeline.find(self.head + station.after_ms) else { continue };
            let camera_id = self.chance.pick(&station.cameras).copied();
            if camera_id.is_some_and(|camera| self.cameras.is_blind(camera, seen.at)) {
                continue;
            }
            let detection = Detection {
                detection_id: self.next_id,
                detected_at: seen.at,
                area_id: station.area_id,
                product_id: spot.made.product_id,
                quantity,
                camera_id,
                confidence: Some(self.chance.uniform(0.80, 0.995) as f32),
            };
            self.next_id += 1;
            let network = self.chance.between(20, 150);
            let at = seen.at + network + camera_id.map_or(0, |camera| self.cameras.delay(camera, seen.at));
            self.send(at, Record::Detection(detection));
        }
        let gap = match self.rate {
            Some(rate) => 1000.0 * self.route.sightings() / rate,
            None => 60_000.0 / spot.made.rate / spot.speed * f64::from(quantity),
        };
        self.head += (gap * self.chance.normal(1.0, 0.08).clamp(0.6, 1.6)).max(0.001);
        self.head_at = self.timeline.find(self.head).map(|spot| spot.at);
        self.timeline.forget_before(self.head);
    }

    fn send(&mut self, at: Ms, record: Record) {
        if self.chance.happens(REPEATED) {
            let again = at + self.chance.between(5, 20_000);
            self.push(again, record.clone());
        }
        self.push(at, record);
    }

    fn push(&mut self, at: Ms, record: Record) {
        self.sequence += 1;
        self.underway.push(Reverse(Underway { at, sequence: self.sequence, record }));
    }

    /// When the next source has its turn; before then nothing more can arrive than what is under way.
    fn next_event(&self) -> Option<Ms> {
        // Where nothing is made any more, nobody looks whether a camera sees.
        let turn = self.head_at.and(self.cameras.next_turn());
        [self.head_at, self.cameras.next_heartbeat(), turn].into_iter().flatten().min()
    }
}

impl Iterator for LineModel {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let certain = self.next_event().unwrap_or(Ms::MAX);
            if self.underway.peek().is_some_and(|Reverse(first)| first.at < certain) {
                let Reverse(first) = self.underway.pop()?;
                return Some(Arrival { at: first.at, record: first.record });
            }
            if !self.step() {
                return None;
            }
        }
    }
}

// === impl Underway ===

impl PartialEq for Underway {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Underway {}

impl PartialOrd for Underway {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Underway {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
