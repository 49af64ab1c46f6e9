//! Lines that come to a shard.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{FromShard, Shard, TAKE_OVER_AGAIN, Wanted};
use crate::domain::production::config::LineConfig;
use crate::domain::production::line::{Line, Needs};
use crate::domain::production::stop::{StopStatus, started_at};
use crate::domain::time::{FOREVER, Span};
use crate::engine::clock::Clock;
use crate::engine::lane::{Lane, Progress};
use crate::engine::outbox::Parcel;
use crate::engine::ownership::Grant;
use crate::engine::ports::{Checkpoint, Command, CommandOutcome, Forward, PendingCommand, ShardStore, StoreError};
use crate::engine::publish::{Outlet, Publication};
use crate::engine::takeover::{self, Assignment, Refused, check_log};
use crate::kafka::topics;
use crate::watch::metrics;

impl<S: ShardStore, O: Outlet, C: Clock> Shard<S, O, C> {
    /// Makes this process the owner of the lines that it was given. One that has gone again meanwhile is left alone:
    /// counting its epoch up would throw its new owner out.
    pub(super) async fn take_over_wanted(&mut self, stop: &CancellationToken) {
        let now = self.clock.instant();
        self.wanted.retain(|_, wanted| wanted.grant.holds());
        let due: Vec<String> = self.wanted.iter().filter(|(_, w)| w.at <= now).map(|(line, _)| line.clone()).collect();
        for line in due {
            if let Some(wanted) = self.wanted.remove(&line).filter(|wanted| wanted.grant.holds()) {
                self.take_over(wanted, stop).await;
            }
        }
    }

    /// Makes this process the owner of a line: epoch first, then the state, then what is not published yet.
    async fn take_over(&mut self, wanted: Wanted, stop: &CancellationToken) {
        let line = wanted.assignment.line.clone();
        let topic = topics::detections(&self.tenant, &line);
        match self.try_take_over(&wanted.assignment, &wanted.grant, &topic, stop).await {
            Ok(offset) => {
                info!(tenant = %self.tenant, line, offset, "line taken over");
                self.stopped.remove(&line);
                self.tell_trouble(None);
                metrics::line_stopped(&self.tenant, &line, false);
                let _ = self.to_consumer.send(FromShard::Start { topic, offset, grant: wanted.grant });
            }
            Err(Refused::Store(StoreError::Transient(why) | StoreError::Unknown(why))) => {
                warn!(tenant = %self.tenant, line, why, "waiting for the database to take the line over");
                self.tell_trouble(Some(why));
                self.wanted.insert(line, Wanted { at: self.clock.instant() + TAKE_OVER_AGAIN, ..wanted });
            }
            Err(Refused::NotConfigured) => {
                debug!(tenant = %self.tenant, line, "topic without a configured line");
                let _ = self.to_consumer.send(FromShard::NotOurs { topic });
            }
            Err(why @ Refused::Outrun { .. }) => {
                info!(tenant = %self.tenant, line, %why, "asking again");
                let _ = self.to_consumer.send(FromShard::Again { topic });
            }
            Err(Refused::Store(why)) => {
                error!(tenant = %self.tenant, line, %why, "line stopped until the database lets it be taken over");
                metrics::line_stopped(&self.tenant, &line, true);
                let _ = self.to_consumer.send(FromShard::Again { topic });
            }
            Err(why) => {
                metrics::line_stopped(&self.tenant, &line, true);
                let told = why.to_string();
                // Said once, though it is looked at again and again.
                if self.stopped.get(&line) != Some(&told) {
                    error!(tenant = %self.tenant, line, why = told, "line stopped");
                    self.stopped.insert(line, told.clone());
                }
                if why.is_answerable() {
                    let _ = self.to_consumer.send(FromShard::Stopped { topic, why: told });
                }
            }
        }
    }

