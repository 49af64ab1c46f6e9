//! Which topics this process owns, and what may still be done in the name of an earlier ownership: nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// One stretch of owning a topic, from a question to Kafka what is published until the topic goes or is asked about
/// again. What was begun under it (a take-over, a reading, a publication on its way) is void once it has ended: a
/// topic that went and came back, or was taken over anew, would else be published twice or read with a gap.
#[derive(Clone, Debug, Default)]
pub struct Grant(Arc<AtomicBool>);

/// The topics that this process owns, and the lock that a transaction holds.
#[derive(Clone, Debug, Default)]
pub struct Ownership {
    topics: Arc<Mutex<HashMap<String, Grant>>>,
    transaction: Arc<tokio::sync::Mutex<()>>,
}

// === impl Grant ===

impl Grant {
    pub fn holds(&self) -> bool {
        !self.0.load(Ordering::Acquire)
    }

    /// What was begun under it is void from now on.
    pub(super) fn end(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The same stretch, not one like it.
impl PartialEq for Grant {
    fn eq(&self, other: &Grant) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

// === impl Ownership ===

impl Ownership {
    pub fn add(&self, topics: &[String]) {
        let mut owned = self.topics.lock();
        for topic in topics {
            if let Some(before) = owned.insert(topic.clone(), Grant::default()) {
                before.end();
            }
        }
    }

    /// Ends what is being done with topics that are still owned, waits for the transaction in flight, and begins
    /// anew: what Kafka says is published from here on will not be overtaken. Topics that are not owned get none.
    pub async fn renew(&self, topics: &[String]) -> HashMap<String, Grant> {
        {
            let owned = self.topics.lock();
            topics.iter().filter_map(|topic| owned.get(topic)).for_each(Grant::end);
        }
        drop(self.transaction().await);
        let mut owned = self.topics.lock();
        let mut fresh = HashMap::new();
        for topic in topics {
            if let Some(grant) = owned.get_mut(topic) {
                grant.end();
                *grant = Grant::default();
                fresh.insert(topic.clone(), grant.clone());
            }
        }
        fresh
    }

    /// Gives topics up, and waits for the transaction in flight. Blocks.
    pub fn give_up(&self, topics: &[String]) {
        self.release(topics);
        drop(self.transaction.blocking_lock());
    }

    /// Nothing more of these topics is published but by the transaction in flight.
    pub fn release(&self, topics: &[String]) {
        let mut owned = self.topics.lock();
        topics.iter().filter_map(|topic| owned.remove(topic)).for_each(|grant| grant.end());
    }

    pub fn topics(&self) -> Vec<String> {
        self.topics.lock().keys().cloned().collect()
    }

    pub fn owns(&self, topic: &str) -> bool {
        self.topics.lock().contains_key(topic)
    }

    /// Held for the time of a transaction.
    pub async fn transaction(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.transaction.lock().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_went_and_came_back_is_another_stretch() {
        let (ownership, topics) = (Ownership::default(), ["a".to_owned()]);
        ownership.add(&topics);
        let first = ownership.renew(&topics).await.remove("a").unwrap();
        assert!(first.holds() && ownership.owns("a"));
        ownership.release(&topics);
        assert!(!first.holds() && !ownership.owns("a"));
        assert_eq!(ownership.renew(&topics).await.len(), 0);
        ownership.add(&topics);
        let second = ownership.renew(&topics).await.remove("a").unwrap();
        assert!(second.holds() && !first.holds() && first != second);
        assert!(ownership.renew(&topics).await["a"].holds() && !second.holds());
    }
}
