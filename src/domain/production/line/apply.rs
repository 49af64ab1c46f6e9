//! Records and timers: what is refused, what repeats, what is late, and how the rest moves the books.

use crate::domain::calendar::Schedule;
use crate::domain::production::detection::{CameraStatus, Detection, Refusal};
use crate::domain::production::input::LineInput;
use crate::domain::production::line::accounts::PeriodKey;
use crate::domain::production::line::ledger::{Boundary, Piece};
use crate::domain::production::line::tail::Seen;
use crate::domain::production::line::{Idle, Line};
use crate::domain::production::line::{cameras, timeline::is_scheduled};
use crate::domain::production::sums::Bucket;
use crate::domain::time::{BEGINNING, FOREVER, HOUR_MS, MINUTE_MS, Ms, Span};

/// A record may be this far ahead of the broker's timestamp.
const FUTURE_MS: Ms = 5 * MINUTE_MS;

/// Where a record stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The broker's timestamp.
    pub appended_at: Ms,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    /// Its identity is known with the same content: nothing changed.
    Duplicate,
    /// Too late for the books. The caller asks the store whether the identity is known, and if it is not hands
    /// the record to [`Line::keep_late`] or [`Line::keep_late_status`].
    Late,
    Refused(Refusal),
}

impl Line {
    /// Takes a detection.
    pub fn detection(&mut self, detection: &Detection, stamp: Stamp) -> Outcome {
        let at = detection.detected_at;
        let index = self.timeline.version_at(at);
        let Some(counts) = self.timeline.versions()[index].counts(detection.area_id) else {
            return Outcome::Refused(Refusal::UnknownArea);
        };
        if at > stamp.appended_at + FUTURE_MS {
            return Outcome::Refused(Refusal::Future);
        }
        if detection.quantity <= 0 {
            return Outcome::Refused(Refusal::BadQuantity);
        }
        if self.is_expired(at, stamp) {
            return Outcome::Refused(Refusal::Expired);
        }
        if self.is_late(at) {
            return Outcome::Late;
        }
        match self.tail.find(detection) {
            Seen::Same => return Outcome::Duplicate,
            Seen::Other => return Outcome::Refused(Refusal::IdConflict),
            Seen::New(place) => self.tail.insert(place, *detection),
        }
        self.out.detections.push((*detection, false));
        self.uncounted = Some((at, detection.detection_id));
        self.set_clock(at, stamp);
        let version = &self.timeline.versions()[index];
        let credit_ms = match (counts.exit && version.config.cycle_credit, version.cycle_ns(detection.product_id)) {
            (true, Some(cycle)) => credit_ms(detection.quantity, cycle),
            _ => 0,
        };
        if self.first.is_none_or(|first| at < first) {
            self.begin_at(at);
        }
        if counts.exit {
            self.exit(at, credit_ms);
        }
        self.uncounted = None;
        self.count(detection, 1);
        if self.cameras.matter() && (self.cameras.detection(detection) || self.overdue()) {
            self.look_for_dark();
        }
        Outcome::Applied
    }

    /// Takes a camera's word about itself.
    pub fn camera_status(&mut self, status: &CameraStatus, stamp: Stamp) -> Outcome {
        let at = status.at;
        if !self.timeline.at(at).config.knows_camera(status.camera_id) {
            return Outcome::Refused(Refusal::UnknownCamera);
        }
        if at > stamp.appended_at + FUTURE_MS {
            return Outcome::Refused(Refusal::Future);
        }
        if self.is_expired(at, stamp) {
            return Outcome::Refused(Refusal::Expired);
        }
        if self.is_late(at) {
            return Outcome::Late;
        }
        if self.cameras.knows(status) {
            return Outcome::Duplicate;
        }
        self.out.inputs.push(LineInput::CameraStatus { status: status.clone(), late: false });
        self.set_clock(at, stamp);
        if self.cameras.status(status) || self.overdue() {
            self.look_for_dark();
        }
        Outcome::Applied
    }

