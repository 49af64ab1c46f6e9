//! `andon bench NAME`: the performance figures of ARCHITECTURE.md, on the configured servers.

use andon::bench::{browser, core, gateway, history, isolation, pipeline, recovery, sockets};
use andon::store;
use anyhow::Context as _;
use clap::Subcommand;

use super::Context;
use super::output::{self, FormatArg};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The state machine alone: detections per second and core, in order and with 25 % late.
    Core {
        #[arg(long, default_value_t = 5_000_000)]
        detections: usize,
        #[command(flatten)]
        format: FormatArg,
    },
    /// A backlog over 16 lines, from the topics to committed rows and published records.
    Pipeline {
        #[arg(long, default_value_t = 2_000_000)]
        detections: usize,
        /// Work off the records of the topics PREFIXdetections.t{0,1}.l{0..15} instead: those that another engine has
        /// worked off.
        #[arg(long, value_name = "PREFIX")]
        records_of: Option<String>,
        #[command(flatten)]
        format: FormatArg,
    },
    /// A steady rate over 16 lines: what a detection costs a process that keeps up.
    Live {
        /// Detections a second.
        #[arg(long, default_value_t = 20_000)]
        rate: u32,
        #[arg(long, default_value_t = 20)]
        seconds: u32,
        #[command(flatten)]
        format: FormatArg,
    },
    /// From the camera to the browser: milliseconds from sending a detection to the websocket frame that counts it.
    Browser {
        /// Detections a second, over 8 lines.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
        #[arg(long, default_value_t = 20)]
        seconds: u32,
        #[command(flatten)]
        format: FormatArg,
    },
    /// What sockets cost: memory of those that wait, CPU and delay of four frames a second to all of them, and the way
    /// from the camera to the browser at a high rate.
    Gateway {
        /// Open at a time.
        #[arg(long, default_value_t = 10_000)]
        sockets: usize,
        /// Of each measurement.
        #[arg(long, default_value_t = 15)]
        seconds: u32,
        /// Detections a second on the way from the camera; 0 leaves it out.
        #[arg(long, default_value_t = 20_000)]
        rate: u32,
        #[command(flatten)]
        format: FormatArg,
    },
    /// A year of a busy line: how long each widget takes to answer over all of it, beside the plain question to the
    /// detections.
    History {
        #[arg(long, default_value_t = 365)]
        days: u32,
        /// Questions to each widget.
        #[arg(long, default_value_t = 5)]
        times: usize,
        /// Where the log of the process goes.
        #[arg(long, default_value = "target/bench-history/process.log")]
        log: std::path::PathBuf,
        #[command(flatten)]
        format: FormatArg,
    },
    /// The clients of the gateway's bench.
    #[command(hide = true)]
    Sockets,
    /// How long nothing new is published after `kill -9`: started again at once, and taken over by another member.
    Recovery {
        /// Kills of each kind.
        #[arg(long, default_value_t = 10)]
        kills: usize,
        /// Only lines without a past; otherwise also lines with a day of it.
        #[arg(long)]
        small: bool,
        /// Where the logs of the processes go.
        #[arg(long, default_value = "target/bench-recovery")]
        logs: std::path::PathBuf,
        #[command(flatten)]
        format: FormatArg,
    },
    /// What a tenant feels of another one whose database is away, whose topics are full of rubbish, or which has fifty
    /// times its load: the delay of its figures and of its commits, with and without.
    Isolation {
        /// Rounds of quiet and trouble for each kind of trouble.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Length of each quiet and of each trouble.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Where the log of the process goes.
        #[arg(long, default_value = "target/bench-isolation")]
        logs: std::path::PathBuf,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Rows per second through the commit, beside LOAD DATA of the same rows into the same server.
    Persistence {
        #[arg(long, default_value_t = 1_000_000)]
        rows: usize,
        #[command(flatten)]
        format: FormatArg,
    },
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let failed = "failed to run the bench";
    let (figures, format) = match command {
        Command::Core { detections, format } => (serde_json::to_value(core::run(detections))?, format),
        Command::Pipeline { detections, records_of, format } => {
            let figure = pipeline::backlog(&context.config, detections, records_of).await.context(failed)?;
            (serde_json::to_value([figure])?, format)
        }
        Command::Live { rate, seconds, format } => {
            let figure = pipeline::live(&context.config, rate, seconds).await.context(failed)?;
            (serde_json::to_value([figure])?, format)
        }
        Command::Browser { rate, seconds, format } => {
            let figure = browser::run(&context.config, rate, seconds).await.context(failed)?;
            (serde_json::to_value([figure])?, format)
        }
        Command::Gateway { sockets, seconds, rate, format } => {
            let figures = gateway::run(&context.config, sockets, seconds, rate).await.context(failed)?;
            (serde_json::to_value(figures)?, format)
        }
        Command::History { days, times, log, format } => {
            let figures = history::run(&context.config, days, times, &log).await.context(failed)?;
            (serde_json::to_value(figures)?, format)
        }
        Command::Sockets => return sockets::run().await.context(failed),
        Command::Recovery { kills, small, logs, format } => {
            let figures = recovery::run(&context.config, kills, !small, &logs).await.context(failed)?;
            (serde_json::to_value(figures)?, format)
        }
        Command::Isolation { rounds, seconds, logs, format } => {
            let figures = isolation::run(&context.config, rounds, seconds, &logs).await.context(failed)?;
            (serde_json::to_value(figures)?, format)
        }
        Command::Persistence { rows, format } => {
            let url = context.config.database_url().context("failed to find the database")?.expose();
            let figure = store::bench::persistence(url, rows, 16, 20_000, 3).await.context(failed)?;
            (serde_json::to_value([figure])?, format)
        }
    };
    output::facts(format.format, &figures)
}
