//! Pages: the catalogue, answers of widgets, filters, layouts.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::caller::Asked;
use super::{body, needs_database, needs_store};
use crate::gateway::App;
use crate::gateway::history::interval::Interval;
use crate::gateway::problem::Problem;
use crate::gateway::widgets::answer::answer;
use crate::gateway::widgets::layout::{Layout, MAX_WIDGETS};
use crate::gateway::widgets::scope::Scope;
use crate::gateway::widgets::{CATALOGUE, Params, Widget, find, params};
use crate::store::FilterRow;

/// Widgets of a page that are answered at the same time.
const AT_ONCE: usize = 4;
/// The one layout that a user has, for now.
const LAYOUT: &str = "main";

/// `POST /dashboard/widgets`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The page's filters, for all its widgets.
    #[serde(default)]
    params: Map<String, Value>,
    widgets: Vec<Wished>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wished {
    id: String,
    widget: String,
    /// Before the page's.
    #[serde(default)]
    params: Map<String, Value>,
}

/// A widget's answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    widget: String,
    /// Filters that were given and that it passes over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignores: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// `GET /dashboard/widgets`
pub async fn catalogue(asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let seen = CATALOGUE.iter().filter(|widget| asked.identity.may(widget.right));
    Ok(Json(json!({"items": seen.map(Widget::told).collect::<Vec<_>>()})))
}

fn widget_of(asked: &Asked, id: &str) -> Result<&'static Widget, Problem> {
    let may = |widget: &&'static Widget| asked.identity.may(widget.right);
    find(id).filter(may).ok_or_else(|| Problem::not_found(format!("there is no widget {id:?}")))
}

async fn answered(app: &App, asked: &Asked, id: &str, given: &Map<String, Value>) -> Result<Answer, Problem> {
    let widget = widget_of(asked, id)?;
    let read = Params::read(widget, given).map_err(Problem::bad_request)?;
    let chosen: Option<BTreeSet<String>> = asked.identity.choose(&asked.tenant, &read.lines)?;
    let lines = chosen.or_else(|| asked.identity.permissions.lines.clone());
    let read = read.of(widget);
    let database = needs_database(app, &asked.tenant)?;
    let board = app.hub.board(&asked.tenant.name);
    let scope = Scope::new(&asked.tenant, &board, &database, (widget, &read), lines.as_ref());
    let items = answer(&scope).await.map_err(Problem::from)?;
    let is_given = |name: &&str| given.get(*name).is_some_and(|value| !value.is_null());
    let ignores = widget.ignores().map(params::Filter::as_str).filter(is_given).collect();
    let items = Some(items.into_iter().map(|item| item.value).collect());
    Ok(Answer { id: None, widget: id.to_owned(), ignores, items, problem: None })
}

/// `GET /dashboard/widgets/{widget}`
pub async fn one(State(app): State<Arc<App>>, Path(id): Path<String>, asked: Asked) -> Result<Json<Answer>, Problem> {
    widget_of(&asked, &id)?;
    asked.query.only(&params::NAMES)?;
    answered(&app, &asked, &id, &params::from_query(&asked.query)?).await.map(Json)
}

/// `POST /dashboard/widgets`: a page's widgets at once. What is wrong with one of them is said in its place.
pub async fn page(
    State(app): State<Arc<App>>,
    asked: Asked,
    page: Result<Json<Page>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let page = body(page)?;
    if page.widgets.len() > MAX_WIDGETS {
        return Err(Problem::bad_request(format!("widgets: at most {MAX_WIDGETS}")));
    }
    let (app, asked, shared) = (&app, &asked, &page.params);
    let wished = page.widgets.into_iter().map(|wished| async move {
        let given = merged(shared, wished.params);
        match answered(app, asked, &wished.widget, &given).await {
            Ok(answer) => Answer { id: Some(wished.id), ..answer },
            Err(problem) => Answer {
                id: Some(wished.id),
                widget: wished.widget,
                ignores: Vec::new(),
                items: None,
                problem: Some(problem),
            },
        }
    });
    let items: Vec<Answer> = stream::iter(wished).buffered(AT_ONCE).collect().await;
    Ok(Json(json!({"items": items})))
}

/// A widget's own parameters before the page's; a period of its own before any of the page's.
fn merged(shared: &Map<String, Value>, own: Map<String, Value>) -> Map<String, Value> {
    const PERIOD: [&str; 3] = ["window", "from", "to"];
    let mut all = shared.clone();
    if PERIOD.iter().any(|name| own.contains_key(*name)) {
        PERIOD.iter().for_each(|name| drop(all.remove(*name)));
    }
    all.extend(own);
    all
}

/// `GET /dashboard/filters`: the tenant's filters with what there is to choose from, of what one may see.
pub async fn filters(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let database = needs_database(&app, &asked.tenant)?;
    let rows = database.filters().await.map_err(Problem::database)?;
    let rows = if rows.is_empty() { standard() } else { rows };
    let read = |text: Option<&String>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let items: Vec<Value> = rows
        .iter()
        .filter_map(|row| {
            let mut more = read(row.additional.as_ref()).unwrap_or_else(|| json!({}));
            let kind = more["type"].as_str()?.to_owned();
            let options = options(&asked, &kind)?;
            let extra = more.as_object_mut()?;
            extra.remove("type");
            let default = read(row.default_value.as_ref());
            Some(json!({"name": row.name, "type": kind, "default": default, "options": options, "more": extra}))
        })
        .collect();
    Ok(Json(json!({"items": items})))
}

