//! `andon topics …`

use andon::config::tenant::TenantSpec;
use andon::kafka::topics::{Admin, TopicName, is_name};
use anyhow::Context as _;
use clap::Subcommand;
use regex::Regex;
use serde_json::json;

use super::failure::WrongUsage;
use super::output::{self, FormatArg};
use super::{Context, servers, verify};

/// More lines than a plant has: a slip of the finger.
const MOST_LINES: u32 = 10_000;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Names of Andon's topics.
    List(Which),
    /// Partitions, offsets, retention and lag of Andon's topics.
    Describe(Which),
    /// Prove that output topics have no gap and no double and agree with the tables; 1 when anything is wrong.
    Verify(verify::Args),
    /// Make the topics of a tenant that are missing.
    Create {
        #[arg(long, value_name = "NAME")]
        tenant: String,
        /// Lines: a name or l{1..16}, whether the tenant has them yet or not, or a pattern over its lines such as
        /// fill* [default: all its lines].
        #[arg(value_name = "LINE")]
        lines: Vec<String>,
        #[command(flatten)]
        format: FormatArg,
    },
}

#[derive(Debug, clap::Args)]
pub struct Which {
    /// Only this tenant's.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    format: FormatArg,
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(which) => list(context, which).await,
        Command::Describe(which) => describe(context, which).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Create { tenant, lines, format } => create(context, &tenant, &lines, format).await,
    }
}

fn admin(context: &Context) -> anyhow::Result<Admin> {
    Admin::connect(&servers::kafka(&context.config)?).context("failed to")
}

async fn list(context: &Context, which: Which) -> anyhow::Result<()> {
    let topics = admin(context)?.list(which.tenant.as_deref()).await.context("failed to")?;
    let kind = |name: &TopicName| match name {
        TopicName::Detections { .. } => "detections",
        TopicName::Downtime { .. } => "downtime",
        TopicName::Oee { .. } => "oee",
        TopicName::Late { .. } => "late",
        TopicName::DeadLetter { .. } => "deadletter",
    };
    let values: Vec<_> = topics
        .iter()
        .map(|(topic, name)| json!({"topic": topic, "kind": kind(name), "tenant": name.tenant(), "line": name.line()}))
        .collect();
    let rows = topics.iter().map(|(topic, name)| {
        vec![topic.clone(), kind(name).to_owned(), name.tenant().to_owned(), name.line().unwrap_or_default().to_owned()]
    });
    output::print(which.format.format, &values, &["topic", "kind", "tenant", "line"], rows)
}

async fn describe(context: &Context, which: Which) -> anyhow::Result<()> {
    let topics = admin(context)?.describe(which.tenant.as_deref()).await.context("failed to")?;
    let rows = topics.iter().map(|topic| {
        let retention = match topic.retention_ms {
            ..0 => "for ever".to_owned(),
            ms => format!("{} h", ms / 3_600_000),
        };
        vec![
            topic.topic.clone(),
            topic.partitions.to_string(),
            topic.low.to_string(),
            topic.high.to_string(),
            topic.cleanup_policy.clone(),
            retention,
            topic.timestamp_type.clone(),
            topic.lag.map_or_else(String::new, |lag| lag.to_string()),
        ]
    });
    let head = ["topic", "partitions", "first", "next", "cleanup", "retention", "timestamps", "lag"];
    output::print(which.format.format, &topics, &head, rows)
}

async fn create(context: &Context, tenant: &str, wanted: &[String], format: FormatArg) -> anyhow::Result<()> {
    let settings = servers::kafka(&context.config)?;
    let knows_its_lines = wanted.is_empty() || wanted.iter().any(|line| line.contains('*'));
    let spec = if knows_its_lines {
        let store = servers::store(&context.config).await?;
        Some(servers::tenant(&store, tenant).await?.1)
    } else {
        None
    };
    let lines = lines(spec.as_deref(), wanted)?;
    if !is_name(tenant) {
        return Err(WrongUsage(format!("{tenant:?} is no tenant's name: use 1 to 48 of a-z, 0-9 and _")).into());
    }
    let made = servers::ensure_topics(&settings, tenant, lines.iter().map(String::as_str)).await?;
    let rows = made.iter().map(|topic| vec![topic.clone()]);
    output::print(format.format, &made, &["created"], rows)
}

/// The lines that names, ranges and patterns mean; all for none.
fn lines(spec: Option<&TenantSpec>, wanted: &[String]) -> anyhow::Result<Vec<String>> {
    let known: Vec<&str> = spec.into_iter().flat_map(|spec| &spec.lines).map(|line| line.name.as_str()).collect();
    if wanted.is_empty() {
        return Ok(known.into_iter().map(str::to_owned).collect());
    }
    let mut lines = Vec::new();
    for text in wanted {
        if text.contains('*') {
            let pattern = format!("^{}$", regex::escape(text).replace("\\*", ".*"));
            let pattern = Regex::new(&pattern).context("failed to read the pattern")?;
            lines.extend(known.iter().filter(|line| pattern.is_match(line)).map(|line| (*line).to_owned()));
        } else if let Some(range) = range(text) {
            lines.extend(range);
        } else {
            lines.push(text.clone());
        }
    }
    if let Some(wrong) = lines.iter().find(|line| !is_name(line)) {
        let problem = format!("{wrong:?} is no line: write a name of a-z, 0-9 and _, l{{1..16}}, or a pattern with *");
        return Err(WrongUsage(problem).into());
    }
    if lines.is_empty() {
        return Err(WrongUsage(format!("no line of the tenant fits {}", wanted.join(" "))).into());
    }
    Ok(lines)
}

/// The names of `l{1..16}`.
fn range(text: &str) -> Option<Vec<String>> {
    let (before, rest) = text.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    let (first, last) = inside.split_once("..")?;
    let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
    let is_sensible = first <= last && last - first < MOST_LINES;
    is_sensible.then(|| (first..=last).map(|number| format!("{before}{number}{after}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ranges_and_patterns() {
        let file = "[tenant]\nname = \"t\"\ntime_zone = \"UTC\"\n[[line]]\nname = \"fill_a\"\n[[line.area]]\nid = 1\n\
                    role = \"output\"\n[[line]]\nname = \"pack\"\n[[line.area]]\nid = 1\nrole = \"output\"\n";
        let spec = TenantSpec::parse(file).unwrap();
        let of = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
            lines(Some(&spec), &wanted).map_err(|error| error.to_string())
        };
        assert_eq!(of(&[]).unwrap(), ["fill_a", "pack"]);
        assert_eq!(of(&["fill*"]).unwrap(), ["fill_a"]);
        assert_eq!(of(&["l{9..11}", "x"]).unwrap(), ["l9", "l10", "l11", "x"]);
        for wrong in ["l{3..1}", "L1", "nothing*", ""] {
            assert!(of(&[wrong]).is_err(), "{wrong}");
        }
    }
}
