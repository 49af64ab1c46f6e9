//! Records that wait for the schema registry: it was not heard about their schema, so that they may be good ones. Their
//! line stands before them, as it does before a database that is away; the tenant's other lines go on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::warn;

use super::Shard;
use crate::engine::clock::Clock;
use crate::engine::inbox::Chunk;
use crate::engine::ports::ShardStore;
use crate::engine::publish::Outlet;

/// They are tried again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl<S: ShardStore, O: Outlet, C: Clock> Shard<S, O, C> {
    /// What waits for the schema registry is tried again.
    pub(super) fn take_held_up(&mut self) {
        let now = self.clock.instant();
        if self.ask_again.take_if(|at| *at <= now).is_none() {
            return;
        }
        for (line, chunks) in std::mem::take(&mut self.held) {
            for chunk in chunks {
                self.waiting_rows += chunk.len();
                self.waiting.push((line.clone(), chunk));
            }
            // Silence begins anew: until now the line could not be heard.
            if let Some(lane) = self.lanes.get_mut(&line) {
                lane.caught_up_since = lane.caught_up_since.map(|_| now);
            }
        }
    }

    /// Holds a line's records back until the registry has said what they are.
    pub(super) fn hold(&mut self, line: &str, rest: Chunk) {
        warn!(tenant = %self.tenant, line, records = rest.len(), "records wait for the schema registry");
        self.buffered.fetch_add(rest.len(), Ordering::Relaxed);
        self.held.entry(line.to_owned()).or_default().push(rest);
        let again = self.clock.instant() + ASK_AGAIN;
        self.ask_again.get_or_insert(again);
    }
}