    /// Stores a late detection whose identity the store does not know; it is in no figure until a repair.
    pub fn keep_late(&mut self, detection: &Detection) {
        self.out.detections.push((*detection, true));
    }

    /// Stores a late status.
    pub fn keep_late_status(&mut self, status: &CameraStatus) {
        self.out.inputs.push(LineInput::CameraStatus { status: status.clone(), late: true });
    }

    /// The clock goes on in silence, to `at`. False when that is no step forward.
    pub fn tick(&mut self, at: Ms) -> bool {
        if self.clock.is_none_or(|clock| at <= clock) {
            return false;
        }
        self.move_clock(at);
        self.out.inputs.push(LineInput::Timer { at });
        if self.overdue() {
            self.look_for_dark();
        }
        true
    }

    fn overdue(&self) -> bool {
        self.clock.is_some_and(|clock| self.cameras.overdue(clock))
    }

    fn is_late(&self, at: Ms) -> bool {
        self.watermark().max(self.settled_to).is_some_and(|limit| at < limit)
    }

    /// What was late stays late, whatever lateness the next version allows.
    pub(super) fn settle_watermark(&mut self) {
        self.settled_to = self.settled_to.max(self.watermark());
    }

    fn is_expired(&self, at: Ms, stamp: Stamp) -> bool {
        let Some(months) = self.timeline.at(at).config.retention_months else { return false };
        // A month has 28 days at least: most records need no calendar.
        let surely_kept = stamp.appended_at - i64::from(months) * 28 * 24 * 60 * MINUTE_MS;
        at < surely_kept && months_before(stamp.appended_at, months).is_some_and(|limit| at < limit)
    }

    fn set_clock(&mut self, at: Ms, stamp: Stamp) {
        if self.clock.is_none_or(|clock| at > clock) {
            self.clock_record = Some((at, stamp.appended_at));
            self.move_clock(at);
        }
    }

    /// The clock goes forward. Shifts that it enters get their books first; a long silence is booked on the way,
    /// so that the books never have to reach back over it.
    fn move_clock(&mut self, at: Ms) {
        let enters = |clock: Ms| self.timeline.version_at(clock) != self.timeline.version_at(at);
        if self.clock.is_some_and(enters) {
            self.settle_watermark();
        }
        self.clock = Some(at);
        let Some(first) = self.first else { return };
        if at >= self.periods_until {
            self.open_periods(Span::new(self.periods_until.max(first), at + 1));
        }
        let booked_to = self.open_booked.last().map(|p| p.span.to).or(self.boundaries.back().map(|b| b.at));
        if booked_to.is_some_and(|to| at - to > HOUR_MS) {
            if self.overdue() {
                self.look_for_dark();
            }
            self.settle();
        }
    }

    /// Books the gap that reaches the clock.
    pub(super) fn settle(&mut self) {
        let (Some(opening), Some(clock)) = (self.boundaries.back().copied(), self.clock) else { return };
        let pieces = self.pieces(&opening, clock);
        let booked = std::mem::replace(&mut self.open_booked, pieces.clone());
        self.rebook(&booked, &pieces);
    }

    /// Keeps the books of the shift around `at`, if there is one.
    pub(super) fn open_shift(&mut self, at: Ms) {
        if let Some((shift, spans)) = self.timeline.shift_around(at) {
            let key = PeriodKey::Shift { name: shift.name.to_string(), date: shift.date };
            self.accounts.open_period(key, spans);
        }
    }

    /// Keeps the books of the shifts and days of `span`.
    pub(super) fn open_periods(&mut self, span: Span) {
        let mut at = span.from;
        while at < span.to {
            self.open_shift(at);
            let (date, spans) = self.timeline.day_around(at);
            self.accounts.open_period(PeriodKey::Day { date }, spans);
            at = self.timeline.slot(at).slot.span.to;
        }
        self.periods_until = self.periods_until.max(at);
    }

