//! Kafka: topics, Avro, the group consumer, the transactional publisher, and the plain readers and writers.
//!
//! | part | role |
//! |---|---|
//! | [`topics`] | names, creation, description |
//! | [`codec`], [`schemas`] | records to bytes and back: Avro in the Confluent wire format |
//! | [`consumer`] | the processing group's reader: a line is read once its owner says from where |
//! | [`publisher`] | records and the group's offsets in one transaction |
//! | [`registry`] | schema ids by a registry, where one is configured |
//! | [`tail`] | the gateways' reader, without a group |
//! | [`aftermath`], [`standstill`] | what a broker that was killed has lost of a transaction's end |
//! | [`producer`] | plain records, for cameras |

pub mod aftermath;
pub mod codec;
pub mod consumer;
mod native;
pub mod producer;
pub mod publisher;
pub mod registry;
pub mod schemas;
mod settings;
pub mod standstill;
pub mod tail;
pub mod topics;
mod words;

pub use native::{Committed, NativeError};
pub use settings::Settings;
