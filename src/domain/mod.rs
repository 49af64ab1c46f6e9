//! The pure core: what decides, without a clock, a socket, a file or an environment.
//!
//! Nothing in here may name `tokio`, `rdkafka`, `sqlx`, `mysql_async`, `std::time`, `std::fs`, `std::net`
//! or `std::env`; `tests/spec/purity.rs` keeps it so. Time is an input, the next deadline an output.

pub mod calendar;
pub mod production;
pub mod time;
