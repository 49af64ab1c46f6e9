//! What all members share: the servers, the chance, the story, and what was found wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::broker::Broker;
use super::chance::Chance;
use super::database::Tables;
use super::sabotage::Sabotage;
use crate::domain::time::Ms;
use crate::engine::clock::Clock;

/// Wall time at the beginning of every schedule: 2026-03-02T06:00:00Z.
pub const BEGINNING: Ms = 1_772_431_200_000;

/// See the module.
pub struct World {
    state: Mutex<State>,
    began: Instant,
}

pub type Shared = Arc<World>;

/// Everything that is not a member's own memory.
pub struct State {
    pub chance: Chance,
    pub tables: Tables,
    pub broker: Broker,
    pub trouble: Trouble,
    pub doubts: Doubts,
    pub sabotage: Option<Sabotage>,
    /// Told only where somebody listens.
    pub story: Option<Vec<String>>,
    pub wrong: Vec<String>,
}

/// How bad the servers are.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// One call in so many fails in some way; 0: none does.
    pub one_in: u64,
    pub database_down: Option<Instant>,
    pub broker_down: Option<Instant>,
}

/// Kafka commits whose process dies on the way, and which are done when the line has another owner already: rare by
/// themselves, so that every tenth schedule has them often. Others keep their course, and what the seeds that once
/// failed tell stays the same.
#[derive(Clone, Debug)]
pub struct Doubts(Option<Chance>);

/// A server that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Database,
    Broker,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    Fine,
    /// Nothing is done, and the caller hears so.
    Refused,
    /// Nothing is done and nothing ever will be, for another reason than that the server is busy.
    Broken,
    /// Nothing is done, but the caller does not know.
    Silent,
    /// It is done; the answer is lost.
    Lost,
    /// It is done later; the answer is lost.
    Later(Duration),
}

/// A process: what it does waits while it is paused, and ends where it is killed.
#[derive(Clone)]
pub struct Process {
    pub world: Shared,
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    dead: AtomicBool,
    paused: Mutex<Option<Instant>>,
    tasks: Mutex<Vec<AbortHandle>>,
    skew: AtomicI64,
}

impl World {
    pub fn new(seed: u64, sabotage: Option<Sabotage>, tell: bool) -> Shared {
        Arc::new(World {
            began: Instant::now(),
            state: Mutex::new(State {
                chance: Chance::of(seed),
                tables: Tables::default(),
                broker: Broker::default(),
                trouble: Trouble::default(),
                doubts: Doubts::of(seed),
                sabotage,
                story: tell.then(Vec::new),
                wrong: Vec::new(),
            }),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn has(&self, sabotage: Sabotage) -> bool {
        self.state().sabotage == Some(sabotage)
    }

    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn now(&self) -> Ms {
        BEGINNING + self.elapsed().as_millis() as Ms
    }

    pub fn tell(&self, what: impl FnOnce() -> String) {
        let at = self.elapsed().as_millis();
        if let Some(story) = &mut self.state().story {
            story.push(format!("{at:>6} ms  {}", what()));
        }
    }

    /// An invariant does not hold.
    pub fn wrong(&self, what: String) {
        self.tell(|| format!("WRONG: {what}"));
        self.state().wrong.push(what);
    }

    pub fn is_wrong(&self) -> bool {
        !self.state().wrong.is_empty()
    }
}

impl Doubts {
    fn of(seed: u64) -> Doubts {
        Doubts((seed % 10 == 2).then(|| Chance::of(seed ^ 0xd0b7_0000)))
    }
}

impl State {
    /// When a Kafka commit is done whose process dies on its way; none: it does not. A transaction may be open for
    /// [`super::broker::TRANSACTION`], which is longer than a silent member stays in the group.
    pub fn doubt(&mut self) -> Option<Duration> {
        let chance = self.doubts.0.as_mut().filter(|_| self.trouble.one_in > 0)?;
        chance.one_in(25).then(|| chance.ms(2_300, 3_800))
    }

    fn draw(&mut self, server: Server) -> (Duration, Strike) {
        let trouble = &self.trouble;
        let down = match server {
            Server::Database => trouble.database_down,
            Server::Broker => trouble.broker_down,
        };
        if down.is_some_and(|until| until > Instant::now()) {
            return (self.chance.ms(5, 300), Strike::Refused);
        }
        let one_in = trouble.one_in;
        if !self.chance.one_in(one_in) {
            return (self.chance.ms(1, 4), Strike::Fine);
        }
        let latency = if self.chance.one_in(3) { self.chance.ms(200, 2_500) } else { self.chance.ms(1, 40) };
        let strike = match self.chance.below(14) {
            0..3 => Strike::Fine,
            3..6 => Strike::Refused,
            6 => Strike::Broken,
            7 => Strike::Silent,
            8..11 => Strike::Lost,
            _ => Strike::Later(self.chance.ms(1, 1_500)),
        };
        (latency, strike)
    }
}

impl Process {
    pub fn new(world: Shared, name: String) -> Process {
        let inner = Inner {
            name,
            dead: AtomicBool::new(false),
            paused: Mutex::new(None),
            tasks: Mutex::default(),
            skew: AtomicI64::new(0),
        };
        Process { world, inner: Arc::new(inner) }
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub fn is_dead(&self) -> bool {
        self.inner.dead.load(Ordering::Relaxed)
    }

    pub fn adopt(&self, task: AbortHandle) {
        self.inner.tasks.lock().push(task);
    }

    /// Ends at once: each of its tasks at the await where it stands.
    pub fn kill(&self) {
        if !self.inner.dead.swap(true, Ordering::Relaxed) {
            self.world.tell(|| format!("{} is killed", self.name()));
        }
        self.inner.tasks.lock().iter().for_each(AbortHandle::abort);
    }

    pub fn pause(&self, lasting: Duration) {
        self.world.tell(|| format!("{} stands still for {lasting:?}", self.name()));
        *self.inner.paused.lock() = Some(Instant::now() + lasting);
    }

    pub fn step_clock(&self, by: Ms) {
        self.world.tell(|| format!("{}'s clock steps by {by} ms", self.name()));
        self.inner.skew.fetch_add(by, Ordering::Relaxed);
    }

    /// Waits while the process is paused; for ever once it is dead.
    pub async fn gate(&self) {
        loop {
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            let paused = *self.inner.paused.lock();
            match paused {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// The way to a server, and what happens there.
    pub async fn call(&self, server: Server) -> Strike {
        self.gate().await;
        let (latency, strike, dies) = {
            let mut state = self.world.state();
            let (latency, strike) = state.draw(server);
            let one_in = state.trouble.one_in * 12;
            (latency, strike, state.chance.one_in(one_in))
        };
        if dies {
            self.kill();
        }
        sleep(latency).await;
        self.gate().await;
        strike
    }

    /// The way back: here too a process can die or stand still.
    pub async fn answer(&self) {
        let (latency, dies) = {
            let mut state = self.world.state();
            let one_in = state.trouble.one_in * 12;
            (state.chance.ms(0, 2), state.chance.one_in(one_in))
        };
        if dies {
            self.kill();
        }
        if !latency.is_zero() {
            sleep(latency).await;
        }
        self.gate().await;
    }
}

impl Clock for Process {
    fn now(&self) -> Ms {
        self.world.now() + self.inner.skew.load(Ordering::Relaxed)
    }

    fn instant(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}
