//! What a tenant's lines are at: its three feeds and who looks at them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::item::StateItem;
use super::log::Log;
use super::view::{Selection, View};
use super::{Feed, Told};
use crate::domain::production::changes::StateNow;
use crate::domain::production::figure::{Figure, Window};
use crate::domain::production::stop::{Stop, StopStatus};
use crate::domain::time::Ms;
use crate::gateway::directory::LineInfo;

/// Stops that ended longer ago than this leave the feed.
pub const STOPS_FOR_MS: Ms = 48 * 3_600_000;

/// A tenant's latest, in memory. All who change or read it take its lock for microseconds.
#[derive(Debug)]
pub struct Board {
    epoch: Arc<str>,
    inner: Mutex<Inner>,
    /// Woken after changes.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Log,
    oee: Log,
    downtime: Log,
    answer: Log,
    /// Changes of each line's items.
    pulses: HashMap<Arc<str>, u64>,
    /// Clock of each line.
    clocks: HashMap<Arc<str>, Ms>,
    states: HashMap<Arc<str>, LineNow>,
    figures: HashMap<(Arc<str>, Window), (Told, Figure)>,
    stops: HashMap<Arc<str>, (Told, Stop)>,
    /// When removed stops were told to be gone: an older record must not bring them back.
    gone: HashMap<Arc<str>, Told>,
    lines: HashMap<Arc<str>, Arc<LineInfo>>,
    views: HashMap<Selection, Weak<View>>,
    changes: u64,
}

#[derive(Clone, Copy, Debug)]
struct LineNow {
    told: Told,
    state: StateNow,
    watermark: Ms,
    published_at: Option<Ms>,
}

/// The last that a line's topics said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFacts {
    pub state: StateNow,
    pub watermark: Ms,
}

// === impl Board ===

impl Board {
    pub fn new(epoch: Arc<str>) -> Board {
        Board { epoch, inner: Mutex::default(), changed: watch::Sender::new(0) }
    }

    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Marks every change; lag is no loss, as only the latest is of interest.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells subscribers that there is something new; once after a batch.
    pub fn wake(&self) {
        let changes = self.inner.lock().changes;
        self.changed.send_if_modified(|seen| {
            let is_new = *seen != changes;
            *seen = changes;
            is_new
        });
    }

    /// Wakes subscribers for what changed elsewhere: an answer that they look at.
    pub fn nudge(&self) {
        self.inner.lock().changes += 1;
        self.wake();
    }

    /// A number that is another one after any change of the lines in question.
    pub fn pulse(&self, is_asked: impl Fn(&str) -> bool) -> u64 {
        let inner = self.inner.lock();
        inner.pulses.iter().filter(|(line, _)| is_asked(line)).map(|(_, changes)| changes).sum()
    }

