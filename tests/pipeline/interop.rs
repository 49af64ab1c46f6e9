//! `downtime.*` and `oee.*`, read by an independent Avro client with the gateway as its registry, say the same as REST
//! and as the tables.

use std::path::Path;
use std::process::Command;

use andon::domain::production::stop::{Stop, StopStatus};
use andon::domain::time::{FOREVER, Span, rfc3339};
use andon::store::Store;
use serde_json::{Value, json};

use super::replay::{on, plant, read_to};
use crate::support::python::python;
use crate::support::{Site, until};

fn stop_of(record: &Value) -> Stop {
    let mut stop = record.clone();
    let fields = stop.as_object_mut().expect("a record");
    for extra in ["watermark", "commit_seq"] {
        assert!(fields.remove(extra).is_some(), "{extra} is on the topic");
    }
    serde_json::from_value(stop).expect("the shape of a stop")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_client_reads_the_same_stops_and_figures() {
    let site = Site::new();
    let tenant = plant(&site, &["l1"], &[1]);
    let password = "correct horse";
    site.andon_with_input(&["user", "create", "--tenant", &tenant, "--role", "VIEWER", &tenant], password);
    let store = Store::connect(&site.global_url()).await.expect("the database is up");
    let db = store.tenant(&tenant).await.expect("there");
    let andon = site.spawn("serve").await;

    // Nine minutes of a piece a second, with two stops and an out-of-order piece that takes a third away again.
    let start = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let start = start as i64 - 900_000;
    let mut csv = String::from("detected_at\n");
    let seconds = (0..120).chain(200..260).chain(400..540).chain([330]);
    seconds.for_each(|second| csv += &format!("{}\n", start + second * 1_000));
    let file = std::env::temp_dir().join(format!("{tenant}.csv"));
    std::fs::write(&file, csv).expect("a writable temporary folder");
    site.andon_ok(&on("replay", &tenant, "l1", &[file.to_str().expect("a plain path")]));
    std::fs::remove_file(file).expect("removed");
    read_to(&db, "l1", 321).await;

    let client = reqwest::Client::builder().cookie_store(true).build().expect("a client");
    let login = json!({"username": tenant, "password": password});
    let entered = client.post(format!("{}/api/v1/auth/login", andon.url)).json(&login).send().await.expect("an answer");
    assert_eq!(entered.status(), 200, "{}", entered.text().await.unwrap_or_default());
    let get = async |path: String| -> Value {
        let answer = client.get(format!("{}{path}", andon.url)).send().await.expect("an answer");
        answer.error_for_status().expect("good").json().await.expect("JSON")
    };

    // A silent line goes on: what is compared is what stands still, the closed stops and the figure of one window.
    let (told, figures) = until("topic, REST and tables to say the same clock", async || {
        let output = Command::new(python("interop"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/topics.py"))
            .args([&site.servers.kafka, &andon.url, &tenant, "l1"])
            .output()
            .expect("python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let figures = get("/api/v1/metrics/oee?line=l1&window=24h".to_owned()).await;
        let same = told["oee"]["last"]["24h"]["to"] == figures["figures"][0]["to"];
        if same { Ok((told, figures)) } else { Err("the clock went on".to_owned()) }
    })
    .await;

    let mut from_topic: Vec<Stop> = told["downtime"]["last"]
        .as_object()
        .expect("keys")
        .values()
        .filter(|record| !record.is_null())
        .map(stop_of)
        .filter(|stop| stop.status == StopStatus::Closed)
        .collect();
    from_topic.sort_by_key(|stop| stop.started_at);
    let always = Span::new(0, FOREVER);
    let mut from_table = db.stops("l1", always, None, 1_000).await.expect("read");
    from_table.retain(|stop| stop.status == StopStatus::Closed);
    let (from, to) = (rfc3339(start), rfc3339(start + 900_000));
    let items = get(format!("/api/v1/downtime?line=l1&from={from}&to={to}")).await;
    let mut from_rest: Vec<Stop> = serde_json::from_value(items["items"].clone()).expect("stops");
    from_rest.retain(|stop| stop.status == StopStatus::Closed);
    from_rest.sort_by_key(|stop| stop.started_at);
    assert_eq!(from_topic.len(), 3, "two stops, one of them cut in two by the late piece");
    assert_eq!(from_topic, from_table);
    assert_eq!(from_topic, from_rest);
    assert_eq!((&told["downtime"]["repeated"], &told["oee"]["repeated"]), (&json!(0), &json!(0)));

    let mut figure = told["oee"]["last"]["24h"].clone();
    let fields = figure.as_object_mut().expect("a record");
    for extra in ["line_state", "line_state_since", "line_clock", "watermark", "commit_seq"] {
        assert!(fields.remove(extra).is_some(), "{extra} is on the topic");
    }
    assert_eq!(figure, figures["figures"][0]);
}
