//! The stops of a line: what the ledger holds now, what the world has been told, and the words people gave them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::production::changes::StopChange;
use crate::domain::production::input::Classification;
use crate::domain::production::line::timeline::Timeline;
use crate::domain::production::stop::{Segment, Stop, StopStatus, downtime_id};
use crate::domain::time::{FOREVER, Ms, Span};

/// An open stop is sent again after this much more of the line clock.
const RESEND_MS: Ms = 10_000;

/// What the world was last told of a stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub revision: u32,
    pub status: StopStatus,
    pub to: Ms,
    pub reason: Option<String>,
    pub comment: Option<String>,
    pub planned: bool,
    /// Line clock when it was sent.
    pub sent_at: Ms,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stops {
    /// Stopped pieces by start: end so far.
    live: BTreeMap<Ms, Ms>,
    told: BTreeMap<Ms, Told>,
    /// In the order given.
    words: Vec<Classification>,
    /// Instants that divide stops, sorted.
    pub splits: Vec<Ms>,
    touched: BTreeSet<Ms>,
    /// Stops of which a new version tells another shift or day.
    #[serde(skip)]
    retell: BTreeSet<Ms>,
}

impl Stops {
    /// A stopped piece was booked.
    pub fn add(&mut self, span: Span) {
        self.live.insert(span.from, span.to);
        self.touched.insert(span.from);
    }

    /// A stopped piece was taken back.
    pub fn remove(&mut self, span: Span) {
        if self.live.get(&span.from) == Some(&span.to) {
            self.live.remove(&span.from);
        }
        self.touched.insert(span.from);
    }

    /// The stop that contains `at`, if the ledger has one.
    pub fn around(&self, at: Ms) -> Option<Span> {
        let (from, to) = self.live.range(..=at).next_back()?;
        Some(Span::new(*from, *to)).filter(|span| span.contains(at))
    }

    /// The stop that starts at `from`.
    pub fn starting(&self, from: Ms) -> Option<Span> {
        self.live.get(&from).map(|to| Span::new(from, *to))
    }

    /// Stops that overlap `span`.
    pub fn overlapping(&self, span: Span) -> Vec<Span> {
        self.live.range(..span.to).map(|(from, to)| Span::new(*from, *to)).filter(|s| s.to > span.from).collect()
    }

    /// Gives words to an interval; stops that overlap it will be told again.
    pub fn classify(&mut self, words: Classification) {
        let covered = Span::new(words.from, words.to);
        self.words.push(words);
        for stop in self.overlapping(covered) {
            self.touched.insert(stop.from);
        }
    }

    /// The latest words that cover part of a stop. `exit_after` finds the first exit after a time.
    pub fn words_of(&self, stop: Span, exit_after: impl Fn(Ms) -> Option<Ms>) -> Option<&Classification> {
        self.words.iter().rev().find(|words| {
            let to = match words.until_exit_after {
                Some(clock) => exit_after(clock).unwrap_or(FOREVER).min(words.to),
                None => words.to,
            };
            words.from < stop.to && stop.from < to
        })
    }

    /// Whether anybody has given any words that may still matter.
    pub fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// Closes the covered intervals that can no longer move: their exit is older than `keep_from`.
    pub fn settle_words(&mut self, keep_from: Ms, exit_after: impl Fn(Ms) -> Option<Ms>) {
        for words in &mut self.words {
            if let Some(clock) = words.until_exit_after
                && let Some(exit) = exit_after(clock).filter(|exit| *exit < keep_from)
            {
                words.to = exit;
                words.until_exit_after = None;
            }
        }
    }

    /// Takes an older stop up again, as the store has it, so that it can be told again. `words`: all that were ever
    /// given to its time, in order.
    pub fn recall(&mut self, stop: &Stop, words: Vec<Classification>, clock: Ms) {
        let to = stop.ended_at.unwrap_or(stop.started_at + stop.duration_ms);
        self.told.entry(stop.started_at).or_insert_with(|| Told {
            revision: stop.revision,
            status: stop.status,
            to,
            reason: stop.reason_code.clone(),
            comment: stop.comment.clone(),
            planned: stop.planned,
            sent_at: clock,
        });
        // A stop that is still there has all its words.
        if stop.status == StopStatus::Retracted || self.live.contains_key(&stop.started_at) {
            return;
        }
        self.live.insert(stop.started_at, to);
        // The exit that ended what open words covered is forgotten. A stop that had begun reached it; of a later one
        // only what it was told tells, unless later words explain that.
        let reaches = |words: &Classification| words.until_exit_after.is_none_or(|clock| stop.started_at <= clock);
        let explained = words.iter().rposition(reaches);
        for (place, mut words) in words.into_iter().enumerate() {
            let told = stop.reason_code == words.reason_code && stop.comment == words.comment;
            if !reaches(&words) && (!told || explained.is_some_and(|later| later > place)) {
                continue;
            }
            if words.until_exit_after.take().is_some() {
                words.to = to;
            }
            // Cut to this stop: of its neighbours they may not speak, and among the words still kept they would
            // come in the wrong order.
            (words.from, words.to) = (words.from.max(stop.started_at), words.to.min(to));
            if words.from < words.to {
                self.words.push(words);
            }
        }
    }

