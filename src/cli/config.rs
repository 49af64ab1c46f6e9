//! `andon config check`

use clap::Subcommand;

use super::Context;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check file and environment, and print what holds, without secrets.
    Check,
}

/// What is wrong with the configuration was found when it was read, before any command.
pub fn run(context: &Context, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Check => print!("{}", context.config.effective()),
    }
    Ok(())
}
