//! A way to the database that can be troubled: it speaks enough of MySQL's protocol to know where a transaction is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What becomes of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// Each connection is cut after some bytes, up to so many, wherever in a transaction that is.
    Cut {
        within: u64,
    },
    /// `COMMIT` reaches the server; its answer is lost and the connection cut: the commit is in doubt.
    LoseAnswers,
    /// The connection is cut instead of passing `COMMIT` on: just as much in doubt, and it did not happen.
    LoseCommits,
    /// Rows that would be added are answered by "The table is full".
    Full,
    /// Nothing is answered any more; when it is over, the connections are cut.
    Silence,
}

const COM_QUERY: u8 = 3;
const COM_STMT_EXECUTE: u8 = 23;
/// Error 1114, state HY000.
const TABLE_FULL: (u16, &str) = (1114, "#HY000The table 'detections' is full");
/// How long the answer of a COMMIT that is to be lost may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Listens on the loopback and passes connections on.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<String>,
    trouble: Mutex<(Trouble, u64)>,
    changed: Notify,
    hits: AtomicU64,
    statements: AtomicU64,
}

/// What both directions of a connection know of each other.
#[derive(Default)]
struct Link {
    /// Answers are thrown away.
    is_mute: AtomicBool,
    answered: Notify,
}

// === impl Proxy ===

impl Proxy {
    /// To `upstream`, as `127.0.0.1:3306`.
    pub async fn start(upstream: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream.to_owned()),
            trouble: Mutex::new((Trouble::None, 0)),
            changed: Notify::new(),
            hits: AtomicU64::new(0),
            statements: AtomicU64::new(0),
        });
        let serving = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = serving.clone();
                tokio::spawn(async move {
                    // A connection that breaks is what this is for.
                    let _ = pass(client, &shared).await;
                });
            }
        });
        Proxy { port, shared }
    }

    /// Where connections made from now on lead.
    pub fn lead_to(&self, upstream: &str) {
        upstream.clone_into(&mut self.shared.upstream.lock());
    }

    /// From now on, for open connections too.
    pub fn set(&self, trouble: Trouble) {
        let mut now = self.shared.trouble.lock();
        *now = (trouble, now.1 + 1);
        drop(now);
        self.shared.changed.notify_waiters();
    }

    /// How often a trouble has struck.
    pub fn hits(&self) -> u64 {
        self.shared.hits.load(Ordering::Relaxed)
    }

    /// How many statements went to the server.
    pub fn statements(&self) -> u64 {
        self.shared.statements.load(Ordering::Relaxed)
    }
}

// === impl Shared ===

impl Shared {
    fn trouble(&self) -> (Trouble, u64) {
        *self.trouble.lock()
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Until nothing is silenced any more.
    async fn spoken(&self) {
        loop {
            let changed = self.changed.notified();
            if self.trouble().0 != Trouble::Silence {
                return;
            }
            changed.await;
        }
    }
}

async fn pass(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let upstream = shared.upstream.lock().clone();
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
    let link = Arc::new(Link::default());
    // Whichever direction ends first ends both.
    tokio::select! {
        done = questions(from_client, to_server, &to_client, &link, shared) => done,
        done = answers(from_server, &to_client, &link, shared) => done,
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    to: &tokio::sync::Mutex<OwnedWriteHalf>,
    link: &Link,
    shared: &Shared,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if shared.trouble().0 == Trouble::Silence {
            shared.hit();
            shared.spoken().await;
            return Ok(());
        }
        if link.is_mute.load(Ordering::SeqCst) {
            link.answered.notify_one();
            continue;
        }
        to.lock().await.write_all(&buffer[..read]).await?;
    }
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    to_client: &tokio::sync::Mutex<OwnedWriteHalf>,
    link: &Link,
    shared: &Shared,
) -> io::Result<()> {
    let mut budget: Option<(u64, u64)> = None;
    loop {
        let mut packet = vec![0; 4];
        from.read_exact(&mut packet).await?;
        let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]) as usize;
        packet.resize(4 + length, 0);
        from.read_exact(&mut packet[4..]).await?;
        if packet[3] == 0 && matches!(packet.get(4), Some(&(COM_QUERY | COM_STMT_EXECUTE))) {
            shared.statements.fetch_add(1, Ordering::Relaxed);
        }
        let statement = (packet[3] == 0 && packet.get(4) == Some(&COM_QUERY)).then(|| &packet[5..]);
        let (trouble, epoch) = shared.trouble();
        match trouble {
            Trouble::Cut { within } => {
                let left = match budget {
                    Some((of, left)) if of == epoch => left,
                    _ => rand::random::<u64>() % within,
                };
                if (packet.len() as u64) >= left {
                    shared.hit();
                    return to.write_all(&packet[..left as usize]).await;
                }
                budget = Some((epoch, left - packet.len() as u64));
            }
            Trouble::LoseAnswers if statement == Some(b"COMMIT") => {
                shared.hit();
                link.is_mute.store(true, Ordering::SeqCst);
                to.write_all(&packet).await?;
                let _ = tokio::time::timeout(ANSWER, link.answered.notified()).await;
                return Ok(());
            }
            Trouble::LoseCommits if statement == Some(b"COMMIT") => {
                shared.hit();
                return Ok(());
            }
            Trouble::Full if statement.is_some_and(adds_rows) => {
                shared.hit();
                to_client.lock().await.write_all(&refusal(TABLE_FULL)).await?;
                continue;
            }
            _ => {}
        }
        to.write_all(&packet).await?;
    }
}

fn adds_rows(statement: &[u8]) -> bool {
    statement.starts_with(b"INSERT") || statement.starts_with(b"LOAD") || statement.starts_with(b"REPLACE")
}

/// An error packet that answers a statement.
fn refusal((code, text): (u16, &str)) -> Vec<u8> {
    let mut body = vec![0xff];
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(text.as_bytes());
    let mut packet = (body.len() as u32).to_le_bytes().to_vec();
    packet[3] = 1;
    packet.extend_from_slice(&body);
    packet
}
