//! The recent detections in event order: what can still change, and what tells a repeat from a piece.

use std::collections::VecDeque;

use crate::domain::production::detection::Detection;
use crate::domain::time::Ms;

/// Accepted detections from `keep_from` on, sorted by (time, id). Bounded by the allowed lateness, not by history.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    entries: VecDeque<Detection>,
}

/// What the tail knows of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Not there; it would stand at this index.
    New(usize),
    /// There, with the same content.
    Same,
    /// There, with other content.
    Other,
}

impl Tail {
    /// A tail of what the store had, in any order.
    pub fn from_stored(mut detections: Vec<Detection>) -> Tail {
        detections.sort_unstable_by_key(|d| (d.detected_at, d.detection_id));
        Tail { entries: detections.into() }
    }

    /// Looks an identity up. In-order input ends after one comparison, a slightly late one after a few.
    pub fn find(&self, detection: &Detection) -> Seen {
        let key = (detection.detected_at, detection.detection_id);
        let end = self.entries.len();
        if self.entries.back().is_none_or(|last| (last.detected_at, last.detection_id) < key) {
            return Seen::New(end);
        }
        let near = end.saturating_sub(16);
        let index = if self.key(near) < key {
            (near..end).rev().find(|&i| self.key(i) < key).map_or(near, |i| i + 1)
        } else {
            self.entries.partition_point(|d| (d.detected_at, d.detection_id) < key)
        };
        match self.entries.get(index) {
            Some(there) if (there.detected_at, there.detection_id) == key => {
                if same_content(there, detection) {
                    Seen::Same
                } else {
                    Seen::Other
                }
            }
            _ => Seen::New(index),
        }
    }

    fn key(&self, index: usize) -> (Ms, i64) {
        let entry = &self.entries[index];
        (entry.detected_at, entry.detection_id)
    }

    pub fn insert(&mut self, index: usize, detection: Detection) {
        if index == self.entries.len() {
            self.entries.push_back(detection);
        } else {
            self.entries.insert(index, detection);
        }
    }

    /// Detections with `from <= detected_at < to`.
    pub fn range(&self, from: Ms, to: Ms) -> impl Iterator<Item = &Detection> {
        let start = self.entries.partition_point(|d| d.detected_at < from);
        self.entries.range(start..).take_while(move |d| d.detected_at < to)
    }

    /// Every kept detection in event order.
    pub fn iter(&self) -> impl Iterator<Item = &Detection> {
        self.entries.iter()
    }

    /// Drops what is older than `keep_from`, telling each to `gone`.
    pub fn prune(&mut self, keep_from: Ms, mut gone: impl FnMut(&Detection)) {
        while let Some(first) = self.entries.front() {
            if first.detected_at >= keep_from {
                return;
            }
            gone(first);
            self.entries.pop_front();
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Whether two records of one identity say the same. Confidence compares by bits, so that NaN equals itself.
pub fn same_content(a: &Detection, b: &Detection) -> bool {
    a.area_id == b.area_id
        && a.product_id == b.product_id
        && a.quantity == b.quantity
        && a.camera_id == b.camera_id
        && a.confidence.map(f32::to_bits) == b.confidence.map(f32::to_bits)
}
