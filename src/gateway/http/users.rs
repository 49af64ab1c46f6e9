//! A tenant's users, for those who manage them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Asked;
use super::own::{hashed, list_json};
use super::{body, needs_store};
use crate::domain::time::rfc3339;
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::gateway::rights::{Permissions, UserRole};
use crate::store::account::{NAME_CHARACTERS, NewUser, UserDetails};
use crate::store::users::{Changed, UserChange, UserFilter, UserRecord};
use crate::store::{Store, StoreError};

/// Users of a page, unless asked otherwise.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;
/// Longest e-mail address, characters.
const MAX_EMAIL: usize = 254;

/// A user to add.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOne {
    username: String,
    password: String,
    role: UserRole,
    #[serde(default)]
    email: Option<String>,
    /// None: all lines.
    #[serde(default)]
    lines: Option<BTreeSet<String>>,
    #[serde(default)]
    locale: Option<String>,
}

/// A user as it is to be; what is not named is none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    role: UserRole,
    is_active: bool,
    #[serde(default)]
    email: Option<String>,
    /// None: all lines.
    #[serde(default)]
    lines: Option<BTreeSet<String>>,
    #[serde(default)]
    locale: Option<String>,
    /// None: as before.
    #[serde(default)]
    password: Option<String>,
}

fn permissions_of(user: &UserRecord) -> Permissions {
    let nothing = || Permissions { lines: Some(BTreeSet::new()) };
    match &user.permissions {
        None => Permissions::default(),
        Some(json) => serde_json::from_str(json).unwrap_or_else(|_| nothing()),
    }
}

fn user_json(user: &UserRecord) -> Value {
    json!({
        "id": user.id, "username": user.username, "email": user.email, "role": user.role,
        "lines": permissions_of(user).lines, "locale": user.locale, "is_active": user.is_active,
        "created_at": rfc3339(user.created_at), "last_login_at": user.last_login_at.map(rfc3339),
        "revision": user.revision,
    })
}

fn tagged(status: StatusCode, user: &UserRecord) -> Response {
    let mut response = (status, Json(user_json(user))).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", user.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// `GET /users`: by number; a cursor goes on behind its user, whatever is filtered by.
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&["role", "state", "name", "cursor", "limit"])?;
    let limit = asked.query.count("limit", PAGE, MAX_PAGE)?;
    let wrong = |_| Problem::bad_request("cursor: not one that was given");
    let after: Option<i32> = asked.query.one("cursor")?.map(|text| text.parse().map_err(wrong)).transpose()?;
    let role = asked.query.one("role")?;
    if role.is_some_and(|role| UserRole::parse(role).is_none()) {
        let roles = UserRole::ALL.map(UserRole::as_str).join(", ");
        return Err(Problem::bad_request(format!("role: one of {roles}")));
    }
    let is_active = match asked.query.one("state")? {
        None => None,
        Some("active") => Some(true),
        Some("inactive") => Some(false),
        Some(_) => return Err(Problem::bad_request("state: active or inactive")),
    };
    let filter = UserFilter { role, is_active, name: asked.query.one("name")?, after: after.unwrap_or(0) };
    let store = needs_store(&app)?;
    let users = store.users(&asked.tenant.name, &filter, limit + 1).await.map_err(Problem::database)?;
    let page = &users[..users.len().min(limit as usize)];
    let next_cursor = page.last().filter(|_| users.len() > page.len()).map(|user| user.id.to_string());
    Ok(Json(json!({"items": page.iter().map(user_json).collect::<Vec<_>>(), "next_cursor": next_cursor})))
}

/// The user of that number, if it is of the tenant.
async fn user_of(store: &Store, asked: &Asked, id: i32) -> Result<UserRecord, Problem> {
    let found = store.user_of(&asked.tenant.name, id).await.map_err(Problem::database)?;
    found.ok_or_else(|| Problem::not_found(format!("there is no user {id}")))
}

/// `GET /users/{user_id}`
pub async fn one(State(app): State<Arc<App>>, Path(id): Path<i32>, asked: Asked) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    Ok(tagged(StatusCode::OK, &user_of(&*needs_store(&app)?, &asked, id).await?))
}

