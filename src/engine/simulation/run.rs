//! Runs one schedule from its seed to the judge's word.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::broker::Appended;
use super::database::CommandRow;
use super::judge;
use super::member::Member;
use super::plan::{Act, Plan, config};
use super::sabotage::Sabotage;
use super::world::{Shared, State, World};
use crate::domain::production::line::accounts::SLICE_MS;
use crate::domain::production::stop::StopStatus;
use crate::domain::time::BEGINNING as FOREVER_AGO;
use crate::engine::ports::{Command, PendingCommand};
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics;

/// A schedule without faults is at its end this long after its last record.
const CALM: Duration = Duration::from_secs(12);
/// Any other, this long after the last fault.
const HEALED: Duration = Duration::from_secs(60);
/// Where the broker loses ends: each time that a line changes hands it may be in doubt for good first.
const HEALED_OF_DOUBT: Duration = Duration::from_secs(240);
/// Before that nothing is judged: versions and timers take as long.
const AT_LEAST: Duration = Duration::from_millis(2_600);

/// What became of a schedule.
pub struct Outcome {
    pub wrong: Vec<String>,
    pub story: Vec<String>,
    pub commits: u64,
}

/// A place for a process, which comes back when it has gone.
struct Slot {
    member: Option<Member>,
    back: Instant,
}

struct Run {
    world: Shared,
    plan: Plan,
    ids: Arc<SchemaIds>,
    slots: Vec<Slot>,
    started: usize,
    commands: i64,
}

/// Runs a seed; its story only where it is wanted.
pub fn run(seed: u64, sabotage: Option<Sabotage>, tell: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread");
    let outcome = runtime.block_on(async {
        let ids = Arc::new(SchemaIds::builtin());
        let plan = Plan::draw(seed, &ids);
        let world = World::new(seed, sabotage, tell);
        let mut run = Run { world, plan, ids, slots: Vec::new(), started: 0, commands: 0 };
        run.prepare();
        run.play().await;
        run.outcome()
    });
    drop(runtime);
    outcome
}

impl Run {
    fn prepare(&mut self) {
        let mut state = self.world.state();
        for line in &self.plan.lines {
            state.broker.logs.insert(topics::detections(super::database::TENANT, line), Vec::new());
            state.tables.configs.insert(line.clone(), vec![config(self.plan.layout, 1, FOREVER_AGO)]);
        }
        state.tables.newest_version = 1;
        state.tables.cadence_ms = self.plan.cadence_ms;
        state.trouble.one_in = self.plan.trouble;
        let back = Instant::now();
        self.slots = (0..self.plan.slots).map(|_| Slot { member: None, back }).collect();
    }

    async fn play(&mut self) {
        let acts = std::mem::take(&mut self.plan.acts);
        let mut acts = acts.into_iter().peekable();
        while self.world.elapsed() < self.plan.end && !self.world.is_wrong() {
            while let Some((_, act)) = acts.next_if(|(at, _)| *at <= self.world.elapsed()) {
                self.act(act);
            }
            self.pass_time().await;
        }
        acts.for_each(|(_, act)| self.act(act));
        self.heal();
        let healed = Instant::now();
        let limit = match self.world.has(Sabotage::LoseEnds) {
            true => HEALED_OF_DOUBT,
            false if self.plan.calm => CALM,
            false => HEALED,
        };
        while !self.world.is_wrong() {
            self.pass_time().await;
            if healed.elapsed() > AT_LEAST && judge::is_settled(&self.world) {
                judge::judge(&self.world, &self.ids);
                return;
            }
            if healed.elapsed() > limit {
                let missing = judge::unsettled(&self.world);
                self.world.wrong(format!("no progress: {limit:?} after the end, {missing}"));
            }
        }
    }

