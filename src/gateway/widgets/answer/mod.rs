//! The answers: one function per widget, from a [`Scope`] to keyed items. All of them read sums of ledgers, and divide
//! last.

mod cuts;
mod kpi;
mod losses;
mod now;
mod pieces;
mod stops;

use serde_json::json;

use super::catalogue::Kind;
use super::scope::{Failure, Item, Scope};

/// The items of an answer; the first is about it.
///
/// # Errors
/// What cannot be answered as it was asked, or not now.
pub async fn answer(scope: &Scope<'_>) -> Result<Vec<Item>, Failure> {
    if scope.widget.is_of_stops && scope.hides_stops() {
        return Ok(vec![scope.about(None, &json!({"hidden": "several_lines"}))]);
    }
    match scope.widget.kind {
        Kind::Production => kpi::production(scope).await,
        Kind::Oee => kpi::of(scope, |figure| figure.oee, |line| line.oee_target).await,
        Kind::Availability => kpi::of(scope, |figure| figure.availability, |line| line.availability_target).await,
        Kind::Performance => kpi::of(scope, |figure| figure.performance, |_| None).await,
        Kind::Quality => kpi::of(scope, |figure| figure.quality, |_| None).await,
        Kind::Downtime => kpi::downtime(scope).await,
        Kind::Weight => pieces::weight(scope).await,
        Kind::Areas => pieces::areas(scope).await,
        Kind::Products | Kind::ProductRanking => pieces::products(scope).await,
        Kind::ProductionOverTime => cuts::production(scope).await,
        Kind::Comparison => cuts::comparison(scope).await,
        Kind::Timeline => cuts::timeline(scope).await,
        Kind::HourByHour => cuts::hours(scope).await,
        Kind::StopScatter | Kind::StopTable => stops::list(scope).await,
        Kind::Pareto => stops::pareto(scope).await,
        Kind::Waterfall => losses::waterfall(scope).await,
        Kind::Andon => Ok(now::andon(scope)),
        Kind::Cameras => now::cameras(scope).await,
    }
}
