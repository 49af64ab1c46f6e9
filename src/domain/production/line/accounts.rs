//! The books of a line: sums by 10 s slice, running sums of the rolling windows, of shifts and business days, and
//! the minutes that have to be written.
//!
//! Every booking goes to one slice. The slice under the line clock is kept out of the running sums until the clock
//! leaves it, so that the usual detection costs one addition whatever the windows' lengths. What falls out of the
//! ring is written first: a slice older than the ring can only be booked after it has been brought back
//! ([`Accounts::bring_back`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::domain::production::changes::{MinuteRow, PieceCount};
use crate::domain::production::figure::Window;
use crate::domain::production::line::slices;
use crate::domain::production::sums::{Bucket, Sums};
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};

/// Length of a slice.
pub const SLICE_MS: Ms = 10_000;
/// Slices in a minute.
pub const SLICES_PER_MINUTE: i64 = MINUTE_MS / SLICE_MS;
/// Slices kept at least: the longest window and an hour for what comes late.
const RING: i64 = 8_640 + 360;
const ROLLING: [Window; 5] =
    [Window::FiveMinutes, Window::QuarterHour, Window::Hour, Window::EightHours, Window::Day24];

/// A shift or business day whose sums are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Period {
    pub key: PeriodKey,
    /// Edges, sorted; a business day can have holes.
    pub spans: Vec<Span>,
    /// Without the slice under the clock.
    pub sums: Sums,
}

/// Which shift or day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PeriodKey {
    Shift { name: String, date: jiff::civil::Date },
    Day { date: jiff::civil::Date },
}

impl Period {
    fn contains_slice(&self, slice: i64) -> bool {
        self.spans.iter().any(|span| span.contains(slice * SLICE_MS))
    }

    /// First to last edge.
    pub fn extent(&self) -> Span {
        let from = self.spans.first().map_or(0, |s| s.from);
        let to = self.spans.last().map_or(0, |s| s.to);
        Span::new(from, to)
    }

    /// Milliseconds between the edges that are not the period's own.
    pub fn holes_ms(&self) -> Ms {
        self.extent().len() - self.spans.iter().map(Span::len).sum::<Ms>()
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Slices kept; more once they are full.
    kept: i64,
    /// Number of the slice at the front of `ring`.
    first_slice: i64,
    ring: VecDeque<Sums>,
    /// The slice under the clock: the last of `ring`.
    current: i64,
    /// Sums of the rolling windows that end with `current`, without it.
    windows: [Sums; 5],
    pub periods: Vec<Period>,
    /// Pieces by (minute, area, product), for the minutes of the ring that can still change.
    counts: BTreeMap<(i64, i32, i32), i64>,
    dirty: BTreeSet<i64>,
    /// The minute booked last: most bookings repeat it.
    last_dirty: Option<i64>,
    /// Minutes written because they fell out of the ring.
    overflow: BTreeMap<i64, MinuteRow>,
    /// Slices older than the ring that were brought back for a correction.
    cold: BTreeMap<i64, Sums>,
    /// Pieces of the minutes brought back.
    cold_pieces: BTreeMap<i64, Vec<PieceCount>>,
}

/// The slice of an instant.
pub fn slice_of(at: Ms) -> i64 {
    at.div_euclid(SLICE_MS)
}

fn minute_of(slice: i64) -> i64 {
    slice.div_euclid(SLICES_PER_MINUTE)
}

impl Default for Accounts {
    fn default() -> Accounts {
        Accounts {
            kept: RING,
            first_slice: 0,
            ring: VecDeque::new(),
            current: 0,
            windows: Default::default(),
            periods: Vec::new(),
            counts: BTreeMap::new(),
            dirty: BTreeSet::new(),
            last_dirty: None,
            overflow: BTreeMap::new(),
            cold: BTreeMap::new(),
            cold_pieces: BTreeMap::new(),
        }
    }
}

impl Accounts {
    /// Keeps slices for at least so long from now on: as long as a record in time can still change them.
    pub fn keep(&mut self, long: Ms) {
        self.kept = self.kept.max(long.div_euclid(SLICE_MS) + 1);
    }

