//! A tenant's settings.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Bench;
use super::edits::{ask, get};
use crate::support::until;

const KEY: &str = "dashboard.stops_of_several_lines";

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_is_changed_by_a_super_admin_and_holds_in_the_running_gateway() {
    let bench = Bench::new().await;
    bench.add_user(None, "root", "SUPER_ADMIN").await;
    let (root, _) = bench.sign_in("root").await;
    let (admin, _) = bench.sign_in("admin").await;
    let at = |key: &str| format!("/system/config/{key}?tenant={}", bench.tenant);
    assert_eq!(get(&bench, &admin, &at(KEY)).await.status, StatusCode::FORBIDDEN);
    let seen = get(&bench, &root, &at(KEY)).await;
    assert_eq!((&seen.body["value"], &seen.body["updated_at"]), (&json!(false), &json!(null)), "{}", seen.body);

    let put =
        async |key: &str, tag: Option<&str>, body| ask(&bench, &root, Method::PUT, &at(key), tag, Some(body)).await;
    for (key, tag, wish, expected) in [
        (KEY, None, json!({"value": true}), 428),
        (KEY, Some("\"other\""), json!({"value": true}), 412),
        (KEY, Some("*"), json!({"value": "true"}), 422),
        (KEY, Some("*"), json!({"value": true, "key": "x"}), 400),
        ("dashboard.unheard_of", Some("*"), json!({"value": true}), 404),
    ] {
        let told = put(key, tag, wish).await;
        assert_eq!(told.status.as_u16(), expected, "{key} {tag:?}: {}", told.body);
    }
    let is_hidden = async || {
        let told = get(&bench, &admin, "/dashboard/widgets/pareto_downtime?window=day").await;
        assert_eq!(told.status, StatusCode::OK, "{}", told.body);
        told.body.to_string().contains("several_lines")
    };
    assert!(is_hidden().await);
    let changed = put(KEY, Some(&seen.tag), json!({"value": true})).await;
    assert_eq!((changed.status, &changed.body["value"]), (StatusCode::OK, &json!(true)), "{}", changed.body);
    let late = put(KEY, Some(&seen.tag), json!({"value": true})).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "somebody was faster");
    assert_eq!(get(&bench, &root, &at(KEY)).await.tag, changed.tag);
    let list = get(&bench, &root, &format!("/system/config?tenant={}", bench.tenant)).await.body;
    let items = list["items"].as_array().expect("items");
    let own = items.iter().find(|item| item["key"] == KEY).expect("listed");
    assert_eq!((&own["value"], own["updated_at"].is_string()), (&json!(true), true));

    until("the setting to hold", async || match is_hidden().await {
        false => Ok(()),
        true => Err("stops are hidden".to_owned()),
    })
    .await;
    let trail = get(&bench, &admin, "/audit?action=setting_changed").await.body;
    assert_eq!(trail["items"][0]["details"]["value"], json!([false, true]), "{trail}");
    bench.end().await;
}
