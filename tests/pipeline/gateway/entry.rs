//! Who is not let in, and what is known of them afterwards.

use andon::domain::time::rfc3339;
use andon::store::{CommandBody, NewCommand, Store};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{Bench, answer_of, now};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_so_and_written_down() {
    let bench = Bench::new().await;
    let client = Client::new();
    for (username, password) in [("operator", "wrong horse"), ("nobody", "correct horse")] {
        let body = json!({"username": username, "password": password});
        let (status, problem) =
            answer_of(client.post(bench.url("/auth/login")).json(&body).send().await.expect("answered")).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("wrong_login")));
    }
    let mut request = format!("ws://{}/api/v1/live", bench.config.listen).into_client_request().expect("a url");
    assert!(connect_async(request.clone()).await.is_err(), "without a session");
    let (_, token) = bench.sign_in("operator").await;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("text"));
    request.headers_mut().insert("origin", "https://evil.example".parse().expect("text"));
    assert!(connect_async(request.clone()).await.is_err(), "from a page of another site");

    // A fourth session ends the first.
    let first = bench.sign_in("viewer").await.1;
    let mut live = bench.socket(&first).await;
    for _ in 0..3 {
        bench.sign_in("viewer").await;
    }
    let code = loop {
        if let Err(code) = live.hear().await {
            break code;
        }
    };
    assert_eq!(code, 4201);

    let logins: Vec<(String, bool)> = {
        use sqlx::Connection;
        let mut connection = sqlx::MySqlConnection::connect(&bench.site.global_url()).await.expect("up");
        let rows = sqlx::query_as("SELECT username, succeeded FROM user_login ORDER BY login_id");
        rows.fetch_all(&mut connection).await.expect("read")
    };
    let expected = [("operator", false), ("nobody", false), ("operator", true)];
    assert_eq!(logins[..3], expected.map(|(name, succeeded)| (name.to_owned(), succeeded)));
    bench.end().await;
}

/// Tenant, request, lines, interval and start of a row of `user_query`.
type Question = (String, String, Option<String>, Option<String>, Option<String>);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_is_written_down() {
    let bench = Bench::new().await;
    let (client, _) = bench.sign_in("viewer").await;
    let (from, to) = (rfc3339(now() - 3_600_000), rfc3339(now()));
    let period = format!("line=l1&line=l2&from={from}&to={to}");
    for path in [
        format!("/data/aggregate?{period}&interval=hour"),
        "/production/lines".to_owned(),
        "/downtime?line=l9".to_owned(),
        "/downtime?line=l1".to_owned(),
    ] {
        client.get(bench.url(&path)).send().await.expect("answered");
    }
    let (site, tenant) = (bench.site.global_url(), bench.tenant.clone());
    let rows: Vec<Question> = {
        let global = sqlx::MySqlPool::connect(&site).await.expect("up");
        let sql = "SELECT t.name, q.sql_query, q.line, q.interval_type, CAST(q.start_date AS CHAR)
                   FROM user_query q JOIN tenant t ON t.tenant_id = q.tenant_id
                   JOIN user u ON u.user_id = q.user_id AND u.username = 'viewer' ORDER BY q.query_id";
        until("both questions to be written down", async || {
            let rows: Vec<_> = sqlx::query_as(sql).fetch_all(&global).await.expect("read");
            if rows.len() >= 2 { Ok(rows) } else { Err(format!("{rows:?}")) }
        })
        .await
    };
    assert_eq!(rows.len(), 2, "what was answered with data, and nothing else: {rows:?}");
    let (of, request, lines, interval, start) = &rows[0];
    assert_eq!((of, lines.as_deref(), interval.as_deref()), (&tenant, Some("l1,l2"), Some("hour")));
    assert_eq!(start.as_deref(), Some(from.replace('T', " ").trim_end_matches('Z')));
    assert!(request.starts_with("/api/v1/data/aggregate?line=l1"), "{request}");
    assert_eq!(rows[1].1, "/api/v1/downtime?line=l1");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_line_that_one_may_not_see_is_none() {
    let bench = Bench::new().await;
    let store = Store::connect(&bench.site.global_url()).await.expect("up");
    bench.narrow(&store, "viewer", &["l2"]).await;
    let (viewer, _) = bench.sign_in("viewer").await;
    let (operator, _) = bench.sign_in("operator").await;
    let new = NewCommand {
        idempotency_key: "split".into(),
        line: "l1".into(),
        body: CommandBody::Split { at: now() },
        author: "test".into(),
    };
    let id = bench.db.submit(&new).await.expect("taken");
    let ask = async |client: &Client, id: i64| {
        answer_of(client.get(bench.url(&format!("/commands/{id}"))).send().await.expect("answered")).await.0
    };
    assert_eq!(ask(&operator, id).await, StatusCode::OK);
    assert_eq!(ask(&operator, id + 1).await, StatusCode::NOT_FOUND);
    assert_eq!(ask(&viewer, id).await, StatusCode::NOT_FOUND);
    bench.end().await;
}
