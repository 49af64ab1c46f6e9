//! A live connection as server-sent events, for clients behind proxies that break websockets: one subscription, the
//! same frames, the position as event id.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::frame::Position;
use super::session::{Outgoing, Session};
use super::{Counted, HEARTBEAT, frame, sent};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::directory::Tenant;
use crate::gateway::problem::Problem;
use crate::gateway::rights::Identity;

/// The id of the one subscription.
pub const ID: u64 = 1;
/// How long a client waits before it comes again, milliseconds.
const RETRY_MS: u32 = 2_000;

struct Stream {
    app: Arc<App>,
    identity: Identity,
    session: Session,
    /// What is subscribed to, for a client that has to begin anew: it would come again with the same last id.
    wanted: Wanted,
    changed: watch::Receiver<u64>,
    beat: Interval,
    first: VecDeque<String>,
    over: bool,
    _counted: Counted,
}

/// The one subscription.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub what: frame::Wanted,
    pub tenant: Arc<Tenant>,
}

/// The answer that goes on until either side ends it.
///
/// # Errors
/// What is wrong with the subscription.
pub fn respond(
    app: Arc<App>,
    identity: Identity,
    wanted: Wanted,
    resume: Option<&Position>,
    counted: Counted,
) -> Result<Response, Problem> {
    let board = app.hub.board(&wanted.tenant.name);
    let mut session = Session::new(identity.clone(), board.clone()).with_widgets(&app);
    session.subscribe(ID, &wanted.what, resume, &wanted.tenant)?;
    let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let hello = frame::hello(HEARTBEAT.as_secs(), now());
    let first = VecDeque::from([format!("retry: {RETRY_MS}\n"), format!("data: {hello}\n\n")]);
    let changed = board.watch();
    let stream = Stream { app, identity, session, wanted, changed, beat, first, over: false, _counted: counted };
    let chunks = stream::unfold(stream, |mut stream| async move {
        let chunk = stream.chunk().await?;
        Some((Ok::<Bytes, Infallible>(chunk), stream))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies of nginx' kind would keep events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

// === impl Stream ===

impl Stream {
    /// The next chunk; nothing is built before the connection takes it, so that a slow client is given the latest.
    async fn chunk(&mut self) -> Option<Bytes> {
        if let Some(text) = self.first.pop_front() {
            return Some(text.into());
        }
        while !self.over {
            if let Some(outgoing) = self.session.next(now()) {
                sent(&outgoing, now());
                if outgoing.kind == "must_refetch" {
                    let Wanted { what, tenant } = &self.wanted;
                    self.over = self.session.subscribe(ID, what, None, tenant).is_err();
                }
                return Some(self.event(&outgoing));
            }
            tokio::select! {
                biased;
                () = self.app.shutdown.cancelled() => self.over = true,
                () = self.identity.ended.cancelled() => self.over = true,
                _ = self.beat.tick() => {
                    if !self.app.still_holds(&self.identity).await {
                        return None;
                    }
                    let text = self.session.heartbeat(now());
                    let outgoing = Outgoing { text, kind: "heartbeat", position: None, published_at: None };
                    sent(&outgoing, now());
                    return Some(self.event(&outgoing));
                }
                changed = self.changed.changed() => self.over = changed.is_err(),
            }
        }
        None
    }

    fn event(&self, outgoing: &Outgoing) -> Bytes {
        let text = &outgoing.text;
        match (outgoing.position, self.session.epoch(ID)) {
            (Some(offset), Some(epoch)) => format!("id: {epoch}:{offset}\ndata: {text}\n\n").into(),
            _ => format!("data: {text}\n\n").into(),
        }
    }
}
