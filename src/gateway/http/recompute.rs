//! `POST /downtime/calculate`: stops and figures of a period from the stored inputs alone, as `andon recompute` prints
//! them. Nothing is changed by it: what the stream has told must be the same.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::Value;

use super::caller::Asked;
use super::{body, needs_database, needs_line, period_of};
use crate::domain::production::batch::{self, BatchInput};
use crate::domain::time::{Ms, Span, as_rfc3339};
use crate::gateway::App;
use crate::gateway::problem::Problem;
use crate::store::stamp::{FIRST_STORABLE, LAST_STORABLE};

/// Detections of a line that are held in memory at most; beyond that there is the command.
const MAX_DETECTIONS: u64 = 2_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    line: String,
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
}

/// `POST /downtime/calculate`
pub async fn calculate(
    State(app): State<Arc<App>>,
    asked: Asked,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    asked.query.only(&[])?;
    let Wish { line, from, to } = body(wish)?;
    needs_line(&asked, &line)?;
    let period = period_of(from, to)?;
    let busy = |_| Problem::unavailable("as much as can be is being computed: try again in a moment");
    let turn = app.exports.clone().try_acquire_owned().map_err(busy)?;
    let db = needs_database(&app, &asked.tenant)?;
    let all = Span::new(FIRST_STORABLE, LAST_STORABLE);
    if db.has_more_detections(&line, MAX_DETECTIONS).await.map_err(Problem::database)? {
        let detail = format!("the line has more than {MAX_DETECTIONS} detections: use `andon recompute`");
        return Err(Problem::unprocessable(detail));
    }
    // In this order: what comes in between is in neither or only in the latter, a clock that is ahead.
    let configs = db.line_configs(&line).await.map_err(Problem::database)?;
    let detections = db.detections(&line, all, false).await.map_err(Problem::database)?;
    let inputs = db.inputs(&line).await.map_err(Problem::database)?;
    let input = BatchInput {
        line,
        configs,
        detections: detections.into_iter().map(|(detection, _)| detection).collect(),
        inputs: inputs.into_iter().map(|stored| stored.input).collect(),
    };
    let report = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        batch::recompute(&input).report(period)
    });
    let report = report.await.map_err(Problem::internal)?;
    serde_json::to_value(report).map(Json).map_err(Problem::internal)
}
