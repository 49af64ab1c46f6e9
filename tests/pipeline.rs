//! The whole path on real servers: detections into Kafka, the engine, the database, topics and the gateway.

mod support;

mod pipeline {
    mod access;
    mod bad_input;
    mod browser;
    mod contract;
    mod engine;
    mod gateway;
    mod ground;
    mod interop;
    mod isolation;
    mod kafka_consumer;
    mod kafka_publisher;
    mod kafka_support;
    mod kafka_tail;
    mod kafka_topics;
    mod recovery;
    mod replay;
    mod screens;
    mod servers_away;
    mod silence;
    mod standstill;
    mod stopped_line;
    mod store;
    mod verify;
    mod versions;
    mod widgets;
}
