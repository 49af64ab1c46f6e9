//! One-time tickets: for clients that can send neither cookie nor header when they open a socket.

use std::time::{Duration, Instant};

use dashmap::DashMap;

use crate::gateway::account::token::{Token, TokenHash};
use crate::gateway::rights::Identity;

/// How long a ticket can be used.
pub const TICKET_FOR: Duration = Duration::from_secs(30);
/// Tickets that wait to be used.
const MAX_TICKETS: usize = 10_000;

/// Tickets given and not used yet. They are this process' own: a socket has to be opened where its ticket was given.
#[derive(Debug, Default)]
pub struct Tickets {
    given: DashMap<TokenHash, (Instant, Identity)>,
}

// === impl Tickets ===

impl Tickets {
    /// A new ticket for the holder of a session; `None` when too many wait to be used.
    pub fn give(&self, identity: &Identity) -> Option<Token> {
        if self.given.len() >= MAX_TICKETS {
            self.given.retain(|_, (given, _)| given.elapsed() < TICKET_FOR);
            if self.given.len() >= MAX_TICKETS {
                return None;
            }
        }
        let token = Token::new();
        self.given.insert(token.hash(), (Instant::now(), identity.clone()));
        Some(token)
    }

    /// Whose ticket it is; it is used up.
    pub fn take(&self, ticket: &str) -> Option<Identity> {
        let (_, (given, identity)) = self.given.remove(&Token::parse(ticket)?.hash())?;
        (given.elapsed() < TICKET_FOR).then_some(identity)
    }
}