/// Refuses what would give or take more than the caller has.
fn may_manage(asked: &Asked, role: Option<UserRole>, permissions: &Permissions) -> Result<(), Problem> {
    if role.is_some_and(|role| role < asked.identity.role) {
        return Err(Problem::forbidden("role: nobody gives or takes a role above their own"));
    }
    if !asked.identity.permissions.cover(permissions) {
        return Err(Problem::forbidden("lines: nobody gives or takes lines beyond their own"));
    }
    Ok(())
}

fn check(
    asked: &Asked,
    role: UserRole,
    lines: Option<BTreeSet<String>>,
    email: Option<&str>,
    locale: Option<&str>,
) -> Result<Permissions, Problem> {
    if role == UserRole::SuperAdmin {
        let detail = "role: a super admin is of no tenant: add one with `andon user create --role SUPER_ADMIN`";
        return Err(Problem::unprocessable(detail));
    }
    let unknown =
        lines.iter().flatten().find(|line| asked.tenant.line(line).is_none() || !asked.identity.may_see_line(line));
    if let Some(line) = unknown {
        return Err(Problem::unprocessable(format!("lines: there is no line {line:?}")));
    }
    let is_address =
        |email: &str| email.chars().count() <= MAX_EMAIL && email.contains('@') && !email.contains(char::is_whitespace);
    if email.is_some_and(|email| !is_address(email)) {
        return Err(Problem::unprocessable(format!("email: an address of at most {MAX_EMAIL} characters")));
    }
    if locale.is_some_and(|locale| !matches!(locale, "es" | "en")) {
        return Err(Problem::unprocessable("locale: es or en"));
    }
    let permissions = Permissions { lines };
    may_manage(asked, Some(role), &permissions)?;
    Ok(permissions)
}

/// As the column holds it: none when nothing is narrowed.
fn permissions_json(permissions: &Permissions) -> Option<String> {
    permissions.lines.as_ref().and_then(|_| serde_json::to_string(permissions).ok())
}

/// `POST /users`
pub async fn create(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<NewOne>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let NewOne { username, password, role, email, lines, locale } = body(wish)?;
    let is_name = (1..=NAME_CHARACTERS).contains(&username.chars().count())
        && username.trim() == username
        && !username.contains(char::is_control);
    if !is_name {
        let detail = format!("username: 1 to {NAME_CHARACTERS} characters without blanks around them");
        return Err(Problem::unprocessable(detail));
    }
    let permissions = check(&asked, role, lines, email.as_deref(), locale.as_deref())?;
    let store = needs_store(&app)?;
    let hashed = hashed("password", password).await?;
    let tenants = store.tenants().await.map_err(Problem::database)?;
    let tenant = tenants.iter().find(|tenant| tenant.name == asked.tenant.name).ok_or_else(Problem::unknown_tenant)?;
    let new = NewUser { tenant: Some(tenant), username: &username, password: &hashed, role: role.as_str() };
    let narrowed = permissions_json(&permissions);
    let details = UserDetails { email: email.as_deref(), permissions: narrowed.as_deref(), locale: locale.as_deref() };
    let id = match store.create_user_with(&new, details).await {
        Ok(id) => id,
        Err(StoreError::Conflict(detail)) => return Err(Problem::conflict(detail)),
        Err(error) => return Err(Problem::database(error)),
    };
    let user = user_of(&store, &asked, id).await?;
    let details = json!({"tenant": asked.tenant.name, "user_id": id, "username": username, "role": role,
        "lines": permissions.lines});
    app.audit(&asked.identity, "user_created", &details).await;
    let mut response = tagged(StatusCode::CREATED, &user);
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/users/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// The revision that a change is of.
fn if_match(headers: &HeaderMap) -> Result<i32, Problem> {
    let tag = headers.get(header::IF_MATCH).ok_or_else(Problem::precondition_required)?;
    let revision = tag.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    revision.ok_or_else(Problem::stale)
}

/// `PUT /users/{user_id}`: holds at once, also for live connections.
pub async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    asked: Asked,
    headers: HeaderMap,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let Wish { role, is_active, email, lines, locale, password } = body(wish)?;
    let store = needs_store(&app)?;
    let before = user_of(&store, &asked, id).await?;
    may_manage(&asked, UserRole::parse(&before.role), &permissions_of(&before))?;
    let permissions = check(&asked, role, lines, email.as_deref(), locale.as_deref())?;
    let is_own = asked.identity.user() == Some(id);
    if is_own && (!is_active || role.as_str() != before.role || permissions != permissions_of(&before)) {
        return Err(Problem::conflict("nobody takes rights from themselves: ask another administrator"));
    }
    if is_own && password.is_some() {
        return Err(Problem::conflict("one's own password is changed at /auth/change-password, with the old one"));
    }
    let hashed = match password {
        Some(password) => Some(hashed("password", password).await?),
        None => None,
    };
    let narrowed = permissions_json(&permissions);
    let change = UserChange {
        email: email.as_deref(),
        role: role.as_str(),
        permissions: narrowed.as_deref(),
        locale: locale.as_deref(),
        is_active,
        password: hashed.as_deref(),
    };
    apply(&app, &store, id, if_match(&headers)?, &change).await?;
    let details = json!({"tenant": asked.tenant.name, "user_id": id, "username": before.username,
        "role": [before.role, role.as_str()], "lines": [permissions_of(&before).lines, permissions.lines],
        "is_active": [before.is_active, is_active], "password": change.password.is_some()});
    app.audit(&asked.identity, "user_changed", &details).await;
    Ok(tagged(StatusCode::OK, &user_of(&store, &asked, id).await?))
}

