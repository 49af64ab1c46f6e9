//! What people and administrators say of a line: reasons, splits, holes, new versions.

use crate::domain::production::changes::{MinuteRow, ShiftRecord};
use crate::domain::production::config::LineConfig;
use crate::domain::production::input::{Classification, LineInput};
use crate::domain::production::line::accounts::PeriodKey;
use crate::domain::production::line::ledger::{Boundary, Piece};
use crate::domain::production::line::slices::BadSlices;
use crate::domain::production::line::timeline::Timeline;
use crate::domain::production::line::{Line, cameras};
use crate::domain::production::stop::Stop;
use crate::domain::production::sums::Bucket;
use crate::domain::time::{BEGINNING, FOREVER, MINUTE_MS, Ms, Span};

/// A command that the line cannot follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("find the stop that starts at {0} ms: it is not, or no longer, in the ledger")]
    NoSuchStop(Ms),
    #[error("find the reason `{0}`: the tenant has no such code")]
    UnknownReason(String),
    #[error("split at {0} ms: no stop contains that instant")]
    NothingToSplit(Ms),
    #[error(
        "record a hole from {0} to {1} ms: it must end after it begins, not after the line clock, and \
         not begin before what can still change"
    )]
    BadHole(Ms, Ms),
}

/// What the store must bring back before an older stop can be spoken of.
#[derive(Clone, Debug, PartialEq)]
pub struct Recall {
    /// The stop as the table has it.
    pub stop: Stop,
    /// Minutes of [`Line::recall_span`].
    pub minutes: Vec<MinuteRow>,
    /// Records of the shifts in that span, in any order; of each shift the last revision counts.
    pub records: Vec<ShiftRecord>,
    /// Words given to any part of the stop, in the order given, those of [`doubtful_words`] resolved.
    pub words: Vec<Classification>,
}

/// Of the words given to any part of `stop`, those given while another stop before it was open, with the time in which
/// an exit ended them if there was one: the line has forgotten that exit. They matter where others cover a part of the stop
/// only, for then a half of it can have any of them.
pub fn doubtful_words(stop: Span, words: &[Classification]) -> Vec<(usize, Span)> {
    let in_part = |w: &Classification| w.until_exit_after.is_none() && (w.from > stop.from || w.to < stop.to);
    let begun_inside = |w: &Classification| w.until_exit_after.is_some() && w.from > stop.from;
    if !words.iter().any(|w| in_part(w) || begun_inside(w)) {
        return Vec::new();
    }
    let places = words.iter().enumerate();
    let before = places.filter_map(|(place, w)| Some((place, w.until_exit_after.filter(|clock| *clock < stop.from)?)));
    before.map(|(place, clock)| (place, Span::new(clock + 1, stop.from + 1))).collect()
}

/// Words with the doubt resolved: those `ended` before the stop are left out, the others cover it to its end.
pub fn resolved_words(stop: Span, words: Vec<Classification>, ended: &[(usize, bool)]) -> Vec<Classification> {
    let resolve = |(place, mut words): (usize, Classification)| match ended.iter().find(|(of, _)| *of == place) {
        Some((_, true)) => None,
        Some((_, false)) => {
            (words.to, words.until_exit_after) = (stop.to, None);
            Some(words)
        }
        None => Some(words),
    };
    words.into_iter().enumerate().filter_map(resolve).collect()
}

impl Line {
    /// Whether the stop that starts at `from` can be spoken of without bringing anything back.
    pub fn remembers(&self, from: Ms) -> bool {
        self.stops.starting(from).is_some_and(|stop| self.accounts.cold_part(stop).is_none())
    }

    /// The whole minutes that a correction of `stop` touches: its own and those of its shifts.
    pub fn recall_span(&self, stop: Span) -> Span {
        let edges = [stop.from, (stop.to - 1).max(stop.from)];
        let touched = edges
            .into_iter()
            .filter_map(|at| self.timeline.shift_around(at))
            .flat_map(|(_, spans)| spans)
            .fold(stop, |all, shift| Span::new(all.from.min(shift.from), all.to.max(shift.to)));
        let minute = |at: Ms| at.div_euclid(MINUTE_MS) * MINUTE_MS;
        Span::new(minute(touched.from), minute(touched.to + MINUTE_MS - 1))
    }

    /// Takes an older stop, its minutes and its shifts up again.
    pub fn recall(&mut self, mut recall: Recall) -> Result<(), BadSlices> {
        for row in &recall.minutes {
            self.accounts.bring_back(row)?;
        }
        let stop = &recall.stop;
        let span = Span::new(stop.started_at, stop.started_at + stop.duration_ms);
        recall.records.sort_by_key(|record| std::cmp::Reverse(record.revision));
        for record in recall.records {
            let key = |r: &ShiftRecord| (r.shift.clone(), r.business_date.clone());
            if self.records.iter().all(|r| key(r) != key(&record)) {
                self.records.push(record);
            }
        }
        let mut at = span.from;
        while at < span.to {
            self.open_shift(at);
            at = self.timeline.find(at).slot.span.to;
        }
        // What is not forgotten is known better here than in the table: there may be more in this batch.
        let oldest = self.boundaries.front().map_or(BEGINNING, |b| b.at).min(self.pruned_to.unwrap_or(BEGINNING));
        if span.to < oldest {
            self.stops.recall(stop, recall.words, self.clock.unwrap_or(span.to));
        }
        Ok(())
    }

