//! The shard: one task per tenant that owns the tenant's lines in this process. It gathers a micro-batch, applies it,
//! commits it in one transaction, and hands what was committed to the publisher. A tenant whose database is slow or
//! away holds nobody up but itself.

mod arrival;
mod care;
mod held;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::engine::clock::Clock;
use crate::engine::inbox::Chunk;
use crate::engine::lane::{Lane, Sealed, Taken};
use crate::engine::ownership::Grant;
use crate::engine::ports::{CommandOutcome, LinePart, ShardStore, StoreError};
use crate::engine::publish::{Outlet, Publication};
use crate::engine::takeover::Assignment;
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics;
use crate::watch::metrics;

/// Records that come to a batch within a moment, from which on there is load.
const BUSY: usize = 150;

/// How a shard paces itself.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A batch waits this long for more once it has begun.
    pub idle: Duration,
    /// One to which many come waits until this long after the batch before it.
    pub loaded: Duration,
    /// A batch is closed at this many records.
    pub rows: usize,
    /// The topic must have been at its end for this long before silence counts.
    pub silence: Duration,
    /// How often timers, commands and versions are looked after.
    pub tick: Duration,
}

/// What a shard is told.
#[derive(Debug)]
pub enum ToShard {
    Records {
        line: String,
        chunk: Chunk,
        /// Under which they were read.
        grant: Grant,
    },
    /// The topic was read to its end.
    End {
        line: String,
        grant: Grant,
    },
    Assigned(Assignment, Grant),
    /// Lines that another process owns from now on.
    Revoked(Vec<String>),
    /// Everything up to these commits is on the topics.
    Published(Vec<(String, u64)>),
}

/// What a shard asks of the consumer's thread.
#[derive(Clone, Debug, PartialEq)]
pub enum FromShard {
    /// Begin to read; a negative offset: from the log's beginning.
    Start { topic: String, offset: i64, grant: Grant },
    /// The line is stopped until a command takes it on: say why, and ask for it again.
    Stopped { topic: String, why: String },
    /// Ask for the line again: this shard lost it or could not take it.
    Again { topic: String },
    /// No tenant or no line of that name is configured here; it may be one day.
    NotOurs { topic: String },
    /// The tenant cannot be served as it should be, and why; none: it can again.
    Trouble { tenant: Arc<str>, why: Option<String> },
}

/// A line that is to be taken over.
struct Wanted {
    assignment: Assignment,
    grant: Grant,
    at: Instant,
}

/// A turn that lasts longer is told as a trouble.
const LONG_TURN: Duration = Duration::from_secs(3);

/// A take-over that the database could not do is tried again after this.
const TAKE_OVER_AGAIN: Duration = Duration::from_secs(1);

/// See the module.
pub struct Shard<S, O, C> {
    tenant: Arc<str>,
    store: S,
    outlet: O,
    clock: C,
    ids: Arc<SchemaIds>,
    pace: Pace,
    lanes: BTreeMap<String, Lane>,
    /// Lines that wait for a command, and why.
    stopped: BTreeMap<String, String>,
    /// Lines to be taken over, and when to try.
    wanted: BTreeMap<String, Wanted>,
    /// Epochs under which a line's log seemed to end before its checkpoint.
    outrun: BTreeMap<String, u64>,
    waiting: Vec<(String, Chunk)>,
    waiting_rows: usize,
    /// Records behind one of which the schema registry has not said what it is, in order; the line's own, whose others
    /// go on.
    held: BTreeMap<String, Vec<Chunk>>,
    /// When the registry is asked for them again.
    ask_again: Option<Instant>,
    /// Records between the consumer's thread and here: the thread pauses the tenant by it.
    buffered: Arc<AtomicUsize>,
    to_consumer: mpsc::UnboundedSender<FromShard>,
    /// Published commits that the store has not been told of.
    published: BTreeMap<String, u64>,
    newest_version: u32,
    refreshed: Option<Instant>,
    looked_after: Option<Instant>,
    noted: Instant,
    /// When the last batch was closed.
    closed: Option<tokio::time::Instant>,
    /// What was last told of it.
    is_troubled: bool,
}

