//! What the person on call sees: metrics, readiness and logs of a process.
//!
//! [`metrics`] names every metric with its labels, [`health`] holds why a process is not ready, [`log`] writes
//! structured lines to standard error, and [`admin`] serves the three on the admin port.

pub mod admin;
pub mod health;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod usage;
