//! `andon line …`: what takes a line on that has stopped because its log or its database is not what it was.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use andon::domain::time::{Ms, rfc3339};
use andon::kafka::Settings;
use andon::kafka::tail::{Tail, TailRecord, TailStart};
use andon::kafka::topics::{self, Admin, TopicDescription};
use andon::store::{Checkpoint, CommandBody, CommandOutcome, NewCommand, TenantDb};
use anyhow::{Context as _, bail};
use clap::Subcommand;

use super::{Context, servers};

/// How long the line's owner is waited for.
const TAKEN_UP: Duration = Duration::from_secs(60);
/// How long one record of a topic is waited for.
const READ: Duration = Duration::from_secs(15);

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Go on although the log no longer has what follows the line's checkpoint; the time between becomes no_data.
    AcceptHole(Which),
    /// Go on from the log under a new incarnation, after the database went back in time (a restored backup).
    Forward(Which),
}

#[derive(Debug, clap::Args)]
pub struct Which {
    #[arg(long, value_name = "NAME")]
    tenant: String,
    #[arg(long, value_name = "NAME")]
    line: String,
    /// Do it; without, what would be done is shown and the exit code is 1.
    #[arg(long)]
    yes: bool,
}

/// A line and what its servers say of it.
struct Stopped {
    settings: Settings,
    db: std::sync::Arc<TenantDb>,
    checkpoint: Checkpoint,
    log: TopicDescription,
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::AcceptHole(which) => accept_hole(context, &which).await,
        Command::Forward(which) => forward(context, &which).await,
    }
}

async fn find(context: &Context, which: &Which) -> anyhow::Result<Stopped> {
    let settings = servers::kafka(&context.config)?;
    let store = servers::store(&context.config).await?;
    let (db, _) = servers::tenant(&store, &which.tenant).await?;
    let checkpoint = db.checkpoint(&which.line).await.context("failed to read the checkpoint")?;
    let Some(checkpoint) = checkpoint else { bail!("line {} has not been owned by anyone yet", which.line) };
    let described = Admin::connect(&settings).context("failed to")?.describe(Some(&which.tenant)).await;
    let topic = topics::detections(&which.tenant, &which.line);
    let log = described.context("failed to")?.into_iter().find(|described| described.topic == topic);
    let Some(log) = log else { bail!("topic {topic} is not there: make it with `andon topics create`") };
    Ok(Stopped { settings, db, checkpoint, log })
}

async fn accept_hole(context: &Context, which: &Which) -> anyhow::Result<()> {
    let stopped = find(context, which).await?;
    let (low, high, next) = (stopped.log.low, stopped.log.high, stopped.checkpoint.next_offset);
    if low <= next && next <= high {
        bail!("nothing is missing: the log of {} has offsets {low} to {high}, the line goes on at {next}", which.line);
    }
    let first = first_record(&stopped.settings, &stopped.log.topic, low, high).await?;
    match next > high {
        true => println!("The topic was made anew: it ends at offset {high}, the line had read up to {next}."),
        false => println!("Offsets {next} to {} are gone: {} records at most.", low - 1, low - next),
    }
    match first {
        Some(at) => println!("The first record that is there is at offset {low}, appended at {}.", rfc3339(at)),
        None => println!("No record is there yet."),
    }
    println!("The line's time from its clock to then becomes no_data, and it goes on at offset {low}.");
    if !which.yes {
        bail!("nothing was changed: give --yes to go on");
    }
    let until = first.unwrap_or_else(now);
    let body = CommandBody::AcceptHole { next_offset: low, until };
    submit(&stopped, which, body, &format!("accept_hole:{}:{}:{low}", which.line, stopped.checkpoint.commit_seq)).await
}

async fn forward(context: &Context, which: &Which) -> anyhow::Result<()> {
    let stopped = find(context, which).await?;
    let (low, high, next) = (stopped.log.low, stopped.log.high, stopped.checkpoint.next_offset);
    let told = told_so_far(&stopped, which).await?;
    let (incarnation, published) = told.last;
    println!(
        "The database ends with commit {} of incarnation {}; the topics with commit {published} of incarnation \
         {incarnation}.",
        stopped.checkpoint.commit_seq, stopped.checkpoint.incarnation
    );
    if told.last <= (stopped.checkpoint.incarnation, stopped.checkpoint.commit_seq) {
        bail!("the database did not go back in time: line {} has told nothing that it does not know", which.line);
    }
    let incarnation = incarnation.max(stopped.checkpoint.incarnation) + 1;
    println!("{} stops were told of since: each is told anew as the database has it, or taken back.", told.void.len());
    println!("The line reads its log again from offset {next} and tells it under incarnation {incarnation}.");
    if next >= 0 && (low > next || high < next) {
        println!("The log has offsets {low} to {high} only: `andon line accept-hole` is needed as well.");
    }
    if !which.yes {
        bail!("nothing was changed: give --yes to go on");
    }
    let key = format!("forward:{}:{incarnation}:{published}", which.line);
    let void = told.void.into_iter().collect();
    submit(&stopped, which, CommandBody::Forward { incarnation, void }, &key).await
}

