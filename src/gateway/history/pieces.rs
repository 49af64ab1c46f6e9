//! Pieces of a line by area, product and the part that the area plays: from the minutes of the rollup, and from the
//! detections where a period or a configuration version cuts a minute.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use super::line::{LineHistory, fragments};
use crate::domain::production::changes::PieceCount;
use crate::domain::production::config::Role;
use crate::domain::time::{MINUTE_MS, Ms, Span};
use crate::store::StoreError;

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

    /// Pieces whose time lies in the spans, which do not overlap, each with its minute, or its own time where a span or
    /// a version cuts the minute; in no order.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn counted(&self, spans: &[Span]) -> Result<Vec<Counted>, StoreError> {
        let mut found = Vec::new();
        let mut by_detections: Vec<Span> = spans.iter().flat_map(|span| fragments(*span)).collect();
        let wholes: Vec<Span> = spans.iter().filter_map(|span| whole_minutes(*span)).collect();
        let ends = (wholes.iter().map(|span| span.from).min(), wholes.iter().map(|span| span.to).max());
        if let (Some(from), Some(to)) = ends {
            let hull = Span::new(from, to);
            let cut = self.cut_minutes(hull);
            for (minute, pieces) in self.minute_pieces(hull).await? {
                if !wholes.iter().any(|whole| whole.contains(minute)) {
                    continue;
                }
                if cut.contains(&minute) {
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

    /// Minutes in which a version begins to hold: their pieces are counted one by one.
    fn cut_minutes(&self, whole: Span) -> Vec<Ms> {
        let begins = self.configs().iter().map(|config| config.valid_from);
        let inside = begins.filter(|at| whole.contains(*at) && at.rem_euclid(MINUTE_MS) != 0);
        inside.map(|at| at.div_euclid(MINUTE_MS) * MINUTE_MS).collect()
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
