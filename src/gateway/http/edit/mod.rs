//! Changing what a tenant's file says, entry by entry: each change is a new version of the whole file, which the lines'
//! owners take over by a command, as `andon tenant apply` makes one.
//!
//! Nobody overwrites what they have not seen: `If-Match` names the entry as it was read, and a version is only saved as
//! the one after the version that was changed.

mod place;
mod supposed;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use self::place::{Change, Place};
pub(super) use self::supposed::Settings;
use super::caller::Asked;
use super::etag::{self, tag};
use super::{body, needs_database, needs_store};
use crate::config::tenant::{LineSpec, TenantSpec, is_name};
use crate::domain::production::line::accounts::SLICE_MS;
use crate::domain::time::{MINUTE_MS, Ms, rfc3339};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::directory::Tenant;
use crate::gateway::problem::Problem;
use crate::kafka::topics::Admin;
use crate::store::{ConfigVersion, StoreError, TenantDb};

/// How often a change is made anew when others save versions at the same moment.
const TRIES: usize = 8;
/// A last version that begins later than so from now is planned: a change has to say when it is to hold.
const PLANNED_MS: Ms = 5 * MINUTE_MS;

type Wish = Result<Json<Value>, JsonRejection>;
type Answer = Result<Response, Problem>;

/// The file as it is stored, without the database's address.
pub(super) fn file_of(spec: &TenantSpec) -> Result<Value, Problem> {
    let mut file = serde_json::to_value(spec).map_err(Problem::internal)?;
    if let Some(tenant) = file["tenant"].as_object_mut() {
        tenant.remove("database_url");
    }
    Ok(file)
}

/// A line that one may not see is none. What is of all lines, the table of paths has asked for.
fn visible(asked: &Asked, place: &Place) -> Result<(), Problem> {
    match place.line() {
        Some(line) if !asked.identity.may_see_line(line) => Err(Problem::unknown_line(line)),
        _ => Ok(()),
    }
}

/// Takes the names of lines that one may not see out of an entry, or of the members of its lists; what is only of such
/// lines goes whole.
fn seen(asked: &Asked, mut entry: Value) -> Option<Value> {
    let may_see = |line: &Value| line.as_str().is_some_and(|line| asked.identity.may_see_line(line));
    if let Some(lines) = entry.get_mut("lines").and_then(Value::as_array_mut) {
        lines.retain(may_see);
        if lines.is_empty() {
            return None;
        }
    }
    for members in entry.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if let Some(members) = members.as_array_mut().filter(|members| members.iter().any(Value::is_object)) {
            *members = std::mem::take(members).into_iter().filter_map(|member| seen(asked, member)).collect();
        }
    }
    Some(entry)
}

/// Entries of a list of the file as far as one may see them.
pub(super) fn seen_items<T: serde::Serialize>(asked: &Asked, items: &[T]) -> Result<Vec<Value>, Problem> {
    let items: Result<Vec<Value>, _> = items.iter().map(serde_json::to_value).collect();
    Ok(items.map_err(Problem::internal)?.into_iter().filter_map(|item| seen(asked, item)).collect())
}

fn read(asked: &Asked, headers: &HeaderMap, place: &Place) -> Answer {
    asked.query.only(&[])?;
    let spec = asked.tenant.spec.as_ref().ok_or_else(|| Problem::not_found("the tenant has no file yet"))?;
    let entry = place.read(&file_of(spec)?)?;
    let tag = tag(&entry);
    let entry = seen(asked, entry).ok_or_else(|| Problem::not_found(format!("there is no {}", place.title())))?;
    Ok(etag::told(headers, &tag, entry))
}

/// What is told of a line, with what can be changed of it and its tag.
pub(super) fn told_line(headers: &HeaderMap, line: &LineSpec, mut told_of_it: Value) -> Answer {
    let entry = place::without_areas(serde_json::to_value(line).map_err(Problem::internal)?);
    let tag = tag(&entry);
    told_of_it["config"] = entry;
    Ok(etag::told(headers, &tag, told_of_it))
}

