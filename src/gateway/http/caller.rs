//! Who asks, for which tenant, and whether it is really they.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::query::Query;
use crate::gateway::App;
use crate::gateway::account::token::{Credential, Token};
use crate::gateway::directory::Tenant;
use crate::gateway::problem::Problem;
use crate::gateway::rights::Identity;

/// Names of the session's cookie: over HTTPS, and on a machine of one's own without.
pub const SECURE_COOKIE: &str = "__Host-andon";
pub const PLAIN_COOKIE: &str = "andon";
/// The same of a paired screen's.
pub const SECURE_SCREEN_COOKIE: &str = "__Host-andon-screen";
pub const PLAIN_SCREEN_COOKIE: &str = "andon-screen";

/// A request of somebody known.
#[derive(Clone, Debug)]
pub struct Caller(pub Identity);

/// A request of somebody known, about a tenant, with its query.
#[derive(Clone, Debug)]
pub struct Asked {
    pub identity: Identity,
    pub tenant: Arc<Tenant>,
    pub query: Query,
}

/// What a request brings to say whose it is: as bearer, else as cookie.
pub fn credential(headers: &HeaderMap) -> Option<Credential> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
        return if scheme.eq_ignore_ascii_case("bearer") { Credential::parse(text.trim()) } else { None };
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs: Vec<(&str, &str)> =
        cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('=')).collect();
    let of = |name: &str| pairs.iter().find(|(pair, _)| *pair == name).and_then(|(_, value)| Token::parse(value));
    let session = of(SECURE_COOKIE).or_else(|| of(PLAIN_COOKIE)).map(Credential::Session);
    // Whoever signs in on a screen is themselves.
    session.or_else(|| of(SECURE_SCREEN_COOKIE).or_else(|| of(PLAIN_SCREEN_COOKIE)).map(Credential::Key))
}

/// The host that the client spoke to, with its port where it is not the scheme's own.
pub fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    uri.authority().map(axum::http::uri::Authority::as_str).or_else(|| headers.get(header::HOST)?.to_str().ok())
}

/// Whether the client spoke plain HTTP to its own machine: then a secure cookie would never come back.
pub fn is_plain_loopback(headers: &HeaderMap, uri: &Uri) -> bool {
    let forwarded = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https");
    let name = host(headers, uri).map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    !forwarded && matches!(name, Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Whether a page of another site made this request. Browsers say so in every request that changes anything and in
/// every websocket; other clients send neither header and carry no cookie that they were not given.
pub fn is_foreign(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> bool {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let Ok(origin) = origin.to_str() else { return true };
        let own = |origin: &str| {
            let of_origin = origin.split_once("://").map(|(_, host)| host);
            of_origin.is_some() && of_origin == host(headers, uri)
        };
        return !own(origin) && !allowed.iter().any(|one| one == origin);
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    !matches!(site, None | Some(b"same-origin" | b"none"))
}

/// Refuses what a page of another site would have changed.
pub async fn refuse_foreign(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && is_foreign(request.headers(), request.uri(), &app.origins) {
        return Problem::forbidden("requests of other sites are not taken: add their origin to gateway.origins")
            .into_response();
    }
    next.run(request).await
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    /// As the route's check has found.
    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Caller, Problem> {
        parts.extensions.get::<Identity>().cloned().map(Caller).ok_or_else(Problem::unauthorised)
    }
}

impl FromRequestParts<Arc<App>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Asked, Problem> {
        let Caller(identity) = Caller::from_request_parts(parts, app).await?;
        let query = Query::read(&parts.uri)?;
        let tenant = tenant_of(app, &identity, &query)?;
        Ok(Asked { identity, tenant, query })
    }
}

/// The tenant that is asked about: one's own, or the one that a super admin names.
pub fn tenant_of(app: &App, identity: &Identity, query: &Query) -> Result<Arc<Tenant>, Problem> {
    let named = query.one("tenant")?;
    let choose = || Problem::bad_request("tenant: name one; a super admin has none of their own");
    let name = named.or(identity.tenant.as_deref()).ok_or_else(choose)?;
    if !identity.may_see_tenant(name) {
        return Err(Problem::unknown_tenant());
    }
    match app.directory.get(name) {
        Some(tenant) => Ok(tenant),
        // Nothing was ever read: that is not the same as "does not exist".
        None if !app.directory.is_known() => Err(Problem::unavailable("the tenants are not read yet")),
        None => Err(Problem::unknown_tenant()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_token_comes_as_bearer_or_cookie() {
        let (one, two) = (Token::new(), Token::new());
        let session = |token: &Token| Some(Credential::Session(token.clone()));
        let bearer = headers(&[("authorization", &format!("bearer {}", one.text()))]);
        assert_eq!(credential(&bearer), session(&one));
        let key = headers(&[("authorization", &format!("Bearer {}", one.key_text()))]);
        assert_eq!(credential(&key), Some(Credential::Key(one.clone())));
        let cookie = headers(&[("cookie", &format!("a=b; andon={}", one.text()))]);
        assert_eq!(credential(&cookie), session(&one));
        let both = headers(&[("cookie", &format!("andon={}; __Host-andon={}", one.text(), two.text()))]);
        assert_eq!(credential(&both), session(&two));
        let mixed = format!("andon={}", one.text());
        let other = headers(&[("cookie", &mixed), ("authorization", "Basic eA==")]);
        assert_eq!(credential(&other), None);
        let screen = headers(&[("cookie", &format!("andon-screen={}", one.text()))]);
        assert_eq!(credential(&screen), Some(Credential::Key(one.clone())));
        let person = headers(&[("cookie", &format!("andon-screen={}; andon={}", one.text(), two.text()))]);
        assert_eq!(credential(&person), session(&two));
        let key = headers(&[("cookie", &format!("andon={}", one.key_text()))]);
        assert_eq!(credential(&key), None, "a key is no cookie");
        assert_eq!(credential(&headers(&[])), None);
    }

    #[test]
    fn other_sites_are_told_apart() {
        let uri: Uri = "/api/v1/live".parse().unwrap();
        let allowed = ["https://board.example.com".to_owned()];
        let foreign = |pairs: &[(&'static str, &str)]| {
            let mut all = headers(pairs);
            all.insert("host", HeaderValue::from_static("andon.example.com"));
            is_foreign(&all, &uri, &allowed)
        };
        assert!(!foreign(&[]));
        assert!(!foreign(&[("origin", "https://andon.example.com")]));
        assert!(!foreign(&[("origin", "https://board.example.com")]));
        assert!(!foreign(&[("sec-fetch-site", "same-origin")]));
        assert!(foreign(&[("origin", "https://andon.example.com.evil.example")]));
        assert!(foreign(&[("origin", "https://andon.example.com:444")]));
        assert!(foreign(&[("origin", "null")]));
        assert!(foreign(&[("sec-fetch-site", "cross-site")]));
        assert!(foreign(&[("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn plain_cookies_only_go_to_ones_own_machine() {
        let uri: Uri = "/".parse().unwrap();
        let plain = |pairs: &[(&'static str, &str)]| is_plain_loopback(&headers(pairs), &uri);
        assert!(plain(&[("host", "127.0.0.1:8080")]));
        assert!(plain(&[("host", "localhost")]));
        assert!(plain(&[("host", "[::1]:8080")]));
        assert!(!plain(&[("host", "andon.example.com")]));
        assert!(!plain(&[("host", "localhost"), ("x-forwarded-proto", "https")]));
        assert!(!plain(&[]));
    }
}
