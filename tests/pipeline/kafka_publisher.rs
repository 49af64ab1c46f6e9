//! The transactional publisher: records and progress become visible together, or not at all.

use std::time::{Duration, Instant};

use andon::kafka::aftermath::{self, Trace};
use andon::kafka::consumer::Consumer;
use andon::kafka::publisher::{OutRecord, PublishBatch, PublishError, Publisher};
use andon::kafka::tail::{Tail, TailRecord, TailStart};
use andon::kafka::topics;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::kafka_support::{PATIENCE, Seen, World};

fn out(topic: &str, key: &str, payload: Option<&str>) -> OutRecord {
    OutRecord {
        topic: topic.to_owned(),
        key: key.as_bytes().to_vec(),
        payload: payload.map(|text| text.as_bytes().to_vec()),
        headers: vec![("commit_seq".to_owned(), b"7".to_vec()), ("index".to_owned(), b"0".to_vec())],
    }
}

fn batch(topic_in: &str, next_offset: i64, commit_seq: u64, records: Vec<OutRecord>) -> PublishBatch {
    PublishBatch { topic_in: topic_in.to_owned(), next_offset, commit_seq, records }
}

/// A member that owns `count` lines.
fn member(world: &World, count: usize) -> (Consumer, Seen) {
    let mut consumer = world.join();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "the assignment", |s| s.assigned.len() == count);
    (consumer, seen)
}

fn everything_in(world: &World, topic: &str) -> Vec<TailRecord> {
    let pattern = format!("^{}$", topic.replace('.', r"\."));
    let mut tail = Tail::follow(&world.settings, &pattern, TailStart::Beginning, 100).unwrap();
    let mut records = Vec::new();
    world.runtime.block_on(async {
        let caught_up = tokio::time::timeout(PATIENCE, tail.caught_up.wait_for(|done| *done)).await;
        assert!(caught_up.is_ok_and(|answer| answer.is_ok()), "never caught up");
        while let Ok(record) = tail.records.try_recv() {
            records.push(record);
        }
    });
    records
}

#[test]
fn records_and_progress_come_back() {
    let world = World::new();
    let (first, second) = (world.line("l1"), world.line("l2"));
    let downtime = topics::downtime(&world.tenant, "l1");
    let (consumer, _) = member(&world, 2);
    let group = consumer.handle().group_metadata().unwrap();
    let id = world.settings.transactional_id();
    let mut publisher = Publisher::connect(&world.settings, &id).unwrap();
    assert_eq!(consumer.handle().committed(&[first.clone(), second.clone()], PATIENCE).unwrap().len(), 0);

    let records = vec![out(&downtime, "l1:5", Some("stop")), out(&downtime, "l1:5", None)];
    publisher.publish(&[batch(&first, 40, 7, records), batch(&second, -1, 1, vec![])], &group).unwrap();
    let committed = consumer.handle().committed(&[first.clone(), second.clone()], PATIENCE).unwrap();
    assert_eq!((committed[&first].offset, committed[&first].metadata.as_str()), (40, "7"));
    assert_eq!((committed[&second].offset, committed[&second].metadata.as_str()), (0, "1"));

    // Progress alone.
    publisher.publish(&[batch(&first, 41, 8, vec![])], &group).unwrap();
    publisher.publish(&[], &group).unwrap();
    let committed = consumer.handle().committed(std::slice::from_ref(&first), PATIENCE).unwrap();
    assert_eq!((committed[&first].offset, committed[&first].metadata.as_str()), (41, "8"));

    let records = everything_in(&world, &downtime);
    assert_eq!(records.iter().map(|r| r.payload.clone()).collect::<Vec<_>>(), [Some(b"stop".to_vec()), None]);
    assert_eq!(records[0].key.as_deref(), Some(b"l1:5".as_slice()));
    let mut headers = out("", "", None).headers;
    headers.push(("publisher".to_owned(), id.into_bytes()));
    assert_eq!(records[0].headers, headers);
}

#[test]
fn a_reset_publisher_goes_on() {
    let world = World::new();
    let topic = world.line("l1");
    let oee = topics::oee(&world.tenant, "l1");
    let (consumer, _) = member(&world, 1);
    let group = consumer.handle().group_metadata().unwrap();
    let mut publisher = Publisher::connect(&world.settings, &world.settings.transactional_id()).unwrap();
    publisher.publish(&[batch(&topic, 1, 1, vec![out(&oee, "5m", Some("1"))])], &group).unwrap();
    publisher.reset().unwrap();
    publisher.publish(&[batch(&topic, 2, 2, vec![out(&oee, "5m", Some("2"))])], &group).unwrap();
    let payloads: Vec<_> = everything_in(&world, &oee).into_iter().map(|r| r.payload).collect();
    assert_eq!(payloads, [Some(b"1".to_vec()), Some(b"2".to_vec())]);
}

#[test]
fn what_can_t_be_delivered_leaves_nothing_visible() {
    let world = World::new();
    let topic = world.line("l1");
    let oee = topics::oee(&world.tenant, "l1");
    let (consumer, _) = member(&world, 1);
    let group = consumer.handle().group_metadata().unwrap();
    let mut publisher = Publisher::connect(&world.settings, &world.settings.transactional_id()).unwrap();
    let too_large = OutRecord { payload: Some(vec![0; 2_000_000]), ..out(&oee, "1h", None) };
    let refused = publisher.publish(&[batch(&topic, 1, 1, vec![out(&oee, "5m", Some("1")), too_large])], &group);
    assert!(matches!(refused, Err(PublishError::Abortable { .. })), "{refused:?}");
    assert_eq!(consumer.handle().committed(std::slice::from_ref(&topic), PATIENCE).unwrap().len(), 0);
    publisher.publish(&[batch(&topic, 1, 1, vec![out(&oee, "5m", Some("2"))])], &group).unwrap();
    let payloads: Vec<_> = everything_in(&world, &oee).into_iter().map(|r| r.payload).collect();
    assert_eq!(payloads, [Some(b"2".to_vec())]);
}

