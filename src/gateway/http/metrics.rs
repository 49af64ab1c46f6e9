//! `GET /metrics/…`: figures of lines, by window or period, whole or one ratio of them, and beside another period.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::caller::Asked;
use super::{lines_of, needs_database};
use crate::domain::production::figure::{BucketsMs, Figure, FigureState, Flag, Pieces, Window};
use crate::domain::time::{Ms, Span, as_rfc3339};
use crate::gateway::App;
use crate::gateway::history::together::{self, Period, total};
use crate::gateway::live::frame::{live_window, window_names};
use crate::gateway::problem::Problem;

#[derive(Debug, Serialize)]
pub struct Figures {
    /// Of each line that has one, in the tenant's order.
    figures: Vec<Figure>,
    /// Of several lines.
    total: Option<Figure>,
}

/// One ratio of a figure, with what it is made of.
#[derive(Debug, Serialize)]
pub struct Part {
    line: Option<String>,
    window: Window,
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    #[serde(with = "as_rfc3339")]
    as_of: Ms,
    state: FigureState,
    /// Null where the rules say so.
    value: Option<f64>,
    completeness: Option<f64>,
    buckets_ms: BucketsMs,
    pieces: Pieces,
    ideal_ns: i64,
    flags: Vec<Flag>,
}

#[derive(Debug, Serialize)]
pub struct Parts {
    metric: &'static str,
    items: Vec<Part>,
    total: Option<Part>,
}

/// Two periods beside each other.
#[derive(Debug, Serialize)]
pub struct Comparison {
    current: Figures,
    against: Figures,
}

/// `GET /metrics/oee`
pub async fn oee(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Figures>, Problem> {
    figures(&app, &asked).await.map(Json)
}

/// `GET /metrics/availability`
pub async fn availability(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Parts>, Problem> {
    let figures = figures(&app, &asked).await?;
    Ok(Json(figures.parts("availability", |figure| figure.availability)))
}

/// `GET /metrics/performance`
pub async fn performance(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Parts>, Problem> {
    let figures = figures(&app, &asked).await?;
    Ok(Json(figures.parts("performance", |figure| figure.performance)))
}

/// `GET /metrics/quality`
pub async fn quality(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Parts>, Problem> {
    let figures = figures(&app, &asked).await?;
    Ok(Json(figures.parts("quality", |figure| figure.quality)))
}

/// `GET /metrics/comparison`: a period beside another one, the one right before it unless one is given.
pub async fn comparison(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Comparison>, Problem> {
    asked.query.only(&["line", "from", "to", "against_from", "against_to"])?;
    let lines = lines_of(&asked)?;
    let period = asked.query.period()?.ok_or_else(|| Problem::bad_request("from and to: are missing"))?;
    let before = Span::new(period.from - period.len(), period.from);
    let against = asked.query.span("against_from", "against_to")?.unwrap_or(before);
    let current = of(&app, &asked, &lines, Period::Range(period)).await?;
    let against = of(&app, &asked, &lines, Period::Range(against)).await?;
    Ok(Json(Comparison { current, against }))
}

async fn figures(app: &App, asked: &Asked) -> Result<Figures, Problem> {
    asked.query.only(&["line", "window", "from", "to"])?;
    let lines = lines_of(asked)?;
    match (asked.query.one("window")?, asked.query.period()?) {
        (Some(_), Some(_)) => Err(Problem::bad_request("window: not beside from and to")),
        (Some("range"), None) => Err(Problem::bad_request("from and to: are missing, which a range needs")),
        (name, None) => {
            let window = match name {
                None => Window::Shift,
                Some(name) => live_window(name).ok_or_else(|| Problem::bad_request(window_names()))?,
            };
            of(app, asked, &lines, Period::Window(window)).await
        }
        (None, Some(period)) => of(app, asked, &lines, Period::Range(period)).await,
    }
}

/// The lines' figures, of a window those that the topics said last: the same that boards show.
async fn of(app: &App, asked: &Asked, lines: &[String], period: Period) -> Result<Figures, Problem> {
    let board = app.hub.board(&asked.tenant.name);
    if let Period::Window(window) = period {
        let figures: Vec<Figure> = lines.iter().filter_map(|line| board.latest(line, window)).collect();
        // What was told is known without any database; only a total takes more.
        if figures.len() < 2 {
            return Ok(Figures { figures, total: None });
        }
    }
    let mut told = Vec::with_capacity(lines.len());
    for line in lines {
        let database = needs_database(app, &asked.tenant)?;
        let part = together::Part::of(&database, &board, line, period, None).await.map_err(Problem::database)?;
        if let Some(part) = part {
            told.push(part.figure().await.map_err(Problem::database)?);
        }
    }
    let total = total(&told);
    Ok(Figures { figures: told.into_iter().map(|told| told.figure).collect(), total })
}

// === impl Figures ===

impl Figures {
    fn parts(self, metric: &'static str, value: impl Fn(&Figure) -> Option<f64>) -> Parts {
        let part = |figure: Figure| Part {
            value: value(&figure),
            line: figure.line,
            window: figure.window,
            from: figure.from,
            to: figure.to,
            as_of: figure.as_of,
            state: figure.state,
            completeness: figure.completeness,
            buckets_ms: figure.buckets_ms,
            pieces: figure.pieces,
            ideal_ns: figure.ideal_ns,
            flags: figure.flags,
        };
        Parts { metric, items: self.figures.into_iter().map(&part).collect(), total: self.total.map(&part) }
    }
}