    /// Books `sign` × the time of [from, to) into a bucket; `apt`: it is actual production time too.
    pub fn time(&mut self, bucket: Bucket, from: Ms, to: Ms, apt: bool, sign: i64) {
        let mut at = from;
        while at < to {
            let slice = slice_of(at);
            let end = ((slice + 1) * SLICE_MS).min(to);
            let ms = (end - at) * sign;
            self.book(slice, |sums| {
                sums.buckets[bucket as usize] += ms;
                if apt {
                    sums.apt_ms += ms;
                }
            });
            at = end;
        }
    }

    /// Books into the slice of `at`.
    pub fn at(&mut self, at: Ms, change: impl Fn(&mut Sums)) {
        self.book(slice_of(at), change);
    }

    /// Counts pieces of an area and product in the minute of `at`.
    pub fn count(&mut self, at: Ms, area: i32, product: i32, quantity: i64) {
        let slice = slice_of(at);
        self.touch(slice);
        let minute = minute_of(slice);
        if self.is_cold(slice) {
            self.take_back(minute);
            let pieces = self.cold_pieces.entry(minute).or_default();
            add_piece(pieces, area, product, quantity);
            return;
        }
        *self.counts.entry((minute, area, product)).or_insert(0) += quantity;
    }

    /// A minute that fell out of the ring in this very batch and is booked once more goes on from what was written.
    fn take_back(&mut self, minute: i64) {
        if !self.cold_pieces.contains_key(&minute)
            && let Some(row) = self.overflow.remove(&minute)
        {
            let readable = self.bring_back(&row);
            debug_assert!(readable.is_ok(), "the row is our own");
        }
    }

    fn is_cold(&self, slice: i64) -> bool {
        !self.ring.is_empty() && slice < self.first_slice
    }

    fn touch(&mut self, slice: i64) {
        let minute = minute_of(slice);
        if self.last_dirty != Some(minute) {
            self.dirty.insert(minute);
            self.last_dirty = Some(minute);
        }
    }

    fn book(&mut self, slice: i64, change: impl Fn(&mut Sums)) {
        if slice > self.current || self.ring.is_empty() {
            self.advance(slice);
        }
        self.touch(slice);
        if slice == self.current {
            if let Some(last) = self.ring.back_mut() {
                change(last);
            }
            return;
        }
        if slice < self.first_slice {
            self.take_back(minute_of(slice));
            change(self.cold.entry(slice).or_default());
        } else {
            change(&mut self.ring[(slice - self.first_slice) as usize]);
            for (sums, window) in self.windows.iter_mut().zip(ROLLING) {
                if slice > self.current - window.slices().unwrap_or(0) {
                    change(sums);
                }
            }
        }
        let near = self.near_periods(slice);
        for period in self.periods[near].iter_mut().filter(|p| p.contains_slice(slice)) {
            change(&mut period.sums);
        }
    }

    /// Where in `periods` those that can contain a slice stand: no shift or day reaches over three days.
    fn near_periods(&self, slice: i64) -> std::ops::Range<usize> {
        let at = slice * SLICE_MS;
        let to = self.periods.partition_point(|p| p.extent().from <= at);
        let from = self.periods[..to].partition_point(|p| p.extent().from < at - 72 * HOUR_MS);
        from..to
    }

    /// Moves the clock's slice forward: seals the one under the clock and lets the oldest fall out.
    pub fn advance(&mut self, to: i64) {
        if self.ring.is_empty() {
            // What comes late may lie before the first slice booked.
            self.start_at(to - self.kept + 1, to);
            return;
        }
        if to <= self.current {
            return;
        }
        self.seal();
        if to - self.current >= self.kept {
            // Beyond the ring's length nothing of it is left in any window.
            self.write_out(i64::MAX);
            self.windows = Default::default();
            self.counts.clear();
            self.start_at(to - self.kept + 1, to);
            return;
        }
        for current in self.current + 1..=to {
            for (index, window) in ROLLING.into_iter().enumerate() {
                let leaving = current - window.slices().unwrap_or(0);
                if leaving >= self.first_slice {
                    let gone = self.ring[(leaving - self.first_slice) as usize];
                    self.windows[index] -= &gone;
                }
            }
            self.ring.push_back(Sums::default());
        }
        self.current = to;
        self.let_fall(to - self.kept + 1);
    }

    /// An empty ring over whole minutes from `first` to the slice `current`.
    fn start_at(&mut self, first: i64, current: i64) {
        self.first_slice = minute_of(first) * SLICES_PER_MINUTE;
        self.current = current;
        self.ring.clear();
        self.ring.resize((current - self.first_slice + 1) as usize, Sums::default());
    }

