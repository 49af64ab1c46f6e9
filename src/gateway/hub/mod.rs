//! The hub: per tenant what its lines are at, in memory, fed by the topics that the engine publishes.
//!
//! It is both the snapshot and the stream: subscribers never have to match a position in Kafka to one of a socket. A
//! [`board::Board`] holds a tenant's three feeds as compacted [`log::Log`]s; a [`view::View`] is what a subscription
//! sees of one, shared by all that see the same.

pub mod board;
pub mod intake;
pub mod item;
pub mod log;
pub mod view;

#[cfg(test)]
pub mod tests;

use std::sync::Arc;

use dashmap::DashMap;

use self::board::Board;

/// A feed of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// What each line does now; keyed by line.
    State,
    /// Figures; keyed by line and window, `l1 shift`.
    Oee,
    /// Stops of the last two days; keyed by `downtime_id`.
    Downtime,
    /// Items of a widget's answer, on a board of its own. No feed that one could ask for.
    Answer,
}

/// When a line's owner told something: later tellings are greater. Of one line only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// Counts up when a line is taken forward again after its database went back in time.
    pub incarnation: u32,
    pub commit_seq: u64,
}

/// The boards of all tenants.
#[derive(Debug)]
pub struct Hub {
    /// New with every start: offsets of another start mean nothing here.
    epoch: Arc<str>,
    boards: DashMap<String, Arc<Board>>,
}

// === impl Feed ===

impl Feed {
    /// Those that one can subscribe to.
    pub const ALL: [Feed; 3] = [Feed::State, Feed::Oee, Feed::Downtime];

    /// The widget's name in the live protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Feed::State => "feed_state",
            Feed::Oee => "feed_oee",
            Feed::Downtime => "feed_downtime",
            Feed::Answer => "answer",
        }
    }

    pub fn parse(name: &str) -> Option<Feed> {
        Feed::ALL.into_iter().find(|feed| feed.as_str() == name)
    }
}

// === impl Told ===

impl Told {
    /// Before everything that an owner tells.
    pub const NEVER: Told = Told { incarnation: 0, commit_seq: 0 };
}

// === impl Hub ===

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Hub {
    /// An empty hub under a new epoch.
    pub fn new() -> Hub {
        Hub { epoch: format!("{:016x}", rand::random::<u64>()).into(), boards: DashMap::new() }
    }

    /// The board of a tenant, made when there is none. Only for tenants that exist.
    pub fn board(&self, tenant: &str) -> Arc<Board> {
        if let Some(board) = self.boards.get(tenant) {
            return board.clone();
        }
        self.boards.entry(tenant.to_owned()).or_insert_with(|| Arc::new(Board::new(self.epoch.clone()))).clone()
    }

    /// Runs over all boards.
    pub fn each(&self, mut act: impl FnMut(&Arc<Board>)) {
        // Not under the map's own locks.
        let boards: Vec<Arc<Board>> = self.boards.iter().map(|board| board.clone()).collect();
        boards.iter().for_each(&mut act);
    }
}
