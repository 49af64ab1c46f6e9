//! Tenants over REST.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Bench;
use super::edits::{ask, get};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_added_gets_lines_and_is_deactivated_and_activated() {
    let bench = Bench::new().await;
    bench.add_user(None, "root", "SUPER_ADMIN").await;
    let (root, _) = bench.sign_in("root").await;
    let (admin, _) = bench.sign_in("admin").await;
    let name = bench.site.tenant("added");
    let wish = |name: &str, zone: &str| Some(json!({"name": name, "time_zone": zone, "company": "Added Foods"}));
    let post = Method::POST;
    for (wish, expected) in [
        (wish("Not a name", "UTC"), 422),
        (wish(&name, "Europe/Nowhere"), 422),
        (wish(&bench.tenant, "UTC"), 409),
        (Some(json!({"name": name})), 400),
    ] {
        let told = ask(&bench, &root, post.clone(), "/tenants", None, wish).await;
        assert_eq!(told.status.as_u16(), expected, "{}", told.body);
    }
    let forbidden = ask(&bench, &admin, post.clone(), "/tenants", None, wish(&name, "UTC")).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let made = ask(&bench, &root, post.clone(), "/tenants", None, wish(&name, "Europe/Madrid")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let own = format!("/tenants/{}", made.body["id"]);

    // Its first line, and what it says.
    let line = json!({"name": "l1", "area": [{"id": 1, "role": "output"}]});
    let at = format!("/production/lines?tenant={name}");
    assert_eq!(ask(&bench, &root, post.clone(), &at, None, Some(line)).await.status, StatusCode::CREATED);
    bench.add_user(Some(&name), "eva", "ADMIN").await;
    let (eva, eva_token) = bench.sign_in("eva").await;
    assert_eq!(get(&bench, &eva, "/tenants/current").await.body["lines"], json!(1));
    assert_eq!(get(&bench, &eva, &own).await.status, StatusCode::FORBIDDEN, "also of their own");
    let mut live = bench.socket(&eva_token).await;
    live.subscribe(1, "feed_state", None).await;

    let change = json!({"company": "Added", "time_zone": "Europe/Lisbon", "locale": "en"});
    let put = Method::PUT;
    let stale = ask(&bench, &root, put.clone(), &own, Some("\"0\""), Some(change.clone())).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let seen = get(&bench, &root, &own).await;
    let changed = ask(&bench, &root, put, &own, Some(&seen.tag), Some(change)).await;
    assert_eq!(
        (changed.status, &changed.body["time_zone"]),
        (StatusCode::OK, &json!("Europe/Lisbon")),
        "{}",
        changed.body
    );
    assert_eq!(get(&bench, &eva, "/auth/me").await.body["time_zone"], "Europe/Lisbon");

    let act = async |what: &str| ask(&bench, &root, Method::POST, &format!("{own}/{what}"), None, None).await;
    assert_eq!(act("deactivate").await.body["is_active"], json!(false));
    let code = loop {
        if let Err(code) = live.hear().await {
            break code;
        }
    };
    assert_eq!(code, 4201, "sockets of it end at once");
    assert_eq!(get(&bench, &eva, "/auth/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(act("activate").await.body["is_active"], json!(true));
    until("eva to be let in again", async || match get(&bench, &eva, "/auth/me").await.status {
        StatusCode::OK => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    let all = get(&bench, &root, "/tenants").await.body;
    let names: Vec<&Value> = all["items"].as_array().expect("items").iter().map(|tenant| &tenant["name"]).collect();
    assert!(names.contains(&&json!(name)) && names.contains(&&json!(bench.tenant)), "{names:?}");
    bench.end().await;
}
