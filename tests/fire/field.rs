//! Everything that takes part in a storm.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use andon::store::Store;

use super::chance::Chance;
use super::committed::Committed;
use super::feed::{Book, Feed};
use super::loss::Cut;
use super::members::Member;
use super::operator::{Operator, PASSWORD};
use super::plant::{Console, Tenant};
use super::report::Report;
use super::servers::OwnServers;
use super::tail::{LineName, Tail};
use crate::support::proxy::Proxy;

/// How hard and how long.
pub struct Plan {
    pub seed: u64,
    /// None: the short form, each fault once.
    pub minutes: Option<f64>,
    pub mysql8: bool,
    pub members: usize,
    pub session_timeout: Duration,
    /// Detections a second of each line.
    pub rate: u64,
}

/// See the module. The order of the fields is that of their end: servers go last.
pub struct Field {
    pub plan: Plan,
    pub chance: Chance,
    pub report: Report,
    /// What logs have lost before it was read.
    pub cuts: Vec<Cut>,
    pub operator: Operator,
    pub feed: Feed,
    pub tail: Arc<Tail>,
    pub members: Vec<Member>,
    pub gateway: Member,
    pub tenants: Vec<Tenant>,
    pub console: Console,
    pub proxy: Proxy,
    pub committed: Committed,
    pub folder: PathBuf,
    pub servers: Arc<OwnServers>,
}

// === impl Plan ===

impl Plan {
    pub fn from_env() -> Plan {
        let number = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let seed = number("ANDON_FIRE_SEED").map(|text| text.parse().expect("ANDON_FIRE_SEED is a number"));
        let minutes = number("ANDON_FIRE_MINUTES").map(|text| text.parse().expect("ANDON_FIRE_MINUTES is a number"));
        let is_long = minutes.is_some();
        Plan {
            seed: seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
            minutes,
            mysql8: number("ANDON_FIRE_MYSQL8").is_some_and(|text| text != "0"),
            members: if is_long { 3 } else { 2 },
            session_timeout: Duration::from_secs(if is_long { 6 } else { 3 }),
            rate: if is_long { 40 } else { 20 },
        }
    }
}

// === impl Field ===

impl Field {
    pub async fn prepare(plan: Plan) -> Field {
        let mut chance = Chance::new(plan.seed);
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/fire");
        let folder = root.join(plan.seed.to_string());
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a writable target");
        let (dir, mysql8) = (folder.join("servers"), plan.mysql8);
        let servers = tokio::task::spawn_blocking(move || OwnServers::start(dir, mysql8)).await.expect("no panic");
        let servers = Arc::new(servers);
        let (brokers, database) = (servers.brokers(), servers.database());
        let proxy = Proxy::start(&database).await;
        let registry = super::registry::start().await;
        let direct = format!("mysql://root@{database}/andon_global");
        let env = |url: String| {
            vec![
                ("ANDON_KAFKA_BROKERS", brokers.clone()),
                ("ANDON_DATABASE_URL", url),
                ("ANDON_KAFKA__GROUP", "fire".to_owned()),
                ("ANDON_KAFKA__SESSION_TIMEOUT_MS", plan.session_timeout.as_millis().to_string()),
                ("ANDON_SCHEMA_REGISTRY_URL", registry.clone()),
                // The operator looks several times a second whether a command is applied.
                ("ANDON_GATEWAY__REQUESTS_PER_MINUTE", "1000000".to_owned()),
                ("ANDON_LOG", "info".to_owned()),
                ("NO_COLOR", "1".to_owned()),
            ]
        };
        let console = Console { env: env(direct.clone()) };
        let members_env = env(format!("mysql://root@127.0.0.1:{}/andon_global", proxy.port));
        let book = Arc::new(Book::default());
        let tail = Arc::new(Tail::follow(&brokers));
        let preparing = {
            let (console, folder) = (console.clone(), folder.clone());
            move || {
                console.ok(&["migrate"]);
                let tenants = [("red", 3, false), ("blue", 2, true)];
                let tenants = tenants.map(|(name, lines, shifts)| Tenant::new(name, lines, shifts, &folder));
                for tenant in &tenants {
                    tenant.apply(&console).unwrap_or_else(|why| panic!("{why}"));
                    let user = format!("user-{}", tenant.name);
                    let create = ["user", "create", "--tenant", &tenant.name, "--role", "OPERATOR", &user];
                    console.run(&create, Some(PASSWORD)).unwrap_or_else(|why| panic!("{why}"));
                }
                tenants.into_iter().collect::<Vec<_>>()
            }
        };
        let tenants = tokio::task::spawn_blocking(preparing).await.expect("tenants");
        let committed = Committed::keep(&format!("mysql://root@{database}"), &tenants).await;
        for tenant in &tenants {
            for line in &tenant.lines {
                book.add_line(&tenant.name, line);
                tail.add_line(&tenant.name, line);
            }
        }
        let mut members: Vec<Member> =
            (1..=plan.members).map(|n| Member::new(&format!("member-{n}"), "process", &members_env, &folder)).collect();
        members.push(Member::new("guest", "process", &members_env, &folder));
        members.iter_mut().take(plan.members).for_each(Member::start);
        let mut gateway = Member::new("gateway", "gateway", &members_env, &folder);
        gateway.start();
        let store = Store::connect(&direct).await.expect("the database is up");
        let feed = Feed::start(&brokers, book.clone(), chance.next(), plan.rate);
        let operator = Operator::start(&gateway.url, store, tail.clone(), book, chance.next());
        let report = Report {
            seed: plan.seed,
            database: if plan.mysql8 { "MySQL 8".to_owned() } else { "MariaDB".to_owned() },
            build: if cfg!(debug_assertions) { "test" } else { "release" },
            ..Report::default()
        };
        Field {
            plan,
            chance,
            report,
            cuts: Vec::new(),
            operator,
            feed,
            tail,
            members,
            gateway,
            tenants,
            console,
            proxy,
            committed,
            folder,
            servers,
        }
    }

    /// Members other than the guest.
    pub fn regulars(&mut self) -> &mut [Member] {
        let count = self.plan.members;
        &mut self.members[..count]
    }

    pub fn lines(&self) -> Vec<LineName> {
        self.feed.book.lines.lock().unwrap().clone()
    }

    pub fn supervise(&mut self) {
        self.members.iter_mut().for_each(Member::supervise);
        self.gateway.supervise();
    }

    /// Waits, with a supervisor's eye on the processes.
    pub async fn pause(&mut self, length: Duration) {
        let deadline = Instant::now() + length;
        while Instant::now() < deadline {
            self.supervise();
            let left = deadline.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(Duration::from_millis(200))).await;
        }
    }

    /// Waits until every line has told something that was published after `after_ms`; none: not in time.
    pub async fn until_live(&mut self, after_ms: i64, patience: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let already = Duration::from_millis((super::tail::wall() - after_ms).max(0) as u64);
        let watch = self.tail.watch(&self.lines(), after_ms);
        self.feed.mood.is_chatty.store(true, Ordering::Relaxed);
        let live = loop {
            match self.tail.watched(watch) {
                Ok(took) => break Some(already + took),
                Err(missing) if begun.elapsed() > patience => {
                    let complaint = format!("no output for {patience:?} of {missing:?}");
                    self.report.complain(complaint);
                    break None;
                }
                Err(_) => self.pause(Duration::from_millis(20)).await,
            }
        };
        self.feed.mood.is_chatty.store(false, Ordering::Relaxed);
        live
    }
}
