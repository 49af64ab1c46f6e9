//! Hours: the sums of their minutes, for figures over long periods.
//!
//! An hour is added up when the line clock has left it, and again whenever a later commit changes one of its minutes, in
//! that commit's own transaction: what is in the table is always the sum of the minutes beside it. The hour of the clock
//! has no row. So an hour costs one reading of sixty rows, and a commit within the hour nothing.

use super::super::name::LineName;
use super::connection::{Expected, Session};
use super::sql::Sql;
use super::statements::{SUMS_COLUMNS, upsert};
use super::{CommitError, LineCommit};
use crate::domain::production::changes::MinuteRow;
use crate::domain::time::{HOUR_MS, Ms, Span};

/// Adds up anew the hours that a commit has touched and that the line clock has left.
pub(super) async fn write(session: &mut Session, line: &LineName, commit: &LineCommit<'_>) -> Result<(), CommitError> {
    let Some(clock) = commit.clock else { return Ok(()) };
    for hours in touched(&commit.changes.minutes, clock) {
        session.later(&sums(line, hours).text, Expected::Success).await?;
        let mut gone = Sql::new(&format!("DELETE FROM `{}` WHERE hour >= ", line.hour_pieces()));
        gone.time(hours.from).words(" AND hour < ").time(hours.to);
        session.later(&gone.text, Expected::Success).await?;
        session.later(&pieces(line, hours).text, Expected::Success).await?;
    }
    Ok(())
}

/// The hours of these minutes before the clock's own, those side by side together.
fn touched(minutes: &[MinuteRow], clock: Ms) -> Vec<Span> {
    let own = clock.div_euclid(HOUR_MS);
    let mut hours: Vec<i64> = minutes.iter().map(|row| row.minute.div_euclid(HOUR_MS)).filter(|at| *at < own).collect();
    hours.sort_unstable();
    let mut found: Vec<Span> = Vec::new();
    for hour in hours {
        let span = Span::new(hour * HOUR_MS, (hour + 1) * HOUR_MS);
        match found.last_mut() {
            Some(last) if span.from <= last.to => last.to = span.to,
            _ => found.push(span),
        }
    }
    found
}

/// The hour of a minute, as both servers say it.
const HOUR: &str = "CAST(DATE_FORMAT(minute, '%Y-%m-%d %H:00:00') AS DATETIME)";

/// The line's minutes with each of their pieces as `piece`.
fn each_piece(line: &LineName) -> String {
    format!(
        "`{}`, JSON_TABLE(pieces, '$[*]' COLUMNS (area_id INT PATH '$[0]', product_id INT PATH '$[1]',
             quantity BIGINT PATH '$[2]')) AS piece",
        line.minutes()
    )
}

fn sums(line: &LineName, hours: Span) -> Sql {
    let added = SUMS_COLUMNS.map(|column| format!("SUM({column})")).join(", ");
    let mut sql = Sql::new(&format!(
        "INSERT INTO `{}` (hour, {}) SELECT {HOUR} AS of_hour, {added} FROM `{}` WHERE minute >= ",
        line.hours(),
        SUMS_COLUMNS.join(", "),
        line.minutes(),
    ));
    sql.time(hours.from)
        .words(" AND minute < ")
        .time(hours.to)
        .words(" GROUP BY of_hour")
        .words(&upsert(&SUMS_COLUMNS));
    sql
}

fn pieces(line: &LineName, hours: Span) -> Sql {
    let mut sql = Sql::new(&format!(
        "INSERT INTO `{}` (hour, area_id, product_id, quantity)
         SELECT {HOUR} AS of_hour, piece.area_id, piece.product_id, SUM(piece.quantity)
         FROM {} WHERE minute >= ",
        line.hour_pieces(),
        each_piece(line),
    ));
    sql.time(hours.from).words(" AND minute < ").time(hours.to);
    sql.words(" GROUP BY of_hour, piece.area_id, piece.product_id");
    sql
}

/// Asks for the hours whose rows are not the sums of their minutes. There are none: what is asked here is a proof.
pub(in crate::store) fn apart(line: &LineName) -> String {
    let (minutes, hours, pieces) = (line.minutes(), line.hours(), line.hour_pieces());
    let less = SUMS_COLUMNS.map(|column| format!("-{column}")).join(", ");
    let differ = SUMS_COLUMNS.map(|column| format!("SUM({column}) <> 0")).join(" OR ");
    let left = format!("minute < (SELECT MAX(hour) + INTERVAL 1 HOUR FROM `{hours}`)");
    let columns = SUMS_COLUMNS.join(", ");
    format!(
        "SELECT hour FROM (
             SELECT hour, {columns} FROM `{hours}`
             UNION ALL SELECT {HOUR}, {less} FROM `{minutes}` WHERE {left}
         ) AS both_ways GROUP BY hour HAVING {differ}
         UNION SELECT hour FROM (
             SELECT hour, area_id, product_id, quantity FROM `{pieces}`
             UNION ALL SELECT {HOUR}, piece.area_id, piece.product_id, -piece.quantity
             FROM {} WHERE {left}
         ) AS counted GROUP BY hour, area_id, product_id HAVING SUM(quantity) <> 0",
        each_piece(line)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::production::sums::Sums;
    use crate::domain::time::MINUTE_MS;

    #[test]
    fn only_hours_that_the_clock_has_left_are_added_up() {
        let row = |minute: Ms| MinuteRow { minute, sums: Sums::default(), pieces: Vec::new(), slices: Vec::new() };
        let rows: Vec<MinuteRow> = [61, 59, 0, 119, 180, 240, 300].map(|at| row(at * MINUTE_MS)).into();
        let hours = |clock: Ms| {
            let spans = touched(&rows, clock).into_iter();
            spans.map(|span| (span.from / HOUR_MS, span.to / HOUR_MS)).collect::<Vec<_>>()
        };
        assert_eq!(hours(5 * HOUR_MS), [(0, 2), (3, 5)]);
        assert_eq!(hours(2 * HOUR_MS), [(0, 2)]);
        assert_eq!(hours(2 * HOUR_MS - 1), [(0, 1)]);
        assert_eq!(hours(0), []);
    }
}
