//! Figures of the past: from the minutes of the rollup, and to the millisecond where a period cuts one.

mod edge;
pub mod interval;
pub mod line;
pub mod pieces;
pub mod together;

pub use line::LineHistory;
