//! A line that falls silent, and comes back.

use andon::domain::time::{Ms, parse_rfc3339};
use serde_json::Value;

use super::gateway::{Bench, now, piece};

/// Of the lines of [`Bench`].
const THRESHOLD_MS: Ms = 3_000;
/// What a machine busy with other tests may add to what is promised: threshold + 1 s, and 1 s.
const SLACK_MS: Ms = 4_000;

fn instant(item: &Value, name: &str) -> Ms {
    parse_rfc3339(item[name].as_str().expect("a time")).expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_becomes_a_stop_by_itself_and_the_next_piece_ends_it() {
    let bench = Bench::new().await;
    let (_, token) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_downtime", None).await;
    live.subscribe(2, "feed_state", None).await;
    for round in 0..2 {
        let last = now();
        let ids = round * 100..round * 100 + 10;
        bench.send("l1", ids.map(|n| piece(n, last - (round * 100 + 9 - n) * 100)));
        live.until(2, "a running line", |item| item["state"] == "running" && instant(item, "as_of") >= last).await;
        // Nothing is sent from here on: only the clock goes on.
        let id = format!("l1:{last}");
        let open =
            live.until(1, "the stop", |item| item["downtime_id"] == id.as_str() && item["status"] == "open").await;
        let told = now() - last;
        println!("silent since {told} ms when the stop was on the socket (threshold {THRESHOLD_MS} ms)");
        assert!(told >= THRESHOLD_MS, "a stop after {told} ms");
        assert!(told <= THRESHOLD_MS + 1_000 + SLACK_MS, "a stop only after {told} ms");
        assert_eq!((instant(&open, "started_at"), open["ended_at"].is_null()), (last, true));

        let next = now();
        bench.send("l1", [piece(round * 100 + 50, next)]);
        let is_end = |item: &Value| item["downtime_id"] == id.as_str() && item["status"] == "closed";
        let closed = live.until(1, "its end", is_end).await;
        let told = now() - next;
        println!("closed on the socket {told} ms after the next piece");
        assert!(told <= 1_000 + SLACK_MS, "closed only after {told} ms");
        assert_eq!(instant(&closed, "ended_at"), next);
    }
    bench.end().await;
}
