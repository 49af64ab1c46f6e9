//! The admin port: `/live`, `/ready`, `/metrics`, `PUT /log`. For the machine's own network, not for browsers.

use std::future::Future;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::health::Health;
use super::log::{LogControl, LogError};
use super::metrics;

/// Histograms are emptied of their raw samples this often, also when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// The version of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the admin port speaks of.
#[derive(Clone)]
pub struct Admin {
    pub health: Health,
    pub metrics: PrometheusHandle,
    pub log: LogControl,
}

/// Serves until `shutdown` is done.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let histograms = admin.metrics.clone();
    let upkeep = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            histograms.run_upkeep();
        }
    });
    let served = axum::serve(listener, router(admin)).with_graceful_shutdown(shutdown).await;
    upkeep.abort();
    served
}

/// The routes alone, for tests and for a process that serves them beside others.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(render))
        .route("/log", put(set_log))
        .with_state(admin)
}

/// 200 or 503, both with every condition and the reason of those not fulfilled.
async fn ready(State(admin): State<Admin>) -> Response {
    let report = admin.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn render(State(admin): State<Admin>) -> Response {
    metrics::refresh();
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], admin.metrics.render()).into_response()
}

/// The body is the filter; the answer is the filter in force, or 400 with what to write instead.
async fn set_log(State(admin): State<Admin>, filter: String) -> Response {
    let answer = admin.log.set(&filter).and_then(|()| admin.log.current());
    match answer {
        Ok(filter) => format!("{filter}\n").into_response(),
        Err(error) => {
            let status = match error {
                LogError::Filter { .. } => StatusCode::BAD_REQUEST,
                LogError::Taken(_) | LogError::Gone(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("failed to change the log: {error}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use metrics_exporter_prometheus::PrometheusRecorder;
    use tower::ServiceExt;

    use super::*;
    use crate::watch::log;

    struct Bench {
        admin: Admin,
        recorder: PrometheusRecorder,
        // Kept: the log's control works as long as its subscriber lives.
        _subscriber: Box<dyn std::any::Any>,
    }

    fn bench() -> Bench {
        let recorder = metrics::recorder().unwrap();
        let (log, subscriber) = log::tests::scratch("info");
        let admin = Admin { health: Health::new(), metrics: recorder.handle(), log };
        Bench { admin, recorder, _subscriber: Box::new(subscriber) }
    }

    async fn call(admin: &Admin, method: &str, path: &str, body: &'static str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        let response = router(admin.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn live_is_200_while_not_ready_yet() {
        let bench = bench();
        assert_eq!(call(&bench.admin, "GET", "/live", "").await.0, StatusCode::OK);
        assert_eq!(call(&bench.admin, "GET", "/ready", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn ready_says_why_not() {
        let bench = bench();
        bench.admin.health.set("kafka", Err("no broker answers at 127.0.0.1:9092"));
        let (status, body) = call(&bench.admin, "GET", "/ready", "").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(report["conditions"][0]["reason"], "no broker answers at 127.0.0.1:9092");

        bench.admin.health.set("kafka", Ok::<(), String>(()));
        let (status, body) = call(&bench.admin, "GET", "/ready", "").await;
        assert_eq!(status, StatusCode::OK);
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(report, serde_json::json!({"ready": true, "conditions": [{"name": "kafka", "ok": true}]}));
    }

    #[tokio::test]
    async fn metrics_render_in_the_text_format() {
        let bench = bench();
        ::metrics::with_local_recorder(&bench.recorder, || {
            metrics::describe();
            ::metrics::gauge!(metrics::SOCKETS).set(3.0);
            ::metrics::histogram!(metrics::COMMIT_SECONDS, metrics::TENANT => "demo").record(0.004);
        });
        let (status, body) = call(&bench.admin, "GET", "/metrics", "").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("# TYPE andon_sockets gauge\nandon_sockets 3\n"), "{body}");
        assert!(body.contains("andon_commit_seconds_bucket{tenant=\"demo\",le=\"0.005\"} 1\n"), "{body}");
    }

    #[tokio::test]
    async fn the_log_filter_is_put_as_text() {
        let bench = bench();
        let (status, body) = call(&bench.admin, "PUT", "/log", "andon=debug,info\n").await;
        assert_eq!((status, bench.admin.log.current().unwrap()), (StatusCode::OK, "andon=debug,info".to_owned()));
        assert_eq!(body, "andon=debug,info\n");

        let (status, body) = call(&bench.admin, "PUT", "/log", "andon=loud").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.starts_with("failed to change the log: "), "{body}");
        assert_eq!(bench.admin.log.current().unwrap(), "andon=debug,info");
    }
}
