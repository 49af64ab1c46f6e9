//! The live protocol `andon.v1`: a websocket, or the same frames as server-sent events.
//!
//! [`frame`] says what is on the wire, [`session`] what a connection is owed; both know no socket. [`socket`] and
//! [`events`] carry it.

pub mod asyncapi;
pub mod events;
pub mod frame;
pub mod session;
pub mod socket;
pub mod ticket;

#[cfg(test)]
pub mod tests;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use metrics::{counter, gauge, histogram};
use tokio::sync::Notify;

use self::session::Outgoing;
use crate::domain::time::Ms;
use crate::gateway::problem::Problem;
use crate::watch::metrics::{FRAMES, PUBLISH_TO_SOCKET_SECONDS, SOCKETS};

/// Between heartbeats.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Live connections of one user.
const MAX_CONNECTIONS: usize = 64;

/// Counts live connections by user.
#[derive(Debug, Default)]
pub struct Connections {
    by_user: DashMap<i32, usize>,
    one_less: Notify,
}

/// A counted connection; no longer once dropped.
#[derive(Debug)]
pub struct Counted {
    connections: Arc<Connections>,
    user: i32,
}

// === impl Connections ===

impl Connections {
    /// Counts one more.
    ///
    /// # Errors
    /// 429 when the user has too many.
    pub fn enter(self: &Arc<Self>, user: i32) -> Result<Counted, Problem> {
        let mut count = self.by_user.entry(user).or_insert(0);
        if *count >= MAX_CONNECTIONS {
            let detail = format!("a user has at most {MAX_CONNECTIONS} live connections");
            return Err(Problem::too_many(detail, HEARTBEAT));
        }
        *count += 1;
        gauge!(SOCKETS).increment(1.0);
        Ok(Counted { connections: self.clone(), user })
    }

    /// Done when there are none.
    pub async fn none(&self) {
        loop {
            let one_less = self.one_less.notified();
            if self.by_user.is_empty() {
                return;
            }
            one_less.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(SOCKETS).decrement(1.0);
        if let dashmap::Entry::Occupied(mut count) = self.connections.by_user.entry(self.user) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.connections.one_less.notify_waiters();
    }
}

/// Notes that a frame was handed to a connection.
fn sent(frame: &Outgoing, now: Ms) {
    counter!(FRAMES, "kind" => frame.kind).increment(1);
    if let Some(published_at) = frame.published_at {
        // The broker's clock and ours need not agree to the millisecond.
        histogram!(PUBLISH_TO_SOCKET_SECONDS).record((now - published_at).max(0) as f64 / 1e3);
    }
}
