//! The routes without any server behind them: who is let in, what is refused and how, what the document says.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::router;
use super::routes::{Access, api};
use crate::config::Config;
use crate::domain::production::changes::LineState;
use crate::domain::production::figure::Window;
use crate::gateway::App;
use crate::gateway::account::token::{Credential, Token};
use crate::gateway::hub::tests::{figure, state, told};
use crate::gateway::live::tests::tenant;
use crate::kafka::schemas::SchemaIds;
use crate::store::account::User;
use crate::store::users::KeyRow;
use crate::watch::health::Health;

/// Requests that a user of the bench may make: more than any test does.
const REQUESTS: u32 = 1_000_000;

pub(super) struct Bench {
    pub(super) app: Arc<App>,
    pub(super) router: Router,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with_requests(REQUESTS)
    }

    /// Whose users may make so many requests a minute.
    fn with_requests(requests_per_minute: u32) -> Bench {
        let ids = Arc::new(SchemaIds::builtin());
        let mut config = Config::default();
        config.gateway.requests_per_minute = requests_per_minute;
        let app = Arc::new(App::new(&config, ids, Health::new(), CancellationToken::new()));
        app.directory.put(tenant());
        let mut other = tenant();
        other.name = "other".into();
        app.directory.put(other);
        let board = app.hub.board("demo");
        for line in ["l1", "l2", "l3"] {
            let now = state(LineState::Running, 5_000);
            board.figure(told(1), &figure(line, Window::Shift, 5_000), now, 4_400, 5_000);
        }
        app.set_whole();
        let router = router(app.clone());
        Bench { app, router }
    }

    pub(super) fn token(&self, role: &str, tenant: Option<&str>, permissions: Option<&str>) -> String {
        let token = Token::new().text();
        self.plant(&token, role, tenant, permissions);
        token
    }

    /// What the database would say of a session's user from now on.
    pub(super) fn plant(&self, token: &str, role: &str, tenant: Option<&str>, permissions: Option<&str>) {
        let user = User {
            id: 1,
            username: "ana".into(),
            password: String::new(),
            role: role.into(),
            tenant: tenant.map(str::to_owned),
            permissions: permissions.map(str::to_owned),
            locale: None,
        };
        self.app.accounts.plant(&Token::parse(token).unwrap(), user);
    }

    /// A new API key of the tenant `demo`; each bench has one.
    pub(super) fn key(&self, permissions: &str) -> String {
        let text = Token::new().key_text();
        self.plant_key(&text, permissions);
        text
    }

    /// What the database would say of a key from now on.
    pub(super) fn plant_key(&self, text: &str, permissions: &str) {
        let Some(Credential::Key(token)) = Credential::parse(text) else { panic!("no key: {text}") };
        let row = KeyRow {
            id: 1,
            name: "mes".into(),
            tenant: "demo".into(),
            permissions: Some(permissions.into()),
            created_at: 0,
            last_used_at: None,
            revoked_at: None,
        };
        self.app.accounts.plant_key(&token, row);
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = Request::builder().method(method).uri(path).header("host", "andon.example.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        let bearer = format!("Bearer {token}");
        read(self.send("GET", path, &[("authorization", &bearer)], "").await).await
    }
}

