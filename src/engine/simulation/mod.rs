//! Schedules of seeded faults over the real loops: shard, publisher, assigner and listener run as they are, on
//! stand-ins for Kafka ([`broker`], [`client`]) and the database ([`database`]) that keep the semantics that matter.
//! Time is the runtime's own and stands still while anything can run, chance comes from the seed alone: one seed is
//! one schedule, reproduced exactly.
//!
//! ```text
//! ANDON_SIMULATION_SEED=7 cargo test --lib simulation::story -- --nocapture    the story of a seed
//! ANDON_SIMULATION_SEEDS=100000 ANDON_SIMULATION_FROM=1 cargo test --lib simulation::seeds
//! make simulate SEEDS=1000000                                                  as long as wanted
//! ```

mod broker;
mod chance;
mod client;
mod database;
mod judge;
mod member;
mod plan;
mod run;
mod sabotage;
mod tests;
mod world;
