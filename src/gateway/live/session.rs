//! The server's half of one connection, without the connection: what a client asked for and what it is owed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use metrics::{counter, gauge};

use super::frame::{self, ClientFrame, Position, Refused, Wanted};
use crate::domain::production::figure::Window;
use crate::domain::time::Ms;
use crate::gateway::App;
use crate::gateway::directory::Tenant;
use crate::gateway::hub::Feed;
use crate::gateway::hub::board::Board;
use crate::gateway::hub::view::{Lost, Op, Selection, View};
use crate::gateway::problem::Problem;
use crate::gateway::rights::Identity;
use crate::gateway::widgets::live::{Answered, Answers};
use crate::watch::metrics::{CONFLATIONS, SUBSCRIPTIONS};

/// Subscriptions of one connection.
pub const MAX_SUBSCRIPTIONS: usize = 256;

/// What one connection is subscribed to. A slow client costs this and nothing that grows with its backlog.
pub struct Session {
    identity: Identity,
    board: Arc<Board>,
    /// For widgets; without it only feeds can be subscribed to.
    app: Option<Arc<App>>,
    subscriptions: BTreeMap<u64, Subscription>,
    /// Answers that wait to be written: at most one per frame of the client.
    answers: VecDeque<Outgoing>,
    /// The subscription that was served last: the others come first.
    served: u64,
}

struct Subscription {
    view: Arc<View>,
    /// What keeps a widget's view up to date.
    answered: Option<Arc<Answered>>,
    /// The client knows everything up to here.
    position: u64,
    phase: Phase,
    /// Changes that the view had shown when the client last knew everything, and those told since.
    changes: u64,
    told: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What there is to tell is being gathered: a widget's first answer is made, or the gateway has just started.
    Waiting,
    /// Snapshot up to here.
    Snapshot(u64),
    /// Resumed, and not told so yet.
    Resumed,
    Live,
}

/// A frame to write.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub text: Utf8Bytes,
    /// For the metric.
    pub kind: &'static str,
    /// Position that it takes its subscription to, for the ids of server-sent events.
    pub position: Option<u64>,
    /// When the broker took the oldest change in it.
    pub published_at: Option<Ms>,
}

// === impl Session ===

impl Session {
    /// Nothing subscribed yet.
    pub fn new(identity: Identity, board: Arc<Board>) -> Session {
        let (subscriptions, answers) = (BTreeMap::new(), VecDeque::new());
        Session { identity, board, app: None, subscriptions, answers, served: 0 }
    }

    /// With the widgets of `app`.
    pub fn with_widgets(self, app: &Arc<App>) -> Session {
        Session { app: Some(app.clone()), ..self }
    }

    /// Takes a client's frame; `tenant` as it is now. What there is to answer comes out of [`Session::next`].
    pub fn take(&mut self, text: &str, tenant: &Tenant, now: Ms) {
        let taken = ClientFrame::parse(text).and_then(|frame| match frame {
            ClientFrame::Ping => {
                self.answer("pong", frame::pong(now));
                Ok(())
            }
            ClientFrame::Unsubscribe { id } => {
                self.subscriptions.remove(&id);
                Ok(())
            }
            ClientFrame::Subscribe { id, wanted, resume } => self
                .subscribe(id, &wanted, resume.as_ref(), tenant)
                .map_err(|problem| Refused { id: Some(id), problem }),
        });
        if let Err(Refused { id, problem }) = taken {
            self.answer("error", frame::error(id, &problem));
        }
    }

