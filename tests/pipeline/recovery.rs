//! What a killed owner leaves behind holds up neither its return nor its successor.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use andon::kafka::Settings;
use andon::kafka::consumer::{Consumer, ConsumerError};
use andon::kafka::topics;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::engine::{ALWAYS, Bench, now, piece};
use super::kafka_support::{PATIENCE, Seen, World};
use crate::support::half_shared::leave_half_shared;
use crate::support::{Andon, until};

/// Silence after which the group puts a member out: longer than any of these tests may take.
const SESSION: Duration = Duration::from_secs(60);

/// An owner that dies between its records and the end of their transaction, which lasts for minutes.
fn die_in_mid_transaction(settings: &Settings, id: &str, topic_in: &str, topic_out: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers).set("group.id", &settings.group);
    let member: BaseConsumer = config.clone().set("enable.auto.commit", "false").create().unwrap();
    member.subscribe(&[topic_in]).unwrap();
    let since = Instant::now();
    while member.assignment().unwrap().count() == 0 {
        assert!(since.elapsed() < PATIENCE, "never assigned");
        let _ = member.poll(Duration::from_millis(20));
    }
    config.set("transactional.id", id).set("transaction.timeout.ms", "300000");
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to(topic_out).key("k").payload("killed")).map_err(|(cause, _)| cause).unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic_in, 0, Offset::Offset(0)).unwrap();
    producer.send_offsets_to_transaction(&offsets, &member.group_metadata().unwrap(), PATIENCE).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_shared_out_again_where_all_were_killed_in_the_midst_of_it() {
    let bench = Bench::new().await;
    let (settings, topic) = (bench.settings(), topics::detections(&bench.tenant, "l1"));
    tokio::task::spawn_blocking(move || leave_half_shared(&settings.brokers, &settings.group, "one", &[&topic]))
        .await
        .expect("no panic");
    let mut env = bench.env();
    env.push(("ANDON_KAFKA__INSTANCE", "one".to_owned()));
    let _andon = Andon::start(&["process"], &env);
    bench.send((0..5).map(|n| piece(n, now() - 5_000 + n * 1_000)));
    // Where topics of other tests come and go meanwhile, the group shares everything out for these.
    rows(&bench, 5).await;
}

