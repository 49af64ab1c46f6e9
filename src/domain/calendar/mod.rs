//! Shifts, breaks, holidays and zones, compiled to intervals of UTC milliseconds.

use std::sync::Arc;

use crate::domain::time::Span;

/// The compiled calendar of one line.
#[derive(Clone, Debug)]
pub struct Calendar {}

/// What a calendar says of a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Schedule {
    Unscheduled,
    Break,
    Scheduled,
}

/// A shift of a line: its name and the business date on which it starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShiftId {
    pub name: Arc<str>,
    pub date: jiff::civil::Date,
}

/// A maximal interval in which the calendar says one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub span: Span,
    pub schedule: Schedule,
    /// Set inside shifts, breaks included.
    pub shift: Option<ShiftId>,
    /// Business date: that of the shift, outside shifts the local date.
    pub date: jiff::civil::Date,
}