/// What a page filters by where the tenant's table says nothing.
fn standard() -> Vec<FilterRow> {
    let row = |name: &str, default: Option<&str>, more: &str| FilterRow {
        name: name.to_owned(),
        default_value: default.map(str::to_owned),
        additional: Some(more.to_owned()),
    };
    vec![
        row("period", Some(r#"{"window":"shift"}"#), r#"{"type":"daterange","required":true,"show_time":true}"#),
        row("line", None, r#"{"type":"line"}"#),
        row("area", None, r#"{"type":"area","cascades_from":"line"}"#),
        row("product", None, r#"{"type":"product"}"#),
        row("shift", None, r#"{"type":"shift","cascades_from":"line"}"#),
        row("interval", None, r#"{"type":"interval"}"#),
        row("reason", None, r#"{"type":"reason"}"#),
    ]
}

/// What there is to choose from; none: no type of filter that pages know.
fn options(asked: &Asked, kind: &str) -> Option<Value> {
    let spec = asked.tenant.spec.as_deref();
    let lines = || asked.identity.lines(&asked.tenant);
    let specs = || {
        let all = spec.into_iter().flat_map(|spec| &spec.lines);
        all.filter(|line| asked.identity.may_see_line(&line.name))
    };
    let found = match kind {
        "daterange" => json!({"windows": crate::domain::production::figure::Window::LIVE.map(|w| w.as_str())}),
        "line" => {
            let groups: BTreeSet<&str> = lines().filter_map(|line| line.group.as_deref()).collect();
            let lines: Vec<Value> =
                lines().map(|line| json!({"value": line.name, "title": line.title, "group": line.group})).collect();
            json!({"lines": lines, "groups": groups})
        }
        "area" => {
            let area = |line: &str, id: i32, name: &str| json!({"value": id, "title": name, "line": line});
            let all = specs().flat_map(|line| line.areas.iter().map(|one| area(&line.name, one.id, &one.name)));
            all.collect::<Vec<_>>().into()
        }
        "product" => {
            let products = spec.into_iter().flat_map(|spec| &spec.products);
            products.map(|one| json!({"value": one.id, "title": one.name})).collect::<Vec<_>>().into()
        }
        "shift" => {
            let mut shifts: Vec<Value> = Vec::new();
            for shift in spec.into_iter().flat_map(|spec| &spec.shifts) {
                let one = json!({"value": shift.name, "title": shift.name, "lines": visible(asked, &shift.lines)});
                if !shifts.contains(&one) {
                    shifts.push(one);
                }
            }
            shifts.into()
        }
        "interval" => json!(Interval::ALL.map(Interval::as_str)),
        "reason" => {
            let reasons = spec.into_iter().flat_map(|spec| &spec.reasons);
            let one =
                |code: &str, name: &str, parent: Option<&str>| json!({"value": code, "title": name, "parent": parent});
            reasons.map(|r| one(&r.code, &r.name, r.parent.as_deref())).collect::<Vec<_>>().into()
        }
        _ => return None,
    };
    Some(found)
}

/// Of these lines the ones that may be seen; none: of all lines.
fn visible(asked: &Asked, lines: &Option<Vec<String>>) -> Option<Vec<String>> {
    let lines = lines.as_ref()?;
    Some(lines.iter().filter(|line| asked.identity.may_see_line(line)).cloned().collect())
}

/// A layout from the database: as it was written, or by hand.
pub(super) fn read(text: &str) -> Option<Layout> {
    serde_json::from_str::<Layout>(text).ok().filter(|layout| layout.check().is_ok())
}

fn told(layout: &Layout, source: &str) -> Response {
    let (_, tag) = layout.text_and_tag();
    let mut response = Json(json!({"source": source, "layout": layout})).into_response();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

async fn template(app: &App, asked: &Asked) -> Result<Layout, Problem> {
    let role = asked.identity.role;
    let row = needs_store(app)?.template(&asked.tenant.name, role.as_str()).await.map_err(Problem::database)?;
    Ok(row.and_then(|row| read(&row.layout)).unwrap_or_else(|| Layout::of_role(role)))
}

/// `GET /dashboard/layout`: one's own, else the template of one's role; with its entity tag.
pub async fn layout(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let own = needs_store(&app)?.layout(asked.identity.user_id, LAYOUT).await.map_err(Problem::database)?;
    let (layout, source) = match own.as_deref().and_then(read) {
        Some(own) => (own, "own"),
        None => (template(&app, &asked).await?, "template"),
    };
    let (_, tag) = layout.text_and_tag();
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(told(&layout, source))
}

/// `PUT /dashboard/layout`: saves one's own, in the place of the one that `If-Match` names.
pub async fn change_layout(
    State(app): State<Arc<App>>,
    asked: Asked,
    headers: HeaderMap,
    layout: Result<Json<Layout>, JsonRejection>,
) -> Result<Response, Problem> {
    if !headers.contains_key(header::IF_MATCH) {
        return Err(Problem::precondition_required());
    }
    save(&app, &asked, &headers, body(layout)?).await
}

/// `POST /dashboard/layout`: saves one's own; without `If-Match` whatever there was before.
pub async fn save_layout(
    State(app): State<Arc<App>>,
    asked: Asked,
    headers: HeaderMap,
    layout: Result<Json<Layout>, JsonRejection>,
) -> Result<Response, Problem> {
    save(&app, &asked, &headers, body(layout)?).await
}

async fn save(app: &App, asked: &Asked, headers: &HeaderMap, layout: Layout) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    layout.check().map_err(Problem::unprocessable)?;
    let known = match headers.get(header::IF_MATCH) {
        None => "*".to_owned(),
        Some(tag) => tag.to_str().map_err(|_| Problem::bad_request("if-match: no entity tag"))?.to_owned(),
    };
    let template = template(app, asked).await?;
    let (text, _) = layout.text_and_tag();
    let is_known = |before: Option<&str>| {
        let before = before.and_then(read).unwrap_or(template);
        known == "*" || before.text_and_tag().1 == known
    };
    let store = needs_store(app)?;
    let saved = store.save_layout(asked.identity.user_id, LAYOUT, &text, is_known).await.map_err(Problem::database)?;
    if saved { Ok(told(&layout, "own")) } else { Err(Problem::stale()) }
}

/// `DELETE /dashboard/layout`: the template of one's role holds again.
pub async fn forget_layout(State(app): State<Arc<App>>, asked: Asked) -> Result<StatusCode, Problem> {
    asked.query.only(&[])?;
    needs_store(&app)?.forget_layout(asked.identity.user_id, LAYOUT).await.map_err(Problem::database)?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Bench, read as answer_of};
    use super::*;

    #[tokio::test]
    async fn a_hidden_line_is_none_to_every_widget() {
        let bench = Bench::new();
        let token = bench.token("VIEWER", Some("demo"), Some(r#"{"lines": ["l2"]}"#));
        for widget in CATALOGUE {
            for line in ["l1", "l9"] {
                let path = format!("/api/v1/dashboard/widgets/{}?line={line}", widget.id);
                let (status, body) = bench.get(&path, &token).await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
                assert!(!body.to_string().contains("title\":\"Filler"), "{path}: {body}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_asked_wrongly_is_refused_by_name() {
        let bench = Bench::new();
        let token = bench.token("VIEWER", Some("demo"), None);
        for (path, status, word) in [
            ("kpi_x", StatusCode::NOT_FOUND, "kpi_x"),
            ("kpi_oee?window=year", StatusCode::BAD_REQUEST, "window"),
            ("kpi_oee?lines=l1", StatusCode::BAD_REQUEST, "lines"),
            ("kpi_oee?from=1970-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", StatusCode::BAD_REQUEST, "800 days"),
            (
                "chart_production?from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&interval=minute",
                StatusCode::BAD_REQUEST,
                "interval",
            ),
        ] {
            let (told, body) = bench.get(&format!("/api/v1/dashboard/widgets/{path}"), &token).await;
            assert_eq!(told, status, "{path}: {body}");
            assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_one_widget_is_said_in_its_place() {
        let bench = Bench::new();
        let bearer = format!("Bearer {}", bench.token("VIEWER", Some("demo"), None));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let page = json!({"params": {"window": "1h"}, "widgets": [
            {"id": "a", "widget": "kpi_x"}, {"id": "b", "widget": "kpi_oee", "params": {"line": "l9"}}]});
        let response = bench.send("POST", "/api/v1/dashboard/widgets", &headers, &page.to_string()).await;
        let (status, body) = answer_of(response).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let told: Vec<_> =
            body["items"].as_array().unwrap().iter().map(|one| (&one["id"], &one["problem"]["status"])).collect();
        assert_eq!(told, [(&json!("a"), &json!(404)), (&json!("b"), &json!(404))]);

        let many: Vec<Value> = (0..61).map(|n| json!({"id": n.to_string(), "widget": "kpi_oee"})).collect();
        let body = json!({"widgets": many}).to_string();
        let response = bench.send("POST", "/api/v1/dashboard/widgets", &headers, &body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_period_of_its_own_takes_the_place_of_the_pages() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let page = map(json!({"line": "l1", "from": "a", "to": "b"}));
        assert_eq!(merged(&page, map(json!({"window": "1h"}))), map(json!({"line": "l1", "window": "1h"})));
        assert_eq!(merged(&page, map(json!({"line": "l2"}))), map(json!({"line": "l2", "from": "a", "to": "b"})));
    }

    #[test]
    fn the_standard_filters_are_of_types_that_pages_know() {
        for row in standard() {
            let more: Value = serde_json::from_str(row.additional.as_deref().unwrap()).unwrap();
            assert!(more["type"].is_string());
            assert!(row.default_value.is_none_or(|text| serde_json::from_str::<Value>(&text).is_ok()));
        }
    }
}
