//! What a tenant's file says: lines, areas, products, shifts, reasons.

use axum::Json;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::caller::Asked;
use super::edit;
use crate::config::tenant::LineSpec;
use crate::gateway::problem::Problem;

fn items<T: serde::Serialize>(items: impl IntoIterator<Item = T>) -> Result<Json<Value>, Problem> {
    let items: Result<Vec<Value>, _> = items.into_iter().map(serde_json::to_value).collect();
    items.map(|items| Json(json!({"items": items}))).map_err(Problem::internal)
}

/// The lines of the file that the caller may see.
fn lines(asked: &Asked) -> impl Iterator<Item = &LineSpec> {
    let lines = asked.tenant.spec.iter().flat_map(|spec| &spec.lines);
    lines.filter(|line| asked.identity.may_see_line(&line.name))
}

fn line_of(asked: &Asked, name: &str) -> Result<LineSpec, Problem> {
    lines(asked).find(|line| line.name == name).cloned().ok_or_else(|| Problem::unknown_line(name))
}

fn line_json(line: &LineSpec) -> Value {
    json!({
        "name": line.name, "title": line.title, "group": line.group, "performance": line.performance,
        "ideal_cycle_ns": line.ideal_cycle_ns(), "availability_target": line.availability_target,
        "oee_target": line.oee_target, "downtime_threshold_ms": line.downtime_threshold_ms(),
        "micro_stop_threshold_ms": line.micro_stop_threshold_ms(), "retention_months": line.retention_months,
        "allowed_lateness_ms": line.allowed_lateness_s.ms(), "cycle_credit": line.cycle_credit,
    })
}

fn areas_json(line: &LineSpec) -> Vec<Value> {
    let area = |area: &crate::config::tenant::AreaSpec| {
        json!({"line": line.name, "id": area.id, "name": area.name, "role": area.role, "cameras": area.cameras,
            "rect": area.rect})
    };
    line.areas.iter().map(area).collect()
}

/// `GET /production/lines`
pub async fn list_lines(asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    items(lines(&asked).map(line_json))
}

/// `GET /production/lines/{line}`
pub async fn one_line(Path(name): Path<String>, asked: Asked, headers: HeaderMap) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let line = line_of(&asked, &name)?;
    edit::told_line(&headers, &line, line_json(&line))
}

/// `GET /production/lines/{line}/areas`
pub async fn areas_of_line(Path(name): Path<String>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    items(areas_json(&line_of(&asked, &name)?))
}

/// `GET /production/areas`
pub async fn areas(asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&["line"])?;
    let names = super::lines_of(&asked)?;
    items(lines(&asked).filter(|line| names.contains(&line.name)).flat_map(areas_json))
}

/// `GET /production/products`
pub async fn products(asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    items(asked.tenant.spec.iter().flat_map(|spec| &spec.products))
}

/// `GET /production/shifts`
pub async fn shifts(asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let shifts = asked.tenant.spec.as_ref().map(|spec| spec.shifts.as_slice()).unwrap_or_default();
    Ok(Json(json!({"items": edit::seen_items(&asked, shifts)?})))
}

/// `GET /production/reasons`
pub async fn reasons(asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    items(asked.tenant.spec.iter().flat_map(|spec| &spec.reasons))
}
