//! `andon recompute`: the plain route over the stored inputs. The stream's result must equal it.

use andon::domain::production::batch::{self, BatchInput, Report};
use andon::domain::time::{Ms, Span, rfc3339};
use andon::store::stamp::{FIRST_STORABLE, LAST_STORABLE};
use andon::store::{StoreError, TenantDb};
use anyhow::{Context as _, bail};

use super::failure::WrongUsage;
use super::output::{self, FormatArg};
use super::when::time;
use super::{Context, servers};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "NAME")]
    tenant: String,
    #[arg(long, value_name = "NAME")]
    line: String,
    /// Start of the period: RFC 3339, epoch ms or now-24h [default: the first detection].
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Ms>,
    /// End of the period, not included [default: the line clock].
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Ms>,
    #[command(flatten)]
    format: FormatArg,
}

pub async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        let problem = format!("the period is empty: --from {} has to lie before --to {}", rfc3339(from), rfc3339(to));
        return Err(WrongUsage(problem).into());
    }
    let store = servers::store(&context.config).await?;
    let (db, _) = servers::tenant(&store, &args.tenant).await?;
    let input = input(&db, &args.line).await.context("failed to read the stored inputs")?;
    if input.configs.is_empty() {
        bail!("tenant {} has no line {}: name one of its file", args.tenant, args.line);
    }
    // A long history takes a while; nothing else runs on this thread's turn.
    let recomputed = tokio::task::spawn_blocking(move || {
        let ledger = batch::recompute(&input);
        let from = args.from.or(ledger.first).unwrap_or(0);
        let to = args.to.or(ledger.clock.map(|clock| clock + 1)).unwrap_or(from);
        ledger.report(Span::new(from, to))
    });
    let report = recomputed.await.context("failed to recompute")?;
    output::print(args.format.format, &report, &["stop", "status", "from", "to", "minutes", "reason"], rows(&report))
}

/// Everything that decides the line's state. What no repair has taken in is left out.
async fn input(db: &TenantDb, line: &str) -> Result<BatchInput, StoreError> {
    let configs = db.line_configs(line).await?;
    if configs.is_empty() {
        return Ok(BatchInput { line: line.to_owned(), configs, detections: Vec::new(), inputs: Vec::new() });
    }
    // One after the other: what comes in between is in neither or only in the latter, a clock that is ahead.
    let detections = db.detections(line, Span::new(FIRST_STORABLE, LAST_STORABLE), false).await?;
    let inputs = db.inputs(line).await?;
    Ok(BatchInput {
        line: line.to_owned(),
        configs,
        detections: detections.into_iter().map(|(detection, _)| detection).collect(),
        inputs: inputs.into_iter().map(|stored| stored.input).collect(),
    })
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let row = |stop: &andon::domain::production::stop::Stop| {
        vec![
            stop.downtime_id.clone(),
            stop.status.as_str().to_owned(),
            rfc3339(stop.started_at),
            stop.ended_at.map_or_else(String::new, rfc3339),
            format!("{:.1}", stop.duration_ms as f64 / 60_000.0),
            stop.reason_code.clone().unwrap_or_default(),
        ]
    };
    report.stops.iter().map(row).collect()
}
