//! What librdkafka says by itself, at the level at which somebody on call wants to read it.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// A line of librdkafka's log. A connection that failed is tried again by itself and comes up once per client, broker
/// and kind of thread; what it keeps from being done is said by whoever wanted to do it.
pub(super) fn logged(level: i32, facility: &str, line: &str) {
    match level {
        ..=4 if facility == "FAIL" => tracing::debug!(target: "librdkafka", facility, "{line}"),
        ..=3 => tracing::error!(target: "librdkafka", facility, "{line}"),
        4 => tracing::warn!(target: "librdkafka", facility, "{line}"),
        5..=6 => tracing::info!(target: "librdkafka", facility, "{line}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// A line of the log of a client that the crate made.
pub(super) fn of_client(level: RDKafkaLogLevel, facility: &str, line: &str) {
    logged(level as i32, facility, line);
}

/// A passing problem of a producer: what it keeps from being delivered comes back as an error of its own.
pub(super) fn passing(cause: &KafkaError, reason: &str) {
    tracing::debug!(target: "librdkafka", %cause, "{reason}");
}
