//! Wall displays: paired by a code, read-only, revoked at once.

use andon::domain::production::detection::Detection;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::gateway::{Bench, now, piece};

async fn json(answer: Response) -> (StatusCode, Value) {
    (answer.status(), answer.json().await.unwrap_or(Value::Null))
}

async fn post(bench: &Bench, client: &Client, path: &str, body: &Value) -> (StatusCode, Value) {
    json(client.post(bench.url(path)).json(body).send().await.expect("answered")).await
}

async fn get(bench: &Bench, client: &Client, path: &str) -> (StatusCode, Value) {
    json(client.get(bench.url(path)).send().await.expect("answered")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_is_paired_by_its_code_shows_its_lines_and_goes_dark_when_revoked() {
    let bench = Bench::new().await;
    let (manager, _) = bench.sign_in("manager").await;
    let (operator, _) = bench.sign_in("operator").await;
    let screen = Client::builder().cookie_store(true).build().expect("a client");
    let pieces: Vec<Detection> = (0..5).map(|n| piece(n, now() - 5_000 + n * 100)).collect();
    bench.send("l1", pieces);

    let (status, waiting) = post(&bench, &screen, "/wall/pair", &json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{waiting}");
    let claim = json!({"token": waiting["token"]});
    assert_eq!(post(&bench, &screen, "/wall/pair/claim", &claim).await.0, StatusCode::ACCEPTED);
    assert_eq!(get(&bench, &screen, "/production/lines").await.0, StatusCode::UNAUTHORIZED);

    let wish = |code: &Value, lines: Value| json!({"code": code, "title": "Hall", "lines": lines});
    let code = &waiting["code"];
    let only = json!(["l1"]);
    assert_eq!(post(&bench, &operator, "/wall/screens", &wish(code, only.clone())).await.0, StatusCode::FORBIDDEN);
    let wrong = wish(&json!("222222"), only.clone());
    assert_eq!(post(&bench, &manager, "/wall/screens", &wrong).await.0, StatusCode::NOT_FOUND);
    let unknown = wish(code, json!(["l9"]));
    assert_eq!(post(&bench, &manager, "/wall/screens", &unknown).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, paired) = post(&bench, &manager, "/wall/screens", &wish(code, only.clone())).await;
    assert_eq!(status, StatusCode::CREATED, "{paired}");
    // A code is good once.
    assert_eq!(post(&bench, &manager, "/wall/screens", &wish(code, only)).await.0, StatusCode::NOT_FOUND);

    let answer = screen.post(bench.url("/wall/pair/claim")).json(&claim).send().await.expect("answered");
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.starts_with("andon-screen=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let (status, lines) = get(&bench, &screen, "/production/lines").await;
    assert_eq!(
        (status, &lines["items"][0]["name"], lines["items"].as_array().map(Vec::len)),
        (StatusCode::OK, &json!("l1"), Some(1))
    );
    assert_eq!(get(&bench, &screen, "/metrics/oee?line=l2").await.0, StatusCode::NOT_FOUND);
    for (path, expected) in [("/wall/screens", StatusCode::FORBIDDEN), ("/dashboard/layout", StatusCode::FORBIDDEN)] {
        assert_eq!(get(&bench, &screen, path).await.0, expected, "{path}");
    }
    let answer = screen.put(bench.url("/downtime/l1:5")).json(&json!({"reason_code": "jam"})).send().await;
    assert_eq!(answer.expect("answered").status(), StatusCode::FORBIDDEN);

    let key = format!("andon_{}", waiting["token"].as_str().expect("a token"));
    let mut live = bench.socket(&key).await;
    live.subscribe(1, "feed_state", None).await;
    live.until(1, "the line's state", |item| item["line"] == "l1").await;
    let (_, listed) = get(&bench, &manager, "/wall/screens").await;
    assert_eq!(listed["items"][0]["title"], "Hall");

    let path = format!("/wall/screens/{}", paired["id"]);
    let revoke = async || manager.delete(bench.url(&path)).send().await.expect("answered").status();
    assert_eq!(revoke().await, StatusCode::NO_CONTENT);
    assert_eq!(revoke().await, StatusCode::NOT_FOUND);
    assert_eq!(live.closed().await, 4201);
    assert_eq!(get(&bench, &screen, "/production/lines").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&bench, &screen, "/wall/pair/claim", &claim).await.0, StatusCode::NOT_FOUND);
    bench.end().await;
}
