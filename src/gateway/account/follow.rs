//! Keeping the memory of sessions and keys like the tables: everything is read at once, a handful of statements
//! however many there are and however many sockets stand on them.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Accounts, Principal, Row};
use crate::domain::time::Ms;
use crate::gateway::clock::now;
use crate::store::{Store, StoreError};

/// Everything is read again after this long, also when no change was heard of.
const EVERY: Duration = Duration::from_secs(10);
/// Sessions, and keys, that are read at once. Those beyond are asked for one by one.
const MOST: u32 = 20_000;
/// Tries to read everything while nothing is changed here.
const TRIES: usize = 3;

// === impl Accounts ===

impl Accounts {
    /// Looks whether rights were changed anywhere since the last look, and reads everything anew if so, or when it is
    /// time to. After an error nobody is believed whose rights may have changed.
    ///
    /// # Errors
    /// The global database cannot be asked.
    pub async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        let epoch = store.rights_epoch().await?;
        let is_changed = self.epoch.load(Ordering::Relaxed) != epoch;
        let is_due = self.read_at.lock().is_none_or(|read_at| read_at.elapsed() >= EVERY);
        if is_changed || is_due {
            let started = Instant::now();
            if let Err(error) = self.read_all(store).await {
                if is_changed {
                    self.remembered.iter_mut().for_each(|mut one| one.checked = None);
                }
                return Err(error);
            }
            self.epoch.store(epoch, Ordering::Relaxed);
            *self.read_at.lock() = Some(started);
        }
        Ok(())
    }

    async fn read_all(&self, store: &Store) -> Result<(), StoreError> {
        let at = now();
        self.note_uses(store, at).await?;
        for _ in 0..TRIES {
            let started = Instant::now();
            let changes = self.changes.load(Ordering::Relaxed);
            let sessions = store.live_sessions(at - self.idle_ms, MOST).await?;
            let keys = store.live_keys(MOST).await?;
            // What ended here meanwhile must not be brought back by what was read before its end.
            if self.changes.load(Ordering::Relaxed) == changes {
                let is_all = sessions.len() < MOST as usize && keys.len() < MOST as usize;
                let sessions = sessions.into_iter().map(|row| (None, Row::Session(row)));
                let keys = keys.into_iter().map(|(hash, row)| (Some(hash), Row::Key(row)));
                self.take_all(sessions.chain(keys), started, is_all);
                return Ok(());
            }
        }
        // So busy a moment passes; the next look is soon.
        Err(StoreError::Transient("sessions change faster than they are read".to_owned()))
    }

    fn take_all(&self, rows: impl Iterator<Item = (Option<[u8; 32]>, Row)>, started: Instant, is_all: bool) {
        let mut there = HashSet::new();
        for (hash, row) in rows {
            let principal = row.principal();
            there.insert(principal);
            if self.is_newer(principal, started) {
                continue;
            }
            if let Some(hash) = hash {
                self.hashes.insert(super::TokenHash(hash), principal);
            }
            self.remember(row);
        }
        let others = self.remembered.iter().filter(|one| !there.contains(one.key()));
        let others: Vec<Principal> = others.map(|one| *one.key()).collect();
        for principal in others {
            if self.is_newer(principal, started) {
                continue;
            }
            if is_all { self.forget(principal) } else { self.doubt(principal) }
        }
    }

    /// Whether it was read or made after `started`.
    fn is_newer(&self, principal: Principal, started: Instant) -> bool {
        let known = self.remembered.get(&principal);
        known.is_some_and(|one| one.checked.is_some_and(|checked| checked >= started))
    }

    /// Writes down which sessions and keys were used here, where that is due.
    async fn note_uses(&self, store: &Store, at: Ms) -> Result<(), StoreError> {
        let (mut sessions, mut keys) = (Vec::new(), Vec::new());
        for one in &self.remembered {
            let used_at = one.used_at.load(Ordering::Relaxed);
            if used_at == 0 || one.row.used_at().is_some_and(|noted| used_at - noted < self.touch_ms()) {
                continue;
            }
            match *one.key() {
                Principal::Session(id) => sessions.push(id),
                Principal::Key(id) => keys.push(id),
            }
        }
        store.touch_sessions(&sessions, at).await?;
        store.touch_keys(&keys, at).await
    }
}
