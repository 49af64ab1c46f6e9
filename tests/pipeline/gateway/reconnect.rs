//! A socket that is lost and found again.

use andon::domain::time::Span;
use serde_json::{Value, json};

use super::{Bench, Sub, now, piece};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_cut_off_knows_the_same_when_it_is_back() {
    let bench = Bench::new().await;
    let (_, token) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_downtime", None).await;
    let start = now() - 200_000;
    bench.send("l1", (0..5).map(|n| piece(n, start + n * 10_000)));
    live.until(1, "the first stop", |_| true).await;
    let known = live.subs[&1].clone();
    drop(live.socket);

    bench.send("l1", (5..10).map(|n| piece(n, start + n * 10_000)));
    let stops = async || bench.db.stops("l1", Span::new(start, start + 90_000), None, 100).await.expect("read");
    until("nine stops", async || match stops().await.len() {
        9 => Ok(()),
        count => Err(format!("{count}")),
    })
    .await;
    let last = format!("l1:{}", start + 80_000);
    let mut back = bench.socket(&token).await;
    back.subs.insert(1, known.clone());
    back.subscribe(1, "feed_downtime", known.position.as_ref()).await;
    let first = back.hear().await.expect("a frame");
    assert_eq!(first["op"], "change", "resumed, not begun anew");
    let is_last = |item: &Value| item["downtime_id"] == json!(last) && item["status"] == "closed";
    back.until(1, "the last stop", is_last).await;

    let mut fresh = bench.socket(&token).await;
    fresh.subscribe(1, "feed_downtime", None).await;
    fresh.until(1, "the last stop", is_last).await;
    let closed =
        |sub: &Sub| -> Vec<Value> { sub.items.values().filter(|item| item["status"] == "closed").cloned().collect() };
    assert_eq!(closed(&back.subs[&1]).len(), 9);
    assert_eq!(closed(&back.subs[&1]), closed(&fresh.subs[&1]));

    // At the end of the process sockets are told to come again at once.
    let stop = bench.stop.clone();
    stop.cancel();
    for mut live in [back, fresh] {
        let code = loop {
            if let Err(code) = live.hear().await {
                break code;
            }
        };
        assert_eq!(code, 4000);
    }
    bench.end().await;
}
