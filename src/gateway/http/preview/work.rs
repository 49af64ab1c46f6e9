//! The work of a preview: where to begin, and stretch by stretch through what is stored.

use crate::domain::production::batch::{BatchInput, Comparison, Supposition, sign};
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{Detection, Health};
use crate::domain::production::input::LineInput;
use crate::domain::time::{HOUR_MS, Ms, Span};
use crate::gateway::problem::Problem;
use crate::store::stamp::FIRST_STORABLE;
use crate::store::{DetectionPage, TenantDb};

/// Detections of a period, from the last exit before it.
const MAX_DETECTIONS: u64 = 10_000_000;
/// Detections read at once.
const PAGE: u32 = 20_000;
/// Camera statuses of one stretch.
const MAX_STATUSES: u32 = 200_000;
/// The longest stretch, but where nothing happens.
const STRETCH_MS: Ms = 24 * HOUR_MS;
/// Detections and statuses held because no piece leaves the line.
const MAX_HELD: usize = 1_000_000;

/// Where a preview begins and ends.
pub struct Plan {
    line: String,
    supposition: Supposition,
    /// The first detection that is read.
    start: Ms,
    /// The line clock when it was asked.
    clock: Ms,
    /// Detections of the period.
    total: u64,
}

/// Finds the way of a preview.
///
/// # Errors
/// 413 where the period has too many detections; 503 without the database.
pub async fn plan(db: &TenantDb, line: &str, period: Span, config: LineConfig) -> Result<Plan, Problem> {
    let configs = db.line_configs(line).await.map_err(Problem::database)?;
    if configs.is_empty() {
        return Err(Problem::conflict(format!("line {line} has no version yet")));
    }
    let inputs = db.words(line).await.map_err(Problem::database)?;
    let words = BatchInput { line: line.to_owned(), configs, detections: Vec::new(), inputs };
    let supposition = Supposition::new(words, config, period);
    let clock = db.heard_until(line).await.map_err(Problem::database)?.unwrap_or(0);

    let mut starts = Vec::new();
    for stretches in supposition.exit_areas(Span::new(FIRST_STORABLE, period.from + 1)) {
        starts.push(last_exit(db, line, stretches).await?);
    }
    // Before the earlier of the two nothing is of the period, whichever side one is on.
    let start = match starts.iter().copied().min().flatten() {
        Some(exit) => exit,
        None => db.first_detection(line).await.map_err(Problem::database)?.unwrap_or(clock),
    };
    let read = Span::new(start, period.to.min(clock + 1).max(start));
    let total = db.count_detections(line, read, MAX_DETECTIONS + 1).await.map_err(Problem::database)?;
    if total > MAX_DETECTIONS {
        let detail = format!("the period has more than {MAX_DETECTIONS} detections: choose a shorter one");
        return Err(Problem::too_much(detail));
    }
    Ok(Plan { line: line.to_owned(), supposition, start, clock, total })
}

/// The last exit in any of these stretches, which come the latest first, each with its exit areas.
async fn last_exit(db: &TenantDb, line: &str, stretches: Vec<(Span, Vec<i32>)>) -> Result<Option<Ms>, Problem> {
    for (span, areas) in stretches {
        if let Some(exit) = db.last_detection_in(line, span, &areas).await.map_err(Problem::database)? {
            return Ok(Some(exit));
        }
    }
    Ok(None)
}

// === impl Plan ===

impl Plan {
    /// Detections to read.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Goes the way, and says after each stretch how many detections were read.
    ///
    /// # Errors
    /// 422 where too much would have to be held; 503 without the database.
    pub async fn work(mut self, db: &TenantDb, has_read: impl Fn(u64)) -> Result<Comparison, Problem> {
        let signs = self.signs(db).await?;
        self.supposition.take(&[], &signs, self.start.min(self.clock));
        let (mut at, mut after, mut read, mut length) = (self.start, None, 0, STRETCH_MS);
        while at <= self.clock && !self.supposition.is_through() {
            let span = Span::new(at, at.saturating_add(length).min(self.clock + 1));
            let page = DetectionPage { span, after, area: None, product: None, limit: PAGE };
            let page = db.detections_page(&self.line, &page).await.map_err(Problem::database)?;
            read += page.len() as u64;
            // A full page ends in the midst of the stretch, maybe of a millisecond.
            after = page.last().filter(|_| page.len() == PAGE as usize).map(|(d, _)| (d.detected_at, d.detection_id));
            let until = after.map_or(span.to, |(last, _)| last);
            let said =
                db.camera_statuses(&self.line, Span::new(at, until), MAX_STATUSES).await.map_err(Problem::database)?;
            if said.len() == MAX_STATUSES as usize {
                return Err(Problem::unprocessable(format!(
                    "the cameras said more than {MAX_STATUSES} things within a day: choose another period"
                )));
            }
            length = if page.is_empty() && said.is_empty() { length.saturating_mul(2) } else { STRETCH_MS };
            let told: Vec<Detection> = page.into_iter().filter(|(_, late)| !late).map(|(told, _)| told).collect();
            self = self.take(told, said, until).await?;
            has_read(read);
            at = until;
        }
        let work = tokio::task::spawn_blocking(move || self.supposition.end(self.clock));
        work.await.map_err(Problem::internal)
    }

    async fn take(mut self, told: Vec<Detection>, said: Vec<LineInput>, until: Ms) -> Result<Plan, Problem> {
        let work = tokio::task::spawn_blocking(move || {
            self.supposition.take(&told, &said, until.min(self.clock));
            self
        });
        let plan = work.await.map_err(Problem::internal)?;
        if plan.supposition.held() > MAX_HELD {
            let detail = "no piece left the line for too many records to hold them: choose another period";
            return Err(Problem::unprocessable(detail));
        }
        Ok(plan)
    }

    /// What of before the first stretch says whether its cameras are online.
    async fn signs(&self, db: &TenantDb) -> Result<Vec<LineInput>, Problem> {
        let before = Span::new(FIRST_STORABLE, self.start);
        let heartbeat_ms = self.supposition.heartbeat_ms();
        let mut signs = Vec::new();
        for camera in self.supposition.cameras() {
            let said = db.last_status(&self.line, before, camera).await.map_err(Problem::database)?;
            // A camera that did not say otherwise is online, but where it has to say so again and again.
            let since = match &said {
                Some(LineInput::CameraStatus { status, .. }) if status.status == Health::Offline => Some(status.at),
                _ => (heartbeat_ms > 0).then_some(self.start - heartbeat_ms),
            };
            signs.extend(said);
            if let Some(since) = since {
                let seen = db.last_detection_by(&self.line, Span::new(since, self.start), camera).await;
                signs.extend(seen.map_err(Problem::database)?.map(|at| sign(camera, at)));
            }
        }
        Ok(signs)
    }
}
