//! What is to happen in a schedule: drawn from the seed before anything runs.

use std::sync::LazyLock;
use std::time::Duration;

use super::chance::Chance;
use super::world::BEGINNING;
use crate::domain::production::config::{LineConfig, Role};
use crate::domain::production::detection::{CameraStatus, Detection, Health};
use crate::domain::production::testkit::{LineBuilder, S};
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms};
use crate::kafka::codec;
use crate::kafka::schemas::SchemaIds;

/// The walk of event time begins so much before wall time, so that it may also leap ahead.
const BEHIND: Ms = 20 * MINUTE_MS;

/// In a sparse schedule it begins so much earlier, and leaps over most of it.
const DAYS_BEHIND: Ms = 6 * 24 * HOUR_MS;
const LEAP: (Ms, Ms) = (8 * HOUR_MS, 26 * HOUR_MS);

/// Something that is done to the world.
#[derive(Clone, Debug)]
pub enum Act {
    Append {
        line: String,
        payload: Vec<u8>,
    },
    Kill {
        slot: usize,
        away: Duration,
    },
    Stop {
        slot: usize,
        away: Duration,
    },
    Pause {
        slot: usize,
        lasting: Duration,
    },
    StepClock {
        slot: usize,
        by: Ms,
    },
    /// One more process than wanted.
    Twin,
    Rebalance,
    DatabaseDown {
        lasting: Duration,
    },
    BrokerDown {
        lasting: Duration,
    },
    Classify {
        line: String,
        reason: Option<String>,
    },
    Split {
        line: String,
    },
    Version {
        from: Ms,
    },
}

/// A schedule.
pub struct Plan {
    pub lines: Vec<String>,
    pub slots: usize,
    /// One call in so many fails; 0: none.
    pub trouble: u64,
    /// No faults at all.
    pub calm: bool,
    pub cadence_ms: u64,
    pub layout: usize,
    pub acts: Vec<(Duration, Act)>,
    pub end: Duration,
}

/// Configurations of two versions for each layout, made once: calendars take long.
static LAYOUTS: LazyLock<Vec<[LineConfig; 2]>> = LazyLock::new(|| {
    let base = || LineBuilder::new().stopped_above(3 * S).lateness(MINUTE_MS);
    let shifts = || base().shift("night", "22:00", "05:42").shift("early", "05:42", "14:00").pause("05:40", "05:41");
    let pairs = [
        [base().areas(&[Role::Output]), base().stopped_above(2 * S).areas(&[Role::Output])],
        [
            base().micro_above(S).areas(&[Role::Output, Role::Reject]).cameras(1, &[11]).cycle(700),
            base().micro_above(S).areas(&[Role::Output, Role::Reject]).cameras(1, &[11]).cycle(900).cycle_credit(),
        ],
        [
            shifts().areas(&[Role::Output, Role::Reject]).cycle(700),
            shifts().stopped_above(5 * S).areas(&[Role::Output, Role::Reject]).cycle(700),
        ],
        [
            base().areas(&[Role::Output]).cameras(1, &[11]).heartbeat(8 * S),
            base().areas(&[Role::Output]).cameras(1, &[11]).heartbeat(5 * S),
        ],
    ];
    pairs.map(|pair| pair.map(LineBuilder::build)).into()
});

/// A layout's configuration: the first version, or a later one.
pub fn config(layout: usize, version: u32, from: Ms) -> LineConfig {
    let which = &LAYOUTS[layout][usize::from(version.is_multiple_of(2))];
    LineConfig { version, policy_version: version, valid_from: from, ..which.clone() }
}

struct Feeder {
    line: String,
    walk: Ms,
    next_id: i64,
    leaps: bool,
    past: Vec<Vec<u8>>,
    last: Option<Detection>,
}