    /// The first detection of the line, or one before what was the first until now.
    fn begin_at(&mut self, at: Ms) {
        let old_first = self.first.replace(at);
        self.open_periods(Span::new(at, old_first.or(self.clock).unwrap_or(at) + 1));
        if self.cameras.matter() {
            self.look_for_dark();
        }
        let opening = Boundary { at, credit_ms: 0, exit: false };
        let Some(old) = self.boundaries.front().copied() else {
            self.boundaries.push_back(opening);
            return;
        };
        let end = self.boundaries.get(1).map(|b| b.at);
        if old.exit {
            let added = self.pieces(&opening, old.at);
            self.boundaries.push_front(opening);
            self.rebook(&[], &added);
        } else if let Some(end) = end {
            let before = self.pieces(&old, end);
            let after = self.pieces(&opening, end);
            self.boundaries[0] = opening;
            self.rebook(&before, &after);
        } else {
            // Only the open gap exists: it is booked anew when the batch is drained.
            self.boundaries[0] = opening;
        }
    }

    /// An exit ends one gap and begins another.
    fn exit(&mut self, at: Ms, credit_ms: Ms) {
        let exit = Boundary { at, credit_ms, exit: true };
        let index = match self.boundaries.back() {
            Some(last) if last.at < at => self.boundaries.len(),
            _ => self.boundaries.partition_point(|b| b.at < at),
        };
        match self.boundaries.get(index).copied() {
            None => {
                self.close_open_gap(at);
                self.boundaries.push_back(exit);
            }
            Some(there) if there.at == at => {
                let longest = Boundary { credit_ms: there.credit_ms.max(credit_ms), ..exit };
                if there.credit_ms != longest.credit_ms
                    && let Some(next) = self.boundaries.get(index + 1).map(|b| b.at)
                {
                    let before = self.pieces(&there, next);
                    self.boundaries[index] = longest;
                    let after = self.pieces(&longest, next);
                    self.rebook(&before, &after);
                }
                self.boundaries[index] = longest;
            }
            Some(next) => {
                let opening = self.boundaries[index - 1];
                let before = self.pieces(&opening, next.at);
                self.boundaries.insert(index, exit);
                let mut after = self.pieces(&opening, at);
                after.extend(self.pieces(&exit, next.at));
                self.rebook(&before, &after);
            }
        }
    }

    /// The gap that reached the clock ends at `to`. Almost always it is short, scheduled and running.
    fn close_open_gap(&mut self, to: Ms) {
        let Some(opening) = self.boundaries.back().copied() else { return };
        if self.open_booked.is_empty() && self.is_plainly_running(&opening, to) {
            self.accounts.time(Bucket::Running, opening.at, to, true, 1);
            return;
        }
        let booked = std::mem::take(&mut self.open_booked);
        let pieces = self.pieces(&opening, to);
        self.rebook(&booked, &pieces);
    }

    fn is_plainly_running(&mut self, opening: &Boundary, to: Ms) -> bool {
        if self.no_data.last().is_some_and(|dark| dark.to > opening.at) {
            return false;
        }
        let here = self.timeline.slot(opening.at);
        if !is_scheduled(here.slot.schedule) || to > here.slot.span.to {
            return false;
        }
        let version = here.version;
        to - opening.at <= self.timeline.versions()[version].running_limit()
    }

    /// Books the difference between two tellings of the same time, both in order. What both say is left alone: of a gap
    /// of more than a day most has left the ring.
    pub(super) fn rebook(&mut self, before: &[Piece], after: &[Piece]) {
        let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
        let (before, after) = (&before[same..], &after[same..]);
        // What goes is taken back first: booking a long piece can push what stands before it out of the ring.
        for pair in paired(before, after) {
            match pair {
                (Some(old), Some(new)) if is_alike(old, new) => self.resize(old, new, -1),
                (Some(old), _) => self.book(old, -1),
                _ => {}
            }
        }
        for pair in paired(before, after) {
            match pair {
                (Some(old), Some(new)) if is_alike(old, new) => self.resize(old, new, 1),
                (_, Some(new)) => self.book(new, 1),
                _ => {}
            }
        }
    }