async fn apply(app: &App, store: &Arc<Store>, id: i32, revision: i32, change: &UserChange<'_>) -> Result<(), Problem> {
    match store.change_user(id, revision, change, now()).await.map_err(Problem::database)? {
        Changed::Done { ended } => {
            app.accounts.ended(&ended);
            app.accounts.changed(store, id).await;
            Ok(())
        }
        Changed::Stale => Err(Problem::stale()),
    }
}

/// `DELETE /users/{user_id}`: the user stays, but is let in no more.
pub async fn deactivate(State(app): State<Arc<App>>, Path(id): Path<i32>, asked: Asked) -> Result<StatusCode, Problem> {
    asked.query.only(&[])?;
    let store = needs_store(&app)?;
    let user = user_of(&store, &asked, id).await?;
    may_manage(&asked, UserRole::parse(&user.role), &permissions_of(&user))?;
    if asked.identity.user() == Some(id) {
        return Err(Problem::conflict("nobody takes rights from themselves: ask another administrator"));
    }
    let change = UserChange {
        email: user.email.as_deref(),
        role: &user.role,
        permissions: user.permissions.as_deref(),
        locale: user.locale.as_deref(),
        is_active: false,
        password: None,
    };
    apply(&app, &store, id, user.revision, &change).await?;
    let details = json!({"tenant": asked.tenant.name, "user_id": id, "username": user.username});
    app.audit(&asked.identity, "user_deactivated", &details).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /users/{user_id}/sessions`
pub async fn sessions(State(app): State<Arc<App>>, Path(id): Path<i32>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let store = needs_store(&app)?;
    let user = user_of(&store, &asked, id).await?;
    let sessions = store.sessions(user.id, app.accounts.idle_since()).await.map_err(Problem::database)?;
    Ok(Json(list_json(&sessions, asked.identity.session_id())))
}

/// `DELETE /users/{user_id}/sessions`: all of them.
pub async fn end_sessions(
    State(app): State<Arc<App>>,
    Path(id): Path<i32>,
    asked: Asked,
) -> Result<StatusCode, Problem> {
    asked.query.only(&[])?;
    let store = needs_store(&app)?;
    let user = user_of(&store, &asked, id).await?;
    may_manage(&asked, UserRole::parse(&user.role), &permissions_of(&user))?;
    let ended = store.end_sessions(id, None, None, now()).await.map_err(Problem::database)?;
    let details = json!({"tenant": asked.tenant.name, "user_id": id, "sessions_ended": ended.len()});
    app.audit(&asked.identity, "sessions_ended", &details).await;
    app.accounts.ended(&ended);
    Ok(StatusCode::NO_CONTENT)
}
