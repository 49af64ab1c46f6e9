//! Topics are made as the rules say, and mended where something else made them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use andon::kafka::topics::{self, AdminError, TopicDescription};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::kafka_support::{Seen, World};

fn described(world: &World) -> BTreeMap<String, TopicDescription> {
    let topics = world.runtime.block_on(world.admin.describe(Some(&world.tenant))).unwrap();
    topics.into_iter().map(|topic| (topic.topic.clone(), topic)).collect()
}

#[test]
fn topics_are_made_as_the_rules_say() {
    let world = World::new();
    let month = Some(Duration::from_secs(30 * 86_400));
    let made = world.runtime.block_on(world.admin.ensure_line_topics(&world.tenant, "l1", month)).unwrap();
    assert_eq!(made.len(), 3);
    let made = world.runtime.block_on(world.admin.ensure_tenant_topics(&world.tenant)).unwrap();
    assert_eq!(made, [topics::late(&world.tenant), topics::deadletter(&world.tenant)]);
    assert!(world.runtime.block_on(world.admin.ensure_line_topics(&world.tenant, "l1", month)).unwrap().is_empty());

    let input = topics::detections(&world.tenant, "l1");
    world.send(&input, 0..12);
    let all = described(&world);
    assert_eq!(all.len(), 5);
    assert!(all.values().all(|topic| topic.partitions == 1));
    let input = &all[&input];
    assert_eq!((input.timestamp_type.as_str(), input.retention_ms), ("LogAppendTime", 2_592_000_000));
    assert_eq!((input.low, input.high, input.group_offset, input.lag), (0, 12, None, Some(12)));
    for output in [topics::downtime(&world.tenant, "l1"), topics::oee(&world.tenant, "l1")] {
        assert_eq!((all[&output].cleanup_policy.as_str(), all[&output].lag), ("compact", None));
    }
}

#[test]
fn the_broker_stamps_detections() {
    let world = World::new();
    let topic = world.line("l1");
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    let before = now();
    // A producer whose clock is a day behind.
    let mut producer = ClientConfig::new();
    producer.set("bootstrap.servers", &world.settings.brokers);
    let producer: rdkafka::producer::BaseProducer = producer.create().unwrap();
    let record = rdkafka::producer::BaseRecord::<(), _>::to(&topic).payload("0").timestamp(before - 86_400_000);
    producer.send(record).map_err(|(cause, _)| cause).unwrap();
    rdkafka::producer::Producer::flush(&producer, Duration::from_secs(10)).unwrap();
    let mut consumer = world.join();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "the assignment", |s| s.assigned.contains(&topic));
    consumer.start(&topic, 0).unwrap();
    seen.until(&mut consumer, "the record", |s| !s.messages.is_empty());
    // One machine, one clock.
    assert!((before..=now()).contains(&seen.messages[0].timestamp), "{:?} {before}", seen.messages);
}

#[test]
fn topics_made_by_others_are_mended_or_refused() {
    let world = World::new();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &world.settings.brokers);
    let others: AdminClient<DefaultClientContext> = config.create().unwrap();
    let fit = topics::detections(&world.tenant, "l1");
    let unfit = topics::detections(&world.tenant, "l2");
    let one = NewTopic::new(&fit, 1, TopicReplication::Fixed(1)).set("retention.ms", "86400000");
    let three = NewTopic::new(&unfit, 3, TopicReplication::Fixed(1));
    let made = world.runtime.block_on(others.create_topics([&one, &three], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");

    world.line("l1");
    let mended = &described(&world)[&fit];
    assert_eq!((mended.timestamp_type.as_str(), mended.retention_ms), ("LogAppendTime", 86_400_000));
    let refused = world.runtime.block_on(world.admin.ensure_line_topics(&world.tenant, "l2", None));
    assert!(matches!(refused, Err(AdminError::Partitions { partitions: 3, .. })), "{refused:?}");
}
