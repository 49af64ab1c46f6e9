//! A way to a database that can be closed and held: the broken database of a bench.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Nothing passes, in neither direction; it does once the way is open again.
    Held,
    /// Connections end, and new ones at once.
    Shut,
}

/// Listens on the loopback and passes on to a server.
pub struct Gate {
    pub port: u16,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

// === impl Gate ===

impl Gate {
    /// An open way to `server`, `host:port`.
    pub async fn to(server: &str) -> std::io::Result<Gate> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (way, state) = watch::channel(Way::Open);
        let server: Arc<str> = server.into();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, server.clone(), state.clone()));
            }
        });
        Ok(Gate { port, way, task })
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(near: TcpStream, server: Arc<str>, mut state: watch::Receiver<Way>) {
    if *state.borrow() == Way::Shut {
        return;
    }
    let Ok(far) = TcpStream::connect(&*server).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = pass(from_near, to_far, state.clone()) => {}
        () = pass(from_far, to_near, state.clone()) => {}
        _ = state.wait_for(|way| *way == Way::Shut) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<Way>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|way| *way != Way::Held).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
