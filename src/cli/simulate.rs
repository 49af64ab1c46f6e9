//! `andon simulate`: a plant that does not exist, through the real topics.

use std::time::{Duration, Instant};

use andon::config::tenant::TenantSpec;
use andon::domain::time::{HOUR_MS, Ms, rfc3339};
use andon::plant::model::{Plant, Settings, Told};
use andon::plant::operator::Operator;
use andon::plant::outlet::Outlet;
use andon::plant::pace::{Pace, Speed};
use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::WrongUsage;
use super::progress::Progress;
use super::when::{self, length_of, time};
use super::{Context, servers};

/// How far back a fast plant starts that is not told where.
const DAY: Ms = 24 * HOUR_MS;
/// Longest nap between looks at whether to end.
const NAP: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// The first N lines of the tenant [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    lines: Option<u32>,
    /// Detections per second over all running lines [default: the takt of the products].
    #[arg(long, value_name = "X", value_parser = rate)]
    rate: Option<f64>,
    /// How many times as fast as the wall clock, or max, until simulated time has caught up with it.
    #[arg(long, value_name = "N|max")]
    speed: Option<Speed>,
    /// The same seed gives the same plant.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// End after so much simulated time: 90s, 10m, 24h [default: never].
    #[arg(long = "for", value_name = "DURATION", value_parser = length_of)]
    duration: Option<Ms>,
    /// Start of simulated time: RFC 3339 or now-24h. The past is filled in at --speed (max unless told otherwise), then
    /// it goes on live [default: now; for a speed above 1 so far back that --for ends now, or a day].
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Ms>,
    /// Give most stops their true reason, as an operator would.
    #[arg(long)]
    classify: bool,
}

/// What is done, on a thread of its own: sending and waiting block.
struct Simulation {
    plant: Plant,
    outlet: Outlet,
    pace: Pace,
    /// No record that arrives later is sent.
    until: Option<Ms>,
    /// Where stops go that are over.
    halts: Option<mpsc::UnboundedSender<Told>>,
    progress: Progress,
    stop: CancellationToken,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "write a positive number of detections per second".to_owned())
}

pub async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let settings = servers::kafka(&context.config)?;
    let pace = course(&args, when::now())?;
    let store = servers::store(&context.config).await?;
    let (db, spec) = servers::tenant(&store, &args.tenant).await?;
    let lines = lines(&spec, args.lines)?;
    let stop = servers::asked_to_end()?;
    servers::ensure_topics(&settings, &args.tenant, lines.iter().copied()).await?;
    let ids = servers::ids(&context.config).await?;
    let outlet = Outlet::connect(&settings, ids, &args.tenant, &lines).context("failed to produce")?;
    let plant = Settings {
        seed: args.seed,
        start: pace.from,
        first_id: first_id(when::now()),
        rate: args.rate.map(|rate| rate / lines.len() as f64),
    };
    let plant = Plant::new(&spec, &lines, &plant).context("failed to build the plant")?;
    let (halts, told) = mpsc::unbounded_channel();
    let until = args.duration.map(|length| pace.from + length);
    let simulation = Simulation {
        plant,
        outlet,
        pace,
        until,
        halts: args.classify.then_some(halts),
        progress: Progress::new("simulation", until.map(|until| (until - pace.from) as u64)),
        stop: stop.clone(),
    };
    let operator = Operator::new(db, args.seed);
    let (sent, ()) = tokio::join!(tokio::task::spawn_blocking(move || simulation.run()), operator.run(told, stop));
    sent.context("failed to simulate")?
}

/// Ids of a run begin where no run before it can have come to: a line makes less than a million detections a second.
fn first_id(now: Ms) -> i64 {
    now * 1000
}

fn lines(spec: &TenantSpec, wanted: Option<u32>) -> anyhow::Result<Vec<&str>> {
    let all: Vec<&str> = spec.lines.iter().map(|line| line.name.as_str()).collect();
    let count = wanted.map_or(all.len(), |wanted| wanted as usize);
    if all.is_empty() || count > all.len() {
        let problem = format!(
            "tenant {} has {} lines: ask for as many at most, or add some to its file",
            spec.tenant.name,
            all.len()
        );
        return Err(WrongUsage(problem).into());
    }
    Ok(all[..count].to_vec())
}

/// Where simulated time starts and how fast it goes by until it is now.
fn course(args: &Args, now: Ms) -> anyhow::Result<Pace> {
    let is_fast = match args.speed {
        Some(Speed::Max) => true,
        Some(Speed::Times(times)) => times > 1.0,
        None => false,
    };
    let from = match args.from {
        Some(from) if from > now => {
            return Err(WrongUsage("--from lies ahead: cameras see nothing of the future".to_owned()).into());
        }
        Some(from) => from,
        None if is_fast => now - args.duration.unwrap_or(DAY),
        None => now,
    };
    Ok(Pace { from, speed: args.speed.unwrap_or(Speed::Max) })
}

// === impl Simulation ===

impl Simulation {
    fn run(mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut at = self.pace.from;
        let mut is_live = false;
        while let Some(next) = self.plant.next_at() {
            if self.until.is_some_and(|until| next >= until) {
                at = self.until.unwrap_or(next);
                // To its end also where nothing arrives any more: whoever waits for it knows that all was said.
                self.wait(at, began)?;
                break;
            }
            if !self.wait(next, began)? {
                break;
            }
            let Some((place, arrival)) = self.plant.next() else { break };
            self.outlet.send(place, &arrival.record).context("failed to produce")?;
            at = arrival.at;
            if self.progress.is_due() {
                self.tell_halts(at);
                self.progress.tell((at - self.pace.from) as u64, self.outlet.sent(), &rfc3339(at));
                if !is_live && when::now() - at < 1_000 {
                    is_live = true;
                    self.go_live(at)?;
                    tracing::info!(records = self.outlet.sent(), "the past is filled in, now it goes on live");
                }
            }
        }
        self.outlet.finish().context("failed to produce")?;
        self.tell_halts(at);
        let records = self.outlet.sent();
        self.progress.finish(records, 0);
        println!("sent {records} records, up to {}", rfc3339(at));
        Ok(())
    }

    /// The past came all at once, and a line without a shift says nothing more: only a word of its cameras tells that its
    /// time has come to now.
    fn go_live(&mut self, at: Ms) -> anyhow::Result<()> {
        for (place, record) in self.plant.signs_of_life(at) {
            self.outlet.send(place, &record).context("failed to produce")?;
        }
        Ok(())
    }

    /// Tells the operator of stops that are over.
    fn tell_halts(&mut self, at: Ms) {
        for told in self.plant.take_halts(at) {
            if let Some(halts) = &self.halts {
                // An operator who has gone home hears nothing.
                let _ = halts.send(told);
            }
        }
    }

    /// Waits until `at` is due; false when asked to end.
    fn wait(&mut self, at: Ms, began: Instant) -> anyhow::Result<bool> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            let wait = self.pace.wait(at, began.elapsed(), Some(when::now()));
            if wait.is_zero() {
                return Ok(true);
            }
            // Stops can be told of while nothing is seen.
            if self.progress.is_due() {
                self.tell_halts(when::now().min(at));
                self.progress.tell((at - self.pace.from) as u64, self.outlet.sent(), &rfc3339(at));
            }
            self.outlet.rest(wait.min(NAP)).context("failed to produce")?;
        }
    }
}