/// When the next version begins: where it was asked to, else now, or just after one that was saved just now.
async fn begins(db: &TenantDb, base: &ConfigVersion, spec: &TenantSpec, asked_for: Option<Ms>) -> Result<Ms, Problem> {
    let floor = |at: Ms| at.div_euclid(SLICE_MS) * SLICE_MS;
    let Some(from) = asked_for.map(floor) else {
        let from = floor(now()).max(base.valid_from.saturating_add(SLICE_MS));
        if from > now() + PLANNED_MS {
            let (version, at) = (base.version, rfc3339(base.valid_from));
            let detail = format!("version {version} is planned for {at}: say from when on, after it, this is to hold");
            return Err(Problem::conflict(detail));
        }
        return Ok(from);
    };
    match db.earliest_version(spec).await.map_err(Problem::database)? {
        Some((earliest, line)) if from < earliest => {
            let earliest = rfc3339(earliest);
            Err(Problem::unprocessable(format!("from: line {line} can be booked anew from {earliest} on only")))
        }
        _ if from <= base.valid_from => {
            let (version, at) = (base.version, rfc3339(base.valid_from));
            Err(Problem::unprocessable(format!(
                "from: version {version} holds from {at} on, this has to begin after it"
            )))
        }
        _ => Ok(from),
    }
}

/// Makes the topics of lines that are new: without them nobody could own one.
async fn prepare(app: &App, tenant: &str, base: &TenantSpec, spec: &TenantSpec) -> Result<(), Problem> {
    let is_new = |name: &str| base.line(name).is_err();
    let away = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, tenant, "topics of a new line could not be made");
        Problem::unavailable("the topics of the line cannot be made at the moment")
    };
    for line in spec.lines.iter().map(|line| line.name.as_str()).filter(|name| is_new(name)) {
        let settings = app.kafka.as_ref().ok_or_else(|| away(&"no brokers are configured"))?;
        let admin = Admin::connect(settings).map_err(|error| away(&error))?;
        admin.ensure_line_topics(tenant, line, None).await.map_err(|error| away(&error))?;
    }
    Ok(())
}

/// When a version begins; none for the first, which holds from the beginning.
fn begun(version: &ConfigVersion) -> Option<String> {
    (version.version > 1).then(|| rfc3339(version.valid_from))
}

/// A version that was saved.
pub(super) struct Saved {
    pub version: Arc<ConfigVersion>,
    pub changes: Vec<String>,
}

/// Saves what `edit` makes of the newest file, as a version of its own.
pub(super) async fn save(
    app: &App,
    tenant: &str,
    db: &TenantDb,
    author: &str,
    from: Option<Ms>,
    edit: impl Fn(&mut Value) -> Result<(), Problem>,
) -> Result<Saved, Problem> {
    let store = needs_store(app)?;
    for _ in 0..TRIES {
        db.refresh().await.map_err(Problem::database)?;
        let base = db.current().await.map_err(Problem::database)?;
        let base = base.ok_or_else(|| Problem::conflict("the tenant has no file yet: give it one"))?;
        let mut file = file_of(&base.spec)?;
        edit(&mut file)?;
        let spec = TenantSpec::from_json(&file.to_string()).map_err(|why| Problem::unprocessable(why.to_string()))?;
        if file_of(&spec)? == file_of(&base.spec)? {
            return Ok(Saved { version: base, changes: Vec::new() });
        }
        let valid_from = begins(db, &base, &spec, from).await?;
        prepare(app, tenant, &base.spec, &spec).await?;
        match store.apply_after(db, &base, &spec, valid_from, author).await {
            Ok(Some(changes)) => {
                // Another may have been saved since.
                let own = db.spec(base.version + 1).await.map_err(Problem::database)?;
                let newest = db.current().await.map_err(Problem::database)?;
                // This gateway shows it at once; others within their look at the database.
                if let Some(newest) = newest {
                    app.directory.put(Tenant::from(&newest.spec));
                }
                return Ok(Saved { version: own.unwrap_or(base), changes });
            }
            Ok(None) => {}
            Err(StoreError::Conflict(detail)) => return Err(Problem::conflict(detail)),
            Err(error) => return Err(Problem::database(error)),
        }
    }
    Err(Problem::unavailable("many versions are being saved at the moment"))
}

