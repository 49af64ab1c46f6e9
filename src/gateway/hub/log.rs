//! The changes of a feed, compacted: of every key the last value, in the order of the last changes.
//!
//! A subscriber is one number, the offset up to which it knows everything. A snapshot, the changes of a client that
//! keeps up, the one conflated change of a client that does not, and the rest after a reconnect are all the same
//! question: what has a higher offset than that? So the memory that a slow client costs is that number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::domain::time::Ms;

/// Removals remembered per feed: whoever was away for longer starts anew.
const TOMBSTONES: usize = 4_096;

/// A key's last value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counts the changes of the feed; of this key's last one.
    pub offset: u64,
    pub line: Arc<str>,
    /// A window's name; `None` for feeds without.
    pub window: Option<&'static str>,
    /// The item as JSON; `None`: removed.
    pub item: Option<Arc<str>>,
    /// When the broker took the record that this came from; `None` for what no record told.
    pub published_at: Option<Ms>,
}

/// A feed of one tenant.
#[derive(Debug, Default)]
pub struct Log {
    head: u64,
    entries: HashMap<Arc<str>, Entry>,
    /// Each key once, under its last offset.
    order: BTreeMap<u64, Arc<str>>,
    /// Offsets of removals, ascending by nature of the counter.
    tombstones: BTreeMap<u64, Arc<str>>,
    /// By line: the last removal that is forgotten.
    floors: HashMap<Arc<str>, u64>,
}

// === impl Log ===

impl Log {
    /// Offset of the last change; 0 before the first.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The entry of a key, removed ones included as long as they are remembered.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Sets or removes (`item` is `None`) a key and gives the change its offset. Nothing happens, and `None` comes
    /// back, where that changes nothing.
    pub fn put(
        &mut self,
        key: &str,
        line: &Arc<str>,
        window: Option<&'static str>,
        item: Option<Arc<str>>,
        published_at: Option<Ms>,
    ) -> Option<u64> {
        let before = self.entries.get(key);
        if before.map_or(item.is_none(), |entry| entry.item == item) {
            return None;
        }
        if let Some(before) = before {
            self.order.remove(&before.offset);
            self.tombstones.remove(&before.offset);
        }
        self.head += 1;
        let key: Arc<str> = key.into();
        if item.is_none() {
            self.tombstones.insert(self.head, key.clone());
        }
        self.order.insert(self.head, key.clone());
        let entry = Entry { offset: self.head, line: line.clone(), window, item, published_at };
        self.entries.insert(key, entry);
        self.forget(TOMBSTONES);
        Some(self.head)
    }

    fn forget(&mut self, keep: usize) {
        while self.tombstones.len() > keep {
            let Some((offset, key)) = self.tombstones.pop_first() else { return };
            self.order.remove(&offset);
            if let Some(entry) = self.entries.remove(&key) {
                self.floors.insert(entry.line, offset);
            }
        }
    }

    /// What changed in (`after`, `until`] and not since, in that order.
    pub fn between(&self, after: u64, until: u64) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        let range = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(until.max(after)));
        // An empty range must not have its bounds the wrong way round; (n, n] is fine.
        let keys = if until <= after { None } else { Some(self.order.range(range)) };
        keys.into_iter().flatten().filter_map(|(_, key)| Some((key, self.entries.get(key)?)))
    }

    /// Whether everything that happened to `line` after `offset` is still known.
    pub fn reaches(&self, line: &str, offset: u64) -> bool {
        self.floors.get(line).is_none_or(|floor| *floor <= offset)
    }

    /// Lines of which removals are forgotten.
    pub fn floors(&self) -> impl Iterator<Item = (&Arc<str>, u64)> {
        self.floors.iter().map(|(line, floor)| (line, *floor))
    }

    /// Everything there is, by key.
    pub fn items(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.item.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(log: &mut Log, key: &str, item: Option<&str>) -> Option<u64> {
        log.put(key, &"l1".into(), None, item.map(Into::into), None)
    }

    fn changes(log: &Log, after: u64) -> Vec<(String, Option<String>)> {
        log.between(after, log.head()).map(|(key, e)| (key.to_string(), e.item.as_deref().map(str::to_owned))).collect()
    }

    #[test]
    fn only_the_last_value_of_a_key_is_told() {
        let mut log = Log::default();
        put(&mut log, "a", Some("1"));
        put(&mut log, "b", Some("1"));
        put(&mut log, "a", Some("2"));
        assert_eq!(changes(&log, 0), [("b".into(), Some("1".into())), ("a".into(), Some("2".into()))]);
        assert_eq!(changes(&log, 2), [("a".into(), Some("2".into()))]);
        assert_eq!(changes(&log, 3), []);
    }

    #[test]
    fn what_changes_nothing_has_no_offset() {
        let mut log = Log::default();
        assert_eq!(put(&mut log, "a", None), None);
        assert_eq!(put(&mut log, "a", Some("1")), Some(1));
        assert_eq!(put(&mut log, "a", Some("1")), None);
        assert_eq!(put(&mut log, "a", None), Some(2));
        assert_eq!(put(&mut log, "a", None), None);
        assert_eq!(changes(&log, 1), [("a".into(), None)]);
    }

    #[test]
    fn forgotten_removals_raise_the_floor_of_their_line_alone() {
        let mut log = Log::default();
        put(&mut log, "a", Some("1"));
        put(&mut log, "b", Some("1"));
        put(&mut log, "a", None);
        put(&mut log, "b", None);
        log.forget(1);
        assert!(!log.reaches("l1", 2));
        assert!(log.reaches("l1", 3));
        assert!(log.reaches("l2", 0));
        assert_eq!(changes(&log, 0), [("b".into(), None)]);
        assert!(log.get("a").is_none());
    }
}