#[test]
fn a_member_that_has_moved_on_is_fenced() {
    let world = World::new();
    let topic = world.line("l1");
    let downtime = topics::downtime(&world.tenant, "l1");
    let (mut one, mut by_one) = member(&world, 1);
    let old = one.handle().group_metadata().unwrap();
    // A second member makes a new generation.
    world.line("l2");
    let mut two = world.join();
    let mut by_two = Seen::default();
    let deadline = Instant::now() + PATIENCE;
    while by_two.assigned.is_empty() {
        assert!(Instant::now() < deadline);
        by_one.poll(&mut one, Duration::from_millis(20));
        by_two.poll(&mut two, Duration::from_millis(20));
    }
    let mut publisher = Publisher::connect(&world.settings, &world.settings.transactional_id()).unwrap();
    let refused = publisher.publish(&[batch(&topic, 9, 9, vec![out(&downtime, "x", Some("zombie"))])], &old);
    assert!(matches!(refused, Err(PublishError::Fenced(_))), "{refused:?}");
    // With today's membership it goes, on the same publisher.
    let new = one.handle().group_metadata().unwrap();
    publisher.publish(&[batch(&topic, 9, 9, vec![out(&downtime, "x", Some("owner"))])], &new).unwrap();
    let payloads: Vec<_> = everything_in(&world, &downtime).into_iter().map(|r| r.payload).collect();
    assert_eq!(payloads, [Some(b"owner".to_vec())]);
}

#[test]
fn what_a_killed_publisher_left_open_is_never_seen() {
    let world = World::new();
    let topic = world.line("l1");
    let downtime = topics::downtime(&world.tenant, "l1");
    let (consumer, _) = member(&world, 1);
    let group = consumer.handle().group_metadata().unwrap();
    let mut publisher = Publisher::connect(&world.settings, &world.settings.transactional_id()).unwrap();
    publisher.publish(&[batch(&topic, 1, 1, vec![out(&downtime, "a", Some("before"))])], &group).unwrap();

    // Killed between its records and its commit: for the broker that is a producer that falls silent.
    let killed = half_a_transaction(&world, &downtime);
    publisher.publish(&[batch(&topic, 2, 2, vec![out(&downtime, "b", Some("after"))])], &group).unwrap();
    let pattern = format!("^{}$", downtime.replace('.', r"\."));
    let mut tail = Tail::follow(&world.settings, &pattern, TailStart::Beginning, 100).unwrap();
    let (first, second) = world.runtime.block_on(async {
        let first = tokio::time::timeout(PATIENCE, tail.records.recv()).await.unwrap().unwrap();
        // Comes once the broker has given the open transaction up.
        let second = tokio::time::timeout(PATIENCE, tail.records.recv()).await.unwrap().unwrap();
        (first, second)
    });
    assert_eq!(first.payload.as_deref(), Some(b"before".as_slice()));
    assert_eq!(second.payload.as_deref(), Some(b"after".as_slice()));
    assert!(second.offset > first.offset + 2, "the killed one's record lies between them");
    assert_eq!(everything_in(&world, &downtime).len(), 2);
    drop(killed);
}

/// A producer that has sent a record in a transaction and will not end it; readers would wait for the rest of its
/// timeout.
fn half_a_transaction(world: &World, topic: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &world.settings.brokers);
    config.set("transactional.id", format!("killed-{}", world.tenant));
    config.set("transaction.timeout.ms", "3000").set("message.timeout.ms", "2000");
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to(topic).key("k").payload("killed")).map_err(|(cause, _)| cause).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer
}

#[test]
fn what_is_published_is_told_from_the_topics_where_nothing_is_open() {
    let world = World::new();
    let topic = world.line("l1");
    let oee = topics::oee(&world.tenant, "l1");
    let (consumer, _) = member(&world, 1);
    let group = consumer.handle().group_metadata().unwrap();
    let mut publisher = Publisher::connect(&world.settings, &world.settings.transactional_id()).unwrap();
    let there = out(&oee, "5m", Some("1"));
    let mut missing = there.clone();
    missing.headers[0].1 = b"8".to_vec();
    publisher.publish(&[batch(&topic, 3, 7, vec![there.clone()])], &group).unwrap();
    let asked = [vec![there], vec![missing]];
    let visible = || world.runtime.block_on(aftermath::visible(&world.settings, &asked));
    assert_eq!(visible().unwrap(), [Trace::There, Trace::Missing]);
    let settled = aftermath::settled(&world.settings, std::slice::from_ref(&topic)).unwrap();
    assert_eq!((settled[&topic].offset, settled[&topic].metadata.as_str()), (3, "7"));

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &world.settings.brokers).set("transactional.id", format!("open-{}", world.tenant));
    let open: BaseProducer = config.create().unwrap();
    open.init_transactions(PATIENCE).unwrap();
    open.begin_transaction().unwrap();
    open.send(BaseRecord::to(&oee).key("5m").payload("open")).map_err(|(cause, _)| cause).unwrap();
    open.flush(PATIENCE).unwrap();
    assert_eq!(visible().unwrap(), [Trace::Covered; 2], "nobody can say while a transaction is open");
    open.abort_transaction(PATIENCE).unwrap();
    assert_eq!(visible().unwrap(), [Trace::There, Trace::Missing]);
}
