//! Conditional requests: what was read is named by an `ETag`, and only what was read is changed.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::gateway::problem::Problem;

/// Names a thing as it is.
pub fn tag(thing: &Value) -> String {
    let digest = Sha256::digest(thing.to_string());
    let text: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{text}\"")
}

/// Sets a header whose text may come from names.
pub fn set(response: &mut Response, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(name, value);
    }
}

fn among<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<impl Iterator<Item = &'a str>> {
    let given = headers.get(name)?.to_str().unwrap_or_default();
    Some(given.split(',').map(|one| one.trim().trim_start_matches("W/")))
}

/// A thing with its tag, or 304 when the caller has it already.
pub fn told(headers: &HeaderMap, tag: &str, thing: Value) -> Response {
    let is_known = among(headers, &header::IF_NONE_MATCH).is_some_and(|mut known| known.any(|one| one == tag));
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { Json(thing).into_response() };
    set(&mut response, header::ETAG, tag);
    response
}

/// Whether the caller has seen a thing as it is; none: they do not say.
///
/// # Errors
/// 412 when they have seen another.
pub fn seen(headers: &HeaderMap, tag: &str) -> Result<Option<()>, Problem> {
    match among(headers, &header::IF_MATCH).map(|mut given| given.any(|one| one == "*" || one == tag)) {
        None => Ok(None),
        Some(true) => Ok(Some(())),
        Some(false) => Err(Problem::stale()),
    }
}

/// As [`seen`], where it has to be said.
///
/// # Errors
/// 428 when it is not, 412 when they have seen another.
pub fn has_seen(headers: &HeaderMap, tag: &str) -> Result<(), Problem> {
    seen(headers, tag)?.ok_or_else(Problem::precondition_required)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(name: HeaderName, text: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(text).unwrap())])
    }

    #[test]
    fn only_what_was_read_is_changed() {
        let (one, two) = (tag(&json!({"a": 1})), tag(&json!({"a": 2})));
        assert_ne!(one, two);
        let given = |text: &str| has_seen(&headers(header::IF_MATCH, text), &one).map_err(|problem| problem.status);
        assert_eq!(given(&one), Ok(()));
        assert_eq!(given(&format!("{two}, {one}")), Ok(()));
        assert_eq!(given("*"), Ok(()));
        assert_eq!(given(&two), Err(412));
        assert_eq!(has_seen(&HeaderMap::new(), &one).unwrap_err().status, 428);
        assert_eq!(seen(&HeaderMap::new(), &one), Ok(None));
    }

    #[test]
    fn what_is_known_is_not_told_again() {
        let tag = tag(&json!(1));
        let status = |given: &str| told(&headers(header::IF_NONE_MATCH, given), &tag, json!(1)).status();
        assert_eq!(status(&format!("W/{tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(status("\"other\""), StatusCode::OK);
    }
}