/// Hands the command to the line's owner and waits for its word.
async fn submit(stopped: &Stopped, which: &Which, body: CommandBody, key: &str) -> anyhow::Result<()> {
    let author = std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
    let new = NewCommand { idempotency_key: key.to_owned(), line: which.line.clone(), body, author };
    let id = stopped.db.submit(&new).await.context("failed to hand the command over")?;
    let deadline = Instant::now() + TAKEN_UP;
    while Instant::now() < deadline {
        match stopped.db.outcome(id).await.context("failed to ask what became of the command")? {
            Some(CommandOutcome::Applied { commit_seq }) => {
                println!("Line {} goes on with commit {commit_seq}.", which.line);
                return Ok(());
            }
            Some(CommandOutcome::Refused { reason }) => bail!("the line refused: {reason}"),
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    bail!("the command waits: the line's owner takes it up when a process runs")
}

/// When the log's first record was appended; none: it has none.
async fn first_record(settings: &Settings, topic: &str, low: i64, high: i64) -> anyhow::Result<Option<Ms>> {
    if low >= high {
        return Ok(None);
    }
    let mut tail = follow(settings, topic, TailStart::Beginning)?;
    let record = tokio::time::timeout(READ, tail.records.recv()).await;
    Ok(record.with_context(|| format!("failed to read {topic}"))?.map(|record| record.timestamp))
}

/// What a line's output topics say.
#[derive(Default)]
struct ToldSoFar {
    /// Incarnation and commit of the newest record.
    last: (u32, u64),
    /// Stops of which a commit told that the database does not know.
    void: BTreeSet<String>,
}

async fn told_so_far(stopped: &Stopped, which: &Which) -> anyhow::Result<ToldSoFar> {
    let known = (stopped.checkpoint.incarnation, stopped.checkpoint.commit_seq);
    let mut told = ToldSoFar::default();
    // Windows of figures are few, and every commit tells of them: the last ones are enough.
    let stops = (topics::downtime(&which.tenant, &which.line), TailStart::Beginning);
    let figures = (topics::oee(&which.tenant, &which.line), TailStart::Last(1_000));
    for (topic, start) in [stops.clone(), figures] {
        let mut tail = follow(&stopped.settings, &topic, start)?;
        loop {
            let record = tokio::select! {
                biased;
                record = tail.records.recv() => record.with_context(|| format!("failed to read {topic}"))?,
                end = tail.caught_up.wait_for(|caught_up| *caught_up) => {
                    end.with_context(|| format!("failed to read {topic}"))?;
                    // What was there at the end has been sent before this was said.
                    let Ok(record) = tail.records.try_recv() else { break };
                    record
                }
                () = tokio::time::sleep(READ) => bail!("failed to read {topic}: no record for {READ:?}"),
            };
            let Some(at) = told_by(&record) else { continue };
            told.last = told.last.max(at);
            if topic == stops.0 && at > known {
                told.void.extend(record.key.and_then(|key| String::from_utf8(key).ok()));
            }
        }
    }
    Ok(told)
}

fn told_by(record: &TailRecord) -> Option<(u32, u64)> {
    let number = |name: &str| {
        let value = &record.headers.iter().find(|(header, _)| header == name)?.1;
        std::str::from_utf8(value).ok()?.parse::<u64>().ok()
    };
    Some((number("incarnation")?.try_into().ok()?, number("commit_seq")?))
}

fn follow(settings: &Settings, topic: &str, start: TailStart) -> anyhow::Result<Tail> {
    let pattern = format!("^{}$", topic.replace('.', r"\."));
    Tail::follow(settings, &pattern, start, 2_000).with_context(|| format!("failed to read {topic}"))
}

fn now() -> Ms {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as Ms)
}
