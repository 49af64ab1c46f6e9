//! A live connection over a websocket: one task, which never holds more than the frame that it is writing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::session::{Outgoing, Session};
use super::{Counted, HEARTBEAT, frame, sent};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::rights::Identity;

/// The largest frame taken from a client.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// The library would take 128 KiB at once for each socket.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Frames are written at once; this is only how much is gathered before.
pub const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// A frame and the control frames that can come between; beyond that the socket is given up.
pub const MAX_WRITE_BUFFER_BYTES: usize = 128 * 1024;

/// A client that takes nothing for this long is closed.
const SLOW: Duration = Duration::from_secs(10);
/// A client of which nothing was heard for this long, not even an answer to a ping, is gone.
const SILENT: Duration = Duration::from_secs(45);
/// How long the word of a close is waited for.
const CLOSING: Duration = Duration::from_secs(1);
/// Frames written in a row before the client is listened to again.
const BURST: usize = 64;
/// Frames of a client within a heartbeat, beyond which it is a flood.
const MAX_FRAMES: u32 = 1_000;

/// Why a connection is ended, as a close code: 40xx reconnect now, 41xx with back-off, 42xx do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The server stops; another, or its next start, takes over.
    Restart,
    /// Too slow to be written to.
    Slow,
    /// Nothing was heard from it.
    Silent,
    /// More frames than anybody needs.
    Flood,
    /// No text where text is spoken.
    NotText,
    /// The session goes on with other rights: what was subscribed to may not hold any more.
    OtherRights,
    /// The session has ended.
    Ended,
    /// The tenant is not there any more.
    TenantGone,
}

/// What made the loop go round.
enum Turn {
    Go,
    End(Option<Close>),
}

/// A connection and all that belongs to it.
pub struct Connection {
    pub app: Arc<App>,
    pub identity: Identity,
    /// The tenant that is looked at.
    pub tenant: String,
    pub counted: Counted,
}

// === impl Close ===

impl Close {
    pub const ALL: [Close; 8] = [
        Close::Restart,
        Close::OtherRights,
        Close::Slow,
        Close::Silent,
        Close::Flood,
        Close::NotText,
        Close::Ended,
        Close::TenantGone,
    ];

    pub fn code(self) -> u16 {
        match self {
            Close::Restart => 4000,
            Close::OtherRights => 4001,
            Close::Slow => 4100,
            Close::Silent => 4101,
            Close::Flood => 4102,
            Close::NotText => 4200,
            Close::Ended => 4201,
            Close::TenantGone => 4204,
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            Close::Restart => "the server restarts",
            Close::OtherRights => "the rights have changed",
            Close::Slow => "too slow to follow",
            Close::Silent => "nothing heard",
            Close::Flood => "too many frames",
            Close::NotText => "frames are text",
            Close::Ended => "the session has ended",
            Close::TenantGone => "the tenant is gone",
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Serves until either side ends it.
    pub async fn serve(self, mut socket: WebSocket) {
        let board = self.app.hub.board(&self.tenant);
        let mut session = Session::new(self.identity.clone(), board.clone()).with_widgets(&self.app);
        let mut changed = board.watch();
        let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut frames = 0;
        let hello = Message::Text(frame::hello(HEARTBEAT.as_secs(), now()));
        let mut turn = self.write(&mut socket, hello).await;
        while let Turn::Go = turn {
            let behind = match self.write_owed(&mut socket, &mut session).await {
                Ok(behind) => behind,
                Err(end) => {
                    turn = end;
                    break;
                }
            };
            turn = tokio::select! {
                biased;
                () = self.app.shutdown.cancelled() => Turn::End(Some(Close::Restart)),
                () = self.identity.ended.cancelled() => Turn::End(Some(self.why_ended().await)),
                _ = beat.tick() => {
                    frames = 0;
                    if heard.elapsed() > SILENT {
                        Turn::End(Some(Close::Silent))
                    } else {
                        self.beat(&mut socket, &session).await
                    }
                }
                message = socket.recv() => {
                    heard = Instant::now();
                    frames += 1;
                    if frames > MAX_FRAMES { Turn::End(Some(Close::Flood)) } else { self.take(message, &mut session) }
                }
                changed = changed.changed(), if !behind => match changed {
                    Ok(()) => Turn::Go,
                    Err(_) => Turn::End(Some(Close::TenantGone)),
                },
                () = std::future::ready(()), if behind => Turn::Go,
            };
        }
        if let Turn::End(Some(close)) = turn {
            end(socket, close).await;
        }
        drop(self.counted);
    }

    fn take(&self, message: Option<Result<Message, axum::Error>>, session: &mut Session) -> Turn {
        match message {
            Some(Ok(Message::Text(text))) => {
                let Some(tenant) = self.app.directory.get(&self.tenant) else {
                    return Turn::End(Some(Close::TenantGone));
                };
                session.take(&text, &tenant, now());
                Turn::Go
            }
            Some(Ok(Message::Binary(_))) => Turn::End(Some(Close::NotText)),
            // Pings are answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Turn::Go,
            Some(Ok(Message::Close(_)) | Err(_)) | None => Turn::End(None),
        }
    }

    /// Whether there is a session to come again with.
    async fn why_ended(&self) -> Close {
        if self.app.has_session(&self.identity).await { Close::OtherRights } else { Close::Ended }
    }

    async fn beat(&self, socket: &mut WebSocket, session: &Session) -> Turn {
        if !self.app.still_holds(&self.identity).await {
            return Turn::End(Some(self.why_ended().await));
        }
        let text = session.heartbeat(now());
        let outgoing = Outgoing { text, kind: "heartbeat", position: None, published_at: None };
        match self.write_frame(socket, &outgoing).await {
            Turn::Go => self.write(socket, Message::Ping(axum::body::Bytes::new())).await,
            end @ Turn::End(_) => end,
        }
    }

    /// Writes what is owed, up to a burst; whether there is more.
    async fn write_owed(&self, socket: &mut WebSocket, session: &mut Session) -> Result<bool, Turn> {
        for _ in 0..BURST {
            let Some(outgoing) = session.next(now()) else { return Ok(false) };
            if let end @ Turn::End(_) = self.write_frame(socket, &outgoing).await {
                return Err(end);
            }
        }
        Ok(true)
    }

    async fn write_frame(&self, socket: &mut WebSocket, outgoing: &Outgoing) -> Turn {
        let turn = self.write(socket, Message::Text(outgoing.text.clone())).await;
        sent(outgoing, now());
        turn
    }

    /// Writes to the end: what a client does not take, it is not given, and meanwhile nothing piles up here.
    async fn write(&self, socket: &mut WebSocket, message: Message) -> Turn {
        tokio::select! {
            biased;
            written = timeout(SLOW, socket.send(message)) => match written {
                Ok(Ok(())) => Turn::Go,
                Ok(Err(_)) => Turn::End(None),
                Err(_) => Turn::End(Some(Close::Slow)),
            },
            () = self.app.shutdown.cancelled() => Turn::End(Some(Close::Restart)),
        }
    }
}

/// Says why and waits a moment for the client to have heard it.
async fn end(mut socket: WebSocket, close: Close) {
    let frame = CloseFrame { code: close.code(), reason: Utf8Bytes::from_static(close.reason()) };
    let said = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // A client that does not answer has its reason or never will.
    let _ = timeout(CLOSING, said).await;
}
