//! `andon tenant …`

use std::io::Read;
use std::path::{Path, PathBuf};

use andon::config::tenant::TenantSpec;
use andon::domain::production::line::accounts::SLICE_MS;
use andon::domain::time::{Ms, rfc3339};
use andon::store::Store;
use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;

use super::output::{self, Format, FormatArg};
use super::when::{self, time};
use super::{Context, migrate, servers};

/// Who is named in the history of a configuration that was changed from the command line.
const AUTHOR: &str = "command line";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring a tenant to what its file says; never drops data.
    Apply(Apply),
    /// Register a tenant without lines; `tenant apply` gives it some.
    Create(Create),
    /// All tenants.
    List(FormatArg),
    /// Leave a tenant's data alone and stop its lines.
    Deactivate { name: String },
    /// Undo `deactivate`.
    Activate { name: String },
}

#[derive(Debug, clap::Args)]
pub struct Apply {
    /// The tenant as TOML; - reads standard input.
    file: PathBuf,
    /// Only tell what would change.
    #[arg(long)]
    dry_run: bool,
    /// When a changed version begins to hold: RFC 3339, epoch ms or now-24h. Not before what every line can still book
    /// anew: its allowed lateness and its longest threshold.
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Ms>,
    #[command(flatten)]
    format: FormatArg,
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// [a-z0-9_]{1,48}
    name: String,
    /// [default: the name]
    #[arg(long)]
    company: Option<String>,
    /// IANA name.
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    time_zone: String,
    /// Language of its screens.
    #[arg(long, default_value = "es", value_parser = ["es", "en"])]
    locale: String,
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Apply(args) => apply(context, args).await,
        Command::Create(args) => create(context, args).await,
        Command::List(args) => list(context, args).await,
        Command::Deactivate { name } => set_active(context, &name, false).await,
        Command::Activate { name } => set_active(context, &name, true).await,
    }
}

fn read(file: &Path) -> anyhow::Result<TenantSpec> {
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("failed to read {}", file.display()))?;
    TenantSpec::parse(&text).with_context(|| format!("failed to read {}", file.display()))
}

async fn apply(context: &Context, args: Apply) -> anyhow::Result<()> {
    let spec = read(&args.file)?;
    let settings = servers::kafka(&context.config)?;
    let store = servers::store(&context.config).await?;
    let name = &spec.tenant.name;
    // A version begins with a slice (docs/decisions/0010).
    let from = args.from.unwrap_or_else(when::now).div_euclid(SLICE_MS) * SLICE_MS;
    if !args.dry_run {
        migrate::all(&store).await?;
    }
    if args.from.is_some() {
        refuse_what_is_forgotten(&store, &spec, from).await?;
    }
    let changes = store.apply_spec(&spec, from, AUTHOR, args.dry_run).await;
    let changes = changes.with_context(|| format!("failed to apply {}", args.file.display()))?;
    let mut topics = Vec::new();
    if !args.dry_run {
        let lines = spec.lines.iter().map(|line| line.name.as_str());
        topics = servers::ensure_topics(&settings, name, lines).await?;
    }
    if args.format.format == Format::Json {
        return output::json(&json!({
            "tenant": name, "dry_run": args.dry_run, "from": rfc3339(from), "changes": changes, "topics": topics
        }));
    }
    for change in &changes {
        println!("{change}");
    }
    for topic in &topics {
        println!("topic {topic}: created");
    }
    if changes.is_empty() && topics.is_empty() {
        println!("tenant {name}: nothing to change");
    }
    Ok(())
}

/// A version from a time that some line has forgotten would hold in `recompute` and not in what was told.
async fn refuse_what_is_forgotten(store: &Store, spec: &TenantSpec, from: Ms) -> anyhow::Result<()> {
    let known = store.tenants().await.context("failed to read the tenants")?;
    if !known.iter().any(|tenant| tenant.name == spec.tenant.name && tenant.is_active)
        || store.apply_spec(spec, from, AUTHOR, true).await?.is_empty()
    {
        return Ok(());
    }
    let db = store.tenant(&spec.tenant.name).await?;
    match db.earliest_version(spec).await? {
        Some((earliest, line)) if from < earliest => bail!(
            "failed to apply the file from {}: line {line} can be booked anew from {} on only; write --from {} or later",
            rfc3339(from),
            rfc3339(earliest),
            rfc3339(earliest)
        ),
        _ => Ok(()),
    }
}

async fn create(context: &Context, args: Create) -> anyhow::Result<()> {
    let mut tenant = toml::Table::new();
    for (key, value) in [("name", Some(args.name)), ("company", args.company)] {
        tenant.extend(value.map(|value| (key.to_owned(), toml::Value::String(value))));
    }
    tenant.insert("time_zone".to_owned(), toml::Value::String(args.time_zone));
    tenant.insert("locale".to_owned(), toml::Value::String(args.locale));
    let file = toml::Table::from_iter([("tenant".to_owned(), toml::Value::Table(tenant))]);
    let spec = TenantSpec::parse(&file.to_string()).context("failed to create the tenant")?;
    let settings = servers::kafka(&context.config)?;
    let store = servers::store(&context.config).await?;
    migrate::all(&store).await?;
    let name = &spec.tenant.name;
    let known = store.tenants().await.context("failed to read the tenants")?;
    if known.iter().any(|tenant| &tenant.name == name) {
        bail!("tenant {name} is there already: change it with `andon tenant apply`");
    }
    store.apply_spec(&spec, when::now(), AUTHOR, false).await.context("failed to create the tenant")?;
    servers::ensure_topics(&settings, name, []).await?;
    println!("tenant {name}: created");
    Ok(())
}

async fn list(context: &Context, args: FormatArg) -> anyhow::Result<()> {
    let store = servers::store(&context.config).await?;
    let mut values = Vec::new();
    let mut rows = Vec::new();
    for tenant in store.tenants().await.context("failed to read the tenants; is the database migrated?")? {
        let lines = match store.tenant(&tenant.name).await {
            Ok(db) => db.current().await.ok().flatten().map(|current| current.spec.lines.len()),
            Err(_) => None,
        };
        rows.push(vec![
            tenant.name.clone(),
            tenant.company.clone(),
            tenant.time_zone.clone(),
            lines.map_or_else(|| "?".to_owned(), |lines| lines.to_string()),
            if tenant.is_active { "active" } else { "deactivated" }.to_owned(),
        ]);
        values.push(json!({
            "name": tenant.name, "company": tenant.company, "time_zone": tenant.time_zone,
            "locale": tenant.locale, "lines": lines, "active": tenant.is_active
        }));
    }
    output::print(args.format, &values, &["name", "company", "time zone", "lines", "state"], rows)
}

async fn set_active(context: &Context, name: &str, is_active: bool) -> anyhow::Result<()> {
    let store = servers::store(&context.config).await?;
    let done = store.set_tenant_active(name, is_active).await;
    done.with_context(|| format!("failed to change tenant {name}"))?;
    println!("tenant {name}: {}", if is_active { "active" } else { "deactivated" });
    Ok(())
}
