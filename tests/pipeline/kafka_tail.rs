//! The gateways' reader.

use std::time::{Duration, Instant};

use andon::kafka::tail::{Tail, TailRecord, TailStart};
use andon::kafka::topics;

use super::kafka_support::{PATIENCE, World};

fn next(world: &World, tail: &mut Tail) -> TailRecord {
    let next = world.runtime.block_on(async { tokio::time::timeout(PATIENCE, tail.records.recv()).await });
    next.expect("nothing came").expect("the tail ended")
}

fn number(record: &TailRecord) -> u32 {
    std::str::from_utf8(record.payload.as_deref().unwrap()).unwrap().parse().unwrap()
}

#[test]
fn the_last_records_come_and_then_the_new_ones() {
    let world = World::new();
    world.line("l1");
    let oee = topics::oee(&world.tenant, "l1");
    world.send(&oee, 0..30);
    let pattern = format!(r"^(downtime|oee)\.{}\..*$", world.tenant);
    let mut tail = Tail::follow(&world.settings, &pattern, TailStart::Last(10), 1_000).unwrap();
    let last: Vec<u32> = (0..10).map(|_| number(&next(&world, &mut tail))).collect();
    assert_eq!(last, (20..30).collect::<Vec<u32>>());
    world.runtime.block_on(async {
        tokio::time::timeout(PATIENCE, tail.caught_up.wait_for(|done| *done)).await.unwrap().unwrap();
    });
    world.send(&oee, 30..31);
    let record = next(&world, &mut tail);
    assert_eq!((number(&record), record.offset, record.topic.as_str()), (30, 30, oee.as_str()));

    // A line that is made later is found, and read from its beginning.
    let began = Instant::now();
    world.line("l2");
    let late = topics::oee(&world.tenant, "l2");
    world.send(&late, 0..1);
    let record = next(&world, &mut tail);
    assert_eq!((number(&record), record.topic), (0, late));
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
}

#[test]
fn more_than_there_is_means_all() {
    let world = World::new();
    world.line("l1");
    let downtime = topics::downtime(&world.tenant, "l1");
    world.send(&downtime, 0..3);
    let pattern = format!(r"^downtime\.{}\..*$", world.tenant);
    // Nobody takes records at first: one waits, the rest is not read into memory, nothing is lost.
    let mut tail = Tail::follow(&world.settings, &pattern, TailStart::Last(5_000), 1).unwrap();
    let all: Vec<u32> = (0..3).map(|_| number(&next(&world, &mut tail))).collect();
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn a_tail_without_topics_is_caught_up_and_stops_at_once() {
    let world = World::new();
    let mut tail = Tail::follow(&world.settings, "^nothing-is-called-so$", TailStart::Beginning, 1).unwrap();
    world.runtime.block_on(async {
        tokio::time::timeout(PATIENCE, tail.caught_up.wait_for(|done| *done)).await.unwrap().unwrap();
    });
    let began = Instant::now();
    drop(tail);
    assert!(began.elapsed() < Duration::from_secs(2), "took {:?}", began.elapsed());
}