    /// The same piece, shorter (−1) or longer (1), if it is: only the difference is booked.
    fn resize(&mut self, old: &Piece, new: &Piece, sign: i64) {
        if (new.span.to - old.span.to).signum() != sign {
            return;
        }
        let (shorter, longer) = (old.span.to.min(new.span.to), old.span.to.max(new.span.to));
        self.book_time(new, Span::new(shorter, longer), sign);
        if new.bucket == Bucket::Stopped {
            self.stops.remove(old.span);
            self.stops.add(new.span);
        }
    }

    pub(super) fn book(&mut self, piece: &Piece, sign: i64) {
        // The start first: of a long piece it may leave the ring while the time is booked.
        match piece.bucket {
            Bucket::MicroStop => self.accounts.at(piece.span.from, |sums| sums.micro_stops += sign),
            Bucket::Stopped => {
                if !piece.planned {
                    self.accounts.at(piece.span.from, |sums| sums.stops += sign);
                }
                if sign > 0 {
                    self.stops.add(piece.span);
                } else {
                    self.stops.remove(piece.span);
                }
            }
            _ => {}
        }
        self.book_time(piece, piece.span, sign);
    }

    fn book_time(&mut self, piece: &Piece, span: Span, sign: i64) {
        match piece.bucket {
            Bucket::Running => self.accounts.time(Bucket::Running, span.from, span.to, true, sign),
            Bucket::MicroStop => self.book_micro_stop(span, sign),
            Bucket::Stopped if piece.planned => {
                self.accounts.time(Bucket::PlannedStop, span.from, span.to, false, sign);
            }
            bucket => self.accounts.time(bucket, span.from, span.to, false, sign),
        }
        if piece.bucket != Bucket::Running {
            self.note_idle(span.to, sign);
        }
    }

    /// A millisecond's micro-stop side is that of the version in force at it.
    fn book_micro_stop(&mut self, span: Span, sign: i64) {
        use crate::domain::production::config::MicroStopSide;
        let mut from = span.from;
        while from < span.to {
            let index = self.timeline.version_at(from);
            let next = self.timeline.versions().get(index + 1).map_or(span.to, |v| v.config.valid_from.min(span.to));
            let apt = self.timeline.versions()[index].config.policy.micro_stop_side == MicroStopSide::Performance;
            self.accounts.time(Bucket::MicroStop, from, next, apt, sign);
            from = next;
        }
    }

    fn note_idle(&mut self, to: Ms, sign: i64) {
        match &mut self.idle_until {
            Idle::Until(until) if sign > 0 => *until = Some(until.map_or(to, |until| until.max(to))),
            Idle::Until(until) if *until == Some(to) => self.idle_until = Idle::Unknown,
            Idle::Until(_) | Idle::Unknown => {}
        }
    }

    /// Counts a detection's pieces, or takes them back.
    pub(super) fn count(&mut self, detection: &Detection, sign: i64) {
        let at = detection.detected_at;
        let here = self.timeline.slot(at);
        let scheduled = is_scheduled(here.slot.schedule);
        let outside = !scheduled || self.is_dark(at);
        let version = &self.timeline.versions()[self.timeline.version_at(at)];
        let Some(counts) = version.counts(detection.area_id) else { return };
        let quantity = i64::from(detection.quantity) * sign;
        let cycle = if counts.ideal { version.cycle_ns(detection.product_id) } else { None };
        self.accounts.count(at, detection.area_id, detection.product_id, quantity);
        if !counts.any() {
            return;
        }
        self.accounts.at(at, |sums| {
            sums.total += if counts.total { quantity } else { 0 };
            sums.good += if counts.good { quantity } else { 0 };
            sums.reject += if counts.reject { quantity } else { 0 };
            sums.unmeasured += if counts.unmeasured { quantity } else { 0 };
            if outside {
                sums.outside_pbt += if counts.total { quantity } else { 0 };
                sums.good_outside += if counts.good { quantity } else { 0 };
                return;
            }
            sums.seen += quantity;
            if counts.ideal {
                match cycle {
                    Some(cycle) => sums.ideal_ns += quantity * cycle,
                    None => sums.without_cycle += quantity,
                }
            }
        });
    }

