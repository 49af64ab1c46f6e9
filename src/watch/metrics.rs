//! Every metric by name, with its labels and meaning; `docs/metrics.md` is the same table for the person on call.
//!
//! Labels stay few: tenants and lines are bounded by the plants' size; detections, stops, users and addresses never
//! become labels.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dashmap::DashMap;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::domain::production::changes::Changes;
use crate::domain::production::line::Line;
use crate::domain::production::stop::StopStatus;
use crate::domain::time::Ms;

/// Label: the tenant's name.
pub const TENANT: &str = "tenant";
/// Label: the line's name.
pub const LINE: &str = "line";
/// Label: how something ended.
pub const OUTCOME: &str = "outcome";
/// Label: why something was refused or failed.
pub const REASON: &str = "reason";

pub const BUILD_INFO: &str = "andon_build_info";
pub const DETECTIONS: &str = "andon_detections_total";
pub const DEAD_LETTERS: &str = "andon_dead_letters_total";
pub const CONSUMER_LAG: &str = "andon_consumer_lag_records";
pub const LINE_OWNED: &str = "andon_line_owned";
pub const LINE_CAUGHT_UP: &str = "andon_line_caught_up";
pub const LINE_HALTED: &str = "andon_line_halted";
pub const WATERMARK_AGE: &str = "andon_watermark_age_seconds";
pub const LEDGER_IMBALANCE: &str = "andon_ledger_imbalance_ms";
pub const STOP_CHANGES: &str = "andon_stop_changes_total";
pub const BATCH_RECORDS: &str = "andon_batch_records";
pub const COMMIT_SECONDS: &str = "andon_commit_seconds";
pub const TENANT_TROUBLED: &str = "andon_tenant_troubled";
pub const FENCED: &str = "andon_fenced_lines_total";
pub const PUBLISH_SECONDS: &str = "andon_publish_seconds";
pub const PUBLISH_FAILURES: &str = "andon_publish_failures_total";
pub const STANDING: &str = "andon_standing_topics";
pub const UNOWNED: &str = "andon_unowned_lines";
pub const MAINTENANCE: &str = "andon_maintenance_total";
pub const MONTHS_DROPPED: &str = "andon_months_dropped_total";
pub const SOCKETS: &str = "andon_sockets";
pub const SUBSCRIPTIONS: &str = "andon_subscriptions";
pub const FRAMES: &str = "andon_frames_total";
pub const CONFLATIONS: &str = "andon_conflations_total";
pub const PUBLISH_TO_SOCKET_SECONDS: &str = "andon_publish_to_socket_seconds";
pub const HTTP_REQUESTS: &str = "andon_http_requests_total";
pub const HTTP_SECONDS: &str = "andon_http_request_seconds";
pub const LOGINS: &str = "andon_logins_total";
pub const QUESTIONS_LOST: &str = "andon_questions_lost_total";
pub const DATABASE_CONNECTIONS: &str = "andon_database_connections";

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the process' start.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Observations in buckets, with their sum and number.
    Histogram,
}

/// A metric as documented.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// Names with their values where those are few: `outcome=done|failed`.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn metric(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

