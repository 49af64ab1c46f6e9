//! How machines are.

use andon::gateway::monitor::write;
use andon::gateway::settings::MONITOR_KEEP_DAYS;
use andon::store::monitor::{Measured, MonitorFilter};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::edits::{ask, get};
use super::{Bench, now};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_tells_of_its_machine_and_others_of_theirs() {
    let bench = Bench::new().await;
    let (manager, _) = bench.sign_in("manager").await;
    let (operator, _) = bench.sign_in("operator").await;
    assert_eq!(get(&bench, &operator, "/system/monitor").await.status, StatusCode::FORBIDDEN);
    let own = until("a row of the gateway", async || {
        let page = get(&bench, &manager, "/system/monitor").await.body;
        page["items"].get(0).cloned().ok_or_else(|| page.to_string())
    })
    .await;
    for figure in ["cpu_usage", "ram_usage"] {
        let percent = own[figure].as_f64().expect("a number");
        assert!((0.0..=100.0).contains(&percent), "{own}");
    }
    assert!(own["host"].as_str().expect("a name").ends_with(&bench.config.listen.port().to_string()), "{own}");

    let tell = async |wish| ask(&bench, &operator, Method::POST, "/system/monitor", None, Some(wish)).await;
    for wrong in [
        json!({"host": "", "cpu_usage": 1}),
        json!({"host": "vision", "cpu_usage": 100.5}),
        json!({"host": "vision", "gpu_mem_used_bytes": -1}),
    ] {
        assert_eq!(tell(wrong.clone()).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let told =
        tell(json!({"host": "vision", "cpu_usage": 12.3, "gpu_temp": 61, "gpu_mem_used_bytes": 5_000_000_000_i64}));
    let told = told.await;
    assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
    let seen = get(&bench, &manager, "/system/monitor?host=vision").await.body;
    assert_eq!(seen["items"], json!([told.body]));
    assert_eq!((&seen["items"][0]["cpu_usage"], &seen["items"][0]["ram_usage"]), (&json!(12.3), &json!(null)));
    let both = get(&bench, &manager, "/system/monitor?limit=1").await.body;
    let rest = format!("/system/monitor?cursor={}", both["next_cursor"].as_str().expect("more"));
    assert_eq!(get(&bench, &manager, &rest).await.body["items"], json!([own]));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_goes() {
    let bench = Bench::new().await;
    let day = 24 * 3_600_000;
    let row = |at| Measured {
        id: 0,
        host: "vision".into(),
        at,
        cpu_usage: None,
        ram_usage: None,
        gpu_temp: None,
        gpu_mem_used_bytes: None,
    };
    let start = now();
    for days in [9, 6, 4] {
        bench.db.add_measured(&row(start - days * day)).await.expect("written");
    }
    let kept = async || -> Vec<i64> {
        write(&bench.db, &row(start)).await.expect("written");
        let filter = MonitorFilter { host: Some("vision"), ..MonitorFilter::default() };
        let kept = bench.db.measured(&filter, 10).await.expect("read");
        let mut days: Vec<i64> = kept.iter().map(|row| (start - row.at) / day).filter(|days| *days > 0).collect();
        days.sort_unstable();
        days
    };
    assert_eq!(kept().await, [4, 6], "seven days are kept");
    let saved = bench.db.save_setting(MONITOR_KEEP_DAYS.key, &json!(7), &json!(5), |_| true).await;
    assert!(saved.expect("written"));
    assert_eq!(kept().await, [4], "or as many as the tenant wants");
    bench.end().await;
}
