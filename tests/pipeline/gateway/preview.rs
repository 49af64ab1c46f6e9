//! What yesterday would have been under other settings.

use std::collections::BTreeSet;

use andon::config::tenant::TenantSpec;
use andon::domain::production::batch::{self, BatchInput, Ledger};
use andon::domain::production::stop::Stop;
use andon::domain::time::{FOREVER, MINUTE_MS, Ms, Span, rfc3339};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::edits::{ask, get};
use super::{Bench, now, piece};
use crate::support::{PATIENCE, until};

fn wish(line: &str, period: Span, settings: &Value) -> Value {
    json!({"line": line, "from": rfc3339(period.from), "to": rfc3339(period.to), "settings": settings})
}

/// Asks until a preview is at its end: all that was told of it on the way.
async fn ended(bench: &Bench, client: &Client, path: &str) -> Vec<Value> {
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut told: Vec<Value> = Vec::new();
    loop {
        let now = get(bench, client, path).await;
        assert_eq!(now.status, StatusCode::OK, "{}", now.body);
        let is_over = now.body["state"] != "running";
        told.push(now.body);
        if is_over {
            return told;
        }
        assert!(std::time::Instant::now() < deadline, "waited in vain: {:?}", told.last());
    }
}

/// Begins a preview; its path.
async fn begun(bench: &Bench, client: &Client, wish: &Value) -> String {
    let answer = client.post(bench.url("/production/previews")).json(wish).send().await.expect("answered");
    let location = answer.headers().get("location").map(|at| at.to_str().expect("text").to_owned());
    let (status, body) = super::answer_of(answer).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let location = location.expect("a Location");
    assert_eq!(location, format!("/api/v1/production/previews/{}", body["preview_id"].as_str().expect("an id")));
    location.strip_prefix("/api/v1").expect("of this version").to_owned()
}

/// All that is stored of the line, for the plain route.
async fn stored(bench: &Bench) -> BatchInput {
    let detections = bench.db.detections("l1", Span::new(0, FOREVER), false).await.expect("read");
    BatchInput {
        line: "l1".into(),
        configs: bench.db.line_configs("l1").await.expect("read"),
        detections: detections.into_iter().map(|(detection, _)| detection).collect(),
        inputs: bench.db.inputs("l1").await.expect("read").into_iter().map(|stored| stored.input).collect(),
    }
}

/// The tenant's file with `edit` made in it.
async fn edited(bench: &Bench, edit: impl Fn(&mut Value)) -> TenantSpec {
    let current = bench.db.current().await.expect("read").expect("a file");
    let mut file = serde_json::to_value(&*current.spec).expect("json");
    file["tenant"].as_object_mut().expect("a table").remove("database_url");
    edit(&mut file);
    TenantSpec::from_json(&file.to_string()).expect("a good file")
}

/// A figure as it is told, without the moment at which it was made.
fn figure(ledger: &Ledger, period: Span) -> Value {
    without_moment(&serde_json::to_value(ledger.figure_range(period)).expect("json"))
}

fn without_moment(figure: &Value) -> Value {
    let mut figure = figure.clone();
    assert!(figure.as_object_mut().expect("a figure").remove("as_of").is_some());
    figure
}