async fn rows(bench: &Bench, count: usize) {
    until("the rows", async || {
        let rows = bench.db.detections("l1", ALWAYS, true).await.expect("read");
        if rows.len() == count { Ok(()) } else { Err(format!("{} rows", rows.len())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_a_killed_owner_left_open_is_ended_by_the_next() {
    let bench = Bench::new().await;
    let (topic, downtime) = (topics::detections(&bench.tenant, "l1"), topics::downtime(&bench.tenant, "l1"));
    let id = format!("killed-{}", bench.tenant);
    bench.db.take_over("l1", &topic, &id).await.expect("taken over");
    let killed = tokio::task::spawn_blocking({
        let (settings, topic) = (bench.settings(), topic.clone());
        move || die_in_mid_transaction(&settings, &id, &topic, &downtime)
    });
    let killed = killed.await.expect("no panic");
    let since = Instant::now();
    let (stop, task) = bench.engine();
    bench.send((0..5).map(|n| piece(n, now() - 5_000 + n * 1_000)));
    rows(&bench, 5).await;
    let waited = since.elapsed();
    assert!(waited < Duration::from_secs(10), "the next owner was live after {waited:?}");
    stop.cancel();
    task.await.expect("no panic");
    assert!(killed.commit_transaction(PATIENCE).is_err(), "the killed one, if it was only asleep, is fenced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_end_is_never_told_holds_its_line_up_for_a_while_only() {
    let bench = Bench::new().await;
    let (topic, late) = (topics::detections(&bench.tenant, "l1"), topics::late(&bench.tenant));
    // Not that of the line's former owner, so that nobody can end it.
    let unknown = format!("unknown-{}", bench.tenant);
    let open = tokio::task::spawn_blocking({
        let (settings, topic) = (bench.settings(), topic.clone());
        move || die_in_mid_transaction(&settings, &unknown, &topic, &late)
    });
    let open = open.await.expect("no panic");
    let (stop, task) = bench.engine();
    bench.send((0..5).map(|n| piece(n, now() - 5_000 + n * 1_000)));
    rows(&bench, 5).await;
    stop.cancel();
    task.await.expect("no panic");
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_comes_back_under_its_name_has_its_lines_at_once() {
    let bench = Bench::new().await;
    let mut env = bench.env();
    env.push(("ANDON_KAFKA__INSTANCE", "one".to_owned()));
    env.push(("ANDON_KAFKA__SESSION_TIMEOUT_MS", SESSION.as_millis().to_string()));
    let mut andon = Andon::start(&["process"], &env);
    for round in 1..=3 {
        bench.send((0..10).map(|n| piece(round * 100 + n, now() - 10_000 + n * 1_000)));
        rows(&bench, round as usize * 11 - 1).await;
        andon.kill();
        let since = Instant::now();
        andon = Andon::start(&["process"], &env);
        bench.send((0..1).map(|n| piece(round * 1_000 + n, now() + 1)));
        rows(&bench, round as usize * 11).await;
        let waited = since.elapsed();
        println!("live again after {waited:?}");
        assert!(waited < SESSION / 4, "live again after {waited:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_of_one_name_both_go_on() {
    let bench = Bench::new().await;
    let mut env = bench.env();
    env.push(("ANDON_KAFKA__INSTANCE", "one".to_owned()));
    let first = Andon::start(&["process"], &env);
    first.ready().await;
    let second = Andon::start(&["process"], &env);
    until("the first to go on without the name", async || {
        if first.log().contains("going on without") { Ok(()) } else { Err("it has not noticed".to_owned()) }
    })
    .await;
    bench.send((0..10).map(|n| piece(n, now() - 10_000 + n * 1_000)));
    rows(&bench, 10).await;
    first.ready().await;
    second.ready().await;
}

#[test]
fn a_member_with_a_name_that_leaves_gives_its_lines_at_once() {
    let mut world = World::new();
    world.settings.session_timeout_ms = SESSION.as_millis() as u64;
    let topic = world.line("l1");
    world.settings.instance = Some("one".to_owned());
    let mut one = world.join();
    Seen::default().until(&mut one, "the line", |seen| seen.assigned == [topic.clone()]);
    let since = Instant::now();
    drop(one);
    world.settings.instance = Some("two".to_owned());
    let mut two = world.join();
    Seen::default().until(&mut two, "the line", |seen| seen.assigned == [topic.clone()]);
    assert!(since.elapsed() < SESSION / 4, "the line came after {:?}", since.elapsed());
}

#[test]
fn a_member_whose_name_is_taken_is_told_so() {
    let mut world = World::new();
    world.line("l1");
    world.settings.instance = Some("one".to_owned());
    let mut one = world.join();
    let mut by_one = Seen::default();
    by_one.until(&mut one, "the line", |seen| seen.assigned.len() == 1);
    let mut two: Consumer = world.join();
    let mut by_two = Seen::default();
    let since = Instant::now();
    let is_fatal = |seen: &Seen| seen.errors.iter().any(|error| matches!(error, ConsumerError::Fatal(_)));
    while !is_fatal(&by_one) || by_two.assigned.is_empty() {
        assert!(since.elapsed() < PATIENCE, "errors {:?}, assigned {:?}", by_one.errors, by_two.assigned);
        by_one.poll(&mut one, Duration::from_millis(20));
        by_two.poll(&mut two, Duration::from_millis(20));
    }
    let lines: BTreeSet<&String> = by_two.assigned.iter().collect();
    assert_eq!(lines.len(), 1);
}
