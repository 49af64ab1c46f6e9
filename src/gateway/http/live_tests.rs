//! Clients that do not behave, over real sockets: each is ended with its code, and the others notice nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::tests::Bench;
use crate::domain::production::stop::StopStatus;
use crate::gateway::hub::tests::{stop, told};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Longer than the server is patient with a client that takes nothing.
const PATIENCE: Duration = Duration::from_secs(20);

async fn served(bench: &Bench) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::gateway::serve(listener, bench.app.clone()));
    address
}

async fn connect(bench: &Bench, address: SocketAddr) -> Socket {
    let mut request = format!("ws://{address}/api/v1/live").into_client_request().unwrap();
    let bearer = format!("Bearer {}", bench.token("VIEWER", Some("demo"), None));
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    connect_async(request).await.unwrap().0
}

async fn subscribe(socket: &mut Socket, id: u64, widget: &str) {
    let frame = json!({"op": "subscribe", "id": id, "widget": widget});
    socket.send(Message::Text(frame.to_string().into())).await.unwrap();
}

/// The code of the close, whatever is said before.
async fn closed(socket: &mut Socket) -> u16 {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("an end in time") {
            Some(Ok(Message::Close(close))) => return close.map_or(0, |close| close.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return 0,
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up_and_holds_up_nobody() {
    let bench = Bench::new();
    let board = bench.app.hub.board("demo");
    for at in 0..2_000 {
        board.stop(told(2), &stop("l1", at, 1, StopStatus::Closed), 5_000);
    }
    let address = served(&bench).await;
    let mut slow = connect(&bench, address).await;
    // Far more than lies in the buffers of two kernels.
    for id in 0..200 {
        subscribe(&mut slow, id, "feed_downtime").await;
    }
    let mut other = connect(&bench, address).await;
    let asked = Instant::now();
    subscribe(&mut other, 1, "feed_state").await;
    loop {
        let Some(Ok(Message::Text(text))) = timeout(PATIENCE, other.next()).await.expect("a frame") else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["op"] == "snapshot" {
            break;
        }
    }
    assert!(asked.elapsed() < Duration::from_secs(2), "held up for {:?}", asked.elapsed());
    other.close(None).await.unwrap();
    drop(other);
    let none_left = timeout(PATIENCE, bench.app.connections.none()).await;
    assert!(none_left.is_ok(), "a client that takes nothing is still served");
    drop(slow);
}

#[tokio::test]
async fn who_floods_or_speaks_no_text_is_ended_with_its_code() {
    let bench = Bench::new();
    let address = served(&bench).await;
    let mut silent = connect(&bench, address).await;
    silent.send(Message::Binary(vec![1, 2, 3].into())).await.unwrap();
    assert_eq!(closed(&mut silent).await, 4200);

    let (mut speaking, mut hearing) = connect(&bench, address).await.split();
    let flood = tokio::spawn(async move {
        // Until the server has had enough.
        while speaking.send(Message::Text(r#"{"op":"ping"}"#.into())).await.is_ok() {}
    });
    let code = loop {
        match timeout(PATIENCE, hearing.next()).await.expect("an end in time") {
            Some(Ok(Message::Close(close))) => break close.map_or(0, |close| close.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break 0,
        }
    };
    assert_eq!(code, 4102);
    flood.abort();
}

#[tokio::test]
async fn at_the_end_of_the_process_all_are_told_to_come_again() {
    let bench = Bench::new();
    let address = served(&bench).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = connect(&bench, address).await;
        subscribe(&mut socket, 1, "feed_state").await;
        sockets.push(socket);
    }
    let stopped = Instant::now();
    bench.app.shutdown.cancel();
    for socket in &mut sockets {
        assert_eq!(closed(socket).await, 4000);
    }
    assert!(timeout(PATIENCE, bench.app.connections.none()).await.is_ok());
    assert!(stopped.elapsed() < Duration::from_secs(10), "the drain took {:?}", stopped.elapsed());
}