    async fn try_take_over(
        &mut self,
        assignment: &Assignment,
        grant: &Grant,
        topic: &str,
        stop: &CancellationToken,
    ) -> Result<i64, Refused> {
        let line = assignment.line.as_str();
        let mut versions = self.store.versions(line).await?;
        if versions.is_none() {
            // A shard without lines looks for no new versions: the one that has this line may be later than all it knows.
            self.store.newest_version().await?;
            versions = self.store.versions(line).await?;
        }
        let Some((configs, cadence_ms)) = versions else { return Err(Refused::NotConfigured) };
        let mut checkpoint = self.store.take_over(line, topic).await?;
        let mut hole = None;
        while let Err(why) = self.check_log(line, &checkpoint, assignment) {
            let Some(answer) = takeover::answer(&self.store, line, &why).await? else { return Err(why) };
            match &answer.command {
                Command::Forward { incarnation, void } => {
                    let to = (*incarnation, assignment.published_seq);
                    let restored = self.restore(line, configs.clone(), &checkpoint).await?;
                    checkpoint = self.forward(restored, checkpoint, to, void, &answer).await?;
                }
                _ => {
                    hole = Some(answer);
                    break;
                }
            }
        }
        let restored = self.restore(line, configs, &checkpoint).await?;
        let published = checkpoint.published_seq.max(assignment.published_seq);
        for (seq, blob) in self.store.outbox_after(line, published).await? {
            let parcel = Parcel::decode(&blob)?;
            self.outlet.publish(vec![Publication::new(grant, &self.tenant, line, topic, seq, parcel)]).await;
        }
        let progress = Progress {
            next_offset: checkpoint.next_offset,
            commit_seq: checkpoint.commit_seq,
            owner_epoch: checkpoint.owner_epoch,
            incarnation: checkpoint.incarnation,
            told_seq: checkpoint.told_seq,
        };
        let cadence = Duration::from_millis(cadence_ms);
        let lane = Lane::new(self.tenant.clone(), restored, progress, grant.clone(), cadence);
        self.lanes.insert(line.to_owned(), lane);
        if let Some(answer) = hole
            && let Command::AcceptHole { next_offset, until } = answer.command
            && let Some(lane) = self.lanes.get_mut(line)
        {
            warn!(tenant = %self.tenant, line, next_offset, author = answer.author, "line goes on after a hole");
            lane.skip(next_offset, until, &answer.author);
            let outcomes = BTreeMap::from([(line.to_owned(), vec![(answer.id, CommandOutcome::Applied)])]);
            self.commit_dirty(&outcomes, stop).await;
        }
        match self.lanes.get(line) {
            Some(lane) => Ok(lane.progress.next_offset),
            // It was not to be committed, and stands where it stood.
            None => Err(StoreError::Transient("the commit of the hole failed".to_owned()).into()),
        }
    }

    /// Takes a line whose database went back in time forward: its next commits follow what is published, under a new
    /// incarnation, and the first of them tells the stops anew of which the topics have a word that no longer holds.
    async fn forward(
        &self,
        restored: Line,
        checkpoint: Checkpoint,
        (incarnation, published_seq): (u32, u64),
        void: &[String],
        answer: &PendingCommand,
    ) -> Result<Checkpoint, Refused> {
        let line = restored.name().to_owned();
        let mut words = Vec::with_capacity(void.len());
        for id in void {
            let stop = match started_at(id) {
                Some(started_at) => self.store.stop(&line, started_at).await?,
                None => None,
            };
            words.push((id.clone(), stop.filter(|stop| stop.status != StopStatus::Retracted)));
        }
        let progress = Progress {
            next_offset: checkpoint.next_offset,
            commit_seq: published_seq,
            owner_epoch: checkpoint.owner_epoch,
            incarnation: incarnation.max(checkpoint.incarnation + 1),
            told_seq: checkpoint.told_seq,
        };
        let lane = Lane::new(self.tenant.clone(), restored, progress, Grant::default(), Duration::ZERO);
        let (after, parcel) = lane.retell(&words, &self.ids);
        let forward = Forward {
            incarnation: after.incarnation,
            published_seq,
            commit_seq: after.commit_seq,
            told_seq: after.told_seq,
            outbox: parcel.encode(),
            command: answer.id,
        };
        self.store.forward(&line, &checkpoint, &forward).await?;
        warn!(
            tenant = %self.tenant, line, incarnation = after.incarnation, author = answer.author,
            "line goes on under a new incarnation"
        );
        Ok(Checkpoint {
            incarnation: after.incarnation,
            commit_seq: after.commit_seq,
            told_seq: after.told_seq,
            published_seq,
            ..checkpoint
        })
    }

    /// The log's end was asked for before the line was taken over: a former owner may have read on until then. Only what
    /// was asked after a take-over of ours, with none between, is the truth.
    fn check_log(&mut self, line: &str, checkpoint: &Checkpoint, assignment: &Assignment) -> Result<(), Refused> {
        let checked = check_log(checkpoint, assignment);
        let Err(Refused::LogEndsEarlier { high, .. }) = checked else {
            self.outrun.remove(line);
            return checked;
        };
        match self.outrun.insert(line.to_owned(), checkpoint.owner_epoch) {
            Some(epoch) if epoch + 1 == checkpoint.owner_epoch => checked,
            _ => Err(Refused::Outrun { high }),
        }
    }

    async fn restore(&self, line: &str, configs: Vec<LineConfig>, checkpoint: &Checkpoint) -> Result<Line, Refused> {
        if checkpoint.state.is_empty() {
            return Ok(Line::new(line, configs));
        }
        let needs = Needs::of(checkpoint.state_version, &checkpoint.state)?;
        let detections = self.store.recent_detections(line, needs.detections_from).await?;
        let minutes = self.store.minutes(line, Span::new(needs.minutes_from, FOREVER)).await?;
        let state = (checkpoint.state_version, checkpoint.state.as_slice());
        Ok(Line::restore(line, configs, state.0, state.1, detections, &minutes)?)
    }
}
