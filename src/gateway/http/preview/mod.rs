//! `/production/previews`: what a period would have been under other settings, from the stored detections, beside what
//! it was. Nothing is written; the work goes on after the answer, and its progress and outcome are asked for by id.
//!
//! A preview lives in the process that was asked for it, so several gateways behind one address have to be asked
//! through sticky connections for it; one that is lost with its process is begun anew.

mod kept;
mod work;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

pub use self::kept::Previews;
use super::caller::Asked;
use super::edit::{Settings, file_of};
use super::{body, etag, needs_database, needs_line, period_of};
use crate::config::tenant::TenantSpec;
use crate::domain::production::line::accounts::SLICE_MS;
use crate::domain::time::{HOUR_MS, Ms, as_rfc3339};
use crate::gateway::App;
use crate::gateway::problem::Problem;

/// The longest period: a month, and the hour that the clock change may add.
const MAX_MS: Ms = 31 * 24 * HOUR_MS + HOUR_MS;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    line: String,
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    settings: Settings,
}

/// `POST /production/previews`
pub async fn begin(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    let Wish { line, from, to, settings } = body(wish)?;
    needs_line(&asked, &line)?;
    // Who may not change what lines have in common may not try it out either.
    if settings.is_of_all_lines() {
        asked.identity.needs_all_lines()?;
    }
    let period = period_of(from, to)?;
    if period.len() > MAX_MS {
        return Err(Problem::unprocessable("to: a preview is of 31 days at most"));
    }
    let db = needs_database(&app, &asked.tenant)?;
    let current = db.current().await.map_err(Problem::database)?;
    let current = current.ok_or_else(|| Problem::conflict("the tenant has no file yet: give it one"))?;
    let file = settings.within(file_of(&current.spec)?, &line)?;
    let spec = TenantSpec::from_json(&file.to_string()).map_err(|why| Problem::unprocessable(why.to_string()))?;
    if file_of(&spec)? == file_of(&current.spec)? {
        return Err(Problem::unprocessable("settings: say what would be otherwise; this is as it is"));
    }
    let policy = current.policy_version + u32::from(spec.loss_policy != current.spec.loss_policy);
    // Where it begins to hold is moved as that of a version that is saved.
    let config = spec.line_config(&line, current.version + 1, policy, from.div_euclid(SLICE_MS) * SLICE_MS);
    let config = config.map_err(|why| Problem::unprocessable(why.to_string()))?;

    app.previews.needs_room(&asked.tenant.name)?;
    let plan = work::plan(&db, &line, period, config).await?;
    let preview = app.previews.begin(&asked, line, period, plan.total(), app.shutdown.child_token())?;
    let told = preview.told();
    let location = format!("/api/v1/production/previews/{}", preview.id());
    tokio::spawn(async move {
        let outcome = tokio::select! {
            biased;
            () = preview.cancelled() => return,
            outcome = plan.work(&db, |read| preview.has_read(read)) => outcome,
        };
        preview.finish(outcome);
    });
    let mut response = (StatusCode::ACCEPTED, Json(told)).into_response();
    etag::set(&mut response, header::LOCATION, &location);
    Ok(response)
}

/// `GET /production/previews/{preview_id}`
pub async fn one(State(app): State<Arc<App>>, Path(id): Path<String>, asked: Asked) -> Result<Response, Problem> {
    asked.query.only(&[])?;
    Ok(Json(app.previews.find(&asked, &id)?.told()).into_response())
}

/// `DELETE /production/previews/{preview_id}`: ends the work where it goes on, and forgets the outcome.
pub async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>, asked: Asked) -> Result<StatusCode, Problem> {
    asked.query.only(&[])?;
    app.previews.find(&asked, &id)?.cancel();
    app.previews.forget(&id);
    Ok(StatusCode::NO_CONTENT)
}
