//! The interface as a document for programs, and as a page for people.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// Kept by hand beside the routes; a test holds the two together.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("openapi.json")).unwrap_or(Value::Null));

/// `GET /openapi.json`
pub async fn document() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// `GET /api/docs`
pub async fn page() -> Response {
    let mut text = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Andon API</title><h1>Andon API</h1>\
         <p>As a document for programs: <a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a></p>",
    );
    for (path, operations) in DOCUMENT["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            // Writing to a string never fails; both texts are ours.
            let _ = write!(text, "<h2><code>{} {path}</code></h2><p>{summary}</p><ul>", method.to_uppercase());
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter = parameter["$ref"].as_str().map_or(parameter, |reference| {
                    let name = reference.rsplit('/').next().unwrap_or_default();
                    &DOCUMENT["components"]["parameters"][name]
                });
                let (name, meaning) = (parameter["name"].as_str(), parameter["description"].as_str());
                let _ = write!(text, "<li><code>{}</code> {}", name.unwrap_or_default(), meaning.unwrap_or_default());
            }
            text.push_str("</ul>");
        }
    }
    text.push_str("</html>\n");
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}