    /// Sets the items of an answer: those of `keys`, and takes the others away.
    pub fn tell_answer<'a>(&self, items: impl Iterator<Item = (&'a str, String)>, keys: &HashSet<&str>) {
        let mut inner = self.inner.lock();
        let line: Arc<str> = Arc::from("");
        let gone: Vec<Arc<str>> =
            inner.answer.items().map(|(key, _)| key.clone()).filter(|key| !keys.contains(&**key)).collect();
        for key in gone {
            inner.put(Feed::Answer, &key, &line, None, None, None);
        }
        for (key, item) in items {
            inner.put(Feed::Answer, key, &line, None, Some(item.into()), None);
        }
    }

    pub(super) fn read<T>(&self, feed: Feed, read: impl FnOnce(&Log, &HashMap<Arc<str>, Ms>) -> T) -> T {
        let inner = self.inner.lock();
        read(inner.log(feed), &inner.clocks)
    }

    /// The shared view of `selection`.
    pub fn view(self: &Arc<Self>, selection: &Selection) -> Arc<View> {
        let mut inner = self.inner.lock();
        if let Some(view) = inner.views.get(selection).and_then(Weak::upgrade) {
            return view;
        }
        inner.views.retain(|_, view| view.strong_count() > 0);
        let log = inner.log(selection.feed);
        let shown = log.between(0, log.head()).filter(|(_, entry)| selection.shows(entry));
        let head = shown.map(|(_, entry)| entry.offset).last().unwrap_or(0);
        let view = Arc::new(View::new(self.clone(), selection.clone(), head));
        inner.views.insert(selection.clone(), Arc::downgrade(&view));
        view
    }

    /// A figure and its line's state as a record told them.
    pub fn figure(&self, told: Told, figure: &Figure, state: StateNow, watermark: Ms, published_at: Ms) {
        let mut inner = self.inner.lock();
        let Some(line) = figure.line.as_deref() else { return };
        let line = inner.line(line);
        let slot = (line.clone(), figure.window);
        if inner.figures.get(&slot).is_none_or(|(before, _)| *before <= told) {
            // A number that JSON cannot hold does not come out of a division of integers.
            if let Ok(json) = serde_json::to_string(figure) {
                inner.put(
                    Feed::Oee,
                    &figure_key(&line, figure.window),
                    &line,
                    Some(figure.window),
                    Some(json.into()),
                    Some(published_at),
                );
            }
            inner.figures.insert(slot, (told, figure.clone()));
        }
        // The figures of one batch repeat its state, some milliseconds apart: that is one word, told with the first.
        let first_told = inner.states.get(&line).filter(|before| before.state == state).and_then(|b| b.published_at);
        let published_at = Some(first_told.unwrap_or(published_at));
        let now = LineNow { told, state, watermark, published_at };
        if inner.states.get(&line).is_none_or(|before| before.told <= told) {
            inner.clocks.insert(line.clone(), state.as_of);
            inner.states.insert(line.clone(), now);
            inner.tell_state(&line);
        }
    }

    /// A window that has no figure any more: between shifts.
    pub fn figure_gone(&self, told: Told, line: &str, window: Window, published_at: Ms) {
        let mut inner = self.inner.lock();
        let line = inner.line(line);
        let slot = (line.clone(), window);
        if inner.figures.get(&slot).is_some_and(|(before, _)| *before <= told) {
            inner.figures.remove(&slot);
            let key = figure_key(&line, window);
            inner.put(Feed::Oee, &key, &line, Some(window), None, Some(published_at));
        }
    }

    /// A stop as a record told it.
    pub fn stop(&self, told: Told, stop: &Stop, published_at: Ms) {
        self.inner.lock().stop(told, stop, Some(published_at));
    }

    /// A stop's tombstone.
    pub fn stop_gone(&self, told: Told, line: &str, id: &str, published_at: Ms) {
        let mut inner = self.inner.lock();
        let line = inner.line(line);
        inner.gone.insert(id.into(), told);
        if inner.stops.get(id).is_some_and(|(before, _)| *before <= told) {
            inner.stops.remove(id);
            inner.put(Feed::Downtime, id, &line, None, None, Some(published_at));
        }
    }

    /// A stop as the database has it: for what the topic's end did not tell.
    pub fn seed(&self, stop: &Stop) {
        let mut inner = self.inner.lock();
        let known = inner.stops.contains_key(stop.downtime_id.as_str());
        if !known && !inner.gone.contains_key(stop.downtime_id.as_str()) {
            inner.stop(Told::NEVER, stop, None);
        }
    }

    /// What the tenant's file says of a line; the line's state item repeats it.
    pub fn describe(&self, info: &Arc<LineInfo>) {
        let mut inner = self.inner.lock();
        let line = inner.line(&info.name);
        if inner.lines.get(&line) != Some(info) {
            inner.lines.insert(line.clone(), info.clone());
            inner.tell_state(&line);
        }
    }

    /// Lets go of what is too old for the feeds, by each line's clock.
    pub fn forget_old(&self) {
        let mut inner = self.inner.lock();
        let old: Vec<(Arc<str>, Arc<str>)> = inner
            .stops
            .iter()
            .filter_map(|(id, (_, stop))| {
                let (line, clock) = inner.clocks.get_key_value(stop.line.as_str())?;
                let over = stop.status != StopStatus::Open && stop.ended_at? < clock - STOPS_FOR_MS;
                over.then(|| (id.clone(), line.clone()))
            })
            .collect();
        for (id, line) in old {
            inner.stops.remove(&id);
            inner.put(Feed::Downtime, &id, &line, None, None, None);
        }
        let stops = inner.stops.len().max(1_024);
        if inner.gone.len() > 4 * stops {
            inner.gone.clear();
        }
    }

    /// The last figure of a window.
    pub fn latest(&self, line: &str, window: Window) -> Option<Figure> {
        let inner = self.inner.lock();
        let (line, _) = inner.clocks.get_key_value(line)?;
        inner.figures.get(&(line.clone(), window)).map(|(_, figure)| figure.clone())
    }

    /// The stop that a line is in.
    pub fn open_stop(&self, line: &str) -> Option<Stop> {
        let inner = self.inner.lock();
        let open = inner.stops.values().map(|(_, stop)| stop);
        let open = open.filter(|stop| stop.line == line && stop.status == StopStatus::Open);
        open.max_by_key(|stop| stop.started_at).cloned()
    }

    /// Clock, state and watermark of a line.
    pub fn facts(&self, line: &str) -> Option<LineFacts> {
        let inner = self.inner.lock();
        inner.states.get(line).map(|now| LineFacts { state: now.state, watermark: now.watermark })
    }
}