async fn change(app: &App, asked: &Asked, headers: &HeaderMap, place: &Place, change: Change) -> Answer {
    asked.query.only(&["from"])?;
    visible(asked, place)?;
    let from = asked.query.instant("from")?;
    let db = needs_database(app, &asked.tenant)?;
    let saved = save(app, &asked.tenant.name, &db, &asked.identity.username, from, |file| {
        if !matches!(change, Change::Create(_)) {
            etag::has_seen(headers, &tag(&place.read(file)?))?;
        }
        place.write(file, change.clone())
    })
    .await?;
    let Saved { version, changes } = saved;
    let valid_from = begun(&version);
    let details =
        json!({"tenant": asked.tenant.name, "version": version.version, "from": valid_from, "changes": changes});
    if !changes.is_empty() {
        app.audit(&asked.identity, "config_changed", &details).await;
    }
    let item = place.read(&file_of(&version.spec)?).ok().filter(|_| change != Change::Remove);
    let entry_tag = item.as_ref().map(tag);
    let answer = json!({"item": item, "version": version.version, "valid_from": valid_from, "changes": changes});
    let status = if matches!(change, Change::Create(_)) { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Json(answer)).into_response();
    if let Some(entry_tag) = entry_tag {
        etag::set(&mut response, header::ETAG, &entry_tag);
    }
    if status == StatusCode::CREATED {
        etag::set(&mut response, header::LOCATION, &format!("/api/v1{}", place.path()));
    }
    Ok(response)
}

/// A name or number that a new entry brings along.
fn given<'a>(entry: &'a Value, key: &str) -> Result<&'a Value, Problem> {
    entry.get(key).ok_or_else(|| Problem::unprocessable(format!("{key}: is missing")))
}

fn text(entry: &Value, key: &str) -> Result<String, Problem> {
    let text = given(entry, key)?.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| Problem::unprocessable(format!("{key}: a text that is not empty")))
}

fn number(entry: &Value, key: &str) -> Result<i32, Problem> {
    let number = given(entry, key)?.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| Problem::unprocessable(format!("{key}: a whole number")))
}

/// `POST /production/lines`
pub async fn create_line(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap, wish: Wish) -> Answer {
    let entry = body(wish)?;
    let name = text(&entry, "name")?;
    if !is_name(&name) {
        return Err(Problem::unprocessable("name: 1 to 48 of a-z, 0-9 and _"));
    }
    change(&app, &asked, &headers, &Place::Line(name), Change::Create(entry)).await
}

/// `POST /production/lines/{line}/areas`
pub async fn create_area(
    State(app): State<Arc<App>>,
    Path(line): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    wish: Wish,
) -> Answer {
    visible(&asked, &Place::Line(line.clone()))?;
    let entry = body(wish)?;
    let id = number(&entry, "id")?;
    change(&app, &asked, &headers, &Place::Area { line, id }, Change::Create(entry)).await
}

/// `POST /production/products`
pub async fn create_product(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap, wish: Wish) -> Answer {
    let entry = body(wish)?;
    let id = number(&entry, "id")?;
    change(&app, &asked, &headers, &Place::Product(id), Change::Create(entry)).await
}

/// `POST /production/reasons`
pub async fn create_reason(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap, wish: Wish) -> Answer {
    let entry = body(wish)?;
    let code = text(&entry, "code")?;
    change(&app, &asked, &headers, &Place::Reason(code), Change::Create(entry)).await
}

/// `POST /production/shifts`
pub async fn create_shift(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap, wish: Wish) -> Answer {
    let entry = body(wish)?;
    let name = text(&entry, "name")?;
    change(&app, &asked, &headers, &Place::Shift(name), Change::Create(entry)).await
}