/// All metrics, in the order of the data's way through a process.
pub const ALL: &[Metric] = &[
    metric(BUILD_INFO, Kind::Gauge, &["version"], "Always 1; the version that runs."),
    metric(
        DETECTIONS,
        Kind::Counter,
        &[TENANT, "outcome=applied|duplicate|late|dead_letter"],
        "Records read from the detections topics, by what became of them.",
    ),
    metric(
        DEAD_LETTERS,
        Kind::Counter,
        &[TENANT, "reason=undecodable|unknown_area|unknown_camera|future|bad_quantity|expired|id_conflict"],
        "Records refused and passed to the tenant's dead-letter topic, by reason.",
    ),
    metric(CONSUMER_LAG, Kind::Gauge, &[TENANT, LINE], "Records of the line's detections topic that are not read yet."),
    metric(LINE_OWNED, Kind::Gauge, &[TENANT, LINE], "1 while this process owns the line, else 0."),
    metric(
        LINE_CAUGHT_UP,
        Kind::Gauge,
        &[TENANT, LINE],
        "1 once the line's topic was read to its end since this process took the line over.",
    ),
    metric(
        LINE_HALTED,
        Kind::Gauge,
        &[TENANT, LINE],
        "1 while the line stands still on purpose, with its reason in the log and on /ready; it needs a decision.",
    ),
    metric(
        WATERMARK_AGE,
        Kind::Gauge,
        &[TENANT, LINE],
        "Wall time minus the line's watermark; it normally is the allowed lateness.",
    ),
    metric(
        LEDGER_IMBALANCE,
        Kind::Gauge,
        &[TENANT, LINE],
        "Milliseconds of the line's time that are in no bucket of its ledger or in two. Anything but 0 is a defect.",
    ),
    metric(
        STOP_CHANGES,
        Kind::Counter,
        &[TENANT, "outcome=open|closed|retracted"],
        "Stops written with a new revision, by their status after it.",
    ),
    metric(BATCH_RECORDS, Kind::Histogram, &[TENANT], "Records in a micro-batch."),
    metric(
        COMMIT_SECONDS,
        Kind::Histogram,
        &[TENANT],
        "Applying a micro-batch and committing it to the tenant's database.",
    ),
    metric(
        TENANT_TROUBLED,
        Kind::Gauge,
        &[TENANT],
        "1 while the tenant waits for its database; the reason is on /ready.",
    ),
    metric(
        FENCED,
        Kind::Counter,
        &[TENANT],
        "Lines dropped because another process took them over, noticed at the commit.",
    ),
    metric(
        PUBLISH_SECONDS,
        Kind::Histogram,
        &[],
        "A Kafka transaction that publishes committed batches, to its own commit.",
    ),
    metric(
        PUBLISH_FAILURES,
        Kind::Counter,
        &["reason=indefinite|abortable|fenced|fatal"],
        "Kafka transactions that failed; what they carried is published again from the outbox.",
    ),
    metric(
        STANDING,
        Kind::Gauge,
        &[],
        "Output topics of this process' lines whose readers of committed records have waited at the same record for 5 s: a broker has lost the end of a transaction (docs/decisions/0050). It is ended within a minute; for longer, see the log.",
    ),
    metric(
        UNOWNED,
        Kind::Gauge,
        &[],
        "Lines that no process of the group has had for some seconds, as this process sees it. They are shared out anew within seconds.",
    ),
    metric(
        MAINTENANCE,
        Kind::Counter,
        &[TENANT, "outcome=done|failed"],
        "Daily rounds over a tenant's tables that this process did; a failed one is done again after 10 minutes.",
    ),
    metric(
        MONTHS_DROPPED,
        Kind::Counter,
        &[TENANT],
        "Months of detections that were dropped because their line's retention had passed.",
    ),
    metric(SOCKETS, Kind::Gauge, &[], "Open live connections (websocket and server-sent events)."),
    metric(SUBSCRIPTIONS, Kind::Gauge, &[], "Subscriptions of all live connections."),
    metric(FRAMES, Kind::Counter, &["kind=snapshot|change|heartbeat|must_refetch|error"], "Frames sent to browsers."),
    metric(
        CONFLATIONS,
        Kind::Counter,
        &[],
        "Changes skipped for a client that was behind, in favour of a later one of the same item.",
    ),
    metric(
        PUBLISH_TO_SOCKET_SECONDS,
        Kind::Histogram,
        &[],
        "From the broker's timestamp of a published change to its frame being handed to a socket.",
    ),
    metric(HTTP_REQUESTS, Kind::Counter, &["route", "status"], "Requests answered, by route pattern and status."),
    metric(HTTP_SECONDS, Kind::Histogram, &["route"], "Answering a request."),
    metric(LOGINS, Kind::Counter, &["outcome=done|refused|limited"], "Attempts to log in."),
    metric(
        QUESTIONS_LOST,
        Kind::Counter,
        &[],
        "Questions to tenants' data that were answered but not written to user_query.",
    ),
    metric(DATABASE_CONNECTIONS, Kind::Gauge, &["state=idle|used"], "Connections of this process to its databases."),
];

