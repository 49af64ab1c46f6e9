//! Who is not let in, and what is known of them afterwards.

use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{Bench, answer_of};

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