    /// Writes the dirty minutes before `minute`.
    fn write_out(&mut self, minute: i64) {
        let unwritten: Vec<i64> = self.dirty.range(..minute).copied().collect();
        for minute in unwritten {
            let row = self.row(minute);
            self.overflow.insert(minute, row);
            self.dirty.remove(&minute);
        }
        self.last_dirty = None;
    }

    /// Adds the slice under the clock to the running sums.
    fn seal(&mut self) {
        let Some(current) = self.ring.back().copied() else { return };
        if current.is_zero() {
            return;
        }
        for sums in &mut self.windows {
            *sums += &current;
        }
        let slice = self.current;
        let near = self.near_periods(slice);
        for period in self.periods[near].iter_mut().filter(|p| p.contains_slice(slice)) {
            period.sums += &current;
        }
    }

    /// Drops slices before `keep`, whole minutes at a time, writing those minutes that are not written yet.
    fn let_fall(&mut self, keep: i64) {
        let keep = keep.div_euclid(SLICES_PER_MINUTE) * SLICES_PER_MINUTE;
        if self.first_slice >= keep {
            return;
        }
        self.write_out(minute_of(keep));
        let drop = (keep - self.first_slice).min(self.ring.len() as i64);
        self.ring.drain(..drop as usize);
        self.first_slice += drop;
        self.counts = self.counts.split_off(&(minute_of(keep), i32::MIN, i32::MIN));
    }

    /// Sums of a slice.
    fn slice(&self, slice: i64) -> Sums {
        if slice < self.first_slice {
            return self.cold.get(&slice).copied().unwrap_or_default();
        }
        self.ring.get((slice - self.first_slice) as usize).copied().unwrap_or_default()
    }

    fn row(&self, minute: i64) -> MinuteRow {
        let first = minute * SLICES_PER_MINUTE;
        let parts: [Sums; SLICES_PER_MINUTE as usize] = std::array::from_fn(|i| self.slice(first + i as i64));
        let mut sums = Sums::default();
        for part in &parts {
            sums += part;
        }
        let mut pieces: Vec<PieceCount> = self
            .counts
            .range((minute, i32::MIN, i32::MIN)..(minute + 1, i32::MIN, i32::MIN))
            .filter(|(_, quantity)| **quantity != 0)
            .map(|((_, area_id, product_id), quantity)| PieceCount {
                area_id: *area_id,
                product_id: *product_id,
                quantity: *quantity,
            })
            .collect();
        if let Some(cold) = self.cold_pieces.get(&minute) {
            for piece in cold {
                add_piece(&mut pieces, piece.area_id, piece.product_id, piece.quantity);
            }
            pieces.sort_unstable();
        }
        MinuteRow { minute: minute * MINUTE_MS, sums, pieces, slices: slices::encode(&parts) }
    }

    /// The minutes that changed since the last call, absolute, in order. Cold slices are forgotten.
    pub fn drain(&mut self) -> Vec<MinuteRow> {
        let mut rows = std::mem::take(&mut self.overflow);
        for minute in std::mem::take(&mut self.dirty) {
            let row = self.row(minute);
            rows.insert(minute, row);
        }
        self.last_dirty = None;
        self.cold.clear();
        self.cold_pieces.clear();
        rows.into_values().collect()
    }

    /// Brings a written minute older than the ring back, so that it can be corrected.
    pub fn bring_back(&mut self, row: &MinuteRow) -> Result<(), slices::BadSlices> {
        let minute = row.minute.div_euclid(MINUTE_MS);
        let first = minute * SLICES_PER_MINUTE;
        if self.ring.is_empty() || first >= self.first_slice || self.cold_pieces.contains_key(&minute) {
            return Ok(());
        }
        for (index, sums) in slices::decode(&row.slices)?.into_iter().enumerate() {
            self.cold.insert(first + index as i64, sums);
        }
        self.cold_pieces.insert(minute, row.pieces.clone());
        Ok(())
    }

    /// Whether [from, to) reaches before the ring: what must be brought back to be corrected.
    pub fn cold_part(&self, span: Span) -> Option<Span> {
        let start = self.first_slice * SLICE_MS;
        (!self.ring.is_empty()).then_some(())?;
        span.intersect(&Span::new(crate::domain::time::BEGINNING, start))
    }

