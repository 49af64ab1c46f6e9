//! The command line: one file per command, and beside them what several share.

mod bench;
mod config;
pub mod failure;
mod line;
mod migrate;
mod output;
mod progress;
mod recompute;
mod replay;
mod roles;
mod servers;
mod simulate;
mod tenant;
mod topics;
mod user;
mod verify;
mod when;

use std::path::PathBuf;
use std::sync::Arc;

use andon::config::Config;
use andon::watch::log::LogControl;
use clap::{Parser, Subcommand};

use self::roles::Roles;

/// Streaming stops, OEE and live boards from what cameras see on factory lines.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 64 bad configuration, 69 a server that cannot be reached.
#[derive(Debug, Parser)]
#[command(name = "andon", version)]
pub struct Cli {
    /// Configuration file [default: andon.toml when present]; the environment (ANDON_SECTION__KEY) wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command is given.
#[derive(Clone, Debug)]
pub struct Context {
    pub config: Arc<Config>,
    pub log: LogControl,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every role in one process.
    Serve(roles::Args),
    /// The role that owns lines: detections in, stops and figures out.
    Process(roles::Args),
    /// The role that browsers and integrators talk to.
    Gateway(roles::Args),
    /// Create or upgrade the global database and every tenant's.
    Migrate(migrate::Args),
    /// Tenants and their files.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// People and what they may do.
    #[command(subcommand)]
    User(user::Command),
    /// Andon's topics in Kafka.
    #[command(subcommand)]
    Topics(topics::Command),
    /// Take a line on that has stopped.
    #[command(subcommand)]
    Line(line::Command),
    /// A simulated plant through the real topics.
    Simulate(simulate::Args),
    /// A recorded file through the real topics.
    Replay(replay::Args),
    /// Stops and figures from the stored inputs alone; changes nothing.
    Recompute(recompute::Args),
    /// The performance figures of ARCHITECTURE.md.
    #[command(subcommand)]
    Bench(bench::Command),
    /// The process configuration.
    #[command(subcommand)]
    Config(config::Command),
}

// === impl Command ===

impl Command {
    pub async fn run(self, context: Context) -> anyhow::Result<()> {
        match self {
            Command::Serve(args) => roles::run(context, args, Roles::ALL).await,
            Command::Process(args) => roles::run(context, args, Roles::PROCESS).await,
            Command::Gateway(args) => roles::run(context, args, Roles::GATEWAY).await,
            Command::User(command) => user::run(&context, command).await,
            Command::Bench(command) => bench::run(&context, command).await,
            Command::Migrate(args) => migrate::run(&context, args).await,
            Command::Tenant(command) => tenant::run(&context, command).await,
            Command::Topics(command) => topics::run(&context, command).await,
            Command::Line(command) => line::run(&context, command).await,
            Command::Simulate(args) => simulate::run(&context, args).await,
            Command::Replay(args) => replay::run(&context, args).await,
            Command::Recompute(args) => recompute::run(&context, args).await,
            Command::Config(command) => config::run(&context, &command),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }
}
