//! The group's consumer: lines come and go, and are read from where their owner says.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use andon::kafka::consumer::{ConsumerError, Event};
use parking_lot::Mutex;

use super::kafka_support::{PATIENCE, Seen, World};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn nothing_comes_before_start_nor_below_it() {
    let world = World::new();
    let topic = world.line("l1");
    world.send(&topic, 0..100);
    let mut consumer = world.join();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "the assignment", |s| s.assigned.contains(&topic));
    let quiet = Instant::now() + Duration::from_millis(500);
    while Instant::now() < quiet {
        seen.poll(&mut consumer, SHORT);
    }
    assert!(seen.messages.is_empty() && seen.ends.is_empty(), "read before start");

    assert!(consumer.start(&topic, 40).unwrap());
    seen.until(&mut consumer, "the end", |s| s.ends.contains(&(topic.clone(), 100)));
    assert_eq!(seen.payloads(&topic), (40..100).collect::<Vec<u32>>());
    assert_eq!(seen.errors, []);

    // What comes later comes, and the end is told again.
    world.send(&topic, 100..110);
    seen.until(&mut consumer, "the end again", |s| s.ends.contains(&(topic.clone(), 110)));
    assert_eq!(seen.payloads(&topic), (40..110).collect::<Vec<u32>>());
}

#[test]
fn a_line_can_be_started_elsewhere_held_and_stopped() {
    let world = World::new();
    let topic = world.line("l1");
    world.send(&topic, 0..50);
    let mut consumer = world.join();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "the assignment", |s| s.assigned.contains(&topic));
    assert!(!consumer.pause(&topic).unwrap(), "not read yet");
    assert!(consumer.start(&topic, 10).unwrap());
    seen.until(&mut consumer, "the end", |s| s.ends.contains(&(topic.clone(), 50)));

    assert!(consumer.pause(&topic).unwrap());
    world.send(&topic, 50..60);
    let quiet = Instant::now() + Duration::from_millis(400);
    while Instant::now() < quiet {
        seen.poll(&mut consumer, SHORT);
    }
    assert_eq!(seen.payloads(&topic).len(), 40);
    assert!(consumer.resume(&topic).unwrap());
    seen.until(&mut consumer, "the end after the pause", |s| s.ends.contains(&(topic.clone(), 60)));
    assert_eq!(seen.payloads(&topic), (10..60).collect::<Vec<u32>>());

    seen = Seen::default();
    assert!(consumer.start(&topic, 5).unwrap());
    seen.until(&mut consumer, "the end from elsewhere", |s| s.ends.contains(&(topic.clone(), 60)));
    assert_eq!(seen.payloads(&topic), (5..60).collect::<Vec<u32>>());

    assert!(consumer.stop(&topic).unwrap());
    assert!(!consumer.stop(&topic).unwrap());
    assert_eq!(consumer.owned(), std::slice::from_ref(&topic));
    assert!(!consumer.start("detections.nobody.l1", 0).unwrap());
    assert_eq!(seen.errors, []);
}

#[test]
fn what_is_still_to_come_is_known() {
    let world = World::new();
    let topic = world.line("l1");
    world.send(&topic, 0..100);
    let mut consumer = world.join();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "the assignment", |s| s.assigned.contains(&topic));
    assert_eq!(consumer.lags(), [], "not read yet");
    assert!(consumer.start(&topic, 10).unwrap());
    let deadline = Instant::now() + PATIENCE;
    let mut read = 0;
    while read == 0 {
        assert!(Instant::now() < deadline, "nothing came");
        consumer.poll(30, SHORT, &mut |event| read += i64::from(matches!(event, Event::Message { .. })));
    }
    assert_eq!(consumer.lags(), [(topic.clone(), 90 - read)]);
    seen.until(&mut consumer, "the end", |s| s.ends.contains(&(topic.clone(), 100)));
    assert_eq!(consumer.lags(), [(topic, 0)]);
}

#[test]
fn an_offset_that_is_not_there_is_loud() {
    let world = World::new();
    let topic = world.line("l1");
    world.send(&topic, 0..5);
    let mut consumer = world.join();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "the assignment", |s| s.assigned.contains(&topic));
    assert!(consumer.start(&topic, 1_000).unwrap());
    let expected = ConsumerError::OffsetOutOfRange { topic: topic.clone(), offset: 1_000 };
    seen.until(&mut consumer, "the error", |s| s.errors.contains(&expected));
    assert!(seen.messages.is_empty());
    // An explicit decision goes on from what is there.
    assert!(consumer.start(&topic, 3).unwrap());
    seen.until(&mut consumer, "the rest", |s| s.ends.contains(&(topic.clone(), 5)));
    assert_eq!(seen.payloads(&topic), [3, 4]);
    assert_eq!(consumer.handle().watermarks(&topic, PATIENCE).unwrap(), (0, 5));
}

#[test]
fn a_new_line_is_found_within_five_seconds() {
    let world = World::new();
    let first = world.line("l1");
    let mut consumer = world.join();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "the first line", |s| s.assigned.contains(&first));
    let began = Instant::now();
    let second = world.line("l2");
    seen.until(&mut consumer, "the second line", |s| s.assigned.contains(&second));
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
    assert!(seen.revoked.is_empty(), "the first line was not touched");
}