    /// Sums of a rolling window and its start.
    pub fn window(&self, window: Window) -> Option<(Ms, Sums)> {
        let index = ROLLING.iter().position(|w| *w == window)?;
        let current = self.ring.back()?;
        let mut sums = self.windows[index];
        sums += current;
        Some(((self.current - window.slices()? + 1) * SLICE_MS, sums))
    }

    /// Sums of a shift or day so far.
    pub fn period(&self, key: &PeriodKey) -> Option<(&Period, Sums)> {
        let period = self.periods.iter().find(|p| p.key == *key)?;
        let mut sums = period.sums;
        if period.contains_slice(self.current)
            && let Some(current) = self.ring.back()
        {
            sums += current;
        }
        Some((period, sums))
    }

    /// Begins to keep a shift or day, with what is already booked in it.
    pub fn open_period(&mut self, key: PeriodKey, spans: Vec<Span>) {
        if self.periods.iter().any(|p| p.key == key) {
            return;
        }
        let mut period = Period { key, spans, sums: Sums::default() };
        let extent = period.extent();
        let first = self.cold.keys().next().copied().unwrap_or(self.first_slice).max(slice_of(extent.from));
        for slice in first..self.current.min(slice_of(extent.to - 1) + 1) {
            if period.contains_slice(slice) {
                period.sums += &self.slice(slice);
            }
        }
        self.periods.push(period);
        self.periods.sort_by(|a, b| (a.extent().from, &a.key).cmp(&(b.extent().from, &b.key)));
    }

    /// Gives shifts and days that begin before `at` the time that `spans_of` answers for their first instant: beyond `at`
    /// they may end earlier, or go on though they had ended. Those that begin after it are forgotten, to be opened anew. `at` is an edge of slices, and what comes after it is
    /// still in the ring: a day's older part need not be.
    pub fn reshape_periods(&mut self, at: Ms, spans_of: impl Fn(&PeriodKey, Ms) -> Vec<Span>) {
        let mut periods = std::mem::take(&mut self.periods);
        periods.retain(|period| period.extent().from < at);
        for period in &mut periods {
            let spans = spans_of(&period.key, period.extent().from);
            let reshaped = Period { spans, ..period.clone() };
            for slice in slice_of(at).max(self.first_slice)..self.current {
                match (period.contains_slice(slice), reshaped.contains_slice(slice)) {
                    (true, false) => period.sums -= &self.slice(slice),
                    (false, true) => period.sums += &self.slice(slice),
                    _ => {}
                }
            }
            period.spans = reshaped.spans;
        }
        self.periods = periods;
    }

    /// Where the ring begins: minutes from here on rebuild it.
    pub fn ring_from(&self) -> Ms {
        self.first_slice * SLICE_MS
    }

    /// Slices from here on are kept; none while nothing is booked.
    pub fn kept_from(&self) -> Option<Ms> {
        (!self.ring.is_empty()).then_some(self.ring_from())
    }

    /// The books as they were: `ring` is from the beginning of the slices kept to the clock, `rows` their minutes.
    pub fn rebuild(ring: Span, rows: &[MinuteRow], periods: Vec<Period>) -> Result<Accounts, slices::BadSlices> {
        let mut accounts = Accounts { periods, ..Accounts::default() };
        let current = slice_of(ring.to);
        accounts.start_at(slice_of(ring.from), current);
        for row in rows {
            let first = slice_of(row.minute);
            for (index, sums) in slices::decode(&row.slices)?.into_iter().enumerate() {
                let slice = first + index as i64;
                if slice < accounts.first_slice || slice > current {
                    continue;
                }
                accounts.ring[(slice - accounts.first_slice) as usize] = sums;
                if slice == current {
                    continue;
                }
                for (total, window) in accounts.windows.iter_mut().zip(ROLLING) {
                    if slice > current - window.slices().unwrap_or(0) {
                        *total += &sums;
                    }
                }
            }
            let minute = row.minute.div_euclid(MINUTE_MS);
            for piece in &row.pieces {
                accounts.counts.insert((minute, piece.area_id, piece.product_id), piece.quantity);
            }
        }
        Ok(accounts)
    }
}

fn add_piece(pieces: &mut Vec<PieceCount>, area_id: i32, product_id: i32, quantity: i64) {
    match pieces.iter_mut().find(|p| p.area_id == area_id && p.product_id == product_id) {
        Some(piece) => piece.quantity += quantity,
        None => pieces.push(PieceCount { area_id, product_id, quantity }),
    }
}
