//! Answers of subscriptions: kept up to date as lines go on, once for all who ask the same, in memory.
//!
//! An answer's items are a board of their own, so that what holds for the feeds holds for them: snapshot and changes in
//! one order, conflation, resuming. A reconnect finds the answer where it was; the database is asked when a line has
//! something new, however many look.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::answer::answer;
use super::catalogue::Kind;
use super::scope::{Failure, Item, Scope};
use super::{Params, Widget};
use crate::gateway::App;
use crate::gateway::hub::Feed;
use crate::gateway::hub::board::Board;
use crate::gateway::hub::view::{Selection, View};
use crate::gateway::problem::Problem;

/// Between answers from memory.
const FROM_MEMORY_EVERY: Duration = Duration::from_millis(250);
/// Between answers that ask the database.
const FROM_DATABASE_EVERY: Duration = Duration::from_secs(1);
/// An answer is at rest for so many times as long as it took: what is dear is made seldom, whoever asks for it.
const REST: u32 = 5;
/// After one that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// An answer is made anew after this long even when nothing was heard: repairs and late detections are told by no feed.
const WHOLE_EVERY: Duration = Duration::from_secs(30);
/// How long an answer that nobody looks at is kept: those who were cut off come back.
const LINGER: Duration = Duration::from_secs(60);
/// Answers made at the same time: the database is for requests too.
const AT_ONCE: usize = 4;
/// Answers kept in all: more than anybody's screens need.
const MOST: usize = 4_096;

/// What is asked: by this answers are shared. Rights are in it: lines that one may not see are not among them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    tenant: String,
    widget: &'static str,
    params: Params,
    /// None: all lines of the tenant, also those to come.
    lines: Option<Arc<BTreeSet<String>>>,
}

/// The answers that are kept up to date.
#[derive(Debug)]
pub struct Answers {
    kept: DashMap<Key, Arc<Answered>>,
    turns: Semaphore,
}

/// An answer that is kept up to date.
#[derive(Debug)]
pub struct Answered {
    items: Arc<Board>,
    /// What changes it; 0 until there is an answer.
    made: AtomicU64,
    refused: Mutex<Option<String>>,
}

// === impl Answers ===

impl Default for Answers {
    fn default() -> Answers {
        Answers { kept: DashMap::new(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Answers {
    /// The shared answer to what is asked, made in a moment where nobody asked before.
    ///
    /// # Errors
    /// Too many different ones.
    pub fn of(
        app: &Arc<App>,
        tenant: &str,
        widget: &'static Widget,
        params: Params,
        lines: Option<Arc<BTreeSet<String>>>,
    ) -> Result<Arc<Answered>, Problem> {
        let key = Key { tenant: tenant.to_owned(), widget: widget.id, params: params.of(widget), lines };
        let answers = &app.answers;
        if let Some(known) = answers.kept.get(&key) {
            return Ok(known.clone());
        }
        if answers.kept.len() >= MOST {
            return Err(Problem::too_many("too many different widgets are looked at", AGAIN_AFTER));
        }
        let entry = answers.kept.entry(key.clone());
        let dashmap::Entry::Vacant(vacant) = entry else {
            return Ok(entry.or_insert_with(|| Arc::new(Answered::new())).clone());
        };
        let answered = Arc::new(Answered::new());
        vacant.insert(answered.clone());
        tokio::spawn(keep(app.clone(), key, widget, answered.clone()));
        Ok(answered)
    }

    /// Answers kept now.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// Keeps one answer up to date until nobody has looked for a while, or the process ends.
async fn keep(app: Arc<App>, key: Key, widget: &'static Widget, answered: Arc<Answered>) {
    let board = app.hub.board(&key.tenant);
    let mut changed = board.watch();
    let mut seen_at = Instant::now();
    let mut whole_at = Instant::now();
    let mut pulse = None;
    tokio::select! {
        () = app.shutdown.cancelled() => {}
        // Not from half of what there is.
        () = app.whole() => {}
    }
    let every = if widget.kind == Kind::Andon { FROM_MEMORY_EVERY } else { FROM_DATABASE_EVERY };
    loop {
        let now = board.pulse(|line| key.lines.as_ref().is_none_or(|lines| lines.contains(line)));
        let is_due = pulse != Some(now) || whole_at.elapsed() > WHOLE_EVERY;
        let (mut pause, mut is_away) = (every, false);
        if is_due {
            let started = Instant::now();
            match make(&app, &board, &key, widget).await {
                Ok(items) => {
                    answered.take(&items);
                    (pulse, whole_at) = (Some(now), Instant::now());
                    pause = every.max(started.elapsed() * REST);
                    board.nudge();
                }
                Err(Failure::Refused(detail)) => {
                    *answered.refused.lock() = Some(detail);
                    answered.made.fetch_add(1, Ordering::Release);
                    board.nudge();
                    break;
                }
                Err(Failure::Away(cause)) => {
                    tracing::debug!(widget = widget.id, tenant = key.tenant, cause, "a widget waits for the database");
                    (pause, is_away) = (AGAIN_AFTER, true);
                }
            }
        }
        // The map's, ours, and those of subscriptions.
        if Arc::strong_count(&answered) > 2 {
            seen_at = Instant::now();
        } else if seen_at.elapsed() > LINGER {
            break;
        }
        tokio::select! {
            () = app.shutdown.cancelled() => break,
            () = sleep(pause) => {}
        }
        // Until something is new; looked at again anyway, for the linger and what no feed tells.
        if !is_away {
            let _ = timeout(WHOLE_EVERY, changed.changed()).await;
        }
    }
    app.answers.kept.remove_if(&key, |_, known| Arc::ptr_eq(known, &answered));
}

async fn make(app: &App, board: &Arc<Board>, key: &Key, widget: &'static Widget) -> Result<Vec<Item>, Failure> {
    let away = || Failure::Away("the tenant is not read yet".to_owned());
    let tenant = app.directory.get(&key.tenant).ok_or_else(away)?;
    let database = app.directory.database(&key.tenant).ok_or_else(away)?;
    let scope = Scope::new(&tenant, board, &database, (widget, &key.params), key.lines.as_deref());
    let _turn = app.answers.turns.acquire().await.map_err(|_| away())?;
    answer(&scope).await
}

// === impl Answered ===

impl Answered {
    fn new() -> Answered {
        // Its own epoch: offsets of another answer, or of this one made anew, mean nothing here.
        let epoch = format!("{:016x}", rand::random::<u64>());
        Answered { items: Arc::new(Board::new(epoch.into())), made: AtomicU64::new(0), refused: Mutex::default() }
    }

    /// What subscriptions see.
    pub fn view(&self) -> Arc<View> {
        self.items.view(&Selection { feed: Feed::Answer, lines: None, window: None })
    }

    /// Whether there is something to tell.
    pub fn is_made(&self) -> bool {
        self.made.load(Ordering::Acquire) > 0
    }

    /// Why there will be no answer.
    pub fn refused(&self) -> Option<Problem> {
        self.refused.lock().as_deref().map(Problem::bad_request)
    }

    fn take(&self, items: &[Item]) {
        let keys: HashSet<&str> = items.iter().map(|item| item.key.as_str()).collect();
        self.items.tell_answer(items.iter().map(|item| (item.key.as_str(), item.value.to_string())), &keys);
        self.made.fetch_add(1, Ordering::Release);
    }
}
