//! Somebody who gives stops their reasons, the way people do: by a command to the line's owner, some time after.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::model::{Halt, Told};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::Span;
use crate::store::{CommandBody, NewCommand, Result, TenantDb};

/// Share of stops that get a reason.
const CLASSIFIED: u64 = 75;
/// Between looks whether the line's owner knows a stop by now.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// A stop that nobody knows after so long was none: a micro-stop to the ledger, or cut away by a break.
const PATIENCE: Duration = Duration::from_secs(300);
/// Stops of one halt that are read; breaks cut it into a few.
const PARTS: u32 = 8;

/// Hears of halts that are over and gives the stops that became of them their reasons.
pub struct Operator {
    db: Arc<TenantDb>,
    seed: u64,
}

/// Whether this one gets its reason; the same for the same seed.
fn is_classified(seed: u64, halt: &Halt) -> bool {
    let mixed = (seed ^ halt.span.from as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) % 100 < CLASSIFIED
}

/// Whether a stop of the ledger is a part of the halt: most of it lies there. What cameras saw late or not at all can
/// move its edges.
fn is_part(stop: &Stop, halt: &Halt) -> bool {
    let Some(ended_at) = stop.ended_at else { return false };
    let span = Span::new(stop.started_at, ended_at);
    let shared = span.intersect(&halt.span).map_or(0, |shared| shared.len());
    stop.status == StopStatus::Closed && stop.reason_code.is_none() && shared * 2 > span.len()
}

// === impl Operator ===

impl Operator {
    pub fn new(db: Arc<TenantDb>, seed: u64) -> Operator {
        Operator { db, seed }
    }

    /// Until nobody tells of halts any more and those told are done, or until `stop`.
    pub async fn run(self, mut told: mpsc::UnboundedReceiver<Told>, stop: CancellationToken) {
        let mut open: VecDeque<(Told, Instant)> = VecDeque::new();
        let mut is_told_more = true;
        while is_told_more || !open.is_empty() {
            tokio::select! {
                () = stop.cancelled() => return,
                news = told.recv(), if is_told_more => match news {
                    Some(news) if is_classified(self.seed, &news.halt) => open.push_back((news, Instant::now())),
                    Some(_) => {}
                    None => is_told_more = false,
                },
                () = tokio::time::sleep(BETWEEN_LOOKS) => self.look(&mut open).await,
            }
        }
    }

    /// Classifies those that the owner knows by now; the others stay.
    async fn look(&self, open: &mut VecDeque<(Told, Instant)>) {
        for _ in 0..open.len() {
            let Some((told, since)) = open.pop_front() else { return };
            match self.classify(&told).await {
                Ok(true) => {}
                Ok(false) if since.elapsed() > PATIENCE => {
                    tracing::debug!(line = told.line, from = told.halt.span.from, "no stop to give a reason to");
                }
                Ok(false) => open.push_back((told, since)),
                Err(error) => {
                    tracing::warn!(line = told.line, %error, "failed to give a stop its reason, trying again");
                    open.push_back((told, since));
                    return;
                }
            }
        }
    }

    /// Whether there was a stop to classify.
    async fn classify(&self, told: &Told) -> Result<bool> {
        let Some(reason_code) = &told.halt.reason_code else { return Ok(true) };
        let stops = self.db.stops(&told.line, told.halt.span, None, PARTS).await?;
        let mut found = false;
        for stop in stops.iter().filter(|stop| is_part(stop, &told.halt)) {
            let body = CommandBody::Classify {
                downtime_id: stop.downtime_id.clone(),
                reason_code: Some(reason_code.to_string()),
                comment: None,
                was: None,
            };
            let idempotency_key = format!("simulate:{}", stop.downtime_id);
            let author = "simulated operator".to_owned();
            self.db.submit(&NewCommand { idempotency_key, line: told.line.clone(), body, author }).await?;
            found = true;
        }
        Ok(found)
    }
}
