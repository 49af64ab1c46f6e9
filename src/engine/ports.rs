//! What a shard needs of the world: a store that commits, and an outlet that publishes. The simulation stands its own
//! in their place.

use std::future::Future;

use crate::domain::production::changes::MinuteRow;
use crate::domain::production::changes::ShiftRecord;
use crate::domain::production::config::LineConfig;
use crate::domain::production::detection::{CameraStatus, Detection};
use crate::domain::production::input::Classification;
use crate::domain::production::stop::Stop;
use crate::domain::time::{Ms, Span};
use crate::engine::lane::Sealed;
pub use crate::store::{Checkpoint, Forward};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another owner has these lines: what was tried is undone.
    #[error("commit: the lines {0:?} have another owner")]
    Fenced(Vec<String>),
    /// Nothing was done, and the same may work later.
    #[error("{0}")]
    Transient(String),
    /// The answer to the commit was lost: it may have been done.
    #[error("commit: the answer was lost ({0})")]
    Unknown(String),
    /// It will not work without a change.
    #[error("{0}")]
    Permanent(String),
}

/// What a person or an administrator wants of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingCommand {
    pub id: i64,
    pub line: String,
    pub author: String,
    pub command: Command,
}

/// See [`PendingCommand`].
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Classify {
        started_at: Ms,
        reason_code: Option<String>,
        comment: Option<String>,
        /// Reason and comment as its sender has seen them; none: whatever they are.
        was: Option<(Option<String>, Option<String>)>,
    },
    Split {
        at: Ms,
    },
    /// A configuration version was saved.
    Version {
        version: u32,
    },
    /// What follows the checkpoint is gone from the log: go on at `next_offset`, appended at `until`.
    AcceptHole {
        next_offset: i64,
        until: Ms,
    },
    /// The database went back in time: go on under a new incarnation, which tells these stops anew.
    Forward {
        incarnation: u32,
        void: Vec<String>,
    },
    /// A kind or a payload that this binary does not know.
    Unreadable(String),
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    Applied,
    Refused(String),
}

/// One line's part of a commit.
#[derive(Debug)]
pub struct LinePart<'a> {
    pub line: &'a str,
    pub topic: &'a str,
    pub sealed: &'a Sealed,
    pub commands: &'a [(i64, CommandOutcome)],
}

/// The tenant's database, as a shard sees it.
pub trait ShardStore: Send + Sync + 'static {
    /// Bumps the owner's epoch, then reads the checkpoint.
    fn take_over(&self, line: &str, topic: &str) -> impl Future<Output = Result<Checkpoint, StoreError>> + Send;
    /// Reads a checkpoint without touching it.
    fn checkpoint(&self, line: &str) -> impl Future<Output = Result<Option<Checkpoint>, StoreError>> + Send;
    /// By line, the publisher of who took it over last, where that is known.
    fn publishers(&self) -> impl Future<Output = Result<Vec<(String, String)>, StoreError>> + Send;
    /// Detections that are not late, from an instant on.
    fn recent_detections(
        &self,
        line: &str,
        from: Ms,
    ) -> impl Future<Output = Result<Vec<Detection>, StoreError>> + Send;
    fn minutes(&self, line: &str, span: Span) -> impl Future<Output = Result<Vec<MinuteRow>, StoreError>> + Send;
    fn stop(&self, line: &str, started_at: Ms) -> impl Future<Output = Result<Option<Stop>, StoreError>> + Send;
    /// The stop that contains an instant.
    fn stop_around(&self, line: &str, at: Ms) -> impl Future<Output = Result<Option<Stop>, StoreError>> + Send;
    /// Every classification that covers a part of `span`, in the order given.
    fn words(&self, line: &str, span: Span) -> impl Future<Output = Result<Vec<Classification>, StoreError>> + Send;
    /// Every revision of the records of shifts that overlap `span`.
    fn shift_records(
        &self,
        line: &str,
        span: Span,
    ) -> impl Future<Output = Result<Vec<ShiftRecord>, StoreError>> + Send;
    /// Which of these identities are stored, and with what content.
    fn known(
        &self,
        line: &str,
        identities: &[(i64, Ms)],
    ) -> impl Future<Output = Result<Vec<Detection>, StoreError>> + Send;
    /// Which of these statuses are stored.
    fn known_statuses(
        &self,
        line: &str,
        statuses: &[CameraStatus],
    ) -> impl Future<Output = Result<Vec<CameraStatus>, StoreError>> + Send;
    /// Number of the newest configuration version.
    fn newest_version(&self) -> impl Future<Output = Result<u32, StoreError>> + Send;
    /// Every version of a line and how often its figures go out, in milliseconds; none: the line is not configured.
    fn versions(&self, line: &str) -> impl Future<Output = Result<Option<(Vec<LineConfig>, u64)>, StoreError>> + Send;
    /// One transaction over all parts.
    fn commit(&self, parts: &[LinePart<'_>]) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Takes a line that went back in time forward, with the outcome of the command that asked for it.
    fn forward(
        &self,
        line: &str,
        owner: &Checkpoint,
        to: &Forward,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Commands that no commit has taken up, in the order given.
    fn pending(&self) -> impl Future<Output = Result<Vec<PendingCommand>, StoreError>> + Send;
    /// Outbox blobs of commits after `seq`, in order.
    fn outbox_after(
        &self,
        line: &str,
        seq: u64,
    ) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, StoreError>> + Send;
    /// Everything up to `seq` is on the topics: the outbox may forget it.
    fn published(&self, progress: &[(String, u64)]) -> impl Future<Output = Result<(), StoreError>> + Send;
}
