//! What the pages of a role begin with.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Bench;
use super::edits::{ask, get};

const PATH: &str = "/dashboard/templates/OPERATOR";

#[tokio::test(flavor = "multi_thread")]
async fn a_roles_template_is_changed_holds_for_who_has_no_layout_and_is_taken_away() {
    let bench = Bench::new().await;
    let (admin, _) = bench.sign_in("admin").await;
    let (operator, _) = bench.sign_in("operator").await;
    let standard = get(&bench, &operator, PATH).await;
    assert_eq!((standard.status, &standard.body["source"]), (StatusCode::OK, &json!("standard")));
    let page = |widget: &str| Some(json!({"widgets": [{"id": "a", "widget": widget, "x": 0, "y": 0, "w": 4, "h": 2}]}));
    let put = Method::PUT;

    let forbidden = ask(&bench, &operator, put.clone(), PATH, Some(&standard.tag), page("kpi_oee")).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    for (path, tag, wish, expected) in [
        (PATH, None, page("kpi_oee"), 428),
        (PATH, Some("\"other\""), page("kpi_oee"), 412),
        (PATH, Some("*"), page("kpi_none"), 422),
        ("/dashboard/templates/SUPER_ADMIN", Some("*"), page("kpi_oee"), 404),
    ] {
        let told = ask(&bench, &admin, put.clone(), path, tag, wish).await;
        assert_eq!(told.status.as_u16(), expected, "{path} {tag:?}: {}", told.body);
    }
    assert_eq!(get(&bench, &operator, PATH).await.body, standard.body, "what was refused changed nothing");

    let changed = ask(&bench, &admin, put.clone(), PATH, Some(&standard.tag), page("kpi_oee")).await;
    assert_eq!((changed.status, &changed.body["source"]), (StatusCode::OK, &json!("tenant")), "{}", changed.body);
    assert_eq!(get(&bench, &admin, PATH).await.tag, changed.tag);
    let late = ask(&bench, &admin, put.clone(), PATH, Some(&standard.tag), page("kpi_quality")).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "somebody was faster");
    let seen = get(&bench, &operator, "/dashboard/layout").await.body;
    assert_eq!((&seen["source"], &seen["layout"]), (&json!("template"), &changed.body["layout"]));
    let others = get(&bench, &admin, "/dashboard/templates").await.body;
    let own: Vec<_> =
        others["items"].as_array().expect("items").iter().filter(|one| one["source"] == "tenant").collect();
    assert_eq!(own, [&changed.body], "other roles keep theirs");

    let delete = Method::DELETE;
    let late = ask(&bench, &admin, delete.clone(), PATH, Some(&standard.tag), None).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    let gone = ask(&bench, &admin, delete, PATH, Some(&changed.tag), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.body);
    assert_eq!(get(&bench, &operator, PATH).await.body, standard.body);
    // And once more, in the row of before.
    let again = ask(&bench, &admin, put, PATH, Some(&standard.tag), page("kpi_quality")).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);

    let trail = get(&bench, &admin, "/audit?action=template_changed").await.body;
    let roles: Vec<_> = trail["items"].as_array().expect("items").iter().map(|one| &one["details"]["role"]).collect();
    assert_eq!(roles, ["OPERATOR", "OPERATOR"]);
    bench.end().await;
}
