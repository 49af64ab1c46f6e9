//! What cameras see, and when they say so: one is late, some go blind, all show signs of life where demanded.

use std::collections::VecDeque;

use super::chance::Chance;
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{CameraStatus, Health};
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};

const BETWEEN_BLINDNESS: Ms = 5 * HOUR_MS;
const BETWEEN_HOLDS: Ms = 4 * HOUR_MS;
/// Spans kept for events that are still to be looked at; the way through a line is shorter by far.
const REMEMBERED: usize = 8;

/// Spans of one kind, made as time goes on: apart from each other, in order.
#[derive(Debug)]
struct Spells {
    mean_between: Ms,
    median: Ms,
    longest: Ms,
    spans: VecDeque<Span>,
}

#[derive(Debug)]
pub struct Cameras {
    chance: Chance,
    all: Vec<i32>,
    /// Those that go blind together: the exits', or none.
    blind: Vec<i32>,
    blindness: Spells,
    /// The camera whose network is slow, and now and then away: what it saw meanwhile comes afterwards.
    late: Option<i32>,
    holds: Spells,
    /// The next changes of cameras that go blind, in order.
    turns: VecDeque<(Ms, i32, Health)>,
    /// Next sign of life per camera of `all`; empty where none is demanded.
    beats: Vec<Ms>,
    beat_every: Ms,
}

// === impl Spells ===

impl Spells {
    fn new(mean_between: Ms, median: Ms, longest: Ms, start: Ms, chance: &mut Chance) -> Spells {
        let mut spells = Spells { mean_between, median, longest, spans: VecDeque::new() };
        // Early in the run, so that a short one shows it too.
        let first = start + mean_between / 10 + chance.until(mean_between / 2);
        spells.push(first, chance);
        spells
    }

    fn push(&mut self, from: Ms, chance: &mut Chance) -> Span {
        let length = chance.length(self.median, 0.6, MINUTE_MS..=self.longest);
        let span = Span::new(from, from + length);
        self.spans.push_back(span);
        if self.spans.len() > REMEMBERED {
            self.spans.pop_front();
        }
        span
    }

    /// The spell around `at`; makes those up to then.
    fn around(&mut self, at: Ms, chance: &mut Chance) -> Option<Span> {
        while let Some(last) = self.spans.back()
            && last.to <= at
        {
            let from = last.to + MINUTE_MS + chance.until(self.mean_between);
            self.push(from, chance);
        }
        self.spans.iter().rev().find(|span| span.contains(at)).copied()
    }
}

// === impl Cameras ===

impl Cameras {
    pub fn new(config: &LineConfig, place: usize, start: Ms, mut chance: Chance) -> Cameras {
        let mut all: Vec<i32> = config.areas.iter().flat_map(|area| area.cameras.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        let exits = config.exit_cameras();
        // Best one beside others: then its lateness reorders the line rather than delaying all of it.
        let late = exits.last().filter(|_| place % 3 == 1).copied();
        let blind = if place.is_multiple_of(3) { exits } else { Vec::new() };
        let blindness = Spells::new(BETWEEN_BLINDNESS, 4 * MINUTE_MS, 15 * MINUTE_MS, start, &mut chance);
        let holds = Spells::new(BETWEEN_HOLDS, 3 * MINUTE_MS, 13 * MINUTE_MS, start, &mut chance);
        let beat_every = config.heartbeat_ms.map_or(0, |demanded| (demanded / 3).max(1));
        let beats = if beat_every > 0 { all.iter().map(|_| start).collect() } else { Vec::new() };
        let mut cameras =
            Cameras { chance, all, blind, blindness, late, holds, turns: VecDeque::new(), beats, beat_every };
        cameras.plan_turns(start);
        cameras
    }

    /// Whether a camera sees nothing at `at`.
    pub fn is_blind(&mut self, camera: i32, at: Ms) -> bool {
        self.blind.contains(&camera) && self.blindness.around(at, &mut self.chance).is_some()
    }

    /// How long a camera's word about `at` is under way beyond the network's usual time.
    pub fn delay(&mut self, camera: i32, at: Ms) -> Ms {
        if self.late != Some(camera) {
            return 0;
        }
        let slow = self.chance.length(4_000, 0.8, 500..=60_000);
        let held = self.holds.around(at, &mut self.chance);
        held.map_or(slow, |span| span.to - at + self.chance.between(0, 15_000))
    }

    /// When the next sign of life is due.
    pub fn next_heartbeat(&self) -> Option<Ms> {
        self.beats.iter().min().copied()
    }

    /// When a camera next goes blind or sees again.
    pub fn next_turn(&self) -> Option<Ms> {
        self.turns.front().map(|(at, _, _)| *at)
    }

    /// The word that is due at `at`, which is the next turn or heartbeat.
    pub fn step(&mut self, at: Ms) -> CameraStatus {
        if let Some(&(turn_at, camera_id, status)) = self.turns.front()
            && turn_at == at
        {
            self.turns.pop_front();
            if self.turns.is_empty() {
                self.plan_turns(at + 1);
            }
            let reason = (status == Health::Offline).then(|| "no picture".to_owned());
            return CameraStatus { camera_id, at, status, reason };
        }
        let place = self.beats.iter().position(|due| *due == at).unwrap_or_default();
        let camera_id = self.all[place];
        // A blind camera keeps silent; its next sign of life comes when it sees again.
        self.beats[place] = at + self.beat_every;
        while self.blind.contains(&camera_id)
            && let Some(spell) = self.blindness.around(self.beats[place], &mut self.chance)
        {
            self.beats[place] = spell.to;
        }
        CameraStatus { camera_id, at, status: Health::Online, reason: None }
    }

    /// Asked at `at`, a camera that sees says so; none: the line has no such camera.
    pub fn sign_of_life(&mut self, at: Ms) -> Option<CameraStatus> {
        let camera_id = self.all.clone().into_iter().find(|camera| !self.is_blind(*camera, at))?;
        Some(CameraStatus { camera_id, at, status: Health::Online, reason: None })
    }

    /// Lines up the turns of the first spell after `after`.
    fn plan_turns(&mut self, after: Ms) {
        if self.blind.is_empty() {
            return;
        }
        self.blindness.around(after, &mut self.chance);
        let spell = self.blindness.spans.iter().find(|span| span.from >= after).copied();
        let Some(span) = spell else { return };
        self.turns.extend(self.blind.iter().map(|camera| (span.from, *camera, Health::Offline)));
        self.turns.extend(self.blind.iter().map(|camera| (span.to, *camera, Health::Online)));
    }
}
