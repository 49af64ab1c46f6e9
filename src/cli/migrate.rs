//! `andon migrate`

use andon::store::Store;
use anyhow::{Context as _, bail};

use super::output::{self, FormatArg};
use super::{Context, servers};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    format: FormatArg,
}

pub async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let store = servers::store(&context.config).await?;
    let applied = all(&store).await?;
    let rows = applied.iter().map(|name| vec![name.clone()]);
    output::print(args.format.format, &applied, &["applied"], rows)
}

/// Brings every database up to date; answers what was applied.
///
/// # Errors
/// Also when only one tenant's database could not be brought up to date; the others are then.
pub async fn all(store: &Store) -> anyhow::Result<Vec<String>> {
    let migrated = store.migrate().await.context("failed to bring the global database up to date")?;
    let mut failed = migrated.failed.into_iter();
    let Some((tenant, error)) = failed.next() else { return Ok(migrated.applied) };
    for (tenant, error) in failed {
        tracing::error!(tenant, %error, "failed to bring the tenant's database up to date");
    }
    let context = format!("failed to bring the database of tenant {tenant} up to date");
    bail!(anyhow::Error::from(error).context(context));
}
