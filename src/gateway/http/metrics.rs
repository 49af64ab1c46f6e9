//! `GET /metrics/…`: figures of lines, by window or period, whole or one ratio of them, and beside another period.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::caller::Asked;
use super::{lines_of, needs_database};
use crate::domain::production::figure::{BucketsMs, Figure, FigureState, Flag, Frame, Pieces, Window};
use crate::domain::production::sums::Sums;
use crate::domain::time::{Ms, Span, as_rfc3339};
use crate::gateway::App;
use crate::gateway::history::LineHistory;
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
    let current = of_period(&app, &asked, &lines, period).await?;
    let against = of_period(&app, &asked, &lines, against).await?;
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
            of_window(app, asked, &lines, window).await
        }
        (None, Some(period)) => of_period(app, asked, &lines, period).await,
    }
}

/// What the topics said last: the same figure that boards show.
async fn of_window(app: &App, asked: &Asked, lines: &[String], window: Window) -> Result<Figures, Problem> {
    let board = app.hub.board(&asked.tenant.name);
    let figures: Vec<Figure> = lines.iter().filter_map(|line| board.latest(line, window)).collect();
    if figures.len() < 2 {
        return Ok(Figures { figures, total: None });
    }
    let mut parts = Vec::with_capacity(figures.len());
    for figure in &figures {
        let Some(line) = figure.line.as_deref() else { continue };
        parts.push(part(app, asked, line, figure).await?);
    }
    Ok(Figures { total: Figure::total(&parts), figures })
}

/// A line's part in the total of a window.
async fn part(app: &App, asked: &Asked, line: &str, figure: &Figure) -> Result<(Frame, Sums), Problem> {
    let database = needs_database(app, &asked.tenant)?;
    let facts = app.hub.board(&asked.tenant.name).facts(line);
    let history = LineHistory::of(&database, line, facts.as_ref()).await.map_err(Problem::database)?;
    let period = Span::new(figure.from, figure.to);
    let own = history.own(figure.window, period);
    let mut sums = Sums::default();
    for span in &own {
        sums += &history.sums(*span).await.map_err(Problem::database)?;
    }
    let holes_ms = period.len() - own.iter().map(Span::len).sum::<Ms>();
    Ok((Frame { as_of: figure.as_of, holes_ms, ..history.frame(figure.window, period) }, sums))
}

async fn of_period(app: &App, asked: &Asked, lines: &[String], period: Span) -> Result<Figures, Problem> {
    let mut figures = Vec::with_capacity(lines.len());
    let mut parts = Vec::with_capacity(lines.len());
    for line in lines {
        let (frame, sums, figure) = history(app, asked, line, period).await?;
        figures.push(figure);
        parts.push((frame, sums));
    }
    let total = if parts.len() > 1 { Figure::total(&parts) } else { None };
    Ok(Figures { figures, total })
}

async fn history(app: &App, asked: &Asked, line: &str, period: Span) -> Result<(Frame, Sums, Figure), Problem> {
    let database = needs_database(app, &asked.tenant)?;
    let facts = app.hub.board(&asked.tenant.name).facts(line);
    let history = LineHistory::of(&database, line, facts.as_ref()).await.map_err(Problem::database)?;
    history.figure(period).await.map_err(Problem::database)
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
