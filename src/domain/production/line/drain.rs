//! The end of a batch: the books up to the clock, and what of it is news.

use crate::domain::calendar::Schedule;
use crate::domain::production::changes::{Changes, LineState, StateNow};
use crate::domain::production::line::accounts::slice_of;
use crate::domain::production::line::{Idle, Line};
use crate::domain::production::sums::Bucket;
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms};

/// Shifts and days are kept in the books this long after their end, so that words given late revise them cheaply.
const KEEP_PERIODS_MS: Ms = 72 * HOUR_MS;

/// The books move on by an hour at most before they are settled on the way, and by whole minutes.
const BOOKED_AT_ONCE_MS: Ms = HOUR_MS + 2 * MINUTE_MS;
/// Event time that a batch may cover at least, whatever the line's lateness.
pub(super) const BATCH_MS: Ms = BOOKED_AT_ONCE_MS + 2 * HOUR_MS;

impl Line {
    /// Whether the batch ends here: drain, and commit, before the next record. Since the last drain event time has come so
    /// far that the slices of what can still change are about to leave the ring: a minute that was committed before would
    /// be booked from nothing, and a version of the past would find no time to give to its shifts.
    ///
    /// One record more is taken wherever it leads: what it changes of the past it changes before the ring moves.
    pub fn is_full(&self) -> bool {
        let (Some(kept_from), Some(first)) = (self.accounts.kept_from(), self.first) else { return false };
        let changeable = self.pruned_to.map_or(first, |pruned_to| pruned_to.max(first));
        kept_from + BOOKED_AT_ONCE_MS > changeable
    }

    /// Everything that changed since the last call, in absolute values.
    pub fn drain(&mut self) -> Changes {
        let Some(clock) = self.clock else { return std::mem::take(&mut self.out) };
        self.settle();
        if self.first.is_some() {
            self.accounts.advance(slice_of(clock));
        }
        // It goes on unless the clock's own millisecond belongs to the calendar or to the dark.
        let goes_on = self.schedule(clock) == Schedule::Scheduled && !self.is_dark(clock);
        let open_from = self
            .open_booked
            .last()
            .filter(|piece| goes_on && piece.bucket == Bucket::Stopped && piece.span.to == clock)
            .map(|piece| piece.span.from);
        let mut stops = std::mem::take(&mut self.stops);
        self.out.stops =
            stops.drain(&self.name, &self.timeline, clock, open_from, |all, span| self.judge_stop(all, span));
        self.stops = stops;
        self.out.shift_records = self.close_shifts();
        self.out.minutes = self.accounts.drain();
        if self.first.is_some() {
            let state = self.state_now(clock);
            if self.state.map(|s| (s.state, s.since)) != Some((state.state, state.since)) {
                self.out.state = Some(state);
            }
            self.state = Some(state);
        }
        self.prune();
        std::mem::take(&mut self.out)
    }

    /// The state last drained; none before the first detection.
    pub fn state(&self) -> Option<StateNow> {
        self.state
    }

    fn state_now(&mut self, clock: Ms) -> StateNow {
        let here = match self.schedule(clock) {
            Schedule::Unscheduled => Some(LineState::Unscheduled),
            Schedule::Break => Some(LineState::PlannedStop),
            Schedule::Scheduled if self.is_dark(clock) => Some(LineState::NoData),
            Schedule::Scheduled => None,
        };
        let open = self.open_booked.last().filter(|piece| piece.span.to == clock).copied();
        let of_piece = open.map(|piece| match piece.bucket {
            Bucket::Unscheduled => LineState::Unscheduled,
            Bucket::PlannedStop => LineState::PlannedStop,
            Bucket::NoData => LineState::NoData,
            Bucket::Running => LineState::Running,
            Bucket::MicroStop => LineState::MicroStop,
            Bucket::Stopped if piece.planned => LineState::PlannedStop,
            Bucket::Stopped => LineState::Stopped,
        });
        let state = here.or(of_piece).unwrap_or(LineState::Running);
        let since = match (state, open) {
            (LineState::Running, _) => self.running_since(clock),
            (_, Some(piece)) if of_piece == Some(state) => piece.span.from,
            _ => clock,
        };
        StateNow { state, since, as_of: clock }
    }

    /// End of the last time that was not running.
    fn running_since(&mut self, clock: Ms) -> Ms {
        let until = match self.idle_until {
            Idle::Until(until) => until,
            Idle::Unknown => self.find_idle(),
        };
        self.idle_until = Idle::Until(until);
        let told = self.state.filter(|s| s.state == LineState::Running).map(|s| s.since);
        // As long as the line's beginning is kept, having found nothing means that it has always run.
        let whole = self.first.filter(|first| self.boundaries.front().is_some_and(|b| b.at == *first));
        until.or(whole).or(told).or(self.first).unwrap_or(clock).min(clock)
    }

    /// Looks back through the kept gaps; none when all of them ran.
    fn find_idle(&self) -> Option<Ms> {
        let idle = |pieces: &[super::ledger::Piece]| {
            pieces.iter().rev().find(|p| p.bucket != Bucket::Running).map(|p| p.span.to)
        };
        if let Some(at) = idle(&self.open_booked) {
            return Some(at);
        }
        let closed = self.boundaries.iter().zip(self.boundaries.iter().skip(1)).rev();
        for (opening, next) in closed {
            if let Some(at) = idle(&self.pieces(opening, next.at)) {
                return Some(at);
            }
        }
        None
    }

    fn prune(&mut self) {
        let (Some(keep_from), Some(clock)) = (self.keep_from(), self.clock) else { return };
        let cameras = &mut self.cameras;
        self.tail.prune(keep_from, |detection| cameras.forget_detection(detection));
        cameras.prune(keep_from);
        let mut stops = std::mem::take(&mut self.stops);
        stops.settle_words(keep_from, |at| self.exit_after(at));
        self.stops = stops;
        while self.boundaries.get(1).is_some_and(|second| second.at < keep_from) {
            self.boundaries.pop_front();
        }
        let oldest = self.boundaries.front().map_or(keep_from, |b| b.at.min(keep_from));
        self.stops.prune(oldest);
        self.no_data.retain(|dark| dark.to > oldest);
        let periods_from = keep_from.min(clock - KEEP_PERIODS_MS);
        self.accounts.periods.retain(|period| period.extent().to > periods_from);
        self.records.retain(|record| record.to > periods_from);
        self.settle_watermark();
        self.pruned_to = Some(self.pruned_to.map_or(keep_from, |before| before.max(keep_from)));
    }

    /// The next clock time at which the state changes if nothing comes; none before the first detection.
    pub fn next_deadline(&self) -> Option<Ms> {
        let clock = self.clock?;
        let opening = self.boundaries.back()?;
        let here = self.timeline.find(clock);
        let config = &self.timeline.versions()[here.version].config;
        let from = self.open_booked.last().map_or(opening.at, |piece| piece.span.from);
        [
            Some(here.slot.span.to),
            config.micro_stop_threshold_ms.map(|micro| from + micro + 1),
            Some(from + config.downtime_threshold_ms + 1),
            self.cameras.deadline(),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > clock)
        .min()
    }
}
