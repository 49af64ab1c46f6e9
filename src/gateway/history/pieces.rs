//! Pieces of a line by area, product and the part that the area plays: from the hours and minutes of the rollup, and
//! from the detections where a period or a configuration version cuts a minute.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use super::line::{FEW_SPANS, LineHistory, fragments};
use crate::domain::production::changes::PieceCount;
use crate::domain::production::config::Role;
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span};
use crate::store::{StoreError, whole_hours};

/// Pieces by the part that their area played when they were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub input: i64,
    pub process: i64,
    pub output: i64,
    pub reject: i64,
}

/// Pieces of an area and a product at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub at: Ms,
    pub area_id: i32,
    pub product_id: i32,
    pub counts: Counts,
}

/// Pieces by area and product.
pub type ByAreaAndProduct = BTreeMap<(i32, i32), Counts>;

// === impl Counts ===

impl Counts {
    fn add(&mut self, part: Role, quantity: i64) {
        *match part {
            Role::Input => &mut self.input,
            Role::Process => &mut self.process,
            Role::Output => &mut self.output,
            Role::Reject => &mut self.reject,
        } += quantity;
    }

    /// All of them: an area's pieces, whatever part it played.
    pub fn all(&self) -> i64 {
        self.input + self.process + self.output + self.reject
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.input += other.input;
        self.process += other.process;
        self.output += other.output;
        self.reject += other.reject;
    }
}

// === impl LineHistory ===

impl LineHistory<'_> {
    /// Pieces whose time lies in the period.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn pieces(&self, period: Span) -> Result<ByAreaAndProduct, StoreError> {
        let mut found = ByAreaAndProduct::new();
        for counted in self.counted(&[period]).await? {
            *found.entry((counted.area_id, counted.product_id)).or_default() += counted.counts;
        }
        Ok(found)
    }

    /// Pieces whose time lies in the spans, which do not overlap, each with its hour, which is in one span whole, its
    /// minute, or its own time where a span or a version cuts the minute; in no order.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn counted(&self, spans: &[Span]) -> Result<Vec<Counted>, StoreError> {
        let mut found = Vec::new();
        let mut by_detections: Vec<Span> = spans.iter().flat_map(|span| fragments(*span)).collect();
        let mut wholes: Vec<Span> = spans.iter().filter_map(|span| whole_minutes(*span)).collect();
        wholes.sort_unstable_by_key(|span| span.from);
        let cut_hours = self.cut_by_versions(HOUR_MS);
        let (hours, rest) = by_hours(&wholes, self.hours_until().await?, &cut_hours);
        if let (Some(first), Some(last)) = (hours.first(), hours.last()) {
            for (hour, piece) in self.hour_pieces(Span::new(first.from, last.to)).await? {
                if is_in(&hours, hour) {
                    found.push(self.count(hour, &piece));
                }
            }
        }
        let cut_minutes = self.cut_by_versions(MINUTE_MS);
        for stretch in stretches(&rest) {
            for (minute, pieces) in self.minute_pieces(stretch).await? {
                if !is_in(&rest, minute) {
                    continue;
                }
                if cut_minutes.contains(&minute) {
                    by_detections.push(Span::new(minute, minute + MINUTE_MS));
                } else {
                    found.extend(pieces.iter().map(|piece| self.count(minute, piece)));
                }
            }
        }
        for part in by_detections {
            for detection in self.detections(part).await? {
                let one = PieceCount {
                    area_id: detection.area_id,
                    product_id: detection.product_id,
                    quantity: detection.quantity.into(),
                };
                found.push(self.count(detection.detected_at, &one));
            }
        }
        Ok(found)
    }

    fn count(&self, at: Ms, piece: &PieceCount) -> Counted {
        // An area that a later version no longer has was known when its detections were accepted.
        let part = self.in_force(at).and_then(|config| config.part_of(piece.area_id)).unwrap_or(Role::Process);
        let mut counts = Counts::default();
        counts.add(part, piece.quantity);
        Counted { at, area_id: piece.area_id, product_id: piece.product_id, counts }
    }

    /// Minutes, or hours, in which a version begins to hold: their pieces are counted by parts.
    fn cut_by_versions(&self, length: Ms) -> Vec<Ms> {
        let begins = self.configs().iter().map(|config| config.valid_from).filter(|at| at.rem_euclid(length) != 0);
        begins.map(|at| at.div_euclid(length) * length).collect()
    }
}