    /// The stops that reach beyond `at`, as they were told.
    pub fn shapes(&self, line: &str, timeline: &Timeline, at: Ms) -> Vec<Stop> {
        let reaching = self.told.iter().filter(|(_, told)| told.to > at || told.status == StopStatus::Open);
        reaching.map(|(from, told)| shape(line, timeline, *from, told)).collect()
    }

    /// Has those of `shapes` told again that look otherwise under a new version: another shift, day or cut.
    pub fn retell(&mut self, shapes: Vec<Stop>, line: &str, timeline: &Timeline) {
        for before in shapes {
            let from = before.started_at;
            let now = self.told.get(&from).map(|told| shape(line, timeline, from, told));
            if now.is_some_and(|now| now != before) {
                self.touched.insert(from);
                self.retell.insert(from);
            }
        }
    }

    /// What has to be told, compared with what was. `open_from`: start of the piece that reaches the clock.
    pub fn drain(
        &mut self,
        line: &str,
        timeline: &Timeline,
        clock: Ms,
        open_from: Option<Ms>,
        judge: impl Fn(&Stops, Span) -> (Option<String>, Option<String>, bool),
    ) -> Vec<StopChange> {
        let mut touched = std::mem::take(&mut self.touched);
        let retell = std::mem::take(&mut self.retell);
        // An exit at the clock itself closes a stop without moving its end.
        touched.extend(self.told.iter().filter(|(_, told)| told.status == StopStatus::Open).map(|(from, _)| *from));
        let open = open_from.filter(|from| self.live.contains_key(from));
        if let Some(from) = open {
            touched.insert(from);
        }
        let mut out = Vec::new();
        for from in touched {
            let told = self.told.get(&from);
            let Some(&to) = self.live.get(&from) else {
                out.extend(self.retract(line, timeline, from, clock));
                continue;
            };
            let span = Span::new(from, to);
            let status = if open == Some(from) { StopStatus::Open } else { StopStatus::Closed };
            let (reason, comment, planned) = judge(self, span);
            let same = told.is_some_and(|t| {
                !retell.contains(&from)
                    && t.status == status
                    && (t.to == to || status == StopStatus::Open)
                    && t.reason == reason
                    && t.comment == comment
                    && t.planned == planned
            });
            let due = told.is_none_or(|t| clock - t.sent_at >= RESEND_MS);
            if same && !(status == StopStatus::Open && due) {
                continue;
            }
            let revision = told.map_or(0, |t| t.revision) + u32::from(!same);
            let now = Told { revision, status, to, reason, comment, planned, sent_at: clock };
            out.push(StopChange { stop: shape(line, timeline, from, &now), resend: same });
            self.told.insert(from, now);
        }
        out
    }

    fn retract(&mut self, line: &str, timeline: &Timeline, from: Ms, clock: Ms) -> Option<StopChange> {
        let told = self.told.get_mut(&from).filter(|t| t.status != StopStatus::Retracted)?;
        told.revision += 1;
        told.status = StopStatus::Retracted;
        told.sent_at = clock;
        Some(StopChange { stop: shape(line, timeline, from, told), resend: false })
    }

    /// Forgets what can no longer change. `oldest`: where the oldest kept gap begins, or what records can reach.
    pub fn prune(&mut self, oldest: Ms) {
        self.told.retain(|_, told| told.to >= oldest || told.status == StopStatus::Open);
        self.live.retain(|_, to| *to >= oldest);
        let live = &self.live;
        let covers_live = |words: &Classification| {
            words.from < words.to && live.range(..words.to).next_back().is_some_and(|(_, to)| *to > words.from)
        };
        self.words.retain(|words| words.to >= oldest || covers_live(words));
        self.splits.retain(|at| *at >= oldest);
    }
}

/// A stop in its shape.
pub fn shape(line: &str, timeline: &Timeline, from: Ms, told: &Told) -> Stop {
    let start = timeline.find(from).slot;
    Stop {
        downtime_id: downtime_id(line, from),
        line: line.to_owned(),
        revision: told.revision,
        status: told.status,
        started_at: from,
        ended_at: (told.status != StopStatus::Open).then_some(told.to),
        duration_ms: told.to - from,
        reason_code: told.reason.clone(),
        comment: told.comment.clone(),
        planned: told.planned,
        shift: start.shift.map(|shift| shift.name.to_string()),
        business_date: start.date.to_string(),
        segments: segments(timeline, Span::new(from, told.to)),
    }
}

/// A stop cut at shift, business-day and hour edges.
fn segments(timeline: &Timeline, span: Span) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for part in timeline.slots(span) {
        let calendar = &timeline.versions()[part.version].config.calendar;
        let shift = part.slot.shift.as_ref().map(|shift| shift.name.to_string());
        let business_date = part.slot.date.to_string();
        let (mut from, end) = (part.slot.span.from, part.slot.span.to);
        let edges = calendar.hour_edges(Span::new(from - 1, end));
        for to in edges.iter().copied().chain([end]) {
            if to <= from {
                continue;
            }
            match out.last_mut() {
                // A break or a new version cuts slots, but not stops.
                Some(last) if last.shift == shift && last.business_date == business_date && !edges.contains(&from) => {
                    last.to = to;
                }
                _ => out.push(Segment { from, to, shift: shift.clone(), business_date: business_date.clone() }),
            }
            from = to;
        }
    }
    out
}