    /// Reason and comment of the stop that starts at `from`; none when there is no such stop here.
    pub fn words(&self, from: Ms) -> Option<(Option<String>, Option<String>)> {
        let stop = self.stops.starting(from)?;
        let (reason_code, comment, _) = self.judge_stop(&self.stops, stop);
        Some((reason_code, comment))
    }

    /// Gives the stop that starts at `from` a reason and a comment.
    ///
    /// # Errors
    /// [`CommandError::NoSuchStop`] and [`CommandError::UnknownReason`]; nothing has changed then.
    pub fn classify(
        &mut self,
        from: Ms,
        reason_code: Option<String>,
        comment: Option<String>,
        author: &str,
    ) -> Result<(), CommandError> {
        let clock = self.clock.ok_or(CommandError::NoSuchStop(from))?;
        let stop = self.stops.starting(from).ok_or(CommandError::NoSuchStop(from))?;
        if let Some(code) = &reason_code
            && !self.timeline.at(clock).config.reasons.contains_key(code)
            && !self.timeline.at(from).config.reasons.contains_key(code)
        {
            return Err(CommandError::UnknownReason(code.clone()));
        }
        let open = self.open_booked.last().is_some_and(|p| p.span.to >= stop.to && p.span.from <= stop.from)
            && stop.to == clock;
        let words = Classification {
            from,
            to: if open { FOREVER } else { stop.to },
            until_exit_after: open.then_some(clock),
            reason_code,
            comment,
            author: author.to_owned(),
        };
        self.apply_classification(words);
        Ok(())
    }

    /// Takes a classification whose interval is resolved.
    pub fn apply_classification(&mut self, words: Classification) {
        self.out.inputs.push(LineInput::Classification(words.clone()));
        let covered = Span::new(words.from, words.to);
        let before: Vec<Piece> = self.stop_pieces(covered);
        self.stops.classify(words);
        let after: Vec<Piece> = self.stop_pieces(covered);
        for (old, new) in before.iter().zip(&after).filter(|(old, new)| old != new) {
            self.rebook(std::slice::from_ref(old), std::slice::from_ref(new));
        }
    }

    /// The stops of closed gaps in `span`, as pieces; what the open gap holds is booked anew at the drain.
    fn stop_pieces(&self, span: Span) -> Vec<Piece> {
        let open_from = self.boundaries.back().map_or(FOREVER, |b| b.at);
        self.stops
            .overlapping(span)
            .into_iter()
            .filter(|stop| stop.from < open_from)
            .map(|stop| self.stop_piece(stop))
            .collect()
    }

    fn stop_piece(&self, span: Span) -> Piece {
        Piece { span, bucket: Bucket::Stopped, planned: self.judge_stop(&self.stops, span).2 }
    }

    /// Divides the stop around `at`.
    ///
    /// # Errors
    /// [`CommandError::NothingToSplit`] when no stop contains the instant strictly inside.
    pub fn split(&mut self, at: Ms, author: &str) -> Result<(), CommandError> {
        let Some(stop) = self.stops.around(at).filter(|stop| stop.from < at) else {
            return Err(CommandError::NothingToSplit(at));
        };
        self.out.inputs.push(LineInput::Split { at, author: author.to_owned() });
        let kept = self.boundaries.front().is_some_and(|b| b.at < stop.to);
        let before = self.stop_piece(stop);
        let insert = |line: &mut Line| {
            if let Err(place) = line.stops.splits.binary_search(&at) {
                line.stops.splits.insert(place, at);
            }
        };
        if kept {
            self.rebook_region(Span::new(at, at + 1), insert);
        } else {
            // Its gap is forgotten: the stop itself is what is divided.
            insert(self);
            let halves = [Span::new(stop.from, at), Span::new(at, stop.to)].map(|half| self.stop_piece(half));
            self.rebook(&[before], &halves);
        }
        Ok(())
    }

    /// Records that the input of [from, to) is missing: it becomes `no_data`.
    ///
    /// # Errors
    /// [`CommandError::BadHole`].
    pub fn hole(&mut self, hole: Span, author: &str) -> Result<(), CommandError> {
        // Before that pieces are forgotten that would have to be counted as outside, in a long open gap too.
        let reach = self.boundaries.front().map_or(BEGINNING, |b| b.at).max(self.pruned_to.unwrap_or(BEGINNING));
        if hole.is_empty() || hole.from < reach || self.clock.is_none_or(|clock| hole.to > clock) {
            return Err(CommandError::BadHole(hole.from, hole.to));
        }
        self.out.inputs.push(LineInput::Hole { from: hole.from, to: hole.to, author: author.to_owned() });
        self.cameras.add_hole(hole);
        let mut now = self.no_data.clone();
        now.push(hole);
        let now = cameras::union(now);
        if let Some(changed) = cameras::difference(&self.no_data, &now) {
            self.rebook_region(changed, |line| line.no_data = now);
        }
        Ok(())
    }