impl Feeder {
    fn record(&mut self, chance: &mut Chance, ids: &SchemaIds) -> Vec<u8> {
        self.walk += match chance.below(12) {
            0..7 => chance.within(1, 900),
            7..10 => chance.within(900, 4_000),
            10 => chance.within(4_000, 15_000),
            _ if self.walk + LEAP.1 < BEGINNING - BEHIND => chance.within(LEAP.0, LEAP.1),
            _ if self.leaps => chance.within(30_000, 400_000),
            _ => 0,
        };
        let mut out = Vec::new();
        match chance.below(40) {
            0..3 if !self.past.is_empty() => return chance.pick(&self.past).clone(),
            3 if self.last.is_some() => {
                // The same piece with other content.
                let other = self.last.map(|last| Detection { quantity: last.quantity + 1, ..last });
                other.iter().for_each(|d| codec::encode_detection(d, ids, &mut out));
                return out;
            }
            4 => return vec![0, 0, 0, 9, 9, 1],
            5..8 => {
                let status = if chance.one_in(2) { Health::Offline } else { Health::Online };
                let at = self.walk - chance.within(0, 3_000);
                codec::encode_status(&CameraStatus { camera_id: 11, at, status, reason: None }, ids, &mut out);
                self.past.push(out.clone());
                return out;
            }
            _ => {}
        }
        let behind = match chance.below(20) {
            0..3 => chance.within(1, 20_000),
            3 => chance.within(20_000, 59_000),
            4 => chance.within(60_000, 200_000),
            _ => 0,
        };
        self.next_id += 1;
        let area_id = if chance.one_in(6) { 2 } else { 1 };
        let detection = Detection {
            detection_id: self.next_id,
            detected_at: self.walk - behind,
            area_id,
            product_id: 1,
            quantity: 1,
            camera_id: None,
            confidence: Some(0.5),
        };
        codec::encode_detection(&detection, ids, &mut out);
        self.last = Some(detection);
        self.past.push(out.clone());
        out
    }
}

impl Plan {
    pub fn draw(seed: u64, ids: &SchemaIds) -> Plan {
        let mut chance = Chance::of(seed ^ 0xa5a5_0000);
        let calm = chance.one_in(12);
        let lines: Vec<String> = (1..=chance.within(1, 3)).map(|n| format!("l{n}")).collect();
        let slots = chance.within(1, 3) as usize;
        let versions = chance.one_in(3);
        let end = chance.within(2_500, 7_000);
        // Every tenth; the others keep their course.
        let sparse = seed % 10 == 6 && !versions;
        let walk = BEGINNING - if sparse { DAYS_BEHIND } else { BEHIND };
        let mut acts = Vec::new();
        for line in &lines {
            let mut feeder = Feeder {
                line: line.clone(),
                walk,
                next_id: 0,
                leaps: !versions && chance.one_in(2),
                past: Vec::new(),
                last: None,
            };
            // Some topics stay silent for most of the time.
            let beat = *chance.pick(&[40, 120, 400, 1_500]);
            let mut at = chance.within(0, 1_500);
            while at < end {
                let payload = feeder.record(&mut chance, ids);
                acts.push((at, Act::Append { line: feeder.line.clone(), payload }));
                at += chance.within(1, beat * 2);
            }
            for _ in 0..chance.below(4) {
                let reason =
                    *chance.pick(&[Some("jam"), Some("cleaning"), Some("changeover"), Some("unheard_of"), None]);
                let line = line.clone();
                let act = if chance.one_in(3) {
                    Act::Split { line }
                } else {
                    Act::Classify { line, reason: reason.map(str::to_owned) }
                };
                acts.push((chance.within(1_000, end), act));
            }
        }
        if versions {
            for n in 0..chance.within(1, 2) {
                let at = chance.within(500, end);
                acts.push((
                    at,
                    Act::Version { from: BEGINNING - BEHIND + at + n * 20_000 + chance.within(5_000, 40_000) },
                ));
            }
        }
        if !calm {
            for _ in 0..chance.below(6) {
                acts.push((chance.within(0, end), Plan::fault(&mut chance, slots)));
            }
        }
        let mut acts: Vec<(Duration, Act)> =
            acts.into_iter().map(|(at, act)| (Duration::from_millis(at as u64), act)).collect();
        acts.sort_by_key(|(at, _)| *at);
        let trouble = if calm { 0 } else { *chance.pick(&[0, 10, 25, 25, 60, 150]) };
        let cadence_ms = *chance.pick(&[1_000, 2_000, 3_000]);
        let layout = chance.below(LAYOUTS.len() as u64) as usize;
        Plan { lines, slots, trouble, calm, cadence_ms, layout, acts, end: Duration::from_millis(end as u64) }
    }

    fn fault(chance: &mut Chance, slots: usize) -> Act {
        let slot = chance.below(slots as u64) as usize;
        match chance.below(11) {
            0..3 => Act::Kill { slot, away: chance.ms(50, 3_500) },
            3 => Act::Stop { slot, away: chance.ms(50, 3_500) },
            4 | 5 => Act::Pause { slot, lasting: chance.ms(300, 6_000) },
            6 => Act::StepClock { slot, by: chance.within(-20_000, 20_000) },
            7 => Act::Twin,
            8 => Act::Rebalance,
            9 => Act::DatabaseDown { lasting: chance.ms(300, 4_000) },
            _ => Act::BrokerDown { lasting: chance.ms(300, 5_000) },
        }
    }
}
