//! The whole path on real servers: detections into Kafka, the engine, the database, topics and the gateway.

mod support;

mod pipeline {
    mod ground;
}
