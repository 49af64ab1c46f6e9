//! Reads of the past.

use andon::domain::production::detection::Detection;
use andon::domain::time::{parse_rfc3339, rfc3339};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Bench, answer_of, now, piece};

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_the_past_add_up_to_what_is_stored() {
    let bench = Bench::new().await;
    let (client, token) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_state", None).await;
    // Ten minutes of pieces of two products, with a stop after each forty.
    let start = now() - 700_000;
    let at = |n: i64| start + n * 1_117 + (n / 40) * 20_000;
    let all: Vec<Detection> =
        (0..300).map(|n| Detection { product_id: 1 + (n % 3 == 0) as i32, ..piece(n, at(n)) }).collect();
    bench.send("l1", all.clone());
    live.until(1, "the last piece", |item| {
        parse_rfc3339(item["as_of"].as_str().expect("a time")).expect("a time") >= at(299)
    })
    .await;
    let get = async |path: String| {
        let (status, body) = answer_of(client.get(bench.url(&path)).send().await.expect("answered")).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    };
    for (from, to) in [(start, at(299) + 1), (at(10) + 1, at(250)), (at(41), at(42) + 7), (at(39) + 5, at(40) - 5)] {
        let period = format!("line=l1&from={}&to={}", rfc3339(from), rfc3339(to));
        let inside: Vec<&Detection> = all.iter().filter(|d| (from..to).contains(&d.detected_at)).collect();

        let mut seen: Vec<i64> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = get(format!("/data/detections?{period}&limit=7{cursor}")).await;
            seen.extend(page["items"].as_array().expect("items").iter().filter_map(|i| i["detection_id"].as_i64()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, inside.iter().map(|d| d.detection_id).collect::<Vec<_>>());
        let only = get(format!("/data/detections?{period}&product=2&limit=1000")).await;
        let of_two = inside.iter().filter(|d| d.product_id == 2).count();
        assert_eq!(only["items"].as_array().map(Vec::len), Some(of_two));

        let by_product = get(format!("/data/production/by-product?{period}&product=2")).await;
        let output: i64 =
            by_product["items"].as_array().expect("items").iter().filter_map(|i| i["output"].as_i64()).sum();
        assert_eq!(output, of_two as i64);
        let by_area = get(format!("/data/production/by-area?{period}")).await;
        assert_eq!(by_area["items"][0]["quantity"], json!(inside.len()));
        let summary = get(format!("/data/production/summary?{period}")).await;
        assert_eq!(summary["total"]["pieces"]["total"], json!(inside.len()));
        assert_eq!(summary["total"]["without_weight"], json!(inside.len()));

        let figures = get(format!("/metrics/oee?{period}")).await;
        let figure = &figures["figures"][0];
        for metric in ["availability", "performance", "quality"] {
            let parts = get(format!("/metrics/{metric}?{period}")).await;
            assert_eq!(parts["items"][0]["value"], figure[metric], "{metric}");
        }
        let stops = get(format!("/downtime/summary?{period}")).await;
        assert_eq!(stops["unplanned"]["duration_ms"], figure["buckets_ms"]["stopped"], "{stops}");
        assert_eq!(stops["total"], stops["unplanned"]);
        let two = get(format!("/metrics/comparison?{period}")).await;
        assert_eq!(two["current"]["figures"][0]["pieces"], figure["pieces"]);
        assert_eq!(two["against"]["figures"][0]["to"], figure["from"]);
    }

    // The same as files, and from the stored inputs alone.
    let csv = async |path: String| -> Vec<Vec<String>> {
        let answer = client.get(bench.url(&path)).send().await.expect("answered");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(answer.headers()["content-type"].to_str().expect("text").starts_with("text/csv"));
        let text = answer.text().await.expect("a whole file");
        text.split_terminator("\r\n").map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let (from, to) = (rfc3339(at(10)), rfc3339(at(250)));
    let period = format!("line=l1&from={from}&to={to}");
    let rows = csv(format!("/export/detections?{period}")).await;
    assert_eq!(rows[0][..3], ["line", "detection_id", "detected_at"]);
    let page = get(format!("/data/detections?{period}&limit=1000")).await;
    let told: Vec<(String, String)> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| (item["detection_id"].to_string(), item["detected_at"].as_str().expect("a time").to_owned()))
        .collect();
    assert_eq!(rows[1..].iter().map(|row| (row[1].clone(), row[2].clone())).collect::<Vec<_>>(), told);
    let rows = csv(format!("/export/downtime?{period}")).await;
    let stops = get(format!("/downtime?{period}")).await;
    let ids: Vec<&str> =
        stops["items"].as_array().expect("items").iter().filter_map(|stop| stop["downtime_id"].as_str()).collect();
    assert_eq!(rows[1..].iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ids);
    let rows = csv(format!("/export/figures?{period}&interval=minute")).await;
    let aggregate = get(format!("/data/aggregate?{period}&interval=minute")).await;
    let column = rows[0].iter().position(|name| name == "pieces_total").expect("a column");
    let items = aggregate["items"].as_array().expect("items");
    let totals: Vec<String> = items.iter().map(|item| item["pieces"]["total"].to_string()).collect();
    assert_eq!(rows[1..].iter().map(|row| row[column].clone()).collect::<Vec<_>>(), totals);
    let wish = json!({"from": from, "to": to, "line": ["l1"], "interval": "minute"});
    let post = client.post(bench.url("/data/detections/aggregate")).json(&wish);
    assert_eq!(answer_of(post.send().await.expect("answered")).await, (StatusCode::OK, aggregate));

    let wish = json!({"line": "l1", "from": from, "to": to});
    let calculate = async |client: &reqwest::Client| {
        let post = client.post(bench.url("/downtime/calculate")).json(&wish);
        answer_of(post.send().await.expect("answered")).await
    };
    assert_eq!(calculate(&client).await.0, StatusCode::FORBIDDEN);
    let (admin, _) = bench.sign_in("admin").await;
    let (status, told) = calculate(&admin).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    // A plain recomputation has no history: it counts no revisions.
    let without_revisions = |stops: &Value| -> Vec<Value> {
        let mut stops = stops.as_array().expect("stops").clone();
        stops.iter_mut().for_each(|stop| stop["revision"] = Value::Null);
        stops
    };
    assert_eq!(without_revisions(&told["stops"]), without_revisions(&stops["items"]));
    bench.end().await;
}
