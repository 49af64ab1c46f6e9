//! Andon: what cameras see on factory lines becomes stops, OEE and live boards, exactly once.
//!
//! Start with `ARCHITECTURE.md`. Data goes one way: `kafka` → `engine` (around the pure `domain`) → `store` and
//! topics → `gateway`.

pub mod bench;
pub mod config;
pub mod domain;
pub mod engine;
pub mod gateway;
pub mod kafka;
pub mod plant;
pub mod proof;
pub mod store;
pub mod watch;

// Test helpers that test binaries include as well call the library by its name.
#[cfg(test)]
extern crate self as andon;
