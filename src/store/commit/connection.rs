//! Connections of the commits: kept in hand, not in the driver's pool. One that was left in the middle of anything,
//! by an error or by a caller that stopped waiting, is dropped, and the server rolls back what it had begun.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use parking_lot::Mutex;

use super::super::error::StoreError;
use super::CommitError;

/// A connection that was not used for longer is closed: servers close idle ones themselves, without a word.
const IDLE: Duration = Duration::from_secs(60);
/// Longer than any statement of a commit may take on a server that is alive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Statements sent together, in bytes, beyond which more of them are no faster.
const TOGETHER: usize = 2 << 20;

/// Idle connections of one database, the last used first.
#[derive(Debug)]
pub(in crate::store) struct Connections {
    opts: Opts,
    idle: Mutex<Vec<(Session, Instant)>>,
}

/// A connection, between START TRANSACTION and COMMIT.
#[derive(Debug)]
pub(in crate::store) struct Session {
    conn: Conn,
    /// An answer is still to come: nothing more can be asked.
    is_stuck: bool,
    /// Statements that wait to be sent together, and what each has to do.
    queue: Vec<u8>,
    queued: Vec<Expected>,
    /// Longest statement that the server takes, in bytes.
    pub max_packet: usize,
    /// Whether the server lets rows be streamed.
    pub local_infile: bool,
}

/// What a queued statement has to do, or the commit is undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Expected {
    /// Not to fail.
    Success,
    /// To match so many checkpoints.
    Checkpoints(u64),
    /// To match one row; else this is wrong.
    OneRow(String),
}

/// What a statement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Done {
    /// Matched rows of an update, new rows of an insert.
    pub affected: u64,
    pub warnings: u16,
}

/// Waits for an answer; `is_stuck` stays set when none came.
async fn in_time<T>(is_stuck: &mut bool, work: impl Future<Output = mysql_async::Result<T>>) -> Result<T, CommitError> {
    let transient = |text: String| CommitError::Transient(StoreError::Transient(text));
    if std::mem::replace(is_stuck, true) {
        return Err(transient("the connection still waits for an answer".to_owned()));
    }
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => {
            *is_stuck = false;
            Ok(done?)
        }
        Err(_) => Err(transient(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

// === impl Connections ===

impl Connections {
    pub fn new(opts: Opts) -> Self {
        Self { opts, idle: Mutex::default() }
    }

    /// A connection with a transaction begun.
    pub async fn begin(&self) -> Result<Session, CommitError> {
        if let Some(mut session) = self.take() {
            // It may have been closed while it was idle; nothing was sent yet, so a new one is as good.
            if session.begin().await.is_ok() {
                return Ok(session);
            }
        }
        let mut session = Session::connect(self.opts.clone()).await?;
        session.begin().await?;
        Ok(session)
    }

    /// Keeps a connection that is outside a transaction.
    pub fn give_back(&self, session: Session) {
        self.idle.lock().push((session, Instant::now()));
    }

    fn take(&self) -> Option<Session> {
        let mut idle = self.idle.lock();
        let now = Instant::now();
        idle.retain(|(_, since)| now.duration_since(*since) < IDLE);
        idle.pop().map(|(session, _)| session)
    }
}

// === impl Session ===

impl Session {
    async fn connect(opts: Opts) -> Result<Self, CommitError> {
        in_time(&mut false, async {
            let mut conn = Conn::new(opts).await?;
            let settings: Option<(usize, bool)> =
                conn.query_first("SELECT @@max_allowed_packet, @@GLOBAL.local_infile").await?;
            let (max_packet, local_infile) = settings.unwrap_or((1 << 20, false));
            Ok(Self { conn, is_stuck: false, queue: Vec::new(), queued: Vec::new(), max_packet, local_infile })
        })
        .await
    }

    async fn begin(&mut self) -> Result<(), CommitError> {
        self.run(b"START TRANSACTION").await.map(|_| ())
    }

    pub async fn roll_back(&mut self) -> Result<(), CommitError> {
        self.queue.clear();
        self.queued.clear();
        self.run(b"ROLLBACK").await.map(|_| ())
    }

    /// Makes the transaction last.
    pub async fn commit(&mut self) -> Result<(), CommitError> {
        match self.run(b"COMMIT").await {
            Ok(_) => Ok(()),
            // A server that says so has rolled back: a deadlock or a failed certification among its peers.
            Err(CommitError::Permanent(error)) => Err(CommitError::Unknown(error)),
            Err(CommitError::Transient(error)) => Err(CommitError::Unknown(error)),
            Err(error) => Err(error),
        }
    }

    /// Puts a statement in line. Statements travel together: few rows are one round trip, however many tables they go
    /// to, and at a steady rate waking up for answers costs more than the rows. The server stops at the first that
    /// fails.
    pub async fn later(&mut self, sql: &[u8], expected: Expected) -> Result<(), CommitError> {
        if sql.len() + 64 >= self.max_packet {
            let (len, max) = (sql.len(), self.max_packet);
            let problem = format!("a statement of {len} bytes is longer than max_allowed_packet ({max}): raise it");
            return Err(CommitError::invariant(problem));
        }
        if self.queue.len() + sql.len() > TOGETHER.min(self.max_packet - 64) {
            self.flush().await?;
        }
        if !self.queue.is_empty() {
            self.queue.extend_from_slice(b"; ");
        }
        self.queue.extend_from_slice(sql);
        self.queued.push(expected);
        Ok(())
    }

    /// Sends what is in line and sees that every statement did what it had to.
    pub async fn flush(&mut self) -> Result<(), CommitError> {
        if self.queued.is_empty() {
            return Ok(());
        }
        let conn = &mut self.conn;
        let queue = &self.queue;
        let matched: Vec<u64> = in_time(&mut self.is_stuck, async {
            let mut results = conn.query_iter(queue.as_slice()).await?;
            let mut matched = vec![results.affected_rows()];
            while !results.is_empty() {
                results.next().await?;
                matched.push(results.affected_rows());
            }
            results.drop_result().await?;
            Ok(matched)
        })
        .await?;
        self.queue.clear();
        let queued = std::mem::take(&mut self.queued);
        if matched.len() != queued.len() {
            let problem = format!("of {} statements the server answered {}", queued.len(), matched.len());
            return Err(CommitError::invariant(problem));
        }
        for (expected, matched) in queued.into_iter().zip(matched) {
            match expected {
                Expected::Checkpoints(count) if count != matched => return Err(CommitError::Fenced(Vec::new())),
                Expected::OneRow(problem) if matched != 1 => return Err(CommitError::invariant(problem)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn run(&mut self, sql: &[u8]) -> Result<Done, CommitError> {
        let conn = &mut self.conn;
        in_time(&mut self.is_stuck, async {
            conn.query_drop(sql).await?;
            Ok(Done { affected: conn.affected_rows(), warnings: conn.get_warnings() })
        })
        .await
    }

    pub async fn query<R: mysql_async::prelude::FromRow + Send + 'static>(
        &mut self,
        sql: &[u8],
    ) -> Result<Vec<R>, CommitError> {
        in_time(&mut self.is_stuck, self.conn.query(sql)).await
    }

    /// Runs a `LOAD DATA LOCAL` whose file is `chunks`, before what is in line.
    pub async fn load(&mut self, sql: &[u8], chunks: Vec<bytes::Bytes>) -> Result<Done, CommitError> {
        self.conn.set_infile_handler(async move {
            let stream: mysql_async::InfileData = Box::pin(futures_util::stream::iter(chunks.into_iter().map(Ok)));
            Ok(stream)
        });
        self.run(sql).await
    }
}
