//! What a subscription sees of a feed, shared by all subscriptions that see the same.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::Feed;
use super::board::Board;
use super::log::Entry;
use crate::domain::time::{Ms, rfc3339};

/// A frame is cut at this size: a client's buffer keeps the size of the largest frame it ever held.
pub const FRAME_BYTES: usize = 16 * 1024;
/// Frames shared per view.
const SHARED_FRAMES: usize = 16;
/// For as long a frame is given to others too: it says when it was sent.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// What of a feed; by this, with the tenant, views are shared. Rights are in it: lines that one may not see are not
/// among `lines`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    pub feed: Feed,
    /// None: all lines of the tenant, also those to come.
    pub lines: Option<Arc<BTreeSet<String>>>,
    /// None: all windows.
    pub window: Option<&'static str>,
}

/// A selection of a tenant's board, alive while anybody subscribes to it.
#[derive(Debug)]
pub struct View {
    board: Arc<Board>,
    selection: Selection,
    /// The board's, and what is selected: whoever comes back to see more or less than before, after a change of rights
    /// or of a group, begins anew and keeps nothing of what is hidden now.
    epoch: String,
    /// Offset of the last change that this view shows.
    head: AtomicU64,
    /// Changes that this view has shown or would have.
    changes: AtomicU64,
    shared: Mutex<VecDeque<(Instant, Arc<Body>)>>,
}

/// Which half of the protocol a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Snapshot,
    Change,
}

/// A frame without the subscription's id.
#[derive(Debug)]
pub struct Body {
    op: Op,
    after: u64,
    until: u64,
    /// From the epoch on.
    text: String,
    /// Offset that a client has reached with it.
    pub offset: u64,
    /// Whether more follows up to `until`.
    pub more: bool,
    /// Items and removals in it.
    pub count: u64,
    /// When the broker took the oldest of what it tells.
    pub published_at: Option<Ms>,
    /// As sent to subscriptions of this id.
    whole: Mutex<Option<(u64, Utf8Bytes)>>,
}

/// Why a subscriber has to start anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost(pub &'static str);

// === impl Op ===

impl Op {
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Snapshot => "snapshot",
            Op::Change => "change",
        }
    }
}

// === impl Selection ===

impl Selection {
    pub fn shows(&self, entry: &Entry) -> bool {
        self.shows_line(&entry.line) && (self.window.is_none() || self.window == entry.window)
    }

    pub fn shows_line(&self, line: &str) -> bool {
        self.lines.as_ref().is_none_or(|lines| lines.contains(line))
    }

    /// The same for the same lines and window, at every gateway; another for others.
    fn mark(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.feed.as_str());
        digest.update(self.window.unwrap_or("*"));
        match &self.lines {
            None => digest.update("/*"),
            // No name holds a slash.
            Some(lines) => lines.iter().for_each(|line| digest.update(format!("/{line}"))),
        }
        digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

// === impl View ===

impl View {
    pub(super) fn new(board: Arc<Board>, selection: Selection, head: u64) -> View {
        let epoch = format!("{}-{}", board.epoch(), selection.mark());
        let (head, changes) = (AtomicU64::new(head), AtomicU64::new(0));
        View { board, selection, epoch, head, changes, shared: Mutex::default() }
    }

    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Offset of the last change that it shows.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Called under the board's lock.
    pub(super) fn told(&self, offset: u64, entry: &Entry) {
        if self.selection.shows(entry) {
            self.changes.fetch_add(1, Ordering::Relaxed);
            self.head.store(offset, Ordering::Release);
        }
    }

    /// Counts the changes since the view was made: what a client is not told of these was conflated.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Whether a client that knows everything up to `offset` of `epoch` can go on from there.
    pub fn resumes(&self, epoch: &str, offset: u64) -> Result<(), Lost> {
        if epoch != self.epoch() {
            return Err(Lost("the server's memory began anew"));
        }
        self.board.read(self.selection.feed, |log, _| {
            if offset > log.head() {
                return Err(Lost("the offset was never given"));
            }
            let known = log.floors().all(|(line, floor)| floor <= offset || !self.selection.shows_line(line));
            if known { Ok(()) } else { Err(Lost("too much has happened since")) }
        })
    }

