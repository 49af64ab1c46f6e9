//! The rules one by one on hand-made lines, and what must hold on any.

mod cameras;
mod counting;
mod figures;
mod ledger;
mod properties;
mod stops;
mod supposed;

use crate::domain::production::batch::{Ledger, recompute};
use crate::domain::production::detection::Detection;
use crate::domain::production::input::LineInput;
use crate::domain::production::testkit::{LineBuilder, S, input};

/// The ledger of a line under one configuration.
fn run(line: LineBuilder, detections: Vec<Detection>, inputs: Vec<LineInput>) -> Ledger {
    recompute(&input(line, detections, inputs))
}

/// Its pieces in seconds: `0..10 running | 10..75 stopped`.
fn told(ledger: &Ledger) -> String {
    told_from(ledger, 0)
}

/// Its pieces in seconds since `zero`.
fn told_from(ledger: &Ledger, zero: i64) -> String {
    let seconds = |at: i64| (at - zero) as f64 / S as f64;
    let pieces = ledger.pieces.iter();
    let pieces = pieces.map(|p| format!("{}..{} {}", seconds(p.span.from), seconds(p.span.to), p.bucket.as_str()));
    pieces.collect::<Vec<_>>().join(" | ")
}
