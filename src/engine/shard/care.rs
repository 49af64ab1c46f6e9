//! What a shard does beside its batches: timers, commands, new configuration versions, the note of what is published.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Shard;
use crate::domain::time::Ms;
use crate::engine::clock::Clock;
use crate::engine::ports::{Command, CommandOutcome, ShardStore};
use crate::engine::publish::Outlet;

impl<S: ShardStore, O: Outlet, C: Clock> Shard<S, O, C> {
    /// Timers, commands, versions and the lazy note of what is published.
    pub(super) async fn look_after(&mut self, stop: &CancellationToken) {
        let instant = self.clock.instant();
        if self.looked_after.is_some_and(|at| instant.duration_since(at) < self.pace.tick) {
            return;
        }
        self.looked_after = Some(instant);
        if self.lanes.is_empty() {
            return;
        }
        if self.refreshed.is_none_or(|at| instant.duration_since(at) >= Duration::from_secs(1)) {
            self.refresh().await;
            self.commit_dirty(&BTreeMap::new(), stop).await;
        }
        self.obey(stop).await;
        let now: Ms = self.clock.now();
        for lane in self.lanes.values_mut() {
            let silent = lane.caught_up_since.is_some_and(|at| instant.duration_since(at) >= self.pace.silence);
            if silent && !self.held.contains_key(lane.line.name()) {
                lane.tick(now, instant);
            }
        }
        self.commit_dirty(&BTreeMap::new(), stop).await;
        if instant.duration_since(self.noted) >= Duration::from_secs(2) {
            self.noted = instant;
            self.tell_published().await;
        }
    }

    /// Takes new configuration versions over, line by line: a line that came later may know more than the others.
    pub(super) async fn refresh(&mut self) {
        self.refreshed = Some(self.clock.instant());
        let newest = match self.store.newest_version().await {
            Ok(newest) => newest,
            Err(why) => {
                warn!(tenant = %self.tenant, %why, "configuration not refreshed");
                return;
            }
        };
        for (line, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.newest_seen < newest) {
            match self.store.versions(line).await {
                Ok(configs) => {
                    if let Some((configs, _)) = configs
                        && lane.line.reconfigure(configs)
                    {
                        info!(tenant = %self.tenant, line, version = newest, "configuration version taken over");
                        lane.touch();
                    }
                    lane.newest_seen = newest;
                }
                Err(why) => {
                    warn!(tenant = %self.tenant, line, %why, "configuration not refreshed");
                    return;
                }
            }
        }
        self.newest_version = newest;
    }

    /// Takes commands up, in a commit of their own.
    async fn obey(&mut self, stop: &CancellationToken) {
        let pending = match self.store.pending().await {
            Ok(pending) => pending,
            Err(why) => {
                warn!(tenant = %self.tenant, %why, "commands not read");
                return;
            }
        };
        let saved = pending.iter().filter_map(|command| match command.command {
            Command::Version { version } => Some(version),
            _ => None,
        });
        let saved = saved.max().unwrap_or(0);
        if saved > self.newest_version {
            self.refresh().await;
            // Commands look at what is stored: what the version changed has to be.
            self.commit_dirty(&BTreeMap::new(), stop).await;
            if saved > self.newest_version {
                return;
            }
        }
        let mut outcomes: BTreeMap<String, Vec<(i64, CommandOutcome)>> = BTreeMap::new();
        let mut undone: HashSet<String> = HashSet::new();
        for command in pending {
            let Some(lane) = self.lanes.get_mut(&command.line) else { continue };
            if undone.contains(&command.line) {
                continue;
            }
            match crate::engine::commands::obey(&self.store, lane, &command).await {
                Ok(outcome) => {
                    lane.touch();
                    info!(tenant = %self.tenant, line = command.line, id = command.id, ?outcome, "command taken up");
                    outcomes.entry(command.line).or_default().push((command.id, outcome));
                }
                Err(why) => {
                    warn!(tenant = %self.tenant, line = command.line, id = command.id, %why, "command waits");
                    undone.insert(command.line);
                }
            }
        }
        if !outcomes.is_empty() {
            self.commit_dirty(&outcomes, stop).await;
        }
    }

    pub(super) async fn tell_published(&mut self) {
        if self.published.is_empty() {
            return;
        }
        let progress: Vec<(String, u64)> = std::mem::take(&mut self.published).into_iter().collect();
        if let Err(why) = self.store.published(&progress).await {
            // Lazy by design: the group's offsets know it too, and the next note says it again.
            warn!(tenant = %self.tenant, %why, "published commits not noted");
        }
    }
}
