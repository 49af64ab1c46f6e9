//! Many websocket clients in one process, as cheap as they can be: the other side of the gateway's bench.
//!
//! A process of its own, so that its memory and its CPU are not the gateway's. It is told by its standard input what to
//! connect, then `mark` begins to count and `report` answers, each as a line; its end is the end of the input.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::bench::site::BenchError;
use crate::watch::limits;

/// Connections being made at a time.
const AT_ONCE: usize = 64;
/// Latencies are counted by the millisecond, up to here.
const MOST_MS: usize = 20_000;
/// Longest head of an answer.
const MAX_HEAD: usize = 8 * 1024;
/// A gateway's frame is at most 16 KiB.
const MAX_FRAME: usize = 64 * 1024;
const HOUR_MS: u64 = 3_600_000;

/// What to connect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// `host:port`
    pub listen: String,
    pub sockets: usize,
    /// API keys, used in turns.
    pub keys: Vec<String>,
    /// What each socket says first: one subscription.
    pub subscribe: String,
}

/// What came since the last mark.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heard {
    pub open: usize,
    /// Frames with changes.
    pub changes: u64,
    /// From the line clock in the frame to here, milliseconds.
    pub p50_ms: usize,
    pub p99_ms: usize,
    pub max_ms: usize,
}

struct Shared {
    wish: Wish,
    turns: Semaphore,
    open: AtomicUsize,
    /// Sockets that were given a snapshot.
    there: AtomicUsize,
    changes: AtomicU64,
    times: Vec<AtomicU32>,
}

/// Serves standard input and output.
///
/// # Errors
/// Input that is none, sockets that cannot be opened.
pub async fn run() -> Result<(), BenchError> {
    let failed = |why: &dyn std::fmt::Display| BenchError::Failed(why.to_string());
    limits::raise_open_files();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let wish = lines.next_line().await?.unwrap_or_default();
    let wish: Wish = serde_json::from_str(&wish).map_err(|why| failed(&why))?;
    if wish.keys.is_empty() {
        return Err(failed(&"no keys are given"));
    }
    let times = std::iter::repeat_with(AtomicU32::default).take(MOST_MS + 1).collect();
    let shared = Arc::new(Shared {
        turns: Semaphore::new(AT_ONCE),
        open: AtomicUsize::new(0),
        there: AtomicUsize::new(0),
        changes: AtomicU64::new(0),
        times,
        wish,
    });
    for number in 0..shared.wish.sockets {
        let shared = shared.clone();
        tokio::spawn(async move {
            if let Err(error) = shared.socket(number).await {
                tracing::warn!(number, %error, "a socket ended");
            }
        });
    }
    while let Some(line) = lines.next_line().await? {
        match line.as_str() {
            // Answered with how many are there.
            "there" => println!("{}", shared.there.load(Ordering::SeqCst)),
            "mark" => {
                shared.mark();
                println!("marked");
            }
            "report" => println!("{}", serde_json::to_string(&shared.report()).map_err(|why| failed(&why))?),
            _ => return Err(failed(&"asked for something unknown")),
        }
    }
    Ok(())
}

// === impl Shared ===

impl Shared {
    fn mark(&self) {
        self.changes.store(0, Ordering::SeqCst);
        self.times.iter().for_each(|count| count.store(0, Ordering::SeqCst));
    }

    fn report(&self) -> Heard {
        let counts: Vec<u64> = self.times.iter().map(|count| count.load(Ordering::SeqCst).into()).collect();
        let total: u64 = counts.iter().sum();
        let at = |share: f64| {
            let wanted = (total as f64 * share).ceil() as u64;
            let mut so_far = 0;
            counts.iter().position(|count| {
                so_far += count;
                so_far >= wanted.max(1)
            })
        };
        Heard {
            open: self.open.load(Ordering::SeqCst),
            changes: self.changes.load(Ordering::SeqCst),
            p50_ms: at(0.5).unwrap_or(0),
            p99_ms: at(0.99).unwrap_or(0),
            max_ms: counts.iter().rposition(|count| *count > 0).unwrap_or(0),
        }
    }

