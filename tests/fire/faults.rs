//! The faults, and how each is struck. Every one returns when its cause is gone, with the moment from which time to
//! live counts, as wall time in ms.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::field::Field;
use super::servers::Server;
use super::tail::wall;
use crate::support::proxy::Trouble;

/// How long another fault can keep one from striking: nothing is committed while there are no brokers.
const OVERLAP: Duration = Duration::from_secs(20);

/// What can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    KillMember,
    KillAllMembers,
    KillGateway,
    /// SIGSTOP for longer than the session timeout, then SIGCONT.
    PauseMember,
    KillBroker,
    PauseBroker,
    KillDatabase,
    PauseDatabase,
    CutConnections,
    LoseAnswersToCommit,
    LoseCommits,
    /// "The table is full".
    FullDisk,
    /// The database's answers stop coming, then its connections break.
    Silence,
    RollingRestart,
    StartedTwice,
    /// A member comes and goes.
    Rebalance,
    /// A line and its topics are made.
    NewLine,
    /// Some records come from a writer with a newer schema from now on.
    NewerWriter,
    /// Retention takes records that nobody has read; a command goes on.
    CutLog,
}

/// Published after the fault but on its way before: no sign of life.
const MARGIN_MS: i64 = 300;

// === impl Fault ===

impl Fault {
    /// In the short form, once each. Too long for it: `PauseBroker` (it has to outlast the calls' timeouts) and
    /// `Silence`.
    pub const SHORT: [Fault; 17] = [
        Fault::KillMember,
        Fault::KillAllMembers,
        Fault::KillGateway,
        Fault::PauseMember,
        Fault::KillBroker,
        Fault::KillDatabase,
        Fault::PauseDatabase,
        Fault::CutConnections,
        Fault::LoseAnswersToCommit,
        Fault::LoseCommits,
        Fault::FullDisk,
        Fault::RollingRestart,
        Fault::StartedTwice,
        Fault::Rebalance,
        Fault::NewLine,
        Fault::NewerWriter,
        Fault::CutLog,
    ];

    /// In each round of the long form; new lines and newer writers come in its first only.
    pub const LONG: [Fault; 19] = [
        Fault::KillMember,
        Fault::KillAllMembers,
        Fault::KillGateway,
        Fault::PauseMember,
        Fault::KillBroker,
        Fault::PauseBroker,
        Fault::KillDatabase,
        Fault::PauseDatabase,
        Fault::CutConnections,
        Fault::LoseAnswersToCommit,
        Fault::LoseCommits,
        Fault::FullDisk,
        Fault::Silence,
        Fault::RollingRestart,
        Fault::StartedTwice,
        Fault::Rebalance,
        Fault::NewLine,
        Fault::NewerWriter,
        Fault::CutLog,
    ];

    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

impl Field {
    /// Strikes; answers from when on output counts as a sign of life.
    pub async fn strike(&mut self, fault: Fault) -> i64 {
        self.report.struck(&fault.name());
        let begun = wall();
        match fault {
            Fault::KillMember => {
                let victim = self.victim();
                self.members[victim].kill();
                let down = self.chance.between(0, 400);
                self.pause(Duration::from_millis(down)).await;
                self.members[victim].start();
            }
            Fault::KillAllMembers => {
                self.members.iter_mut().for_each(super::members::Member::kill);
                self.regulars().iter_mut().for_each(super::members::Member::start);
            }
            Fault::KillGateway => {
                self.gateway.kill();
                self.gateway.start();
            }
            Fault::PauseMember => {
                let victim = self.victim();
                self.members[victim].signal("-STOP");
                let length = self.plan.session_timeout + Duration::from_millis(self.chance.between(500, 2_500));
                self.pause(length).await;
                self.members[victim].signal("-CONT");
            }
            Fault::KillBroker => return self.kill(Server::Broker).await,
            Fault::KillDatabase => return self.kill(Server::Database).await,
            Fault::PauseBroker => return self.hold(Server::Broker, 5_000, 14_000).await,
            Fault::PauseDatabase => return self.hold(Server::Database, 1_000, 4_000).await,
            Fault::CutConnections => {
                let within = self.chance.between(500, 20_000);
                return self.trouble(Trouble::Cut { within }, 6, Duration::from_secs(3)).await;
            }
            Fault::LoseAnswersToCommit => {
                return self.trouble(Trouble::LoseAnswers, 3, Duration::from_secs(3)).await;
            }
            Fault::LoseCommits => return self.trouble(Trouble::LoseCommits, 3, Duration::from_secs(3)).await,
            Fault::FullDisk => {
                let length = Duration::from_millis(self.chance.between(1_500, 4_000));
                return self.trouble(Trouble::Full, u64::MAX, length).await;
            }
            Fault::Silence => {
                let length = Duration::from_millis(self.chance.between(3_000, 15_000));
                return self.trouble(Trouble::Silence, u64::MAX, length).await;
            }
            Fault::RollingRestart => self.roll().await,
            Fault::StartedTwice => self.start_twice().await,
            Fault::Rebalance => {
                let guest = self.plan.members;
                self.members[guest].start();
                let stay = self.chance.between(1_500, 5_000);
                self.pause(Duration::from_millis(stay)).await;
                if self.chance.permille(500) {
                    self.members[guest].kill();
                } else {
                    self.end(guest).await;
                }
            }
            Fault::NewLine => self.new_line().await,
            Fault::NewerWriter => self.feed.mood.newer.store(true, Ordering::Relaxed),
            Fault::CutLog => return self.cut_log().await,
        }
        begun + MARGIN_MS
    }