/// The key of a figure in `feed_oee`.
fn figure_key(line: &str, window: Window) -> String {
    format!("{line} {}", window.as_str())
}

// === impl Inner ===

impl Inner {
    fn log(&self, feed: Feed) -> &Log {
        match feed {
            Feed::State => &self.state,
            Feed::Oee => &self.oee,
            Feed::Downtime => &self.downtime,
            Feed::Answer => &self.answer,
        }
    }

    /// The one shared text of a line's name.
    fn line(&mut self, name: &str) -> Arc<str> {
        match self.states.get_key_value(name).map(|(line, _)| line).or_else(|| Some(self.lines.get_key_value(name)?.0))
        {
            Some(line) => line.clone(),
            None => name.into(),
        }
    }

    fn put(
        &mut self,
        feed: Feed,
        key: &str,
        line: &Arc<str>,
        window: Option<Window>,
        item: Option<Arc<str>>,
        published_at: Option<Ms>,
    ) {
        let log = match feed {
            Feed::State => &mut self.state,
            Feed::Oee => &mut self.oee,
            Feed::Downtime => &mut self.downtime,
            Feed::Answer => &mut self.answer,
        };
        let Some(offset) = log.put(key, line, window.map(Window::as_str), item, published_at) else { return };
        self.changes += 1;
        match self.pulses.get_mut(line) {
            Some(pulse) => *pulse += 1,
            None => drop(self.pulses.insert(line.clone(), 1)),
        }
        let Some(entry) = log.get(key) else { return };
        for (selection, view) in &self.views {
            if selection.feed == feed
                && let Some(view) = view.upgrade()
            {
                view.told(offset, entry);
            }
        }
    }

    fn tell_state(&mut self, line: &Arc<str>) {
        let Some(now) = self.states.get(line).copied() else { return };
        let item = StateItem::new(line, &now.state, now.published_at, self.lines.get(line).map(Arc::as_ref));
        if let Ok(json) = serde_json::to_string(&item) {
            self.put(Feed::State, line, line, None, Some(json.into()), now.published_at);
        }
    }

    fn stop(&mut self, told: Told, stop: &Stop, published_at: Option<Ms>) {
        let id: Arc<str> = stop.downtime_id.as_str().into();
        let line = self.line(&stop.line);
        if self.gone.get(&id).is_some_and(|gone| told < *gone) {
            return;
        }
        if let Some((before, known)) = self.stops.get(&id)
            && (told < *before || stop.revision < known.revision)
        {
            return;
        }
        if let Ok(json) = serde_json::to_string(stop) {
            self.put(Feed::Downtime, &id, &line, None, Some(json.into()), published_at);
        }
        self.stops.insert(id, (told, stop.clone()));
    }
}
