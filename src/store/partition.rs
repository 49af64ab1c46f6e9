//! Monthly partitions of `detection_line_{line}`.
//!
//! A table is covered without a hole from the beginning to the end of time: by months (`p202601`, exactly that UTC
//! month) and by gaps between them (`g202601`: up to the start of that month; `gmax`: up to the end). Rows are only ever
//! put into months; a gap is empty, so that carving a month out of it costs nothing, in the past as in the future.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Row};

use super::error::{Result, StoreError};
use super::name::LineName;
use super::stamp::{Month, is_storable};
use super::tenant::TenantDb;
use crate::domain::production::detection::Detection;
use crate::domain::time::Ms;

/// Months made ahead of the one that is asked for.
const AHEAD: i64 = 2;
/// The servers allow 1024 (MariaDB before 11) and 8192; a replay of scattered times must not come near.
const MOST: usize = 1_000;

/// The months of a line that are known to have a partition.
#[derive(Debug, Default)]
pub(super) struct Months {
    known: BTreeSet<Month>,
}

/// A partition as the server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Month(Month),
    /// Up to the start of the month; none: to the end of time.
    Gap(Option<Month>),
}

// === impl Months ===

impl Months {
    /// The months of these detections that are not known; costs a comparison a row where nothing is missing.
    fn missing(&self, detections: &[(Detection, bool)]) -> BTreeSet<Month> {
        let mut missing = BTreeSet::new();
        // Rows of one month come together: [from, to) is the last one that was looked up.
        let (mut from, mut to) = (0, 0);
        for (detection, _) in detections {
            let at = detection.detected_at;
            if at < from || at >= to {
                let month = Month::of(at);
                (from, to) = (month.start(), month.plus(1).start());
                if !self.known.contains(&month) {
                    missing.insert(month);
                }
            }
        }
        missing
    }
}

// === impl Part ===

impl Part {
    fn parse(name: &str) -> Option<Self> {
        match name.split_at_checked(1)? {
            ("p", digits) => Month::parse(digits).map(Part::Month),
            ("g", "max") => Some(Part::Gap(None)),
            ("g", digits) => Month::parse(digits).map(|month| Part::Gap(Some(month))),
            _ => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Part::Month(month) => format!("p{}", month.digits()),
            Part::Gap(Some(month)) => format!("g{}", month.digits()),
            Part::Gap(None) => "gmax".to_owned(),
        }
    }

    /// The month at whose start it ends; none: never.
    fn end(&self) -> Option<Month> {
        match self {
            Part::Month(month) => Some(month.plus(1)),
            Part::Gap(end) => *end,
        }
    }

    fn definition(&self) -> String {
        let end = self.end().map_or_else(|| "MAXVALUE".to_owned(), |end| format!("'{}'", end.first_day()));
        format!("PARTITION {} VALUES LESS THAN ({end})", self.name())
    }
}

/// The statement's tail that carves `wanted` out of the gap that covers them, and the cover afterwards; none when all
/// are there. Takes the months of one gap at a time: call it until it answers none.
fn carve(parts: &[Part], wanted: &BTreeSet<Month>) -> Option<(String, Vec<Part>)> {
    let mut start: Option<Month> = None;
    for (index, part) in parts.iter().enumerate() {
        let end = part.end();
        if let Part::Gap(_) = part {
            let inside = |month: &Month| start.is_none_or(|from| *month >= from) && end.is_none_or(|to| *month < to);
            let months: Vec<Month> = wanted.iter().copied().filter(inside).collect();
            if !months.is_empty() {
                let mut into = Vec::new();
                let mut reached = start;
                for month in months {
                    if reached != Some(month) {
                        into.push(Part::Gap(Some(month)));
                    }
                    into.push(Part::Month(month));
                    reached = Some(month.plus(1));
                }
                if reached != end {
                    into.push(part.clone());
                }
                let list: Vec<String> = into.iter().map(Part::definition).collect();
                let tail = format!("REORGANIZE PARTITION {} INTO ({})", part.name(), list.join(", "));
                let mut after = parts.to_vec();
                after.splice(index..=index, into);
                return Some((tail, after));
            }
        }
        start = end;
    }
    None
}

impl TenantDb {
    /// Makes the partitions that these detections need and that are not known to be there. Changes of tables commit by
    /// themselves, so this comes before the transaction.
    pub(super) async fn make_room(&self, line: &LineName, detections: &[(Detection, bool)]) -> Result<()> {
        if let Some((detection, _)) = detections.iter().find(|(detection, _)| !is_storable(detection.detected_at)) {
            let problem = format!("line {line}: no table can hold the time {} ms", detection.detected_at);
            return Err(StoreError::Conflict(problem));
        }
        let missing = match self.months.lock().get(line) {
            Some(months) => months.missing(detections),
            None => Months::default().missing(detections),
        };
        if missing.is_empty() {
            return Ok(());
        }
        let newest = missing.last().copied();
        // Data that goes on forward meets its next months already made.
        let ahead = newest.into_iter().flat_map(|month| (1..=AHEAD).map(move |n| month.plus(n)));
        let ahead: Vec<Month> = ahead.filter(|month| is_storable(month.start())).collect();
        self.make_months(line, missing.into_iter().chain(ahead).collect()).await
    }

    /// Makes the partition of the month of `now` and the next ones.
    pub(super) async fn make_ahead(&self, line: &LineName, now: Ms) -> Result<()> {
        let now = Month::of(now);
        self.make_months(line, (0..=AHEAD).map(|n| now.plus(n)).collect()).await
    }

