//! Cameras: their areas, and what is done to them.

use andon::store::Store;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::Bench;
use super::edits::{ask, get};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_a_camera_is_noted_by_people_and_machines_and_told_with_its_line() {
    let bench = Bench::new().await;
    let (admin, _) = bench.sign_in("admin").await;
    let (operator, _) = bench.sign_in("operator").await;
    let (viewer, _) = bench.sign_in("viewer").await;
    let cameras = get(&bench, &viewer, "/production/lines/l1/cameras").await.body;
    assert_eq!(
        cameras["items"],
        json!([{"line": "l1", "camera": 11, "areas": [{"id": 1, "name": "1", "role": "output", "rect": null}]}])
    );
    assert_eq!(get(&bench, &viewer, "/production/lines/l9/cameras").await.status, StatusCode::NOT_FOUND);

    let note = async |client: &Client, wish: Value| {
        ask(&bench, client, Method::POST, "/cameras/events", None, Some(wish)).await
    };
    let restart = json!({"camera": 11, "action": "restart", "reason": "picture froze", "gpu_mem_used_bytes": 42});
    assert_eq!(note(&viewer, restart.clone()).await.status, StatusCode::FORBIDDEN);
    for (wish, expected) in [
        (json!({"camera": 12, "action": "restart"}), 422),
        (json!({"camera": 11, "action": "Re start"}), 422),
        (json!({"camera": 11, "action": "restart", "reason": "x".repeat(256)}), 422),
        (json!({"camera": 11, "action": "restart", "gpu_mem_used_bytes": -1}), 422),
        (json!({"camera": 11}), 400),
    ] {
        assert_eq!(note(&operator, wish.clone()).await.status.as_u16(), expected, "{wish}");
    }
    let first = note(&operator, restart).await;
    assert_eq!((first.status, &first.body["author"]), (StatusCode::CREATED, &json!("operator")), "{}", first.body);

    let wish = Some(json!({"name": "vision", "scopes": ["classify"]}));
    let key = ask(&bench, &admin, Method::POST, "/api-keys", None, wish).await;
    let secret = key.body["key"].as_str().expect("a key").to_owned();
    let mask = json!({"camera": 11, "action": "mask_change"});
    let request = Client::new().post(bench.url("/cameras/events")).bearer_auth(secret).json(&mask);
    let second: Value = request.send().await.expect("answered").json().await.expect("json");
    assert_eq!(second["author"], "vision", "{second}");

    let actions = async |query: &str| -> Vec<String> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(&bench, &viewer, &format!("/cameras/events?limit=1{query}{cursor}")).await.body;
            let items = page["items"].as_array().expect("items");
            found.extend(items.iter().map(|one| one["action"].as_str().expect("text").to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    assert_eq!(actions("").await, ["mask_change", "restart"]);
    assert_eq!(actions("&line=l1&action=restart").await, ["restart"]);
    assert_eq!(actions("&line=l2").await, Vec::<String>::new());
    assert_eq!(actions("&camera=11").await.len(), 2);
    let told = get(&bench, &viewer, "/cameras/events?action=restart").await.body;
    assert_eq!(told["items"], json!([first.body]));

    // Those of a hidden line are none.
    let store = Store::connect(&bench.site.global_url()).await.expect("up");
    bench.narrow(&store, "viewer", &["l2"]).await;
    until("the change of rights to hold", async || match actions("").await.len() {
        0 => Ok(()),
        found => Err(format!("{found} events")),
    })
    .await;
    assert_eq!(actions("&camera=11").await, Vec::<String>::new());
    bench.end().await;
}