    async fn pass_time(&mut self) {
        let gone = {
            let mut state = self.world.state();
            let State { broker, chance, .. } = &mut *state;
            broker.pass_time(chance)
        };
        gone.iter().for_each(|id| self.world.tell(|| format!("{id} is put out of the group")));
        if self.world.has(Sabotage::ForgetOffsets) && self.world.state().forget() {
            self.world.tell(|| "the group forgets its offsets".to_owned());
        }
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.member.as_ref().is_some_and(|member| member.process.is_dead()) {
                slot.member = None;
                slot.back = Instant::now() + self.world.state().chance.ms(50, 1_500);
            }
            if slot.member.is_none() && slot.back <= Instant::now() {
                self.start(index);
            }
        }
        sleep(Duration::from_millis(20)).await;
    }

    fn start(&mut self, index: usize) {
        self.started += 1;
        let member = Member::start(&self.world, &format!("m{}", self.started), &self.ids);
        self.slots[index].member = Some(member);
    }

    /// No more faults; what is away comes back.
    fn heal(&mut self) {
        self.world.tell(|| "no more faults".to_owned());
        let mut state = self.world.state();
        state.trouble = super::world::Trouble::default();
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Append { line, payload } => {
                let at = self.world.now();
                let topic = topics::detections(super::database::TENANT, &line);
                self.world.state().broker.logs.entry(topic).or_default().push(Appended { at, payload });
            }
            Act::Kill { slot, away } => {
                if let Some(member) = self.slots[slot].member.take() {
                    member.process.kill();
                    self.slots[slot].back = Instant::now() + away;
                }
            }
            Act::Stop { slot, away } => {
                if let Some(member) = self.slots[slot].member.take() {
                    member.stop();
                    self.slots[slot].back = Instant::now() + away;
                }
            }
            Act::Pause { slot, lasting } => {
                if let Some(member) = &self.slots[slot].member {
                    member.process.pause(lasting);
                }
            }
            Act::StepClock { slot, by } => {
                if let Some(member) = &self.slots[slot].member {
                    member.process.step_clock(by);
                }
            }
            Act::Twin => {
                self.slots.push(Slot { member: None, back: Instant::now() });
            }
            Act::Rebalance => {
                let mut state = self.world.state();
                let State { broker, chance, .. } = &mut *state;
                broker.rebalance(chance);
            }
            Act::DatabaseDown { lasting } => {
                self.world.tell(|| format!("the database is down for {lasting:?}"));
                self.world.state().trouble.database_down = Some(Instant::now() + lasting);
            }
            Act::BrokerDown { lasting } => {
                self.world.tell(|| format!("the broker is down for {lasting:?}"));
                self.world.state().trouble.broker_down = Some(Instant::now() + lasting);
            }
            Act::Classify { line, reason } => self.classify(&line, reason),
            Act::Split { line } => self.split(&line),
            Act::Version { from } => self.version(from),
        }
    }

    fn submit(&mut self, line: &str, command: Command) {
        self.commands += 1;
        let id = self.commands;
        self.world.tell(|| format!("command {id} of {line}: {command:?}"));
        let pending = PendingCommand { id, line: line.to_owned(), author: judge::author(id), command };
        self.world.state().tables.commands.insert(id, CommandRow { pending, outcome: None });
    }

    /// A stop of the line as the table has it.
    fn some_stop(&self, line: &str) -> Option<(i64, i64)> {
        let mut state = self.world.state();
        let State { tables, chance, .. } = &mut *state;
        let stops: Vec<(i64, i64)> = tables
            .lines
            .get(line)?
            .stops
            .values()
            .filter(|stop| stop.status != StopStatus::Retracted)
            .map(|stop| (stop.started_at, stop.duration_ms))
            .collect();
        (!stops.is_empty()).then(|| *chance.pick(&stops))
    }

    fn classify(&mut self, line: &str, reason_code: Option<String>) {
        let (started_at, _) = self.some_stop(line).unwrap_or((super::world::BEGINNING, 0));
        self.submit(line, Command::Classify { started_at, reason_code, comment: None, was: None });
    }

    fn split(&mut self, line: &str) {
        let (started_at, lasting) = self.some_stop(line).unwrap_or((super::world::BEGINNING, 0));
        self.submit(line, Command::Split { at: started_at + lasting / 2 });
    }

    fn version(&mut self, from: i64) {
        let version = {
            let mut state = self.world.state();
            state.tables.newest_version += 1;
            let version = state.tables.newest_version;
            for configs in state.tables.configs.values_mut() {
                let last = configs.last().map_or(from, |c| c.valid_from);
                let from = (from.div_euclid(SLICE_MS) * SLICE_MS).max(last + SLICE_MS);
                configs.push(config(self.plan.layout, version, from));
            }
            version
        };
        self.world.tell(|| format!("version {version} is saved, from {from}"));
    }

    fn outcome(&self) -> Outcome {
        let mut state = self.world.state();
        let commits = state.tables.lines.values().filter_map(|rows| rows.checkpoint.as_ref()).map(|c| c.commit_seq);
        Outcome {
            commits: commits.sum(),
            wrong: std::mem::take(&mut state.wrong),
            story: state.story.take().unwrap_or_default(),
        }
    }
}