fn listed(stops: &[&Stop]) -> Value {
    json!({"count": stops.len(), "items": stops})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_what_the_plain_route_gives_with_the_same_settings() {
    let bench = Bench::new().await;
    let (admin, token) = bench.sign_in("admin").await;
    let start = (now() - 120 * MINUTE_MS) / 10_000 * 10_000;
    // Half an hour of every second, with gaps of 10, 25 and 40 seconds in turns, one of them before the period begins.
    let pauses = [1_000, 1_000, 10_000, 1_000, 25_000, 1_000, 40_000].into_iter().cycle();
    let times: Vec<Ms> = pauses
        .scan(start, |at, pause| {
            *at += pause;
            Some(*at)
        })
        .take_while(|at| *at < start + 45 * MINUTE_MS)
        .collect();
    let last = *times.last().expect("one at least");
    bench.send("l1", (0..).zip(times).map(|(id, at)| piece(id, at)));
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_state", None).await;
    live.until(1, "the last piece", |item| item["as_of"].as_str() >= Some(&rfc3339(last))).await;
    let period = Span::new(start + 3 * MINUTE_MS, start + 30 * MINUTE_MS);
    let minute = |at: Ms| {
        let zone = jiff::tz::TimeZone::get("Europe/Madrid").expect("a zone");
        let wall = jiff::Timestamp::from_millisecond(at).expect("an instant").to_zoned(zone).time();
        format!("{:02}:{:02}", wall.hour(), wall.minute())
    };
    let (begins, ends) = (minute(start - 60 * MINUTE_MS), minute(start + 20 * MINUTE_MS));
    let shift = json!([{"name": "day", "start": begins, "end": ends}]);
    let stops_before = bench.db.stops("l1", Span::new(0, FOREVER), None, 10_000).await.expect("read");

    let threshold = json!({"line": {"downtime_threshold_s": 20}});
    let calendar = json!({"calendar": {"shift": shift}, "line": {"performance": 90}});
    for settings in [threshold, calendar] {
        let path = begun(&bench, &admin, &wish("l1", period, &settings)).await;
        let told = ended(&bench, &admin, &path).await.pop().expect("an end");
        assert_eq!((&told["state"], &told["progress"]), (&json!("done"), &json!(1.0)), "{told}");
        let result = &told["result"];

        let spec = edited(&bench, |file| {
            for (key, value) in settings["line"].as_object().expect("fields") {
                file["line"][0][key] = value.clone();
            }
            if let Some(shift) = settings["calendar"].get("shift") {
                file["shift"] = shift.clone();
            }
        })
        .await;
        let stored = stored(&bench).await;
        let before = batch::recompute(&stored);
        let config = spec.line_config("l1", 2, 1, period.from).expect("a good line");
        let after = batch::recompute(&stored.supposing(config));
        assert_eq!(without_moment(&result["total"]["before"]), figure(&before, period));
        assert_eq!(without_moment(&result["total"]["after"]), figure(&after, period));
        let start_of = |ledger: &Ledger| -> BTreeSet<Ms> { ledger.stops_in(period).map(|s| s.started_at).collect() };
        let (was, would) = (start_of(&before), start_of(&after));
        assert_ne!(was, would, "there is something to preview");
        let appearing: Vec<&Stop> = after.stops_in(period).filter(|stop| !was.contains(&stop.started_at)).collect();
        let vanishing: Vec<&Stop> = before.stops_in(period).filter(|stop| !would.contains(&stop.started_at)).collect();
        let first = |stops: &Value| -> Value {
            let items = stops["items"].as_array().expect("stops");
            json!({"count": items.len(), "items": items})
        };
        // None of the lists is longer than what is listed.
        assert_eq!(first(&result["stops"]["appearing"]), listed(&appearing));
        assert_eq!(first(&result["stops"]["vanishing"]), listed(&vanishing[..vanishing.len().min(100)]));
        assert_eq!(result["stops"]["vanishing"]["count"], json!(vanishing.len()));
        let pieces = |figure: &Value| figure["pieces"]["total"].as_i64().expect("a number");
        let days = result["days"].as_array().expect("days");
        let sum: i64 = days.iter().map(|day| pieces(&day["after"])).sum();
        assert_eq!(sum, pieces(&result["total"]["after"]));
    }

    assert_eq!(bench.db.versions().await.expect("read").len(), 1, "nothing was saved");
    let closed = |stops: &[Stop]| -> Vec<(Ms, u32)> {
        stops.iter().filter(|stop| stop.ended_at.is_some()).map(|stop| (stop.started_at, stop.revision)).collect()
    };
    let stops_after = bench.db.stops("l1", Span::new(0, FOREVER), None, 10_000).await.expect("read");
    assert_eq!(closed(&stops_before), closed(&stops_after), "nor any stop touched");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_how_far_it_is_and_is_cancelled() {
    let bench = Bench::new().await;
    let (admin, _) = bench.sign_in("admin").await;
    const PIECES: i64 = 50_000;
    let start = (now() - 150 * MINUTE_MS) / 10_000 * 10_000;
    bench.send("l1", (0..PIECES).map(|n| piece(n, start + n * 100)));
    let period = Span::new(start, start + PIECES * 100);
    until("all pieces to be stored", async || {
        match bench.db.count_detections("l1", period, u64::MAX >> 1).await.expect("read") {
            50_000 => Ok(()),
            count => Err(count.to_string()),
        }
    })
    .await;
    let settings = json!({"line": {"downtime_threshold_s": 20}});
    let wish = wish("l1", period, &settings);

    let path = begun(&bench, &admin, &wish).await;
    let told = ended(&bench, &admin, &path).await;
    let progress: Vec<f64> = told.iter().map(|told| told["progress"].as_f64().expect("a number")).collect();
    assert!(progress.is_sorted() && progress.first() < Some(&1.0) && progress.last() == Some(&1.0), "{progress:?}");
    let end = told.last().expect("an end");
    assert_eq!(end["result"]["total"]["after"]["pieces"]["total"], json!(PIECES), "{end}");

    let path = begun(&bench, &admin, &wish).await;
    let delete = async || ask(&bench, &admin, Method::DELETE, &path, None, None).await.status;
    assert_eq!(delete().await, StatusCode::NO_CONTENT);
    assert_eq!(get(&bench, &admin, &path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(delete().await, StatusCode::NOT_FOUND);
    // What was cancelled takes no place.
    for _ in 0..4 {
        let path = begun(&bench, &admin, &wish).await;
        assert_eq!(ask(&bench, &admin, Method::DELETE, &path, None, None).await.status, StatusCode::NO_CONTENT);
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_refused_to_who_may_not_change_what_it_is_about() {
    let bench = Bench::new().await;
    let store = andon::store::Store::connect(&bench.site.global_url()).await.expect("up");
    let day = Span::new(now() - 24 * 60 * MINUTE_MS, now());
    let month = Span::new(now() - 32 * 24 * 60 * MINUTE_MS, now());
    let threshold = json!({"line": {"downtime_threshold_s": 20}});
    let calendar = json!({"calendar": {"shift": []}});
    let post = async |client: &Client, wish: Value| {
        ask(&bench, client, Method::POST, "/production/previews", None, Some(wish)).await
    };
    for username in ["manager", "operator", "viewer"] {
        let (client, _) = bench.sign_in(username).await;
        assert_eq!(post(&client, wish("l1", day, &threshold)).await.status, StatusCode::FORBIDDEN, "{username}");
    }
    let (admin, _) = bench.sign_in("admin").await;
    for (line, period, settings) in [
        ("l9", day, threshold.clone()),
        ("l1", Span::new(day.to, day.from), threshold.clone()),
        ("l1", month, threshold.clone()),
        ("l1", day, json!({})),
        ("l1", day, json!({"line": {"downtime_threshold_s": 3}})),
        ("l1", day, json!({"line": {"downtime_threshold_s": -1}})),
        ("l1", day, json!({"line": {"threshold": 20}})),
        ("l1", day, json!({"calendar": {"holidays": []}})),
    ] {
        let told = post(&admin, wish(line, period, &settings)).await;
        assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY, "{line} {settings}: {}", told.body);
    }
    // Of a line that was never heard there is nothing, and no error.
    let path = begun(&bench, &admin, &wish("l2", day, &threshold)).await;
    let told = ended(&bench, &admin, &path).await.pop().expect("an end");
    assert_eq!((&told["state"], &told["result"]["total"]["after"]["stops"]), (&json!("done"), &json!(0)), "{told}");

    bench.narrow(&store, "admin", &["l1"]).await;
    until("the change of rights to hold", async || match get(&bench, &admin, &path).await.status {
        StatusCode::NOT_FOUND => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    assert_eq!(post(&admin, wish("l1", day, &calendar)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post(&admin, wish("l2", day, &threshold)).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post(&admin, wish("l1", day, &threshold)).await.status, StatusCode::ACCEPTED);
    bench.end().await;
}