    /// The frame that takes a client from `after` towards `until`. Its body is built once for all who ask.
    pub fn frame(&self, op: Op, after: u64, until: u64, now: Ms) -> Arc<Body> {
        let mut shared = self.shared.lock();
        while shared.front().is_some_and(|(built, _)| built.elapsed() > SHARED_FOR) {
            shared.pop_front();
        }
        let same = |body: &&Arc<Body>| (body.op, body.after, body.until) == (op, after, until);
        if let Some(body) = shared.iter().map(|(_, body)| body).find(same) {
            return body.clone();
        }
        let body = Arc::new(self.build(op, after, until, now));
        if shared.len() == SHARED_FRAMES {
            shared.pop_front();
        }
        shared.push_back((Instant::now(), body.clone()));
        body
    }

    fn build(&self, op: Op, after: u64, until: u64, now: Ms) -> Body {
        self.board.read(self.selection.feed, |log, clocks| {
            let mut items = String::new();
            let mut removed = String::new();
            let mut offset = after;
            let mut more = false;
            let mut count = 0;
            let mut as_of: Option<Ms> = None;
            let mut published_at: Option<Ms> = None;
            let shown = log.between(after, until).filter(|(_, entry)| self.selection.shows(entry));
            for (key, entry) in shown {
                if op == Op::Snapshot && entry.item.is_none() {
                    continue;
                }
                let size = entry.item.as_ref().map_or(key.len() + 3, |item| item.len() + 1);
                let so_far = items.len() + removed.len();
                if so_far > 0 && so_far + size > FRAME_BYTES - ENVELOPE_BYTES {
                    more = true;
                    break;
                }
                match &entry.item {
                    Some(item) => {
                        comma(&mut items);
                        items.push_str(item);
                    }
                    None => {
                        comma(&mut removed);
                        push_json(&mut removed, key);
                    }
                }
                offset = entry.offset;
                count += 1;
                as_of = as_of.max(clocks.get(&entry.line).copied());
                published_at = match (published_at, entry.published_at) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            if !more {
                offset = until;
            }
            let mut text = String::with_capacity(items.len() + removed.len() + ENVELOPE_BYTES);
            text.push_str(",\"epoch\":");
            push_json(&mut text, self.epoch());
            // Writing to a string never fails.
            let _ = write!(text, ",\"offset\":{offset},\"as_of\":");
            match as_of {
                Some(at) => push_json(&mut text, &rfc3339(at)),
                None => text.push_str("null"),
            }
            text.push_str(",\"sent_at\":");
            push_json(&mut text, &rfc3339(now));
            let _ = write!(text, ",\"data\":{{\"items\":[{items}]");
            if !removed.is_empty() {
                let _ = write!(text, ",\"removed\":[{removed}]");
            }
            text.push('}');
            if op == Op::Snapshot {
                let _ = write!(text, ",\"more\":{more}");
            }
            text.push('}');
            Body { op, after, until, text, offset, more, count, published_at, whole: Mutex::new(None) }
        })
    }
}

/// More than the envelope of a frame takes.
const ENVELOPE_BYTES: usize = 512;

fn comma(list: &mut String) {
    if !list.is_empty() {
        list.push(',');
    }
}

/// Appends `text` as a JSON string.
pub fn push_json(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

// === impl Body ===

impl Body {
    /// The frame for a subscription. Pages number their subscriptions alike, so the last one's text is kept.
    pub fn text(&self, id: u64) -> Utf8Bytes {
        let mut whole = self.whole.lock();
        match &*whole {
            Some((of, text)) if *of == id => text.clone(),
            _ => {
                let text = Utf8Bytes::from(format!("{{\"op\":\"{}\",\"id\":{id}{}", self.op.as_str(), self.text));
                *whole = Some((id, text.clone()));
                text
            }
        }
    }
}