    /// Subscribes; a snapshot follows, or the rest after `resume`, or `must_refetch`.
    ///
    /// # Errors
    /// A line one may not see, an id in use, too many subscriptions.
    pub fn subscribe(
        &mut self,
        id: u64,
        wanted: &Wanted,
        resume: Option<&Position>,
        tenant: &Tenant,
    ) -> Result<(), Problem> {
        if self.subscriptions.contains_key(&id) {
            return Err(Problem::conflict(format!("id {id} is subscribed already: unsubscribe first")));
        }
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(Problem::conflict(format!("a connection has at most {MAX_SUBSCRIPTIONS} subscriptions")));
        }
        let chosen = self.identity.choose(tenant, wanted.lines())?;
        let lines = chosen.or_else(|| self.identity.permissions.lines.clone()).map(Arc::new);
        let (view, answered) = match wanted {
            Wanted::Feed(feed, params) => {
                let window = params.window.filter(|_| *feed == Feed::Oee).map(Window::as_str);
                (self.board.view(&Selection { feed: *feed, lines, window }), None)
            }
            Wanted::Widget(widget, params) => {
                self.identity.needs(widget.right)?;
                let away = || Problem::unavailable("widgets are not answered here");
                let app = self.app.as_ref().ok_or_else(away)?;
                let answered = Answers::of(app, &tenant.name, widget, params.clone(), lines)?;
                (answered.view(), Some(answered))
            }
        };
        let subscription = match resume {
            None => {
                let is_there = match &answered {
                    Some(answered) => answered.is_made(),
                    None => self.is_whole(),
                };
                let phase = if is_there { Phase::Snapshot(view.head()) } else { Phase::Waiting };
                Subscription::new(view, answered, 0, phase)
            }
            Some(at) => match view.resumes(&at.epoch, at.offset) {
                Ok(()) => Subscription::new(view, answered, at.offset, Phase::Resumed),
                Err(Lost(reason)) => {
                    self.answer("must_refetch", frame::must_refetch(id, reason));
                    return Ok(());
                }
            },
        };
        self.subscriptions.insert(id, subscription);
        Ok(())
    }

    fn answer(&mut self, kind: &'static str, text: Utf8Bytes) {
        self.answers.push_back(Outgoing { text, kind, position: None, published_at: None });
    }

    /// Whether snapshots of feeds tell everything.
    fn is_whole(&self) -> bool {
        self.app.as_ref().is_none_or(|app| app.is_whole())
    }

    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// The epoch of a subscription's positions.
    pub fn epoch(&self, id: u64) -> Option<&str> {
        self.subscriptions.get(&id).map(|subscription| subscription.view.epoch())
    }

    /// The next frame that the client is owed, of its subscriptions in turn; built now, so that it holds the latest.
    pub fn next(&mut self, now: Ms) -> Option<Outgoing> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        let is_whole = self.is_whole();
        let owed = |(id, subscription): (&u64, &Subscription)| subscription.owed(is_whole).then_some(*id);
        let later = (std::ops::Bound::Excluded(self.served), std::ops::Bound::Unbounded);
        let id = self
            .subscriptions
            .range(later)
            .find_map(owed)
            .or_else(|| self.subscriptions.range(..=self.served).find_map(owed))?;
        self.served = id;
        let subscription = self.subscriptions.get_mut(&id)?;
        if let Some(problem) = subscription.refused() {
            self.subscriptions.remove(&id);
            let text = frame::error(Some(id), &problem);
            return Some(Outgoing { text, kind: "error", position: None, published_at: None });
        }
        if let Err(Lost(reason)) = subscription.still_reached() {
            self.subscriptions.remove(&id);
            let text = frame::must_refetch(id, reason);
            return Some(Outgoing { text, kind: "must_refetch", position: None, published_at: None });
        }
        Some(subscription.advance(id, now))
    }

    /// What each subscription's last change is, told or not.
    pub fn heartbeat(&self, now: Ms) -> Utf8Bytes {
        frame::heartbeat(self.subscriptions.iter().map(|(id, subscription)| (*id, subscription.head())), now)
    }
}

// === impl Subscription ===

impl Subscription {
    fn new(view: Arc<View>, answered: Option<Arc<Answered>>, position: u64, phase: Phase) -> Subscription {
        gauge!(SUBSCRIPTIONS).increment(1.0);
        let changes = view.changes();
        Subscription { view, answered, position, phase, changes, told: 0 }
    }

    /// Why a widget will have no answer.
    fn refused(&self) -> Option<Problem> {
        self.answered.as_ref()?.refused()
    }

    /// A client that resumed may know an offset beyond the view's last change: that of a snapshot.
    fn head(&self) -> u64 {
        match self.phase {
            // Nothing was told, so that nothing is missing.
            Phase::Waiting => 0,
            Phase::Snapshot(until) => self.view.head().max(until),
            Phase::Resumed | Phase::Live => self.view.head().max(self.position),
        }
    }

    fn owed(&self, is_whole: bool) -> bool {
        match self.phase {
            Phase::Waiting => self.answered.as_ref().map_or(is_whole, |answered| answered.is_made()),
            Phase::Live => self.view.head() > self.position,
            Phase::Snapshot(_) | Phase::Resumed => true,
        }
    }

    /// A client can be so slow that removals it was not told of are forgotten meanwhile.
    fn still_reached(&self) -> Result<(), Lost> {
        match self.phase {
            // What was removed before or during the snapshot is not in it, or in a piece that is told already.
            Phase::Waiting | Phase::Snapshot(_) if self.position == 0 => Ok(()),
            _ => self.view.resumes(self.view.epoch(), self.position),
        }
    }

    fn advance(&mut self, id: u64, now: Ms) -> Outgoing {
        let changes = self.view.changes();
        if self.phase == Phase::Waiting {
            self.phase = Phase::Snapshot(self.view.head());
        }
        let (op, until) = match self.phase {
            Phase::Snapshot(until) => (Op::Snapshot, until),
            Phase::Waiting | Phase::Resumed | Phase::Live => (Op::Change, self.view.head().max(self.position)),
        };
        let body = self.view.frame(op, self.position, until, now);
        self.position = body.offset;
        if op == Op::Change || !body.more {
            self.phase = Phase::Live;
        }
        if op == Op::Change {
            self.told += body.count;
            if !body.more {
                counter!(CONFLATIONS).increment((changes - self.changes).saturating_sub(self.told));
                (self.changes, self.told) = (changes, 0);
            }
        }
        // A snapshot is no delay: what it tells may be old.
        let published_at = body.published_at.filter(|_| op == Op::Change);
        Outgoing { text: body.text(id), kind: op.as_str(), position: Some(body.offset), published_at }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        gauge!(SUBSCRIPTIONS).decrement(1.0);
    }
}
