//! Production: detections become a ledger of time, stops and OEE.
//!
//! [`line::Line`] is the incremental state machine of one line; [`batch`] is the plain recomputation that it
//! must equal, and the two share nothing but the vocabulary below, the calendar and the arithmetic of a figure.

pub mod batch;
pub mod changes;
pub mod config;
pub mod detection;
pub mod figure;
pub mod indices;
pub mod input;
pub mod line;
pub mod stop;
pub mod sums;

#[cfg(test)]
pub mod testkit;
