//! The layout that each role of a tenant begins with.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::caller::Asked;
use super::dashboard::read;
use super::{body, etag, needs_store};
use crate::gateway::App;
use crate::gateway::problem::Problem;
use crate::gateway::rights::UserRole;
use crate::gateway::widgets::layout::Layout;
use crate::store::TemplateRow;

/// A role's template as it holds.
struct Template {
    role: UserRole,
    layout: Layout,
    is_own: bool,
}

// === impl Template ===

impl Template {
    /// What a row says; a row that is no layout says nothing.
    fn of(role: UserRole, row: Option<&TemplateRow>) -> Template {
        match row.and_then(|row| Some((read(&row.layout)?, row.is_own))) {
            Some((layout, is_own)) => Template { role, layout, is_own },
            None => Template { role, layout: Layout::of_role(role), is_own: false },
        }
    }

    async fn read(app: &App, asked: &Asked, role: UserRole) -> Result<Template, Problem> {
        let row = needs_store(app)?.template(&asked.tenant.name, role.as_str()).await.map_err(Problem::database)?;
        Ok(Template::of(role, row.as_ref()))
    }

    fn told(&self) -> Value {
        let source = if self.is_own { "tenant" } else { "standard" };
        json!({"role": self.role, "source": source, "layout": self.layout})
    }

    fn tag(&self) -> String {
        etag::tag(&self.told())
    }
}

/// Roles that are of a tenant.
fn roles() -> impl Iterator<Item = UserRole> {
    UserRole::ALL.into_iter().filter(|role| *role != UserRole::SuperAdmin)
}

fn role_of(name: &str) -> Result<UserRole, Problem> {
    let unknown = || Problem::not_found(format!("there is no template of a role {name:?}"));
    roles().find(|role| role.as_str() == name).ok_or_else(unknown)
}

/// `GET /dashboard/templates`: of every role.
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let mut items = Vec::new();
    for role in roles() {
        items.push(Template::read(&app, &asked, role).await?.told());
    }
    Ok(Json(json!({"items": items})))
}

/// `GET /dashboard/templates/{role}`
pub async fn one(
    State(app): State<Arc<App>>,
    Path(role): Path<String>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let template = Template::read(&app, &asked, role_of(&role)?).await?;
    Ok(etag::told(&headers, &template.tag(), template.told()))
}

/// `PUT /dashboard/templates/{role}`: with `If-Match`; holds for whoever has saved no layout of their own.
pub async fn replace(
    State(app): State<Arc<App>>,
    Path(role): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    layout: Result<Json<Layout>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let (role, layout) = (role_of(&role)?, body(layout)?);
    layout.check().map_err(Problem::unprocessable)?;
    let (text, _) = layout.text_and_tag();
    save(&app, &asked, &headers, role, Some(&text)).await?;
    app.audit(&asked.identity, "template_changed", &json!({"tenant": asked.tenant.name, "role": role})).await;
    let template = Template { role, layout, is_own: true };
    let mut response = Json(template.told()).into_response();
    etag::set(&mut response, header::ETAG, &template.tag());
    Ok(response)
}

/// `DELETE /dashboard/templates/{role}`: with `If-Match`; what every tenant begins with holds again.
pub async fn remove(
    State(app): State<Arc<App>>,
    Path(role): Path<String>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    asked.query.only(&[])?;
    let role = role_of(&role)?;
    save(&app, &asked, &headers, role, None).await?;
    app.audit(&asked.identity, "template_removed", &json!({"tenant": asked.tenant.name, "role": role})).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn save(
    app: &App,
    asked: &Asked,
    headers: &HeaderMap,
    role: UserRole,
    layout: Option<&str>,
) -> Result<(), Problem> {
    // Asked of the row under its lock: of two who have read the same, the second is told.
    let mut judged = Ok(());
    let is_known = |before: Option<&TemplateRow>| {
        judged = etag::has_seen(headers, &Template::of(role, before).tag());
        judged.is_ok()
    };
    let store = needs_store(app)?;
    store.save_template(&asked.tenant.name, role.as_str(), layout, is_known).await.map_err(Problem::database)?;
    judged
}