pub(super) async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A path of the document with something in the place of its names.
pub(super) fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{line}" => "l1",
        "{downtime_id}" => "l1:1000",
        "{command_id}" | "{product_id}" | "{id}" | "{user_id}" | "{session_id}" | "{key_id}" | "{area_id}"
        | "{failure_id}" | "{incident_id}" | "{tenant_id}" => "1",
        "{preview_id}" => "00112233445566778899aabbccddeeff",
        "{shift_name}" => "night",
        "{reason_code}" => "jam",
        "{widget}" => "kpi_oee",
        "{screen_id}" => "1",
        "{role}" => "OPERATOR",
        "{key}" => "dashboard.stops_of_several_lines",
        "{subject}" => "andon.v1.Detection",
        "{version}" => "latest",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_document_lists_exactly_these_paths_and_methods() {
    let bench = Bench::new();
    let (_, document) = bench.get("/api/v1/openapi.json", "").await;
    let documented = document["paths"].as_object().unwrap();
    let mut paths: Vec<String> = documented.keys().filter(|path| path.starts_with("/api/")).cloned().collect();
    let mut routes: Vec<String> = api().iter().map(|route| format!("/api/v1{}", route.path)).collect();
    paths.sort();
    routes.sort();
    routes.dedup();
    assert_eq!(paths, routes);
    for route in api() {
        let operation = &documented[&format!("/api/v1{}", route.path)][route.method.as_str().to_lowercase()];
        let is_open = operation.get("security") == Some(&json!([]));
        assert_eq!(is_open, route.access == Access::Open, "{} {}", route.method, route.path);
    }
    for (path, operations) in documented {
        for method in ["get", "put", "post", "delete", "patch"] {
            let response = bench.send(&method.to_uppercase(), &filled(path), &[], "").await;
            let is_taken = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(is_taken, operations.get(method).is_some(), "{method} {path}");
            assert_ne!(response.status(), StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_path_but_the_documented_ones_needs_a_session() {
    let bench = Bench::new();
    let (_, document) = bench.get("/api/v1/openapi.json", "").await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let is_open = operation.get("security") == Some(&json!([]));
            let response = bench.send(&method.to_uppercase(), &filled(path), &[], "").await;
            assert_eq!(response.status() == StatusCode::UNAUTHORIZED, !is_open, "{method} {path}");
        }
    }
    let (status, problem) = bench.get("/api/v1/auth/me", &Token::new().text()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "without a database nobody knows whose token it is");
    assert_eq!(problem["temporary"], true);
}

#[tokio::test]
async fn me_is_who_one_is() {
    let bench = Bench::new();
    let token = bench.token("OPERATOR", Some("demo"), None);
    let (status, me) = bench.get("/api/v1/auth/me", &token).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({"username": "ana", "role": "OPERATOR", "tenant": "demo", "company": "demo",
        "time_zone": "Europe/Madrid", "locale": "es", "lines": null, "may_classify": true,
        "scopes": null});
    assert_eq!(me, expected);
}

#[tokio::test]
async fn figures_come_from_the_hub_and_only_of_lines_one_may_see() {
    let bench = Bench::new();
    let token = bench.token("VIEWER", Some("demo"), Some(r#"{"lines": ["l2"]}"#));
    let (status, body) = bench.get("/api/v1/metrics/oee?window=shift", &token).await;
    assert_eq!(status, StatusCode::OK);
    let lines: Vec<&Value> = body["figures"].as_array().unwrap().iter().map(|figure| &figure["line"]).collect();
    assert_eq!(lines, ["l2"]);
    for path in ["/metrics/oee?line=l1", "/metrics/oee?line=l9", "/downtime?line=l2&line=l1", "/downtime/l1:1000"] {
        let (status, problem) = bench.get(&format!("/api/v1{path}"), &token).await;
        // Without a database, what may be seen at all is decided first.
        let expected = if path == "/downtime/l1:1000" { 503 } else { 404 };
        assert_eq!((status.as_u16(), &problem["status"]), (expected, &json!(expected)), "{path}");
    }
}

#[tokio::test]
async fn another_tenant_looks_like_none() {
    let bench = Bench::new();
    let token = bench.token("ADMIN", Some("demo"), None);
    let (other, problem) = bench.get("/api/v1/production/lines?tenant=other", &token).await;
    let (none, same) = bench.get("/api/v1/production/lines?tenant=none", &token).await;
    assert_eq!((other, none), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(problem, same);
    let (own, body) = bench.get("/api/v1/production/lines?tenant=demo", &token).await;
    assert_eq!((own, body["items"].as_array().unwrap().len()), (StatusCode::OK, 3));

    let token = bench.token("SUPER_ADMIN", None, None);
    assert_eq!(bench.get("/api/v1/production/lines", &token).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bench.get("/api/v1/production/lines?tenant=other", &token).await.0, StatusCode::OK);
    assert_eq!(bench.get("/api/v1/production/lines?tenant=none", &token).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_query_does_not_know_is_refused() {
    let bench = Bench::new();
    let token = bench.token("OPERATOR", Some("demo"), None);
    for path in [
        "/metrics/oee?lines=l1",
        "/metrics/oee?window=range",
        "/metrics/oee?window=2h",
        "/metrics/oee?from=2026-01-01T00:00:00Z",
        "/downtime?limit=0",
        "/downtime?cursor=x",
        "/data/aggregate",
        "/data/aggregate?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&interval=year",
        "/production/lines?line=l1",
        "/production/products/seven",
        "/live/events",
    ] {
        let (status, problem) = bench.get(&format!("/api/v1{path}"), &token).await;
        assert_eq!((status.as_u16(), &problem["status"]), (400, &json!(400)), "{path}: {problem}");
    }
    let token = bench.token("ADMIN", Some("demo"), None);
    let (status, problem) = bench.get("/api/v1/audit?outcome=null", &token).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}

#[tokio::test]
async fn errors_are_problems() {
    let bench = Bench::new();
    for (method, path, body, status) in [
        ("GET", "/api/v1/nothing", "", 404),
        ("DELETE", "/api/v1/downtime", "", 405),
        ("GET", "/api/v1/downtime", "", 401),
        ("POST", "/api/v1/auth/login", "{", 400),
        ("POST", "/api/v1/auth/login", r#"{"username":"a"}"#, 400),
        ("POST", "/api/v1/auth/login", r#"{"username":"a","password":"b"}"#, 503),
    ] {
        let response = bench.send(method, path, &[("content-type", "application/json")], body).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{method} {path}");
        let (found, problem) = read(response).await;
        assert_eq!(found.as_u16(), status, "{method} {path} {body}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].is_string() && problem["title"].is_string() && problem["code"].is_string());
    }
    let large = format!(r#"{{"username":"a","password":"{}"}}"#, "x".repeat(100_000));
    let response = bench.send("POST", "/api/v1/auth/login", &[("content-type", "application/json")], &large).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert!(response.status().is_client_error());
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let bench = Bench::new();
    let cookie = format!("__Host-andon={}", bench.token("OPERATOR", Some("demo"), None));
    let ticket = async |headers: &[(&str, &str)]| {
        let mut all = vec![("cookie", cookie.as_str())];
        all.extend(headers);
        bench.send("POST", "/api/v1/live/ticket", &all, "").await.status()
    };
    assert_eq!(ticket(&[]).await, StatusCode::OK);
    assert_eq!(ticket(&[("origin", "https://andon.example.com")]).await, StatusCode::OK);
    assert_eq!(ticket(&[("origin", "https://evil.example")]).await, StatusCode::FORBIDDEN);
    assert_eq!(ticket(&[("sec-fetch-site", "cross-site")]).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn logins_run_out() {
    let bench = Bench::new();
    let body = r#"{"username":"Ana","password":"wrong"}"#;
    let login = async |body: &str| {
        bench.send("POST", "/api/v1/auth/login", &[("content-type", "application/json")], body).await
    };
    for _ in 0..20 {
        assert_eq!(login(body).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let response = login(&body.to_lowercase()).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    assert_eq!(login(&body.replace("Ana", "Eva")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn requests_of_a_user_run_out_and_live_connections_do_not() {
    let bench = Bench::with_requests(3);
    let token = bench.token("VIEWER", Some("demo"), None);
    let (lines, bearer) = ("/api/v1/production/lines", format!("Bearer {token}"));
    for n in 0..3 {
        assert_eq!(bench.get(lines, &token).await.0, StatusCode::OK, "{n}");
    }
    let response = bench.send("GET", lines, &[("authorization", &bearer)], "").await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((15..=20).contains(&wait), "{wait}");
    // A key of the same tenant has its own count, and a connection is none of them.
    assert_eq!(bench.get(lines, &bench.key(r#"{"scopes": ["look"]}"#)).await.0, StatusCode::OK);
    let events = bench.send("GET", "/api/v1/live/events?widget=feed_state", &[("authorization", &bearer)], "").await;
    assert_eq!(events.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_ticket_is_used_once() {
    let bench = Bench::new();
    let bearer = format!("Bearer {}", bench.token("OPERATOR", Some("demo"), None));
    let (status, body) = read(bench.send("POST", "/api/v1/live/ticket", &[("authorization", &bearer)], "").await).await;
    assert_eq!(status, StatusCode::OK);
    let path = format!("/api/v1/live/events?widget=feed_state&ticket={}", body["ticket"].as_str().unwrap());
    let first = bench.send("GET", &path, &[], "").await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.headers()[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(bench.send("GET", &path, &[], "").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn events_are_the_protocols_frames() {
    let bench = Bench::new();
    let bearer = format!("Bearer {}", bench.token("OPERATOR", Some("demo"), None));
    let events = async |path: &str, headers: &[(&str, &str)], count: usize| {
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        let response = bench.send("GET", &format!("/api/v1/live/events?{path}"), &all, "").await;
        assert_eq!(response.status(), StatusCode::OK);
        use futures_util::StreamExt;
        let chunks: Vec<_> = response.into_body().into_data_stream().take(count).collect().await;
        chunks.into_iter().map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap()).collect::<Vec<_>>()
    };
    bench.app.hub.board("demo").figure(
        told(2),
        &figure("l1", Window::Shift, 6_000),
        state(LineState::Stopped, 6_000),
        0,
        6_000,
    );
    let chunks = events("widget=feed_state&line=l1", &[], 3).await;
    assert!(chunks[0].starts_with("retry: "));
    assert!(chunks[1].contains("\"op\":\"hello\""));
    assert!(chunks[2].contains("\"state\":\"stopped\"") && chunks[2].contains("\"op\":\"snapshot\""), "{}", chunks[2]);
    let id = chunks[2].strip_prefix("id: ").unwrap().split('\n').next().unwrap().to_owned();
    let again = events("widget=feed_state&line=l1", &[("last-event-id", &id)], 3).await;
    assert!(again[2].contains("\"op\":\"change\"") && again[2].contains("\"items\":[]"), "{}", again[2]);
    let anew = events("widget=feed_state&line=l1", &[("last-event-id", "0:1")], 4).await;
    assert!(anew[2].contains("\"op\":\"must_refetch\""), "{}", anew[2]);
    assert!(anew[3].contains("\"op\":\"snapshot\""), "{}", anew[3]);
}

#[tokio::test]
async fn the_registry_answers_whoever_names_a_topic_and_lists_to_those_who_may_know() {
    let bench = Bench::new();
    let plain = async |path: &str| read(bench.send("GET", path, &[], "").await).await;
    let (status, body) = plain("/registry/subjects/oee.demo.l1-value/versions/latest").await;
    assert_eq!((status, &body["id"]), (StatusCode::OK, &json!(4)));
    let (_, schema) = plain("/registry/schemas/ids/4").await;
    assert_eq!(schema["schema"], body["schema"]);
    assert_eq!(plain("/registry/schemas/ids/99").await.0, StatusCode::NOT_FOUND);
    let (_, open) = plain("/registry/subjects").await;
    assert!(!open.to_string().contains("demo"), "{open}");
    let (_, own) = bench.get("/registry/subjects", &bench.token("VIEWER", Some("demo"), None)).await;
    assert!(own.to_string().contains("oee.demo.l1-value") && !own.to_string().contains("other"), "{own}");
}

#[tokio::test]
async fn every_answer_is_dressed() {
    let bench = Bench::new();
    for path in ["/", "/wall/demo", "/line/l1", "/api/v1/nothing", "/api/docs", "/assets/none.js"] {
        let response = bench.send("GET", path, &[], "").await;
        let headers = response.headers();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let over_https = bench.send("GET", "/", &[("x-forwarded-proto", "https")], "").await;
    assert_eq!(over_https.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    assert_eq!(bench.send("GET", "/wall/demo", &[], "").await.status(), StatusCode::OK);
    assert_eq!(bench.send("GET", "/assets/none.js", &[], "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(bench.send("GET", "/../Cargo.toml", &[], "").await.status(), StatusCode::NOT_FOUND);
}