/// Upper bounds for durations: from a row's commit to a server in trouble.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds for the size of a batch.
const RECORDS: &[f64] = &[1.0, 10.0, 100.0, 1_000.0, 5_000.0, 20_000.0, 100_000.0];

/// Follows "failed to set up the metrics: ".
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    #[error("a process has one set of metrics, and another part of it set them up already")]
    Taken,
    #[error(transparent)]
    Recorder(#[from] BuildError),
}

/// The watermarks of the lines that this process owns: their age goes on while nothing comes in, so it is worked out
/// when it is asked for.
static WATERMARKS: std::sync::LazyLock<DashMap<(String, String), Ms>> = std::sync::LazyLock::new(DashMap::new);

// === Setting up ===

/// A recorder with our buckets, not yet installed.
pub fn recorder() -> Result<PrometheusRecorder, BuildError> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full(BATCH_RECORDS.to_owned()), RECORDS)?
        .build_recorder())
}

/// Installs the recorder for the whole process; once. The handle renders what `/metrics` answers.
pub fn install() -> Result<PrometheusHandle, MetricsError> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Taken)?;
    describe();
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Tells the recorder what each metric means.
pub fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Brings what depends on the time up to date; before each rendering.
pub fn refresh() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as Ms;
    for entry in WATERMARKS.iter() {
        let (tenant, line) = entry.key();
        gauge!(WATERMARK_AGE, TENANT => tenant.clone(), LINE => line.clone()).set((now - entry.value()) as f64 / 1e3);
    }
}

// === The engine's ===

/// `count` records of a tenant became `outcome`: applied, duplicate, late or dead_letter.
pub fn detections(tenant: &str, outcome: &'static str, count: u64) {
    if count > 0 {
        counter!(DETECTIONS, TENANT => tenant.to_owned(), OUTCOME => outcome).increment(count);
    }
}

/// A record was refused.
pub fn dead_letter(tenant: &str, reason: &'static str) {
    counter!(DEAD_LETTERS, TENANT => tenant.to_owned(), REASON => reason).increment(1);
}

/// A micro-batch of `records` is applied and committed.
pub fn commit(tenant: &str, records: usize, took: Duration) {
    histogram!(BATCH_RECORDS, TENANT => tenant.to_owned()).record(records as f64);
    histogram!(COMMIT_SECONDS, TENANT => tenant.to_owned()).record(took);
}

/// The tenant cannot be served as it should be, or can again.
pub fn tenant_troubled(tenant: &str, troubled: bool) {
    gauge!(TENANT_TROUBLED, TENANT => tenant.to_owned()).set(f64::from(u8::from(troubled)));
}

/// Lines were dropped because their compare-and-set missed.
pub fn fenced(tenant: &str, lines: usize) {
    counter!(FENCED, TENANT => tenant.to_owned()).increment(lines as u64);
}

/// What a line looks like after a commit, and what the commit changed.
pub fn line(tenant: &str, line: &Line, changes: &Changes) {
    for change in changes.stops.iter().filter(|change| !change.resend) {
        let outcome = match change.stop.status {
            StopStatus::Open => "open",
            StopStatus::Closed => "closed",
            StopStatus::Retracted => "retracted",
        };
        counter!(STOP_CHANGES, TENANT => tenant.to_owned(), OUTCOME => outcome).increment(1);
    }
    of_line(LINE_OWNED, tenant, line.name()).set(1.0);
    of_line(LEDGER_IMBALANCE, tenant, line.name()).set(line.imbalance_ms() as f64);
    if let Some(watermark) = line.watermark() {
        WATERMARKS.insert((tenant.to_owned(), line.name().to_owned()), watermark);
    }
}

/// A Kafka transaction has published committed batches.
pub fn published(took: Duration) {
    histogram!(PUBLISH_SECONDS).record(took);
}

/// A Kafka transaction failed.
pub fn publish_failed(reason: &'static str) {
    counter!(PUBLISH_FAILURES, REASON => reason).increment(1);
}

/// Readers of so many output topics stand still.
pub fn standing(topics: usize) {
    gauge!(STANDING).set(topics as f64);
}