    fn victim(&mut self) -> usize {
        self.chance.between(0, self.plan.members as u64 - 1) as usize
    }

    async fn kill(&mut self, server: Server) -> i64 {
        self.servers.signal(server, "-KILL").await;
        let down = self.chance.between(0, 1_500);
        self.pause(Duration::from_millis(down)).await;
        let servers = self.servers.clone();
        tokio::task::spawn_blocking(move || servers.restart()).await.expect("no panic");
        wall()
    }

    async fn hold(&mut self, server: Server, shortest_ms: u64, longest_ms: u64) -> i64 {
        self.servers.signal(server, "-STOP").await;
        let length = self.chance.between(shortest_ms, longest_ms);
        self.pause(Duration::from_millis(length)).await;
        self.servers.signal(server, "-CONT").await;
        wall()
    }

    /// Until it has struck so often, or for so long; while another fault keeps it from striking at all, longer.
    async fn trouble(&mut self, trouble: Trouble, hits: u64, length: Duration) -> i64 {
        let before = self.proxy.hits();
        self.proxy.set(trouble);
        let begun = Instant::now();
        let lasts = |struck: u64| match struck {
            0 => begun.elapsed() < length + OVERLAP,
            struck => begun.elapsed() < length && struck < hits,
        };
        while lasts(self.proxy.hits() - before) {
            self.pause(Duration::from_millis(5)).await;
        }
        self.proxy.set(Trouble::None);
        if self.proxy.hits() == before {
            self.report.complain(format!("{trouble:?} never struck"));
        }
        wall()
    }

    pub async fn end(&mut self, member: usize) {
        let name = self.members[member].name.clone();
        if !self.members[member].terminate(Duration::from_secs(25)).await {
            self.report.complain(format!("{name} did not end within 25 s of SIGTERM"));
        }
    }

    async fn roll(&mut self) {
        for member in 0..self.plan.members {
            self.end(member).await;
            self.members[member].start();
            let settle = self.chance.between(500, 2_500);
            self.pause(Duration::from_millis(settle)).await;
        }
    }

    /// The very same process again: it has to notice that its ports are taken and end, and disturb nobody.
    async fn start_twice(&mut self) {
        let victim = self.victim();
        self.members[victim].start();
        let mut twin = self.members[victim].twin();
        let deadline = Instant::now() + Duration::from_secs(15);
        let status = loop {
            match twin.try_wait().expect("its status") {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => self.pause(Duration::from_millis(50)).await,
            }
        };
        match status {
            Some(status) if status.success() => self.report.complain("a member started twice ended well"),
            Some(_) => {}
            None => {
                let _ = twin.kill();
                let _ = twin.wait();
                self.report.complain("a member started twice went on beside the first");
            }
        }
    }

    async fn new_line(&mut self) {
        let tenant = self.chance.between(0, self.tenants.len() as u64 - 1) as usize;
        let line = self.tenants[tenant].grow();
        let name = self.tenants[tenant].name.clone();
        // What somebody at a console does when a command fails: the same again.
        for attempt in 1.. {
            match self.tenants[tenant].apply(&self.console) {
                Ok(_) => break,
                Err(why) if attempt == 5 => {
                    self.report.complain(why);
                    return;
                }
                Err(_) => self.pause(Duration::from_secs(1)).await,
            }
        }
        self.tail.add_line(&name, &line);
        self.feed.book.add_line(&name, &line);
    }
}
