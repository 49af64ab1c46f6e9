//! `andon replay`: a recorded file through the real topics, in the order of the file.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use andon::config::tenant::LineSpec;
use andon::domain::calendar;
use andon::domain::production::config::Role;
use andon::domain::production::detection::Record;
use andon::domain::time::{Ms, rfc3339};
use andon::plant::outlet::Outlet;
use andon::plant::pace::{Pace, Speed};
use andon::plant::recording::{Mapping, Options, Recording, RecordingError, unzipped};
use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::{Context, servers};

/// Longest nap between looks at whether to end.
const NAP: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "NAME")]
    tenant: String,
    #[arg(long, value_name = "NAME")]
    line: String,
    /// CSV or CSV.gz with the header detection_id,detected_at,area_id,product_id,quantity,camera_id,confidence, any
    /// subset beyond detected_at; times RFC 3339 or epoch ms; - reads standard input. A missing detection_id is the
    /// row's number.
    file: PathBuf,
    /// How many times as fast as it was recorded, by event time; or max.
    #[arg(long, default_value = "max", value_name = "N|max")]
    speed: Speed,
    /// Columns of the file under other names, as ts=detected_at,count=quantity; those not named are passed over.
    #[arg(long, value_name = "THEIRS=OURS,…", value_delimiter = ',')]
    columns: Vec<Mapping>,
    /// IANA zone of times without an offset.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Area of rows that name none [default: the first output area, or the first].
    #[arg(long, value_name = "ID")]
    area: Option<i32>,
    /// Product of rows that name none; 0: none, so that the line's rate counts.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    product: i32,
    /// Pass over rows that cannot be read, and count them, rather than stop.
    #[arg(long)]
    skip_bad: bool,
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// What is done, on a thread of its own: reading and sending block.
struct Replay {
    recording: Recording<Box<dyn Read + Send>>,
    outlet: Outlet,
    speed: Speed,
    skip_bad: bool,
    bytes: Arc<AtomicU64>,
    progress: Progress,
    stop: CancellationToken,
}

pub async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let settings = servers::kafka(&context.config)?;
    let zone = args.zone.as_deref().map(calendar::zone).transpose().context("failed to read --zone")?;
    let (input, whole) = open(&args.file).with_context(|| format!("failed to open {}", args.file.display()))?;
    let store = servers::store(&context.config).await?;
    let (_, spec) = servers::tenant(&store, &args.tenant).await?;
    let line = spec.line(&args.line).with_context(|| format!("failed to find the line of {}", args.tenant))?;
    let area_id = args.area.or_else(|| default_area(line));
    let area_id = area_id.ok_or_else(|| anyhow!("line {} has no area: name one with --area", line.name))?;
    let options = Options { columns: args.columns, zone, area_id, product_id: args.product };
    let stop = servers::asked_to_end()?;
    servers::ensure_topics(&settings, &args.tenant, [line.name.as_str()]).await?;
    let ids = servers::ids(&context.config).await?;
    let outlet = Outlet::connect(&settings, ids, &args.tenant, &[&line.name]).context("failed to produce")?;
    let work = move || {
        let bytes = Arc::new(AtomicU64::new(0));
        let reading = "failed to read the recording";
        let input = unzipped(Counted { inner: input, bytes: bytes.clone() }).context(reading)?;
        let recording = Recording::open(input, options).context(reading)?;
        let progress = Progress::new("replay", whole);
        let replay = Replay { recording, outlet, speed: args.speed, skip_bad: args.skip_bad, bytes, progress, stop };
        replay.run()
    };
    tokio::task::spawn_blocking(work).await.context("failed to replay")?
}

/// The file and its length, where it has one.
fn open(file: &PathBuf) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let opened = File::open(file)?;
    let length = opened.metadata()?.len();
    Ok((Box::new(opened), Some(length)))
}

fn default_area(line: &LineSpec) -> Option<i32> {
    let output = line.areas.iter().find(|area| area.role == Role::Output);
    output.or(line.areas.first()).map(|area| area.id)
}

// === impl Replay ===

impl Replay {
    fn run(mut self) -> anyhow::Result<()> {
        let sent = self.send_all();
        // What was sent before a bad row is to arrive as well.
        self.outlet.finish().context("failed to produce")?;
        let records = self.outlet.sent();
        let skipped = sent.with_context(|| format!("failed after {records} records, which stay sent"))?;
        self.progress.finish(records, skipped);
        println!("sent {records} records, skipped {skipped} rows");
        Ok(())
    }

    /// Answers how many rows were passed over.
    fn send_all(&mut self) -> anyhow::Result<u64> {
        let began = Instant::now();
        let mut pace: Option<Pace> = None;
        let mut latest = Ms::MIN;
        let mut skipped = 0;
        while let Some(row) = self.recording.next() {
            let detection = match row {
                Ok(detection) => detection,
                Err(bad @ RecordingError::Row { .. }) if self.skip_bad => {
                    tracing::debug!(%bad, "row passed over");
                    skipped += 1;
                    continue;
                }
                Err(bad @ RecordingError::Row { .. }) => {
                    return Err(bad).context("failed to read the recording (--skip-bad passes over such rows)");
                }
                Err(error) => return Err(error).context("failed to read the recording"),
            };
            // A row out of order was recorded with the ones around it.
            latest = latest.max(detection.detected_at);
            let pace = *pace.get_or_insert(Pace { from: latest, speed: self.speed });
            if !self.wait(pace, latest, began)? {
                tracing::info!("asked to end before the file did");
                break;
            }
            self.outlet.send(0, &Record::Detection(detection)).context("failed to produce")?;
            if self.progress.is_due() {
                let bytes = self.bytes.load(Ordering::Relaxed);
                self.progress.tell(bytes, self.outlet.sent(), &rfc3339(latest));
            }
        }
        Ok(skipped)
    }

    /// Waits until `at` is due; false when asked to end.
    fn wait(&mut self, pace: Pace, at: Ms, began: Instant) -> anyhow::Result<bool> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            let wait = pace.wait(at, began.elapsed(), None);
            if wait.is_zero() {
                return Ok(true);
            }
            self.outlet.rest(wait.min(NAP)).context("failed to produce")?;
        }
    }
}
