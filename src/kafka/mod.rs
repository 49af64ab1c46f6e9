//! Kafka: topics, Avro, the group consumer, the transactional publisher, and the plain readers and writers.
//!
//! | part | role |
//! |---|---|
//! | [`topics`] | names, creation, description |
//! | [`codec`] | records to bytes and back: Avro in the Confluent wire format |

pub mod codec;
pub mod schemas;
pub mod topics;
