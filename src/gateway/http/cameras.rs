//! Cameras: which areas of a line they look at, and what was done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Asked;
use super::{body, lines_of, needs_database};
use crate::gateway::App;
use crate::gateway::clock::now;
use crate::gateway::problem::Problem;
use crate::store::camera::{CameraEvent, CameraFilter, NewCameraEvent};

/// Events of a page, unless asked otherwise.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;
/// Longest name of an action, and longest reason, characters.
const MAX_ACTION: usize = 32;
const MAX_REASON: usize = 255;

/// An event to note.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    camera: i32,
    action: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    gpu_mem_used_bytes: Option<i64>,
}

/// `GET /production/lines/{line}/cameras`: each with the areas of the line that it looks at.
pub async fn of_line(Path(name): Path<String>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let spec = asked.tenant.spec.iter().flat_map(|spec| &spec.lines).find(|line| line.name == name);
    let line = spec.filter(|line| asked.identity.may_see_line(&line.name));
    let line = line.ok_or_else(|| Problem::unknown_line(&name))?;
    let mut cameras: BTreeMap<i32, Vec<Value>> = BTreeMap::new();
    for area in &line.areas {
        for camera in &area.cameras {
            let told = json!({"id": area.id, "name": area.name, "role": area.role, "rect": area.rect});
            cameras.entry(*camera).or_default().push(told);
        }
    }
    let told = |(camera, areas)| json!({"line": line.name, "camera": camera, "areas": areas});
    Ok(Json(json!({"items": cameras.into_iter().map(told).collect::<Vec<_>>()})))
}

/// The cameras of these lines.
fn cameras_of(asked: &Asked, lines: &[String]) -> BTreeSet<i32> {
    let specs = asked.tenant.spec.iter().flat_map(|spec| &spec.lines).filter(|line| lines.contains(&line.name));
    specs.flat_map(|line| &line.areas).flat_map(|area| &area.cameras).copied().collect()
}

/// Whether a text can be an action's name: as names in the tenant's file, so that no two mean the same.
fn is_action(text: &str) -> bool {
    let is_sign = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
    (1..=MAX_ACTION).contains(&text.len()) && text.chars().all(is_sign)
}

/// `GET /cameras/events`: the newest first. Of cameras that the tenant's file has no more those are told who may see
/// all lines.
pub async fn events(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    asked.query.only(&["line", "camera", "action", "from", "to", "cursor", "limit"])?;
    let limit = asked.query.count("limit", PAGE, MAX_PAGE)?;
    let wrong = |_| Problem::bad_request("cursor: not one that was given");
    let is_of_all = asked.identity.permissions.lines.is_none() && asked.query.all("line").is_empty();
    let visible = if is_of_all { None } else { Some(cameras_of(&asked, &lines_of(&asked)?)) };
    let cameras = match (asked.query.number("camera")?, visible) {
        (None, visible) => visible.map(|cameras| cameras.into_iter().collect()),
        (Some(camera), visible) if visible.as_ref().is_none_or(|seen| seen.contains(&camera)) => Some(vec![camera]),
        (Some(_), _) => Some(Vec::new()),
    };
    let action = asked.query.one("action")?.map(str::to_owned);
    let before = asked.query.one("cursor")?.map(|text| text.parse().map_err(wrong)).transpose()?;
    let filter = CameraFilter { cameras, action, span: asked.query.period()?, before };
    let db = needs_database(&app, &asked.tenant)?;
    let mut found = db.camera_events(&filter, limit + 1).await.map_err(Problem::database)?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| has_more).map(|event| event.id.to_string());
    Ok(Json(json!({"items": found, "next_cursor": next_cursor})))
}

/// `POST /cameras/events`: what a person or a machine did to a camera of a line that they may see. The row says who.
pub async fn note(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<(StatusCode, Json<CameraEvent>), Problem> {
    asked.query.only(&[])?;
    let Wish { camera, action, reason, gpu_mem_used_bytes } = body(wish)?;
    if !cameras_of(&asked, &lines_of(&asked)?).contains(&camera) {
        return Err(Problem::unprocessable(format!("camera: there is no camera {camera}")));
    }
    if !is_action(&action) {
        return Err(Problem::unprocessable(format!("action: 1 to {MAX_ACTION} of a-z, 0-9 and _")));
    }
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON) {
        return Err(Problem::unprocessable(format!("reason: at most {MAX_REASON} characters")));
    }
    if gpu_mem_used_bytes.is_some_and(|bytes| bytes < 0) {
        return Err(Problem::unprocessable("gpu_mem_used_bytes: not below 0"));
    }
    let (author, at) = (asked.identity.username.clone(), now());
    let reason_text = reason.as_deref();
    let new = NewCameraEvent { camera, action: &action, reason: reason_text, gpu_mem_used_bytes, author: &author, at };
    let db = needs_database(&app, &asked.tenant)?;
    let id = db.add_camera_event(&new).await.map_err(Problem::database)?;
    let event = CameraEvent { id, camera, action, reason, gpu_mem_used_bytes, author: Some(author), at };
    Ok((StatusCode::CREATED, Json(event)))
}