    pub(super) fn is_dark(&self, at: Ms) -> bool {
        let index = self.no_data.partition_point(|dark| dark.to <= at);
        self.no_data.get(index).is_some_and(|dark| dark.contains(at))
    }

    /// Asks the cameras what is dark now, and rebooks where the answer has changed.
    pub(super) fn look_for_dark(&mut self) {
        let Some(clock) = self.clock else { return };
        let told = self.cameras.dark(&self.timeline, &self.tail, clock);
        let now = match self.pruned_to {
            // The signs before are forgotten: what was dark there stands.
            Some(pruned_to) => {
                let past = Span::new(BEGINNING, pruned_to);
                let since = Span::new(pruned_to, FOREVER);
                let frozen = cameras::intersect(&self.no_data, &[past]);
                cameras::union(frozen.into_iter().chain(cameras::intersect(&told, &[since])).collect())
            }
            None => told,
        };
        let Some(changed) = cameras::difference(&self.no_data, &now) else { return };
        self.rebook_region(changed, |line| line.no_data = now);
    }

    /// Changes what cuts the gaps in `region`, and books what that changes: pieces of gaps and places of pieces.
    pub(super) fn rebook_region(&mut self, region: Span, change: impl FnOnce(&mut Line)) {
        let affected = self.counted_in(region);
        let before = self.pieces_of_closed(region);
        for detection in &affected {
            self.count(detection, -1);
        }
        change(self);
        for detection in &affected {
            self.count(detection, 1);
        }
        let after = self.pieces_of_closed(region);
        self.rebook(&before, &after);
    }

    /// The kept detections of `region` whose pieces are in the books.
    pub(super) fn counted_in(&self, region: Span) -> Vec<Detection> {
        let counted = |d: &&Detection| self.uncounted != Some((d.detected_at, d.detection_id));
        self.tail.range(region.from, region.to).filter(counted).copied().collect()
    }

    /// The pieces of the gaps that have both ends and overlap `region`.
    pub(super) fn pieces_of_closed(&self, region: Span) -> Vec<Piece> {
        let start = self.boundaries.partition_point(|b| b.at <= region.from).saturating_sub(1);
        let openings = self.boundaries.range(start..);
        let ends = self.boundaries.range((start + 1).min(self.boundaries.len())..);
        openings
            .zip(ends)
            .take_while(|(opening, _)| opening.at < region.to)
            .flat_map(|(opening, end)| self.pieces(opening, end.at))
            .collect()
    }

    /// The schedule at an instant.
    pub(super) fn schedule(&self, at: Ms) -> Schedule {
        self.timeline.find(at).slot.schedule
    }
}

/// Pieces of two tellings that begin together, in order, and those that have none beside them.
fn paired<'a>(before: &'a [Piece], after: &'a [Piece]) -> impl Iterator<Item = (Option<&'a Piece>, Option<&'a Piece>)> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    std::iter::from_fn(move || {
        let (old, new) = (before.peek().map(|p| p.span.from), after.peek().map(|p| p.span.from));
        let first = old.into_iter().chain(new).min()?;
        let begins = |piece: &&Piece| piece.span.from == first;
        Some((before.next_if(begins), after.next_if(begins)))
    })
}

fn is_alike(old: &Piece, new: &Piece) -> bool {
    (old.span.from, old.bucket, old.planned) == (new.span.from, new.bucket, new.planned)
}

/// Running time earned by `quantity` pieces, rounded down to milliseconds.
pub(super) fn credit_ms(quantity: i32, cycle_ns: i64) -> Ms {
    let credit = i128::from(quantity) * i128::from(cycle_ns) / 1_000_000;
    credit.min(i128::from(i64::MAX / 8)) as Ms
}

/// The instant `months` calendar months (UTC) before another.
fn months_before(at: Ms, months: u32) -> Option<Ms> {
    let stamp = jiff::Timestamp::from_millisecond(at).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    let span = jiff::Span::new().try_months(i64::from(months)).ok()?;
    Some(stamp.checked_sub(span).ok()?.timestamp().as_millisecond())
}