impl<S: ShardStore, O: Outlet, C: Clock> Shard<S, O, C> {
    #[expect(clippy::too_many_arguments, reason = "each is a port or a channel of its own")]
    pub fn new(
        tenant: Arc<str>,
        store: S,
        outlet: O,
        clock: C,
        ids: Arc<SchemaIds>,
        pace: Pace,
        buffered: Arc<AtomicUsize>,
        to_consumer: mpsc::UnboundedSender<FromShard>,
    ) -> Self {
        let noted = clock.instant();
        Shard {
            tenant,
            store,
            outlet,
            clock,
            ids,
            pace,
            lanes: BTreeMap::new(),
            stopped: BTreeMap::new(),
            wanted: BTreeMap::new(),
            outrun: BTreeMap::new(),
            waiting: Vec::new(),
            waiting_rows: 0,
            held: BTreeMap::new(),
            ask_again: None,
            buffered,
            to_consumer,
            published: BTreeMap::new(),
            newest_version: 0,
            refreshed: None,
            looked_after: None,
            noted,
            closed: None,
            is_troubled: false,
        }
    }

    /// Runs until the inbox is closed or `stop` is called; then finishes the batch in hand.
    pub async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<ToShard>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.pace.tick);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                message = inbox.recv() => {
                    let Some(message) = message else { break };
                    self.hear(message);
                    self.gather(&mut inbox, &stop).await;
                }
                _ = tick.tick() => {}
            }
            self.turn(&stop).await;
        }
        inbox.close();
        while let Ok(message) = inbox.try_recv() {
            if let ToShard::Published(progress) = message {
                self.published.extend(progress);
            }
        }
        self.tell_published().await;
    }

    /// What is to be done now; one that lasts is told of while it does.
    async fn turn(&mut self, stop: &CancellationToken) {
        let (teller, tenant) = (self.to_consumer.clone(), self.tenant.clone());
        let was_long = {
            let mut work = std::pin::pin!(async {
                self.take_over_wanted(stop).await;
                self.take_held_up();
                self.commit_waiting(stop).await;
                self.look_after(stop).await;
            });
            let is_long = tokio::time::timeout(LONG_TURN, &mut work).await.is_err();
            if is_long {
                let why = format!("a step takes longer than {LONG_TURN:?}: its database is slow or does not answer");
                let _ = teller.send(FromShard::Trouble { tenant, why: Some(why) });
                work.await;
            }
            is_long
        };
        if was_long {
            self.is_troubled = true;
            self.tell_trouble(None);
        }
    }

    /// Tells the process what keeps the tenant from being served, or that nothing does.
    fn tell_trouble(&mut self, why: Option<String>) {
        if why.is_none() && !self.is_troubled {
            return;
        }
        self.is_troubled = why.is_some();
        let _ = self.to_consumer.send(FromShard::Trouble { tenant: self.tenant.clone(), why });
    }

    /// Waits for the rest of a batch that has begun: a moment, or under load so long that the cost of a commit is
    /// shared by many. It looks into the inbox now and then instead of being woken for each message.
    async fn gather(&mut self, inbox: &mut mpsc::UnboundedReceiver<ToShard>, stop: &CancellationToken) {
        let now = tokio::time::Instant::now();
        let soon = now + self.pace.idle;
        let later = self.closed.map_or(soon, |closed| closed + self.pace.loaded).max(soon);
        let mut now = now;
        loop {
            while self.waiting_rows < self.pace.rows
                && let Ok(message) = inbox.try_recv()
            {
                self.hear(message);
            }
            let deadline = if self.waiting_rows < BUSY { soon } else { later };
            // A line that came waits for nobody.
            let is_full = self.waiting_rows >= self.pace.rows || !self.wanted.is_empty();
            if is_full || now >= deadline || stop.is_cancelled() {
                self.closed = Some(now);
                return;
            }
            tokio::time::sleep_until(deadline.min(now + self.pace.idle)).await;
            now = tokio::time::Instant::now();
        }
    }

    fn hear(&mut self, message: ToShard) {
        match message {
            ToShard::Records { line, chunk, grant } => {
                if let Some(lane) = self.lanes.get_mut(&line).filter(|lane| lane.grant == grant) {
                    lane.caught_up_since = None;
                    if let Some(held) = self.held.get_mut(&line) {
                        held.push(chunk);
                        return;
                    }
                    self.waiting_rows += chunk.len();
                    self.waiting.push((line, chunk));
                } else {
                    self.buffered.fetch_sub(chunk.len(), Ordering::Relaxed);
                }
            }
            ToShard::End { line, grant } => {
                let now = self.clock.instant();
                if let Some(lane) = self.lanes.get_mut(&line).filter(|lane| lane.grant == grant) {
                    lane.caught_up_since.get_or_insert(now);
                    metrics::caught_up(&self.tenant, &line, true);
                }
            }
            ToShard::Assigned(assignment, grant) => {
                // What an earlier stretch left is void, its records too.
                self.drop_lane(&assignment.line);
                let at = self.clock.instant();
                self.wanted.insert(assignment.line.clone(), Wanted { assignment, grant, at });
            }
            ToShard::Revoked(lines) => {
                for line in lines {
                    self.drop_lane(&line);
                }
            }
            ToShard::Published(progress) => self.published.extend(progress),
        }
    }

    fn drop_lane(&mut self, line: &str) {
        self.lanes.remove(line);
        self.wanted.remove(line);
        let buffered = &self.buffered;
        let held = self.held.remove(line).unwrap_or_default();
        buffered.fetch_sub(held.iter().map(Chunk::len).sum(), Ordering::Relaxed);
        let mut gone = 0;
        self.waiting.retain(|(of, chunk)| {
            if of == line {
                gone += chunk.len();
                buffered.fetch_sub(chunk.len(), Ordering::Relaxed);
            }
            of != line
        });
        self.waiting_rows -= gone;
        metrics::line_gone(&self.tenant, line);
    }

    /// Applies what is waiting and commits it.
    async fn commit_waiting(&mut self, stop: &CancellationToken) {
        if self.waiting.is_empty() {
            return;
        }
        let started = self.clock.instant();
        let waiting = std::mem::take(&mut self.waiting);
        let rows = std::mem::take(&mut self.waiting_rows);
        for (line, chunk) in &waiting {
            self.apply(line, chunk, stop).await;
        }
        drop(waiting);
        self.buffered.fetch_sub(rows, Ordering::Relaxed);
        self.commit_applied(stop).await;
        metrics::commit(&self.tenant, rows, self.clock.instant().duration_since(started));
    }

    async fn apply(&mut self, line: &str, chunk: &Chunk, stop: &CancellationToken) {
        let mut from = 0;
        let mut may_refresh = true;
        if self.held.contains_key(line) {
            // Behind those that wait already.
            self.hold(line, chunk.rest(0));
            return;
        }
        loop {
            let Some(lane) = self.lanes.get_mut(line) else { return };
            match lane.take(chunk, from, &self.ids, may_refresh) {
                Taken::All => return,
                // Perhaps the line's file was applied a moment ago.
                Taken::Unknown(at) => {
                    self.refresh().await;
                    (from, may_refresh) = (at, false);
                }
                // A sparse recording can hold years: meanwhile the line may have gone.
                Taken::Full(_) if !lane.grant.holds() => {
                    self.drop_lane(line);
                    return;
                }
                Taken::Full(at) => {
                    self.commit_applied(stop).await;
                    from = at;
                }
                Taken::Unanswered(at) => {
                    self.hold(line, chunk.rest(at));
                    return;
                }
            }
        }
    }

    async fn commit_applied(&mut self, stop: &CancellationToken) {
        if self.resolve_late(stop).await {
            self.commit_dirty(&BTreeMap::new(), stop).await;
        } else {
            // Stopping with a question open: nothing of the batch is committed, and it will be read again.
            self.let_go();
        }
    }

    /// Asks the store which late records it knows. False: the process stops before it has answered.
    async fn resolve_late(&mut self, stop: &CancellationToken) -> bool {
        for (line, lane) in &mut self.lanes {
            let (detections, statuses) = (lane.late_detections(), lane.late_statuses());
            if detections.is_empty() && statuses.is_empty() {
                continue;
            }
            loop {
                let stored = match self.store.known(line, &detections).await {
                    Ok(stored) => self.store.known_statuses(line, &statuses).await.map(|s| (stored, s)),
                    Err(why) => Err(why),
                };
                match stored {
                    Ok((stored, stored_statuses)) => {
                        lane.resolve_late(stored, &stored_statuses);
                        break;
                    }
                    Err(why) => {
                        warn!(tenant = %self.tenant, line, %why, "waiting for the database to look late records up");
                        if !pause_or_stop(stop).await {
                            return false;
                        }
                    }
                }
            }
        }
        true
    }

    /// Commits every line that has something to say, and publishes it.
    async fn commit_dirty(
        &mut self,
        commands: &BTreeMap<String, Vec<(i64, CommandOutcome)>>,
        stop: &CancellationToken,
    ) {
        let instant = self.clock.instant();
        let mut sealed: Vec<(String, String, Sealed)> = self
            .lanes
            .iter_mut()
            .filter(|(_, lane)| lane.is_dirty(instant))
            .map(|(line, lane)| (line.clone(), lane.topic.clone(), lane.seal(instant, &self.ids)))
            .collect();
        while !sealed.is_empty() {
            let parts: Vec<LinePart<'_>> = sealed
                .iter()
                .map(|(line, topic, sealed)| LinePart {
                    line,
                    topic,
                    sealed,
                    commands: commands.get(line).map_or(&[], Vec::as_slice),
                })
                .collect();
            match self.store.commit(&parts).await {
                Ok(()) => {
                    self.tell_trouble(None);
                    self.publish(sealed).await;
                    return;
                }
                Err(StoreError::Fenced(lines)) => {
                    warn!(tenant = %self.tenant, ?lines, "lines have another owner: dropped");
                    metrics::fenced(&self.tenant, lines.len());
                    for line in &lines {
                        self.drop_lane(line);
                        let topic = topics::detections(&self.tenant, line);
                        let _ = self.to_consumer.send(FromShard::Again { topic });
                    }
                    sealed.retain(|(line, _, _)| !lines.contains(line));
                }
                Err(StoreError::Transient(why)) => {
                    warn!(tenant = %self.tenant, why, "commit failed: trying again");
                    self.tell_trouble(Some(why));
                    if !pause_or_stop(stop).await {
                        self.let_go();
                        return;
                    }
                }
                Err(StoreError::Unknown(why)) => {
                    warn!(tenant = %self.tenant, why, "commit unanswered: asking what became of it");
                    self.tell_trouble(Some(why));
                    match self.was_committed(&sealed, stop).await {
                        Some(true) => {
                            self.publish(sealed).await;
                            return;
                        }
                        Some(false) => {}
                        None => {
                            self.let_go();
                            return;
                        }
                    }
                }
                Err(StoreError::Permanent(why)) => {
                    error!(tenant = %self.tenant, why, "commit refused: lines stopped until they are taken over again");
                    for (line, topic, _) in &sealed {
                        metrics::line_stopped(&self.tenant, line, true);
                        self.drop_lane(line);
                        let _ = self.to_consumer.send(FromShard::Again { topic: topic.clone() });
                    }
                    return;
                }
            }
        }
    }

    /// Stopping with a commit open: the lanes are ahead of the database, or their commit lasts and is not published.
    /// Nothing more is done with them; their next owner goes on from the checkpoint and the outbox.
    fn let_go(&mut self) {
        let lines: Vec<String> = self.lanes.keys().cloned().collect();
        lines.iter().for_each(|line| self.drop_lane(line));
    }

    /// One transaction holds all parts, so the first line's checkpoint speaks for all.
    async fn was_committed(&self, sealed: &[(String, String, Sealed)], stop: &CancellationToken) -> Option<bool> {
        let (line, _, first) = sealed.first()?;
        loop {
            match self.store.checkpoint(line).await {
                Ok(there) => {
                    return Some(there.is_some_and(|c| {
                        c.owner_epoch == first.after.owner_epoch && c.commit_seq >= first.after.commit_seq
                    }));
                }
                Err(why) => {
                    warn!(tenant = %self.tenant, %why, "waiting for the database");
                    if !pause_or_stop(stop).await {
                        return None;
                    }
                }
            }
        }
    }

    async fn publish(&mut self, sealed: Vec<(String, String, Sealed)>) {
        let mut publications = Vec::with_capacity(sealed.len());
        for (line, topic, sealed) in sealed {
            let Some(lane) = self.lanes.get(&line) else { continue };
            metrics::line(&self.tenant, &lane.line, &sealed.changes);
            let seq = sealed.after.commit_seq;
            publications.push(Publication::new(&lane.grant, &self.tenant, &line, &topic, seq, sealed.parcel));
        }
        self.outlet.publish(publications).await;
    }
}

/// Waits before the next try; false when the process is to stop.
async fn pause_or_stop(stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = tokio::time::sleep(Duration::from_millis(500)) => true,
    }
}