/// Handlers of an entry that is replaced and removed, made from the place that its path names.
macro_rules! entry {
    ($replace:ident, $remove:ident, $key:ty, $place:expr, $what:literal) => {
        #[doc = concat!("`PUT` of ", $what, ": with `If-Match`.")]
        pub async fn $replace(
            State(app): State<Arc<App>>,
            Path(key): Path<$key>,
            asked: Asked,
            headers: HeaderMap,
            wish: Wish,
        ) -> Answer {
            let place = $place(key);
            visible(&asked, &place)?;
            change(&app, &asked, &headers, &place, Change::Replace(body(wish)?)).await
        }

        #[doc = concat!("`DELETE` of ", $what, ": with `If-Match`; what was stored of it stays.")]
        pub async fn $remove(
            State(app): State<Arc<App>>,
            Path(key): Path<$key>,
            asked: Asked,
            headers: HeaderMap,
        ) -> Answer {
            change(&app, &asked, &headers, &$place(key), Change::Remove).await
        }
    };
}

entry!(replace_line, remove_line, String, Place::Line, "a line, without its areas");
entry!(replace_area, remove_area, (String, i32), area_of, "an area");
entry!(replace_product, remove_product, i32, Place::Product, "a product");
entry!(replace_reason, remove_reason, String, Place::Reason, "a reason");
entry!(replace_shift, remove_shift, String, Place::Shift, "a shift");

fn area_of((line, id): (String, i32)) -> Place {
    Place::Area { line, id }
}

/// `GET /production/lines/{line}/areas/{area_id}`
pub async fn area(Path(key): Path<(String, i32)>, asked: Asked, headers: HeaderMap) -> Answer {
    let place = area_of(key);
    visible(&asked, &place)?;
    read(&asked, &headers, &place)
}

/// `GET /production/products/{product_id}`
pub async fn product(Path(id): Path<i32>, asked: Asked, headers: HeaderMap) -> Answer {
    read(&asked, &headers, &Place::Product(id))
}

/// `GET /production/reasons/{reason_code}`
pub async fn reason(Path(code): Path<String>, asked: Asked, headers: HeaderMap) -> Answer {
    read(&asked, &headers, &Place::Reason(code))
}

/// `GET /production/shifts/{shift_name}`
pub async fn shift(Path(name): Path<String>, asked: Asked, headers: HeaderMap) -> Answer {
    read(&asked, &headers, &Place::Shift(name))
}

/// `GET /production/calendar`
pub async fn calendar(asked: Asked, headers: HeaderMap) -> Answer {
    read(&asked, &headers, &Place::Calendar)
}

/// `GET /production/loss-policy`
pub async fn loss_policy(asked: Asked, headers: HeaderMap) -> Answer {
    read(&asked, &headers, &Place::LossPolicy)
}

/// `GET /production/config`: the whole file, for those who may change it.
pub async fn config(asked: Asked, headers: HeaderMap) -> Answer {
    read(&asked, &headers, &Place::Config)
}

/// Handlers of a part of the file that is replaced as a whole.
macro_rules! part {
    ($replace:ident, $place:expr, $what:literal) => {
        #[doc = concat!("`PUT` of the ", $what, ": with `If-Match`.")]
        pub async fn $replace(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap, wish: Wish) -> Answer {
            change(&app, &asked, &headers, &$place, Change::Replace(body(wish)?)).await
        }
    };
}

part!(replace_config, Place::Config, "whole file");
part!(replace_calendar, Place::Calendar, "calendar");
part!(replace_loss_policy, Place::LossPolicy, "loss policy");

/// `GET /production/versions`: every version of the file, the newest first.
pub async fn versions(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let db = needs_database(&app, &asked.tenant)?;
    let versions = db.versions().await.map_err(Problem::database)?;
    let one = |version: &Arc<ConfigVersion>| {
        let from = begun(version);
        json!({"version": version.version, "policy_version": version.policy_version, "valid_from": from,
            "author": version.author})
    };
    Ok(Json(json!({"items": versions.iter().rev().map(one).collect::<Vec<_>>()})))
}
