//! The program: arguments, configuration, log and runtime around a command.

mod cli;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;

use andon::config::{Config, LogFormat, Process};
use andon::watch::log::{self, Shape};

use crate::cli::{Cli, Context, failure};

/// Many small allocations by many threads: half the time and less memory than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads of the runtime; Kafka's clients bring their own.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    // Wrong usage ends here, with 2.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("andon: {}", failure::message(&error));
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let config = Config::load(cli.config.as_deref(), &Process).context("failed to read the configuration")?;
    let shape = match config.log_format {
        LogFormat::Text => Shape::Text,
        LogFormat::Json => Shape::Json,
    };
    let log = log::init(&config.log, shape).context("failed to set up the log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let context = Context { config: Arc::new(config), log };
    let done = runtime.block_on(cli.command.run(context));
    // What still blocks a thread (a read of standard input, say) is not waited for.
    runtime.shutdown_background();
    done
}
