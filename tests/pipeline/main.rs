//! The whole path on real servers: detections into Kafka, the engine, the database, topics and the gateway.

#[path = "../support/mod.rs"]
mod support;

mod ground;
