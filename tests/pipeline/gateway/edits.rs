//! Changes of what a tenant's file says, while its lines run.

use andon::domain::production::batch::{self, BatchInput};
use andon::domain::time::{FOREVER, Span};
use futures_util::future::join_all;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::{Bench, now, piece};
use crate::support::until;

/// An answer: its status, its `ETag` and its body.
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) tag: String,
    pub(super) body: Value,
}

pub(super) async fn ask(
    bench: &Bench,
    client: &Client,
    method: Method,
    path: &str,
    tag: Option<&str>,
    body: Option<Value>,
) -> Told {
    let mut request = client.request(method, bench.url(path));
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("answered");
    let tag = answer.headers().get("etag").map(|tag| tag.to_str().expect("text").to_owned()).unwrap_or_default();
    Told { status: answer.status(), tag, body: answer.json().await.unwrap_or(Value::Null) }
}

pub(super) async fn get(bench: &Bench, client: &Client, path: &str) -> Told {
    ask(bench, client, Method::GET, path, None, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_threshold_holds_for_what_comes_next() {
    let bench = Bench::new().await;
    let (admin, token) = bench.sign_in("admin").await;
    let start = now();
    bench.send("l1", (0..5).map(|n| piece(n, start - 5_000 + n * 1_000)));
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_state", None).await;
    live.until(1, "a running line", |item| item["state"] == "running").await;

    let line = get(&bench, &admin, "/production/lines/l1").await;
    let mut entry = line.body["config"].clone();
    assert_eq!(entry["downtime_threshold_s"], json!(3), "{entry}");
    entry["downtime_threshold_s"] = json!(20);
    let put = Method::PUT;
    let changed = ask(&bench, &admin, put, "/production/lines/l1", Some(&line.tag), Some(entry)).await;
    assert_eq!((changed.status, &changed.body["version"]), (StatusCode::OK, &json!(2)), "{}", changed.body);
    assert_eq!(changed.body["changes"], json!(["line l1: downtime_threshold_s: 3 → 20"]));
    let again = get(&bench, &admin, "/production/lines/l1").await;
    assert_eq!((again.tag, &again.body["downtime_threshold_ms"]), (changed.tag, &json!(20_000)));
    until("the lines to take the version over", async || match bench.db.pending().await.expect("read").as_slice() {
        [] => Ok(()),
        waiting => Err(format!("{waiting:?}")),
    })
    .await;

    // Ten seconds later a gap of ten is no stop any more.
    let later = now() + 10_000;
    bench.send("l1", [piece(10, later), piece(11, later + 10_000), piece(12, later + 40_000)]);
    live.until(1, "the last piece", |item| {
        item["as_of"].as_str() >= Some(&andon::domain::time::rfc3339(later + 40_000))
    })
    .await;
    let stops = bench.db.stops("l1", Span::new(later, later + 40_000), None, 10).await.expect("read");
    let starts: Vec<_> = stops.iter().map(|stop| stop.started_at).collect();
    assert!(starts.contains(&(later + 10_000)) && !starts.contains(&later), "{starts:?}");
    let input = BatchInput {
        line: "l1".into(),
        configs: bench.db.line_configs("l1").await.expect("read"),
        detections: {
            let all = bench.db.detections("l1", Span::new(0, FOREVER), false).await.expect("read");
            all.into_iter().map(|(detection, _)| detection).collect()
        },
        inputs: bench.db.inputs("l1").await.expect("read").into_iter().map(|stored| stored.input).collect(),
    };
    let again = batch::recompute(&input).report(Span::new(later, later + 40_000)).stops;
    let closed = |stops: Vec<andon::domain::production::stop::Stop>| -> Vec<_> {
        stops.into_iter().filter(|stop| stop.ended_at.is_some()).map(|stop| (stop.started_at, stop.ended_at)).collect()
    };
    assert_eq!(closed(stops), closed(again));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_several_people_conflict_openly_and_none_is_lost() {
    let bench = Bench::new().await;
    let (admin, _) = bench.sign_in("admin").await;
    let create = |id: i32| {
        let entry = json!({"id": id, "code": format!("P{id}")});
        ask(&bench, &admin, Method::POST, "/production/products", None, Some(entry))
    };
    for told in join_all((1..=6).map(create)).await {
        assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
        assert!(!told.tag.is_empty());
    }
    let all = get(&bench, &admin, "/production/products").await;
    let mut codes: Vec<&str> =
        all.body["items"].as_array().expect("items").iter().filter_map(|p| p["code"].as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["P1", "P2", "P3", "P4", "P5", "P6"]);
    assert_eq!(create(3).await.status, StatusCode::CONFLICT);

    // Two have read the same; who comes second is told so.
    let path = "/production/products/3";
    let seen = get(&bench, &admin, path).await;
    let rename =
        |name: &str| ask(&bench, &admin, Method::PUT, path, Some(&seen.tag), Some(json!({"code": "P3", "name": name})));
    let told = join_all([rename("one"), rename("two")]).await;
    let mut statuses: Vec<u16> = told.iter().map(|told| told.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let won = told.iter().find(|told| told.status == StatusCode::OK).expect("one of them");
    assert_eq!(get(&bench, &admin, path).await.body, won.body["item"]);
    let removed = ask(&bench, &admin, Method::DELETE, path, Some(&seen.tag), None).await;
    assert_eq!(removed.status, StatusCode::PRECONDITION_FAILED);
    let removed = ask(&bench, &admin, Method::DELETE, path, Some(&won.tag), None).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.body);
    assert_eq!(get(&bench, &admin, path).await.status, StatusCode::NOT_FOUND);

    let versions = get(&bench, &admin, "/production/versions").await;
    let items = versions.body["items"].as_array().expect("items");
    assert_eq!(items.len(), 9, "the first, six products, a name and a removal");
    let mut begun: Vec<&str> = items.iter().filter_map(|version| version["valid_from"].as_str()).collect();
    begun.dedup();
    assert!(begun.is_sorted_by(|a, b| a > b) && begun.len() == 8, "each begins after the one before: {begun:?}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_added_takes_detections() {
    let bench = Bench::new().await;
    let (admin, token) = bench.sign_in("admin").await;
    let entry = json!({"name": "l3", "title": "Line 3", "area": [{"id": 1, "role": "output", "cameras": [11]}]});
    let told = ask(&bench, &admin, Method::POST, "/production/lines", None, Some(entry)).await;
    assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
    assert_eq!(get(&bench, &admin, "/production/lines/l3/areas/1").await.body["role"], "output");
    let at = now();
    bench.send("l3", (0..5).map(|n| piece(n, at - 5_000 + n * 1_000)));
    let mut live = bench.socket(&token).await;
    live.subscribe_to(1, "feed_state", &json!({"line": "l3"})).await;
    live.until(1, "the new line", |item| item["line"] == "l3" && item["title"] == "Line 3").await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_changed_or_is_wrong_is_said_and_changes_nothing() {
    let bench = Bench::new().await;
    let store = andon::store::Store::connect(&bench.site.global_url()).await.expect("up");
    let (admin, token) = bench.sign_in("admin").await;
    // A line that was told something does not take a version of long ago.
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_state", None).await;
    bench.send("l1", [piece(0, now())]);
    live.until(1, "the line's first state", |_| true).await;
    let seen = get(&bench, &admin, "/production/lines/l1").await;
    let with = |name: &str, value: Value| {
        let mut entry = seen.body["config"].clone();
        entry[name] = value;
        entry
    };
    let jam = json!({"code": "jam", "name": "Jam"});
    let policy = get(&bench, &admin, "/production/loss-policy").await.tag;
    let tag = Some(seen.tag.as_str());
    for (method, path, tag, entry, expected) in [
        (Method::PUT, "/production/lines/l1", None, with("title", json!("x")), 428),
        (Method::PUT, "/production/lines/l1", Some("\"0\""), with("title", json!("x")), 412),
        (Method::PUT, "/production/lines/l1", tag, with("downtime_threshold_s", json!(-1)), 422),
        (Method::PUT, "/production/lines/l1", tag, with("downtime_treshold_s", json!(5)), 422),
        (Method::PUT, "/production/lines/l1", tag, with("name", json!("l2")), 422),
        (Method::PUT, "/production/lines/l1", tag, json!("l1"), 422),
        (Method::PUT, "/production/lines/l1?from=2001-01-01T00:00:00Z", tag, with("title", json!("x")), 422),
        (Method::PUT, "/production/lines/l1?since=now", tag, with("title", json!("x")), 400),
        (Method::PUT, "/production/lines/l9", tag, with("title", json!("x")), 404),
        (Method::POST, "/production/lines", None, json!({"name": "L 3"}), 422),
        (Method::POST, "/production/lines", None, json!({}), 422),
        (Method::POST, "/production/reasons", None, jam, 409),
        (Method::POST, "/production/lines/l1/areas", None, json!({"id": 1, "role": "input"}), 409),
        (Method::PUT, "/production/loss-policy", Some(policy.as_str()), json!({"quality": "best"}), 422),
        (Method::DELETE, "/production/products/7", tag, Value::Null, 404),
    ] {
        let told = ask(&bench, &admin, method.clone(), path, tag, Some(entry.clone())).await;
        assert_eq!(told.status.as_u16(), expected, "{method} {path} {entry}: {}", told.body);
    }
    let (operator, _) = bench.sign_in("operator").await;
    let told = ask(&bench, &operator, Method::PUT, "/production/lines/l1", tag, Some(with("title", json!("x")))).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
    assert_eq!(bench.db.versions().await.expect("read").len(), 1, "nothing was changed");

    // Who manages one line manages that one, and nothing that is of all.
    let night = json!({"name": "night", "start": "22:00", "end": "06:00", "lines": ["l1", "l2"]});
    let told = ask(&bench, &admin, Method::POST, "/production/shifts", None, Some(night)).await;
    assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
    bench.narrow(&store, "admin", &["l1"]).await;
    until("the change of rights to hold", async || match get(&bench, &admin, "/production/lines/l2").await.status {
        StatusCode::NOT_FOUND => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    let of_all = get(&bench, &admin, "/production/calendar").await;
    assert_eq!(of_all.body["shift"][0]["lines"], json!(["l1"]), "no name of a hidden line");
    assert_eq!(get(&bench, &admin, "/production/shifts").await.body["items"][0]["lines"], json!(["l1"]));
    for (path, expected) in [("/production/lines/l1", 200), ("/production/lines/l2", 404), ("/production/config", 403)]
    {
        let told = ask(&bench, &admin, Method::PUT, path, Some("*"), Some(with("title", json!("Uno")))).await;
        // The name of another line than the path's is not even looked at.
        assert_eq!(told.status.as_u16(), expected, "{path}: {}", told.body);
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_commented_and_split_and_two_who_read_the_same_are_told() {
    let bench = Bench::new().await;
    let (operator, token) = bench.sign_in("operator").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_downtime", None).await;
    let start = now() - 100_000;
    bench.send("l1", [piece(0, start), piece(1, start + 60_000), piece(2, start + 60_500)]);
    let first = format!("l1:{start}");
    live.until(1, "the stop", |item| item["downtime_id"] == json!(first) && item["status"] == "closed").await;
    let path = format!("/downtime/{first}");
    let seen = get(&bench, &operator, &path).await;
    let give = |reason: Value, comment: &str| {
        let wish = json!({"reason_code": reason, "comment": comment});
        ask(&bench, &operator, Method::PUT, &path, Some(&seen.tag), Some(wish))
    };
    let told = join_all([give(json!("jam"), "one"), give(Value::Null, "two")]).await;
    let mut statuses: Vec<u16> = told.iter().map(|told| told.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "one of them is told that it has not seen what the other said");
    let won = told.iter().find(|told| told.status == StatusCode::OK).expect("one of them");
    let now_said = get(&bench, &operator, &path).await;
    assert_eq!((&now_said.body, &now_said.tag), (&won.body, &won.tag));

    // A comment leaves the reason alone, also one that is being given.
    let jam = ask(&bench, &operator, Method::PUT, &path, None, Some(json!({"reason_code": "jam", "comment": "belt"})));
    let comments = (0..3).map(|n| {
        let wish = json!({"comment": format!("comment {n}")});
        let path = format!("{path}/comment");
        let (bench, operator) = (&bench, &operator);
        async move { ask(bench, operator, Method::PUT, &path, None, Some(wish)).await.status }
    });
    let (jam, comments) = tokio::join!(jam, join_all(comments));
    assert_eq!((jam.status, comments), (StatusCode::OK, vec![StatusCode::OK; 3]));
    assert_eq!(get(&bench, &operator, &path).await.body["reason_code"], "jam");

    let split = async |at: i64| {
        let wish = json!({"at": andon::domain::time::rfc3339(at)});
        ask(&bench, &operator, Method::POST, &format!("{path}/split"), None, Some(wish)).await
    };
    for outside in [start, start - 1, start + 60_000] {
        assert_eq!(split(outside).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let told = split(start + 20_000).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.body);
    let halves = told.body["items"].as_array().expect("two");
    let ids: Vec<&str> = halves.iter().filter_map(|half| half["downtime_id"].as_str()).collect();
    let second = format!("l1:{}", start + 20_000);
    assert_eq!(ids, [first.as_str(), second.as_str()]);
    assert_eq!((&halves[0]["duration_ms"], &halves[1]["duration_ms"]), (&json!(20_000), &json!(40_000)));
    assert_eq!((&halves[0]["reason_code"], &halves[1]["reason_code"]), (&json!("jam"), &json!("jam")));
    live.until(1, "the second half", |item| item["downtime_id"] == json!(second)).await;
    bench.end().await;
}

/// Their first answer was lost: what their own request has changed does not stand in its way.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_under_the_same_key_is_answered_as_the_first_time() {
    let bench = Bench::new().await;
    let (operator, token) = bench.sign_in("operator").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_downtime", None).await;
    let start = now() - 100_000;
    bench.send("l1", [piece(0, start), piece(1, start + 60_000), piece(2, start + 60_500)]);
    let id = format!("l1:{start}");
    live.until(1, "the stop", |item| item["downtime_id"] == json!(id) && item["status"] == "closed").await;
    let path = format!("/downtime/{id}");
    let seen = get(&bench, &operator, &path).await.tag;
    let at = andon::domain::time::rfc3339(start + 20_000);
    for (key, method, path, tag, wish) in [
        ("reason", Method::PUT, path.clone(), Some(&seen), json!({"reason_code": "jam", "comment": "belt"})),
        ("comment", Method::PUT, format!("{path}/comment"), None, json!({"comment": "belt torn"})),
        ("split", Method::POST, format!("{path}/split"), None, json!({"at": at})),
    ] {
        let ask = async || {
            let mut request = operator.request(method.clone(), bench.url(&path)).header("idempotency-key", key);
            if let Some(tag) = tag {
                request = request.header("if-match", tag);
            }
            let answer = request.json(&wish).send().await.expect("answered");
            (answer.status(), answer.json::<Value>().await.expect("JSON"))
        };
        let first = ask().await;
        assert_eq!(first.0, StatusCode::OK, "{key}: {}", first.1);
        assert_eq!(ask().await, first, "{key}");
    }
    let inputs = bench.db.inputs("l1").await.expect("read").into_iter().map(|stored| stored.input.kind());
    assert_eq!(inputs.filter(|kind| ["classification", "split"].contains(kind)).count(), 3, "each was said once");
    // Another wish under the key of the first is none of its repeats.
    let other = operator.put(bench.url(&path)).header("idempotency-key", "reason");
    let other = other.json(&json!({"reason_code": null})).send().await.expect("answered");
    assert_eq!(other.status(), StatusCode::CONFLICT);
    bench.end().await;
}
