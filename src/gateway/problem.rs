//! Errors as clients get them: RFC 9457 `application/problem+json`, in answers and in frames of the live protocol.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Longest detail, characters: it repeats what was wrong, which is as long as its sender likes, and has to fit into a
/// frame with every character escaped.
const MAX_DETAIL: usize = 2_000;

/// What was wrong with a request, for its sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Names the kind, for programs.
    pub code: &'static str,
    pub title: &'static str,
    pub status: u16,
    /// What and how to mend it, for people.
    pub detail: String,
    /// Whether the same request can succeed later.
    pub temporary: bool,
    /// For the `Retry-After` header, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

// === impl Problem ===

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        let temporary = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
            detail.truncate(end);
            detail.push('…');
        }
        Problem { code, title, status: status.as_u16(), detail, temporary, retry_after_s: None }
    }

    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", "Bad request", detail)
    }

    pub fn unauthorised() -> Problem {
        let detail = "no session: log in, or send the session's cookie or bearer token";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorised", "Not signed in", detail)
    }

    pub fn wrong_login() -> Problem {
        let detail = "user name and password do not match an active user";
        Problem::new(StatusCode::UNAUTHORIZED, "wrong_login", "Login refused", detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    /// Unknown, of another tenant, or out of the user's rights: one answer for all three.
    pub fn unknown_line(name: &str) -> Problem {
        Problem::not_found(format!("there is no line or group {name:?}"))
    }

    pub fn unknown_tenant() -> Problem {
        Problem::not_found("there is no such tenant")
    }

    pub fn method_not_allowed() -> Problem {
        let detail = "the path does not take this method";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    /// Somebody else has changed it in between.
    pub fn stale() -> Problem {
        let detail = "it was changed in between: read it again, and send its ETag as If-Match";
        Problem::new(StatusCode::PRECONDITION_FAILED, "stale", "Changed in between", detail)
    }

    pub fn precondition_required() -> Problem {
        let detail = "say which revision is changed: send its ETag as If-Match";
        Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", "If-Match is missing", detail)
    }

    pub fn unprocessable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "Not acceptable as it is", detail)
    }

    /// More than is worked off for one request.
    pub fn too_much(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_much", "Too much at once", detail)
    }

    pub fn too_many(detail: impl Into<String>, wait: Duration) -> Problem {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests", detail);
        Problem { retry_after_s: Some(seconds), ..problem }
    }

    pub fn unavailable(detail: impl Into<String>) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now", detail);
        Problem { retry_after_s: Some(2), ..problem }
    }

    /// What the framework refused by itself.
    pub fn of_status(status: StatusCode) -> Problem {
        let title = status.canonical_reason().unwrap_or("Refused");
        let code = if status.is_server_error() { "internal" } else { "refused" };
        Problem::new(status, code, title, "the request is not of the form that this path takes")
    }

    /// A fault of ours. The cause is for the log, not for the sender.
    pub fn internal(cause: impl std::fmt::Display) -> Problem {
        tracing::error!(%cause, "request failed");
        let detail = "the server failed at this request; its log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// A database that cannot be asked.
    pub fn database(cause: impl std::fmt::Display) -> Problem {
        tracing::warn!(%cause, "database could not be asked");
        Problem::unavailable("the database cannot be asked at the moment")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A struct of texts and numbers always has a JSON form.
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
