//! Kinds of failures and incidents.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Bench;
use super::edits::{ask, get};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_noted_solved_and_found_again() {
    let bench = Bench::new().await;
    let (admin, _) = bench.sign_in("admin").await;
    let (operator, _) = bench.sign_in("operator").await;
    let belt = json!({"name": "Belt", "types": ["torn", "slipped"]});
    let post = Method::POST;
    let forbidden = ask(&bench, &operator, post.clone(), "/failures", None, Some(belt.clone())).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let made = ask(&bench, &admin, post.clone(), "/failures", None, Some(belt.clone())).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(ask(&bench, &admin, post.clone(), "/failures", None, Some(belt)).await.status, StatusCode::CONFLICT);
    let failure = made.body["id"].clone();

    let note = async |line: &str, failure: &Value| {
        let wish = json!({"line": line, "failure_id": failure, "description": format!("at {line}")});
        ask(&bench, &operator, Method::POST, "/incidents", None, Some(wish)).await
    };
    assert_eq!(note("l9", &failure).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(note("l1", &json!(999)).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let first = note("l1", &failure).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    assert_eq!((&first.body["author"], &first.body["has_solution"]), (&json!("operator"), &json!(false)));
    note("l2", &Value::Null).await;
    note("l1", &failure).await;

    let path = format!("/incidents/{}", first.body["id"]);
    let solve = json!({"description": "at l1", "failure_id": failure, "solution": "new belt"});
    let put = Method::PUT;
    let missing = ask(&bench, &operator, put.clone(), &path, None, Some(solve.clone())).await;
    assert_eq!(missing.status, StatusCode::PRECONDITION_REQUIRED);
    let solved = ask(&bench, &operator, put.clone(), &path, Some(&first.tag), Some(solve.clone())).await;
    assert_eq!((solved.status, &solved.body["has_solution"]), (StatusCode::OK, &json!(true)), "{}", solved.body);
    assert!(solved.body["solved_at"].is_string());
    let again = ask(&bench, &operator, put, &path, Some(&first.tag), Some(solve)).await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED);

    let lines = async |query: &str| -> Vec<String> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = get(&bench, &operator, &format!("/incidents?limit=2{query}{cursor}")).await.body;
            found.extend(page["items"].as_array().expect("items").iter().map(|one| one["line"].to_string()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    assert_eq!(lines("").await, ["\"l1\"", "\"l2\"", "\"l1\""]);
    assert_eq!(lines("&solved=true").await, ["\"l1\""]);
    assert_eq!(lines("&line=l2").await, ["\"l2\""]);
    assert_eq!(lines(&format!("&failure={failure}")).await.len(), 2);

    // A kind that is taken away stays with what was noted of it.
    let kind = format!("/failures/{failure}");
    let removed = ask(&bench, &admin, Method::DELETE, &kind, Some(&made.tag), None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(get(&bench, &admin, &kind).await.body["is_active"], json!(false));
    assert_eq!(get(&bench, &operator, &path).await.body["failure_id"], failure);
    assert_eq!(note("l1", &failure).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    // Those of a hidden line are none.
    let store = andon::store::Store::connect(&bench.site.global_url()).await.expect("up");
    bench.narrow(&store, "operator", &["l2"]).await;
    until("the change of rights to hold", async || match get(&bench, &operator, &path).await.status {
        StatusCode::NOT_FOUND => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    assert_eq!(lines("").await, ["\"l2\""]);
    bench.end().await;
}