/// Nobody in the group has so many lines.
pub fn unowned(lines: usize) {
    gauge!(UNOWNED).set(lines as f64);
}

/// A daily round over a tenant's tables was done, or failed.
pub fn maintained(tenant: &str, is_done: bool) {
    let outcome = if is_done { "done" } else { "failed" };
    counter!(MAINTENANCE, TENANT => tenant.to_owned(), OUTCOME => outcome).increment(1);
}

/// Months of a line's detections were dropped.
pub fn months_dropped(tenant: &str, months: usize) {
    counter!(MONTHS_DROPPED, TENANT => tenant.to_owned()).increment(months as u64);
}

/// Records of the line's topic that wait to be read.
pub fn lag(tenant: &str, line: &str, records: i64) {
    of_line(CONSUMER_LAG, tenant, line).set(records as f64);
}

/// The line's topic is read to its end, or no longer.
pub fn caught_up(tenant: &str, line: &str, caught_up: bool) {
    of_line(LINE_CAUGHT_UP, tenant, line).set(f64::from(u8::from(caught_up)));
}

/// The line waits for somebody's decision, or no longer.
pub fn line_stopped(tenant: &str, line: &str, stopped: bool) {
    of_line(LINE_HALTED, tenant, line).set(f64::from(u8::from(stopped)));
}

/// The line moved elsewhere: what is said of it here goes back to 0, as another process speaks for it now.
pub fn line_gone(tenant: &str, line: &str) {
    WATERMARKS.remove(&(tenant.to_owned(), line.to_owned()));
    for name in [LINE_OWNED, LINE_CAUGHT_UP, LINE_HALTED, CONSUMER_LAG, WATERMARK_AGE, LEDGER_IMBALANCE] {
        of_line(name, tenant, line).set(0.0);
    }
}

fn of_line(name: &'static str, tenant: &str, line: &str) -> metrics::Gauge {
    gauge!(name, TENANT => tenant.to_owned(), LINE => line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the tables in docs/metrics.md: name, kind, labels.
    fn documented() -> Vec<(String, String, String)> {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
        text.lines()
            .filter(|row| row.starts_with("| `andon_"))
            .map(|row| {
                let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
                let text = |i: usize| cells[i].replace(['`', '\\'], "");
                (text(0), text(1), text(2))
            })
            .collect()
    }

    #[test]
    fn the_handbook_lists_exactly_these_metrics() {
        let named: Vec<_> = ALL
            .iter()
            .map(|m| (m.name.to_owned(), format!("{:?}", m.kind).to_lowercase(), m.labels.join(", ")))
            .collect();
        assert_eq!(documented(), named);
    }

    #[test]
    fn names_follow_prometheus() {
        for metric in ALL {
            assert!(metric.name.starts_with("andon_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
        }
    }

    #[test]
    fn a_line_that_moved_leaves_zeros_behind() {
        let recorder = recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            lag("demo", "l1", 7);
            line_stopped("demo", "l1", true);
            WATERMARKS.insert(("demo".to_owned(), "moved".to_owned()), 0);
            line_gone("demo", "l1");
            line_gone("demo", "moved");
            refresh();
        });
        let text = recorder.handle().render();
        assert!(text.contains("andon_consumer_lag_records{tenant=\"demo\",line=\"l1\"} 0\n"), "{text}");
        assert!(text.contains("andon_line_halted{tenant=\"demo\",line=\"l1\"} 0\n"), "{text}");
        assert!(text.contains("andon_watermark_age_seconds{tenant=\"demo\",line=\"moved\"} 0\n"), "{text}");
    }

    #[test]
    fn the_age_of_a_watermark_grows_while_nothing_comes_in() {
        let recorder = recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            WATERMARKS.insert(("demo".to_owned(), "silent".to_owned()), 0);
            refresh();
            WATERMARKS.remove(&("demo".to_owned(), "silent".to_owned()));
        });
        let text = recorder.handle().render();
        let name = "andon_watermark_age_seconds{tenant=\"demo\",line=\"silent\"} ";
        let age = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse::<f64>().unwrap();
        // The epoch is more than 50 years ago.
        assert!(age > 50.0 * 365.0 * 86_400.0, "{age}");
    }
}