    async fn socket(&self, number: usize) -> std::io::Result<()> {
        let turn = self.turns.acquire().await.map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect(&self.wish.listen).await?;
        stream.set_nodelay(true)?;
        let key = &self.wish.keys[number % self.wish.keys.len()];
        let request = format!(
            "GET /api/v1/live HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: andon.v1\r\nAuthorization: Bearer {key}\r\n\r\n",
            self.wish.listen
        );
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::new();
        let head = loop {
            fill(&mut stream, &mut buffer).await?;
            match buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if buffer.len() > MAX_HEAD => return Err(std::io::Error::other("no end of the answer's head")),
                None => {}
            }
        };
        if !buffer.starts_with(b"HTTP/1.1 101") {
            let head = String::from_utf8_lossy(&buffer[..head]).into_owned();
            return Err(std::io::Error::other(head));
        }
        buffer.drain(..head);
        stream.write_all(&masked(TEXT, self.wish.subscribe.as_bytes())).await?;
        self.open.fetch_add(1, Ordering::SeqCst);
        let mut turn = Some(turn);
        let ended = loop {
            while let Some((opcode, range)) = frame(&buffer)? {
                let end = range.end;
                match opcode {
                    PING => stream.write_all(&masked(PONG, &buffer[range])).await?,
                    TEXT if self.hear(&buffer[range]) => drop(turn.take()),
                    _ => {}
                }
                buffer.drain(..end);
            }
            // Nothing is held by those who wait.
            if buffer.is_empty() {
                buffer.shrink_to(0);
            }
            if let Err(ended) = fill(&mut stream, &mut buffer).await {
                break ended;
            }
        };
        self.open.fetch_sub(1, Ordering::SeqCst);
        Err(ended)
    }

    /// Whether it is the first that the socket waited for.
    fn hear(&self, text: &[u8]) -> bool {
        if text.starts_with(b"{\"op\":\"snapshot\"") {
            self.there.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        if text.starts_with(b"{\"op\":\"change\"")
            && let Some(sent) = as_of(text)
        {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
            let took = (now % HOUR_MS + HOUR_MS - sent) % HOUR_MS;
            self.times[(took as usize).min(MOST_MS)].fetch_add(1, Ordering::Relaxed);
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        false
    }
}

const TEXT: u8 = 1;
const PING: u8 = 9;
const PONG: u8 = 10;

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    // Awaited without a buffer, of which there would be thousands.
    stream.readable().await?;
    let mut piece = [0; 4 * 1024];
    match stream.try_read(&mut piece) {
        Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => {
            buffer.extend_from_slice(&piece[..count]);
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opcode and payload of the first frame, when it is whole.
fn frame(buffer: &[u8]) -> std::io::Result<Option<(u8, std::ops::Range<usize>)>> {
    let [first, second, ..] = *buffer else { return Ok(None) };
    let (length, from) = match (second, buffer) {
        (126, [_, _, high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 4),
        (126, _) => return Ok(None),
        (127.., _) => return Err(std::io::Error::other("a frame that no gateway sends")),
        (length, _) => (usize::from(length), 2),
    };
    if length > MAX_FRAME {
        return Err(std::io::Error::other("a frame that is too long"));
    }
    Ok((buffer.len() >= from + length).then_some((first & 15, from..from + length)))
}

/// A frame of a client's, masked with nothing.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// The line clock of a frame, as milliseconds within its hour.
fn as_of(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"as_of\":\"";
    let at = text.windows(NAME.len()).position(|name| name == NAME)? + NAME.len();
    // 2026-01-01T06:00:00.000Z
    let clock = std::str::from_utf8(text.get(at + 14..at + 23)?).ok()?;
    let minutes: u64 = clock.get(..2)?.parse().ok()?;
    let seconds: u64 = clock.get(3..5)?.parse().ok()?;
    let millis: u64 = clock.get(6..9)?.parse().ok()?;
    Some((minutes * 60 + seconds) * 1_000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart() {
        assert_eq!(frame(&[0x81]).unwrap(), None);
        assert_eq!(frame(&[0x81, 2, b'h']).unwrap(), None);
        assert_eq!(frame(&[0x81, 2, b'h', b'i', 0x89]).unwrap(), Some((TEXT, 2..4)));
        let mut long = vec![0x81, 126, 1, 0];
        assert_eq!(frame(&long).unwrap(), None);
        long.extend([b'x'; 256]);
        assert_eq!(frame(&long).unwrap(), Some((TEXT, 4..260)));
        assert!(frame(&[0x81, 127, 0, 0]).is_err());
        assert_eq!(masked(PONG, b""), [0x8a, 0x80, 0, 0, 0, 0]);
        assert_eq!(masked(TEXT, &[b'x'; 200])[..4], [0x81, 0xfe, 0, 200]);
    }

    #[test]
    fn the_line_clock_is_found() {
        let text = br#"{"op":"change","id":1,"epoch":"e","offset":3,"as_of":"2026-01-01T06:02:03.004Z","sent_at":"x"}"#;
        assert_eq!(as_of(text), Some(123_004));
        assert_eq!(as_of(br#"{"as_of":null}"#), None);
    }
}
