//! `andon topics verify`: the output topics have no gap and no double, and agree with the tables.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use andon::domain::time::Ms;
use andon::proof::{self, LineProof};
use anyhow::Context as _;

use super::failure::WrongUsage;
use super::output::{self, Format, FormatArg};
use super::when::length_of;
use super::{Context, servers};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// Lines [default: all of the tenant's].
    #[arg(value_name = "LINE")]
    lines: Vec<String>,
    /// How long what is committed and not yet published is waited for.
    #[arg(long, value_name = "DURATION", value_parser = length_of, default_value = "10s")]
    wait: Ms,
    #[command(flatten)]
    format: FormatArg,
}

pub async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let settings = servers::kafka(&context.config)?;
    let store = servers::store(&context.config).await?;
    let (db, spec) = servers::tenant(&store, &args.tenant).await?;
    let known: Vec<&str> = spec.lines.iter().map(|line| line.name.as_str()).collect();
    if let Some(wrong) = args.lines.iter().find(|line| !known.contains(&line.as_str())) {
        return Err(WrongUsage(format!("tenant {} has no line {wrong}", args.tenant)).into());
    }
    let lines = match args.lines.is_empty() {
        true => known.into_iter().map(str::to_owned).collect(),
        false => args.lines,
    };
    let ids = Arc::new(servers::ids(&context.config).await?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as Ms);
    let wait = Duration::from_millis(args.wait.max(0).unsigned_abs());
    let proofs = proof::verify(&settings, &ids, &db, &lines, wait, now).await.context("failed to")?;
    print(args.format.format, &proofs)?;
    let wrong: usize = proofs.iter().map(|proof| proof.problems.len()).sum();
    match wrong {
        0 => Ok(()),
        1 => anyhow::bail!("1 thing is wrong"),
        wrong => anyhow::bail!("{wrong} things are wrong"),
    }
}

fn print(format: Format, proofs: &[LineProof]) -> anyhow::Result<()> {
    let number = |seq: Option<u64>| seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let rows = proofs.iter().map(|proof| {
        vec![
            proof.line.clone(),
            if proof.ok { "ok" } else { "WRONG" }.to_owned(),
            proof.records.to_string(),
            proof.commits.to_string(),
            number(proof.last_commit),
            number(proof.whole_from),
            proof.thinned.to_string(),
            format!("{} stops, {} shifts", proof.stops_equal, proof.shifts_equal),
            proof.not_comparable.to_string(),
            proof.unpublished.len().to_string(),
        ]
    });
    let head = [
        "line",
        "proof",
        "records",
        "commits",
        "last",
        "whole from",
        "thinned",
        "equal to tables",
        "not comparable",
        "unpublished",
    ];
    output::print(format, proofs, &head, rows)?;
    if format == Format::Table {
        for problem in proofs.iter().flat_map(|proof| &proof.problems) {
            let place = [
                problem.topic.clone().or_else(|| Some(problem.line.clone())),
                problem.offset.map(|offset| format!("offset {offset}")),
                problem.key.as_ref().map(|key| format!("key {key}")),
            ];
            println!("{}: {}", place.into_iter().flatten().collect::<Vec<_>>().join(", "), problem.detail);
        }
    }
    Ok(())
}
