//! A schema registry in a few lines: it gives Andon's schemas their ids and knows one of a newer writer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use andon::kafka::schemas::Kind;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

/// The id of [`newer_detection`].
pub const NEWER_ID: u32 = 77;

type Schemas = Arc<Mutex<HashMap<u32, String>>>;

/// `Detection` as a newer writer has it: with one more field.
pub fn newer_detection() -> String {
    let mut schema: Value = serde_json::from_str(Kind::Detection.text()).expect("JSON");
    let fields = schema["fields"].as_array_mut().expect("fields");
    fields.push(json!({"name": "batch", "type": ["null", "string"], "default": null}));
    schema.to_string()
}

/// Serves until the test ends; answers its URL.
pub async fn start() -> String {
    let schemas: Schemas = Arc::new(Mutex::new(HashMap::from([(NEWER_ID, newer_detection())])));
    let app = Router::new()
        .route("/config/{subject}", put(async |body: String| body))
        .route("/subjects/{subject}/versions", post(register))
        .route("/schemas/ids/{id}", get(by_id))
        .with_state(schemas);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn register(State(schemas): State<Schemas>, body: String) -> Json<Value> {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let text = body["schema"].as_str().unwrap_or_default().to_owned();
    let kind = Kind::ALL.into_iter().find(|kind| kind.text() == text);
    let id = kind.map_or(NEWER_ID, Kind::builtin_id);
    schemas.lock().unwrap().insert(id, text);
    Json(json!({"id": id}))
}

async fn by_id(State(schemas): State<Schemas>, Path(id): Path<u32>) -> (StatusCode, Json<Value>) {
    match schemas.lock().unwrap().get(&id) {
        Some(text) => (StatusCode::OK, Json(json!({"schema": text}))),
        None => (StatusCode::NOT_FOUND, Json(json!({"error_code": 40403, "message": "Schema not found"}))),
    }
}