    async fn make_months(&self, line: &LineName, wanted: BTreeSet<Month>) -> Result<()> {
        if self.months.lock().get(line).is_some_and(|months| wanted.is_subset(&months.known)) {
            return Ok(());
        }
        let mut parts = self.parts(line).await?;
        while let Some((tail, after)) = carve(&parts, &wanted) {
            if after.len() > MOST {
                let problem = format!(
                    "line {line}: its detections would lie in more than {MOST} separate months: look for wrong clocks"
                );
                return Err(StoreError::Conflict(problem));
            }
            let sql = format!("ALTER TABLE `{}` {tail}", line.detections());
            match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await {
                Ok(_) => parts = after,
                Err(error) => {
                    // Another process may have made the same month in the meantime.
                    let now = self.parts(line).await?;
                    if now == parts {
                        return Err(error.into());
                    }
                    parts = now;
                }
            }
        }
        let mut months = self.months.lock();
        let known = &mut months.entry(line.clone()).or_default().known;
        known.extend(parts.iter().filter_map(|part| match part {
            Part::Month(month) => Some(*month),
            Part::Gap(_) => None,
        }));
        Ok(())
    }

    /// Drops the months that ended at or before `before`; answers how many.
    pub async fn drop_expired(&self, line: &str, before: Ms) -> Result<usize> {
        let line = self.line(line).await?;
        let parts = self.parts(&line).await?;
        let cutoff = Month::of(before);
        let expired: Vec<&Part> = parts.iter().take_while(|part| part.end().is_some_and(|end| end <= cutoff)).collect();
        let months: Vec<&Part> = expired.iter().copied().filter(|part| matches!(part, Part::Month(_))).collect();
        let (Some(last), false) = (expired.last(), months.is_empty()) else { return Ok(0) };
        // Nobody may count on a month that is about to go.
        self.months.lock().remove(&line);
        let table = line.detections();
        // The gaps too: another process may have counted on a month that went before.
        let emptied: Vec<String> = expired.iter().map(|part| part.name()).collect();
        let truncate = format!("ALTER TABLE `{table}` TRUNCATE PARTITION {}", emptied.join(", "));
        sqlx::raw_sql(AssertSqlSafe(truncate)).execute(&self.pool).await?;
        // Dropping the partitions would let the next month reach back over them.
        let merged: Vec<String> = expired.iter().map(|part| part.name()).collect();
        let gap = Part::Gap(last.end());
        let merge =
            format!("ALTER TABLE `{table}` REORGANIZE PARTITION {} INTO ({})", merged.join(", "), gap.definition());
        sqlx::raw_sql(AssertSqlSafe(merge)).execute(&self.pool).await?;
        Ok(months.len())
    }

    /// The partitions of a line's detections, oldest first.
    async fn parts(&self, line: &LineName) -> Result<Vec<Part>> {
        let table = line.detections();
        let rows = sqlx::query(
            "SELECT CAST(partition_name AS CHAR) FROM information_schema.partitions
             WHERE table_schema = DATABASE() AND table_name = ? ORDER BY partition_ordinal_position",
        )
        .bind(&table)
        .fetch_all(&self.pool)
        .await?;
        let unknown =
            |name: &str| StoreError::Conflict(format!("{table} has a partition {name:?} that is not Andon's"));
        rows.iter()
            .map(|row| {
                let name: Option<String> = row.try_get(0)?;
                let name = name.unwrap_or_default();
                Part::parse(&name).ok_or_else(|| unknown(&name))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(digits: &str) -> Month {
        Month::parse(digits).unwrap()
    }

    fn names(parts: &[Part]) -> Vec<String> {
        parts.iter().map(Part::name).collect()
    }

    fn carved(parts: &[Part], wanted: &[&str]) -> Vec<Part> {
        let wanted = wanted.iter().map(|digits| month(digits)).collect();
        let mut parts = parts.to_vec();
        while let Some((_, after)) = carve(&parts, &wanted) {
            parts = after;
        }
        parts
    }

    #[test]
    fn months_are_carved_out_of_the_gap_that_covers_them() {
        let start = [Part::Gap(None)];
        let parts = carved(&start, &["202601", "202602"]);
        assert_eq!(names(&parts), ["g202601", "p202601", "p202602", "gmax"]);
        let parts = carved(&parts, &["202403", "202604", "202601"]);
        assert_eq!(
            names(&parts),
            ["g202403", "p202403", "g202601", "p202601", "p202602", "g202604", "p202604", "gmax"]
        );
        let parts = carved(&parts, &["202603"]);
        assert_eq!(
            names(&parts),
            ["g202403", "p202403", "g202601", "p202601", "p202602", "p202603", "p202604", "gmax"]
        );
        assert!(carve(&parts, &[month("202603")].into()).is_none());
    }

    #[test]
    fn a_carving_says_what_it_becomes() {
        let parts = [Part::Gap(Some(month("202601"))), Part::Month(month("202601")), Part::Gap(None)];
        let (tail, _) = carve(&parts, &[month("202512")].into()).unwrap();
        assert_eq!(
            tail,
            "REORGANIZE PARTITION g202601 INTO (PARTITION g202512 VALUES LESS THAN ('2025-12-01'), \
             PARTITION p202512 VALUES LESS THAN ('2026-01-01'))"
        );
    }
}
