//! Who asked for which data: rows of `user_query`, written behind the answers so that none waits for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Uri;
use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::App;
use super::clock::now;
use super::http::query::Query;
use super::rights::Identity;
use crate::domain::time::Ms;
use crate::store::QueryEntry;
use crate::watch::metrics::QUESTIONS_LOST;

/// Paths below `/api/v1` that answer with data; the rest answers with what a page needs.
const PATHS: [&str; 5] = ["data/", "metrics/", "downtime", "export/", "dashboard/widgets"];
/// Questions that wait to be written; beyond that they are lost and counted.
const ROOM: usize = 4_096;
/// Written in one statement.
const AT_ONCE: usize = 256;
/// Between tries.
const RETRY: Duration = Duration::from_secs(1);
/// Longest request and longest list of lines that are kept, characters.
const MAX_REQUEST: usize = 2_000;
const MAX_LINES: usize = 500;

/// A question that is being answered.
#[derive(Debug)]
pub struct Question {
    entry: QueryEntry,
    asked: Instant,
}

/// Questions that were answered and are not written yet.
#[derive(Debug)]
pub struct Questions {
    sender: mpsc::Sender<QueryEntry>,
    receiver: Mutex<Option<mpsc::Receiver<QueryEntry>>>,
}

/// The first characters of a text.
fn first(text: &str, count: usize) -> String {
    text.chars().take(count).collect()
}

// === impl Question ===

impl Question {
    /// What a request asks for, if it asks for data.
    pub fn of(identity: &Identity, uri: &Uri) -> Option<Question> {
        let path = uri.path().strip_prefix("/api/v1/")?;
        if !PATHS.iter().any(|known| path.starts_with(known)) {
            return None;
        }
        let query = Query::read(uri).unwrap_or_default();
        let named = |name: &str| query.one(name).ok().flatten().map(str::to_owned);
        let lines = query.all("line").join(",");
        let entry = QueryEntry {
            tenant: identity.tenant.clone().or_else(|| named("tenant")),
            user_id: identity.user(),
            request: first(uri.path_and_query().map_or(uri.path(), |both| both.as_str()), MAX_REQUEST),
            line: (!lines.is_empty()).then(|| first(&lines, MAX_LINES)),
            span: query.period().ok().flatten(),
            interval: named("interval").map(|name| first(&name, 16)),
            duration_ms: 0,
            at: now(),
        };
        Some(Question { entry, asked: Instant::now() })
    }
}

// === impl Questions ===

impl Questions {
    pub fn new() -> Questions {
        let (sender, receiver) = mpsc::channel(ROOM);
        Questions { sender, receiver: Mutex::new(Some(receiver)) }
    }

    /// Notes a question that was answered just now.
    pub fn note(&self, question: Question) {
        let took: Ms = question.asked.elapsed().as_millis() as Ms;
        let duration_ms = i32::try_from(took).unwrap_or(i32::MAX);
        if self.sender.try_send(QueryEntry { duration_ms, ..question.entry }).is_err() {
            counter!(QUESTIONS_LOST).increment(1);
        }
    }
}

impl Default for Questions {
    fn default() -> Self {
        Questions::new()
    }
}

/// Writes questions down until nobody asks any more.
pub async fn write_down(app: Arc<App>, unheard: CancellationToken) {
    let Some(mut waiting) = app.questions.receiver.lock().take() else { return };
    let mut batch = Vec::with_capacity(AT_ONCE);
    while !unheard.is_cancelled() {
        tokio::select! {
            () = unheard.cancelled() => break,
            _ = waiting.recv_many(&mut batch, AT_ONCE) => {}
        }
        while !write(&app, &mut batch).await {
            tokio::select! {
                () = unheard.cancelled() => break,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
    loop {
        while batch.len() < AT_ONCE
            && let Ok(entry) = waiting.try_recv()
        {
            batch.push(entry);
        }
        if batch.is_empty() {
            return;
        }
        if !write(&app, &mut batch).await {
            let lost = batch.len() + waiting.len();
            counter!(QUESTIONS_LOST).increment(lost as u64);
            tracing::warn!(lost, "questions were not written down before the end");
            return;
        }
    }
}

/// Whether a batch was written.
async fn write(app: &App, batch: &mut Vec<QueryEntry>) -> bool {
    let Some(store) = app.store() else { return batch.is_empty() };
    match store.record_queries(batch).await {
        Ok(()) => {
            batch.clear();
            true
        }
        Err(error) if error.is_transient() => {
            tracing::debug!(%error, "questions wait to be written down");
            false
        }
        Err(error) => {
            counter!(QUESTIONS_LOST).increment(batch.len() as u64);
            tracing::warn!(%error, lost = batch.len(), "questions could not be written down");
            batch.clear();
            true
        }
    }
}
