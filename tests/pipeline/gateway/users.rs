//! Users as those find them who manage them.

use andon::gateway::account::password;
use andon::store::Store;
use andon::store::account::NewUser;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Bench;
use super::edits::{ask, get};

#[tokio::test(flavor = "multi_thread")]
async fn users_are_found_by_role_state_and_name_page_by_page() {
    let bench = Bench::new().await;
    let store = Store::connect(&bench.site.global_url()).await.expect("up");
    let tenants = store.tenants().await.expect("read");
    let tenant = tenants.iter().find(|row| row.name == bench.tenant);
    let password = password::hash("correct horse").expect("hashed");
    for (username, role) in [("José 1", "VIEWER"), ("jose_2", "VIEWER"), ("jose%3", "OPERATOR")] {
        let new = NewUser { tenant, username, password: &password, role };
        store.create_user(&new).await.expect("created");
    }
    let root = NewUser { tenant: None, username: "jose of all", password: &password, role: "SUPER_ADMIN" };
    store.create_user(&root).await.expect("created");
    let (admin, _) = bench.sign_in("admin").await;
    let found = async |query: &str| -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            // One a page: the cursor goes on within what is filtered.
            let page = get(&bench, &admin, &format!("/users?limit=1{query}{cursor}")).await;
            assert_eq!(page.status, StatusCode::OK, "{query}: {}", page.body);
            let items = page.body["items"].as_array().expect("items");
            names.extend(items.iter().map(|user| user["username"].as_str().expect("a name").to_owned()));
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return names,
            }
        }
    };
    assert_eq!(found("&name=JOSE").await, ["José 1", "jose_2", "jose%3"], "neither case nor accents count");
    assert_eq!(found("&name=e_").await, ["jose_2"], "no sign stands for another");
    assert_eq!(found("&name=%25").await, ["jose%3"]);
    assert_eq!(found("&role=VIEWER").await, ["viewer", "José 1", "jose_2"]);
    assert_eq!(found("&role=VIEWER&name=jose").await, ["José 1", "jose_2"]);
    assert_eq!(found("&role=SUPER_ADMIN").await, Vec::<String>::new());

    let jose = get(&bench, &admin, "/users?name=jose_2").await.body["items"][0]["id"].clone();
    let gone = ask(&bench, &admin, Method::DELETE, &format!("/users/{jose}"), None, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(found("&state=inactive").await, ["jose_2"]);
    assert_eq!(found("&state=active&name=jose").await, ["José 1", "jose%3"]);

    for wrong in ["role=JANITOR", "role=viewer", "state=gone", "name=a&name=b", "cursor=x"] {
        let told = get(&bench, &admin, &format!("/users?{wrong}")).await;
        assert_eq!((told.status, &told.body["status"]), (StatusCode::BAD_REQUEST, &json!(400)), "{wrong}");
        assert_ne!(told.body["detail"], Value::Null, "{wrong}");
    }
    bench.end().await;
}