    /// Takes the versions of `configs` over that the line does not know yet, and books anew what they change. Each is
    /// recorded with the time from which it holds here: what is forgotten cannot be booked anew, so that a version from
    /// before holds from the end of it. False when all are known.
    pub fn reconfigure(&mut self, configs: Vec<LineConfig>) -> bool {
        let mut known = self.timeline.configs();
        let mut newer: Vec<LineConfig> =
            configs.into_iter().filter(|config| known.iter().all(|k| k.version != config.version)).collect();
        newer.sort_by_key(|config| config.version);
        let mut earliest = self.pruned_to.unwrap_or(BEGINNING);
        let mut begin = None;
        for config in &mut newer {
            earliest = known.last().map_or(earliest, |last| last.valid_from.max(earliest));
            config.valid_from = config.valid_from.max(earliest);
            begin = begin.or(Some(config.valid_from));
            self.out.inputs.push(LineInput::Version { version: config.version, at: config.valid_from });
            known.push(config.clone());
        }
        let Some(at) = begin else { return false };
        let affected = self.counted_in(Span::new(at, FOREVER));
        // An exit at the very beginning may be none any more, so from the gap before it.
        let region = Span::new(at - 1, FOREVER);
        let mut before = self.pieces_of_closed(region);
        before.append(&mut self.open_booked);
        // The side of a micro-stop is taken back by the version by which it was booked; of the rest only what differs,
        // for an open gap may be longer than the ring.
        let (sided, before): (Vec<Piece>, Vec<Piece>) =
            before.into_iter().partition(|piece| piece.bucket == Bucket::MicroStop && piece.span.to > at);
        for piece in &sided {
            self.book(piece, -1);
        }
        for detection in &affected {
            self.count(detection, -1);
        }
        self.settle_watermark();
        let shapes = self.stops.shapes(&self.name, &self.timeline, at);
        self.timeline = Timeline::new(known);
        self.keep_slices();
        self.stops.retell(shapes, &self.name, &self.timeline);
        self.cameras.adopt(&self.timeline);
        self.reread_boundaries(at);
        for detection in &affected {
            self.count(detection, 1);
        }
        let mut after = self.pieces_of_closed(region);
        if let (Some(opening), Some(clock)) = (self.boundaries.back().copied(), self.clock) {
            self.open_booked = self.pieces(&opening, clock);
            after.extend(&self.open_booked);
        }
        self.rebook(&before, &after);
        self.reshape_periods(at);
        if self.cameras.matter() {
            self.look_for_dark();
        }
        true
    }

    /// Shifts and days may have other edges from `at` on.
    fn reshape_periods(&mut self, at: Ms) {
        let timeline = &self.timeline;
        self.accounts.reshape_periods(at, |key, from| match key {
            PeriodKey::Shift { .. } => timeline.shift_around(from).map_or(Vec::new(), |(_, spans)| spans),
            PeriodKey::Day { .. } => timeline.day_around(from).1,
        });
        self.periods_until = self.periods_until.min(at);
        if let (Some(first), Some(clock)) = (self.first, self.clock)
            && clock >= at
        {
            self.open_periods(Span::new(at.max(first), clock + 1));
        }
    }

    /// Which detections are exits, and what credit they earn, by the versions now in force from `at` on.
    pub(super) fn reread_boundaries(&mut self, at: Ms) {
        let keep = self.boundaries.partition_point(|b| b.at < at);
        // With none before, the first is where the line begins, exit or not.
        let beginning = self.boundaries.front().filter(|_| keep == 0).map(|b| b.at);
        self.boundaries.truncate(keep);
        self.boundaries.extend(beginning.map(|at| Boundary { at, credit_ms: 0, exit: false }));
        let from = beginning.unwrap_or(at);
        let exits: Vec<Boundary> = self
            .tail
            .range(from, FOREVER)
            .filter_map(|d| {
                let version = self.timeline.at(d.detected_at);
                version.counts(d.area_id).filter(|c| c.exit)?;
                let cycle = version.cycle_ns(d.product_id).filter(|_| version.config.cycle_credit);
                let credit_ms = cycle.map_or(0, |cycle| super::apply::credit_ms(d.quantity, cycle));
                Some(Boundary { at: d.detected_at, credit_ms, exit: true })
            })
            .collect();
        for exit in exits {
            match self.boundaries.back_mut() {
                Some(last) if last.at == exit.at => {
                    let credit_ms = if last.exit { last.credit_ms.max(exit.credit_ms) } else { exit.credit_ms };
                    *last = Boundary { credit_ms, ..exit };
                }
                _ => self.boundaries.push_back(exit),
            }
        }
    }
}
