//! A stop from its first sign to its reason and its figures.

use andon::domain::production::batch::{self, BatchInput};
use andon::domain::time::{FOREVER, Span, parse_rfc3339, rfc3339};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{Bench, answer_of, now, piece};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_shows_takes_a_reason_and_counts_the_same_everywhere() {
    let bench = Bench::new().await;
    let (operator, token) = bench.sign_in("operator").await;
    let (viewer, _) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_state", None).await;
    live.subscribe(2, "feed_downtime", None).await;
    // A micro-stop between the sixth and the seventh, then silence.
    let start = now() - 30_000;
    let at = |n: i64| start + n * 700 + if n > 5 { 1_800 } else { 0 };
    bench.send("l1", (0..12).map(|n| piece(n, at(n))));
    let state = live.until(1, "a stopped line", |item| item["state"] == "stopped").await;
    assert_eq!((&state["title"], &state["ideal_cycle_ns"]), (&json!("Line 1"), &json!(1_000_000_000)));
    let stop = live.until(2, "an open stop", |item| item["status"] == "open").await;
    let id = stop["downtime_id"].as_str().expect("an id").to_owned();
    assert_eq!(id, format!("l1:{}", at(11)));

    let put = async |client: &Client, id: &str, wish: Value| {
        answer_of(client.put(bench.url(&format!("/downtime/{id}"))).json(&wish).send().await.expect("answered")).await
    };
    let jam = json!({"reason_code": "jam", "comment": "belt"});
    assert_eq!(put(&viewer, &id, jam.clone()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(put(&operator, "l1:5", jam.clone()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(put(&operator, "l9:5", jam.clone()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(put(&operator, &id, json!({"reason_code": "none"})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, told) = put(&operator, &id, jam).await;
    assert_eq!((status, &told["reason_code"]), (StatusCode::OK, &json!("jam")), "{told}");
    let heard = live.until(2, "the reason", |item| item["reason_code"] == "jam").await;
    assert_eq!((&heard["downtime_id"], &heard["comment"]), (&json!(id), &json!("belt")));

    // The line runs again: the stop closes, and the past is settled.
    let again = now();
    bench.send("l1", (20..40).map(|n| piece(n, again + (n - 20) * 50)));
    let closed = live.until(2, "the end of the stop", |item| item["status"] == "closed").await;
    let last = again + 19 * 50;
    live.until(1, "the last piece", |item| {
        parse_rfc3339(item["as_of"].as_str().expect("a time")).expect("a time") >= last
    })
    .await;
    let period = format!("from={}&to={}", rfc3339(start - 1_000), rfc3339(last));
    let (_, page) =
        answer_of(operator.get(bench.url(&format!("/downtime?line=l1&{period}"))).send().await.expect("answered"))
            .await;
    assert_eq!(page["items"], json!([closed]));

    // Figures of any period, to the millisecond, are those of the plain recomputation.
    let inputs = bench.db.inputs("l1").await.expect("read").into_iter().map(|stored| stored.input).collect();
    let detections = bench.db.detections("l1", Span::new(0, FOREVER), false).await.expect("read");
    let input = BatchInput {
        line: "l1".into(),
        configs: bench.db.line_configs("l1").await.expect("read"),
        detections: detections.into_iter().map(|(detection, _)| detection).collect(),
        inputs,
    };
    let ledger = batch::recompute(&input);
    for (from, to) in [
        (start - 1_000, last),
        (start + 1, last - 1),
        (at(5) + 100, at(5) + 200),
        (at(5) + 100, at(11) + 1),
        (at(11) + 4_321, again - 1),
        (start - 90_000, start - 1),
    ] {
        let path = format!("/metrics/oee?line=l1&from={}&to={}", rfc3339(from), rfc3339(to));
        let (status, body) = answer_of(operator.get(bench.url(&path)).send().await.expect("answered")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let expected = serde_json::to_value(ledger.figure_range(Span::new(from, to))).expect("json");
        let mut told = body["figures"][0].clone();
        // The clock goes on while this reads.
        told["as_of"] = expected["as_of"].clone();
        assert_eq!(told, expected, "{} ms after the start to {}", from - start, to - start);
    }

    let path = format!("/data/aggregate?line=l1&interval=minute&{period}");
    let (status, body) = answer_of(operator.get(bench.url(&path)).send().await.expect("answered")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let pieces: i64 =
        body["items"].as_array().expect("items").iter().filter_map(|i| i["pieces"]["total"].as_i64()).sum();
    assert_eq!(pieces, 32);

    // Whoever signs out is shown out.
    let answer = operator.post(bench.url("/auth/logout")).send().await.expect("answered");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let code = loop {
        if let Err(code) = live.hear().await {
            break code;
        }
    };
    assert_eq!(code, 4201);
    assert_eq!(operator.get(bench.url("/auth/me")).send().await.expect("answered").status(), StatusCode::UNAUTHORIZED);
    bench.end().await;
}
