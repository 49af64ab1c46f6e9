//! Every frame that the document describes, really sent, over both ways, and nothing that it does not describe.

use std::time::Instant;

use andon::gateway::live::session::MAX_SUBSCRIPTIONS;
use futures_util::SinkExt;
use reqwest::Response;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Bench, Live, now, piece};
use crate::support::PATIENCE;
use crate::support::protocol::Protocol;

/// Server-sent events as they come.
struct Events {
    answer: Response,
    text: String,
}

impl Events {
    /// The id and the data of the next event.
    async fn next(&mut self, protocol: &Protocol) -> (Option<String>, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let (id, data) = (line("id: "), line("data: "));
                self.text = rest.to_owned();
                return (id, protocol.frame(&data.expect("data")));
            }
            let chunk = self.answer.chunk().await.expect("read").expect("an event");
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}

async fn events(bench: &Bench, token: &str, query: &str, last: Option<&str>) -> Events {
    let mut request = reqwest::Client::new().get(bench.url(&format!("/live/events?{query}"))).bearer_auth(token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = request.send().await.expect("answered");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    Events { answer, text: String::new() }
}

async fn say(live: &mut Live, text: impl Into<String>) {
    live.socket.send(Message::Text(text.into().into())).await.expect("sent");
}

/// The next frame of that kind about that subscription.
async fn heard(live: &mut Live, op: &str, id: &Value) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no {op} about {id}");
        let frame = live.hear().await.expect("an open socket");
        assert!(op == "error" || frame["op"] != "error", "{frame}");
        if frame["op"] == op && frame.get("id").unwrap_or(&Value::Null) == id {
            return frame;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_of_the_document_is_sent_and_no_other() {
    let bench = Bench::new().await;
    let (_, token) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    let start = now() - 30_000;
    bench.send("l1", (0..4).map(|n| piece(n, start + n * 5_000)));

    for (id, widget) in ["feed_state", "feed_oee", "feed_downtime", "kpi_oee", "table_stops"].iter().enumerate() {
        live.subscribe(id as u64 + 1, widget, None).await;
        heard(&mut live, "snapshot", &json!(id + 1)).await;
    }
    live.until(3, "a stop", |_| true).await;
    bench.send("l1", [piece(9, start + 25_000)]);
    heard(&mut live, "change", &json!(2)).await;
    heard(&mut live, "heartbeat", &Value::Null).await;
    say(&mut live, r#"{"op":"ping"}"#).await;
    heard(&mut live, "pong", &Value::Null).await;
    live.subscribe(6, "feed_state", Some(&json!({"epoch": "of another start", "offset": 3}))).await;
    heard(&mut live, "must_refetch", &json!(6)).await;

    // Escaped in the answer, it is several times as long as it came.
    let strange = "\u{80}".repeat(8_000);
    let wishes = [
        (json!(null), "no json".to_owned()),
        (json!(null), "[]".to_owned()),
        (json!(7), json!({"op": "gossip", "id": 7}).to_string()),
        (json!(7), json!({"op": "subscribe", "id": 7, "widget": "nothing"}).to_string()),
        (json!(7), json!({"op": "subscribe", "id": 7, "widget": &strange}).to_string()),
        (json!(7), json!({"op": "subscribe", "id": 7, "widget": "feed_state", "params": {&strange: 1}}).to_string()),
        (json!(7), json!({"op": "subscribe", "id": 7, "widget": "kpi_oee", "params": {"line": &strange}}).to_string()),
        (json!(7), json!({"op": "subscribe", "id": 7, "widget": "feed_state", "params": {"line": "l9"}}).to_string()),
        (json!(7), json!({"op": "subscribe", "id": 7, "widget": "kpi_oee", "params": {"window": 5}}).to_string()),
        (json!(1), json!({"op": "subscribe", "id": 1, "widget": "feed_state"}).to_string()),
    ];
    for (id, wish) in wishes {
        say(&mut live, wish).await;
        let refused = heard(&mut live, "error", &id).await;
        assert!(refused["problem"]["status"].as_u64().is_some_and(|status| (400..500).contains(&status)), "{refused}");
    }
    for id in 10..10 + MAX_SUBSCRIPTIONS as u64 {
        live.subscribe(id, "feed_state", None).await;
    }
    heard(&mut live, "error", &json!(9 + MAX_SUBSCRIPTIONS)).await;
    assert_eq!(live.protocol.unheard(), Vec::<String>::new());

    say(&mut live, "x".repeat(64 * 1024)).await;
    assert_ne!(live.closed().await, 1000, "too large");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_the_same_frames_and_go_on_after_their_last_id() {
    let bench = Bench::new().await;
    let (_, token) = bench.sign_in("viewer").await;
    let protocol = Protocol::of(&bench.url("")).await;
    bench.send("l1", [piece(1, now() - 1_000)]);
    for query in ["widget=feed_state", "widget=kpi_oee&line=l1&window=1h"] {
        let mut first = events(&bench, &token, query, None).await;
        assert_eq!(first.next(&protocol).await.1["op"], "hello");
        let (id, frame) = first.next(&protocol).await;
        assert_eq!(frame["op"], "snapshot", "{query}");
        let position = format!("{}:{}", frame["epoch"].as_str().expect("text"), frame["offset"]);
        assert_eq!(id.as_deref(), Some(position.as_str()));
        let is_beat = async |events: &mut Events| loop {
            let (id, frame) = events.next(&protocol).await;
            if frame["op"] == "heartbeat" {
                return id;
            }
        };
        assert_eq!(is_beat(&mut first).await, None, "a heartbeat is no position");
        drop(first);

        let mut again = events(&bench, &token, query, Some(&position)).await;
        assert_eq!(again.next(&protocol).await.1["op"], "hello");
        assert_eq!(again.next(&protocol).await.1["op"], "change", "{query}");
        let mut anew = events(&bench, &token, query, Some("another:1")).await;
        let ops = [anew.next(&protocol).await.1, anew.next(&protocol).await.1, anew.next(&protocol).await.1];
        assert_eq!(ops.map(|frame| frame["op"].clone()), ["hello", "must_refetch", "snapshot"], "{query}");
    }
    bench.end().await;
}