/// The whole hours of ascending spans that have rows and are not cut, those side by side together, and what is left of
/// the spans.
fn by_hours(spans: &[Span], hours_until: Option<Ms>, cut: &[Ms]) -> (Vec<Span>, Vec<Span>) {
    let (mut hours, mut rest): (Vec<Span>, Vec<Span>) = (Vec::new(), Vec::new());
    for span in spans {
        let mut at = span.from;
        if let Some(whole) = whole_hours(*span, hours_until) {
            let mut cuts: Vec<Ms> = cut.iter().copied().filter(|hour| whole.contains(*hour)).collect();
            cuts.sort_unstable();
            cuts.dedup();
            let mut from = whole.from;
            for end in cuts.into_iter().chain([whole.to]) {
                if from < end {
                    rest.extend((at < from).then(|| Span::new(at, from)));
                    hours.push(Span::new(from, end));
                    at = end;
                }
                from = end + HOUR_MS;
            }
        }
        rest.extend((at < span.to).then(|| Span::new(at, span.to)));
    }
    (hours, rest)
}

/// Whether an instant lies in one of ascending spans.
fn is_in(spans: &[Span], at: Ms) -> bool {
    let place = spans.partition_point(|span| span.to <= at);
    spans.get(place).is_some_and(|span| span.contains(at))
}

/// What to read for ascending spans: each by itself, of many their hull.
fn stretches(spans: &[Span]) -> Vec<Span> {
    match (spans.first(), spans.last()) {
        (Some(first), Some(last)) if spans.len() > FEW_SPANS => vec![Span::new(first.from, last.to)],
        _ => spans.to_vec(),
    }
}

/// The whole minutes of a period.
fn whole_minutes(period: Span) -> Option<Span> {
    let up = -period.from.saturating_neg().div_euclid(MINUTE_MS) * MINUTE_MS;
    let whole = Span::new(up, period.to.div_euclid(MINUTE_MS) * MINUTE_MS);
    (whole.from < whole.to).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_whole_minutes_and_fragments() {
        for (from, to) in
            [(0, 60_000), (1, 60_000), (1, 59_000), (30_000, 200_000), (-90_000, 61_000), (60_000, 60_001)]
        {
            let period = Span::new(from, to);
            let whole = whole_minutes(period).map_or(0, |whole| whole.len());
            let rest: Ms = fragments(period).iter().map(Span::len).sum();
            assert_eq!(whole + rest, period.len(), "{from}..{to}");
        }
    }

    #[test]
    fn hours_and_what_is_left_make_up_the_spans() {
        const H: Ms = HOUR_MS;
        const HALF: Ms = H / 2;
        let spans = [Span::new(-HALF, 3 * H), Span::new(4 * H, 4 * H + HALF), Span::new(5 * H, 9 * H + HALF)];
        let pairs = |spans: Vec<Span>| spans.iter().map(|span| (span.from, span.to)).collect::<Vec<_>>();
        for (until, cut, hours, rest) in [
            (None, vec![], vec![], vec![(-HALF, 3 * H), (4 * H, 4 * H + HALF), (5 * H, 9 * H + HALF)]),
            (
                Some(7 * H),
                vec![],
                vec![(0, 3 * H), (5 * H, 7 * H)],
                vec![(-HALF, 0), (4 * H, 4 * H + HALF), (7 * H, 9 * H + HALF)],
            ),
            (
                Some(20 * H),
                vec![6 * H, H, 8 * H],
                vec![(0, H), (2 * H, 3 * H), (5 * H, 6 * H), (7 * H, 8 * H)],
                vec![(-HALF, 0), (H, 2 * H), (4 * H, 4 * H + HALF), (6 * H, 7 * H), (8 * H, 9 * H + HALF)],
            ),
        ] {
            let (found, left) = by_hours(&spans, until, &cut);
            assert_eq!((pairs(found), pairs(left)), (hours, rest), "{until:?} {cut:?}");
        }
    }

    #[test]
    fn counts_go_to_the_part_played() {
        let mut counts = Counts::default();
        counts.add(Role::Output, 5);
        counts.add(Role::Reject, 2);
        let mut sum = Counts { input: 1, ..Counts::default() };
        sum += counts;
        assert_eq!(sum, Counts { input: 1, process: 0, output: 5, reject: 2 });
        assert_eq!(sum.all(), 8);
    }
}
