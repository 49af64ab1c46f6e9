//! The OpenAPI document against the running service: an independent tool makes requests of it, good ones and bad ones,
//! and holds every answer to what the document says.

use std::path::Path;
use std::process::Command;

use super::gateway::{Bench, now, piece};
use crate::support::python::python;

/// Requests of each operation at most.
const EXAMPLES: &str = "12";
/// What would end the session that the tool asks with, and live connections, which do not end.
const LEFT_OUT: [&str; 5] = [
    "/api/v1/auth/logout",
    "/api/v1/auth/sessions/{session_id}",
    "/api/v1/users/{user_id}/sessions",
    "/api/v1/live",
    "/api/v1/live/events",
];

/// What other tests hold: methods that a path does not take, `If-Match`. And what the document cannot say: which names
/// exist, which rules a tenant's file has between its entries.
const LEFT_TO_OTHERS: &str = "unsupported_method,missing_required_header,positive_data_acceptance";

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_as_its_document_says() {
    let bench = Bench::new().await;
    let (_, token) = bench.sign_in("admin").await;
    // Something to answer with: a running line and two stops.
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_downtime", None).await;
    let start = now() - 60_000;
    bench.send("l1", [0, 500, 20_000, 20_500, 50_000, 50_500].map(|at| piece(at, start + at)));
    live.until(1, "a closed stop", |stop| stop["status"] == "closed").await;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tool = python("contract").with_file_name("st");
    let settings = root.join("tests/contract/schemathesis.toml");
    // One worker: several parse Python at the same time, which its parser answers with errors now and then.
    let mut run = Command::new(tool);
    run.current_dir(root.join("target"))
        .args(["--config-file", settings.to_str().expect("a plain path"), "run", &bench.url("/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {token}"), "--generation-with-security-parameters", "false"])
        .args(["--checks", "all", "--exclude-checks", LEFT_TO_OTHERS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--generation-deterministic"])
        .args(["--workers", "1", "--no-color"]);
    for path in LEFT_OUT {
        run.args(["--exclude-path", path]);
    }
    let output = tokio::task::spawn_blocking(move || run.output().expect("the tool runs")).await.expect("no panic");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    bench.end().await;
}