#[test]
fn a_topic_made_anew_is_taken_away_and_given_again() {
    let world = World::new();
    let topic = world.line("l1");
    world.send(&topic, 0..20);
    let mut consumer = world.join();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "the assignment", |s| s.assigned.contains(&topic));
    consumer.start(&topic, 0).unwrap();
    seen.until(&mut consumer, "the end", |s| s.ends.contains(&(topic.clone(), 20)));
    world.runtime.block_on(world.admin.delete(std::slice::from_ref(&topic))).unwrap();
    seen.until(&mut consumer, "the revocation", |s| s.revoked.contains(&topic));
    assert!(!consumer.start(&topic, 20).unwrap());
    seen = Seen::default();
    world.line("l1");
    seen.until(&mut consumer, "the new assignment", |s| s.assigned.contains(&topic));
    // The checkpoint is ahead of the new log: loud, not silently from somewhere else.
    consumer.start(&topic, 20).unwrap();
    let expected = ConsumerError::OffsetOutOfRange { topic: topic.clone(), offset: 20 };
    seen.until(&mut consumer, "the error", |s| s.errors.contains(&expected));
    assert!(seen.messages.is_empty());
}

#[test]
fn two_members_share_the_lines_and_own_each_once() {
    let world = World::new();
    let topics: Vec<String> = (0..6).map(|n| world.line(&format!("l{n}"))).collect();
    for topic in &topics {
        world.send(topic, 0..20);
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let mut one = world.join_with(Box::new(move |topics, lost| telling.lock().push((topics.to_vec(), lost))));
    let mut by_one = Seen::default();
    by_one.until(&mut one, "all lines", |s| s.assigned.len() == topics.len());
    for topic in &topics {
        assert!(one.start(topic, 0).unwrap());
    }
    by_one.until(&mut one, "all records", |s| s.ends.len() >= topics.len());
    assert_eq!(by_one.messages.len(), 120);

    let mut two = world.join();
    let mut by_two = Seen::default();
    let deadline = Instant::now() + PATIENCE;
    while by_two.assigned.len() < 3 {
        assert!(Instant::now() < deadline, "the second member got {:?}", by_two.assigned);
        by_one.poll(&mut one, SHORT);
        by_two.poll(&mut two, SHORT);
    }
    // Cooperative: three went over, three stayed and were never taken away.
    assert_eq!(by_one.revoked.len(), 3);
    let mut all = [one.owned(), two.owned()].concat();
    all.sort();
    assert_eq!(all, topics);
    let moved: Vec<String> = told.lock().iter().flat_map(|(topics, _)| topics.clone()).collect();
    assert_eq!(moved, by_one.revoked);
    assert!(told.lock().iter().all(|(_, lost)| !lost));
    assert!(!one.start(&by_two.assigned[0], 0).unwrap(), "a line that has gone can't be started");

    // New records reach their one owner only.
    for topic in &topics {
        world.send(topic, 20..25);
    }
    for topic in two.owned() {
        assert!(two.start(&topic, 20).unwrap());
    }
    let deadline = Instant::now() + PATIENCE;
    while by_one.messages.len() + by_two.messages.len() < 120 + 30 {
        assert!(Instant::now() < deadline, "{} and {}", by_one.messages.len(), by_two.messages.len());
        by_one.poll(&mut one, SHORT);
        by_two.poll(&mut two, SHORT);
    }
    for topic in &topics {
        let (ones, twos) = (by_one.payloads(topic), by_two.payloads(topic));
        let expected: Vec<u32> = (20..25).collect();
        assert_eq!(if two.owned().contains(topic) { &twos[..] } else { &ones[20..] }, expected, "{topic}");
    }

    // Leaving hands everything to the other, after its handler was told.
    let (done, left) = channel();
    let leaving = std::thread::spawn(move || {
        drop(one);
        done.send(()).unwrap();
    });
    by_two.until(&mut two, "everything", |s| s.assigned.len() == topics.len());
    left.recv_timeout(PATIENCE).unwrap();
    leaving.join().unwrap();
    assert_eq!(told.lock().iter().map(|(topics, _)| topics.len()).sum::<usize>(), topics.len());
    assert_eq!(two.owned(), topics);
}

#[test]
fn a_revocation_waits_for_its_handler() {
    let world = World::new();
    let topics = [world.line("l1"), world.line("l2")];
    let (entered, has_entered) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let mut one = world.join_with(Box::new(move |_, _| {
        entered.send(()).unwrap();
        let _ = released.lock().recv_timeout(PATIENCE);
    }));
    let mut seen = Seen::default();
    seen.until(&mut one, "both lines", |s| s.assigned.len() == 2);
    let mut two = world.join();
    let polling = std::thread::spawn(move || {
        seen.until(&mut one, "the revocation", |s| !s.revoked.is_empty());
        (one, seen)
    });
    let mut by_two = Seen::default();
    let deadline = Instant::now() + PATIENCE;
    while has_entered.try_recv().is_err() {
        assert!(Instant::now() < deadline, "nothing was revoked");
        by_two.poll(&mut two, SHORT);
    }
    let blocked = Instant::now() + Duration::from_millis(700);
    while Instant::now() < blocked {
        by_two.poll(&mut two, SHORT);
        assert!(by_two.assigned.is_empty(), "given on while the owner was still at it");
    }
    release.send(()).unwrap();
    let (mut one, mut seen) = polling.join().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while by_two.assigned.is_empty() {
        assert!(Instant::now() < deadline);
        seen.poll(&mut one, SHORT);
        by_two.poll(&mut two, SHORT);
    }
    assert_eq!(by_two.assigned, seen.revoked);
    assert!(topics.contains(&by_two.assigned[0]));
    drop(release);
}
