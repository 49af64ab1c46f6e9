//! A broker that forgets to tell partitions how a transaction ended: readers stand still there, until who publishes puts
//! it right, each transaction as it had ended.

use std::time::Instant;

use andon::kafka::Settings;
use andon::kafka::aftermath::{self, Trace};
use andon::kafka::publisher::{self, OutRecord, PublishBatch, Publisher};
use andon::kafka::standstill::{self, End, Lookout, Standing};
use andon::kafka::tail::{Tail, TailStart};
use andon::kafka::topics;

use super::engine::{ALWAYS, Bench, now, piece};
use super::kafka_support::{PATIENCE, Seen, World};
use crate::support::lost_end::{Left, lose_end};
use crate::support::{Andon, until};

/// A word of `l1`, published by `publisher`.
fn word(tenant: &str, publisher: &str, topic: &str, commit_seq: u64, payload: &str) -> Left {
    let mut headers = headers(tenant, commit_seq);
    headers.push(("publisher".to_owned(), publisher.to_owned()));
    Left { topic: topic.to_owned(), payload: payload.to_owned(), headers }
}

fn headers(tenant: &str, commit_seq: u64) -> Vec<(String, String)> {
    [("tenant", tenant), ("line", "l1"), ("incarnation", "1"), ("commit_seq", &commit_seq.to_string()), ("index", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// The same as the outbox has it.
fn out(left: &Left) -> OutRecord {
    let own = left.headers.iter().filter(|(name, _)| name != "publisher");
    OutRecord {
        topic: left.topic.clone(),
        key: b"k".to_vec(),
        payload: Some(left.payload.clone().into_bytes()),
        headers: own.map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect(),
    }
}

/// What readers of committed records find now.
async fn found(settings: &Settings, topic: &str) -> Vec<String> {
    let pattern = format!("^{}$", topic.replace('.', r"\."));
    let mut tail = Tail::follow(settings, &pattern, TailStart::Beginning, 100).unwrap();
    let caught_up = tokio::time::timeout(PATIENCE, tail.caught_up.wait_for(|done| *done)).await;
    assert!(caught_up.is_ok_and(|answer| answer.is_ok()), "never caught up");
    let mut found = Vec::new();
    while let Ok(record) = tail.records.try_recv() {
        found.push(String::from_utf8(record.payload.expect("no mark is handed out")).expect("text"));
    }
    found
}

/// A line whose group says that commit 7 is published, by a publisher of a name of its own.
struct Line {
    world: World,
    publisher: String,
    handle: andon::kafka::consumer::Handle,
    _member: andon::kafka::consumer::Consumer,
    downtime: String,
    oee: String,
}

impl Line {
    fn new() -> Line {
        let world = World::new();
        let topic = world.line("l1");
        let publisher = format!("gone-{}", world.tenant);
        let mut member = world.join();
        Seen::default().until(&mut member, "the line", |seen| seen.assigned.len() == 1);
        let group = member.handle().group_metadata().unwrap();
        let (downtime, oee) = (topics::downtime(&world.tenant, "l1"), topics::oee(&world.tenant, "l1"));
        let first = out(&word(&world.tenant, &publisher, &downtime, 7, "seven"));
        let batch = PublishBatch { topic_in: topic, next_offset: 3, commit_seq: 7, records: vec![first] };
        Publisher::connect(&world.settings, &publisher).unwrap().publish(&[batch], &group).unwrap();
        Line { handle: member.handle(), _member: member, world, publisher, downtime, oee }
    }

    fn word(&self, commit_seq: u64, payload: &str) -> Left {
        word(&self.world.tenant, &self.publisher, &self.oee, commit_seq, payload)
    }

    fn lose_end(&self, left: &[Left], is_committed: bool) {
        let lost = lose_end(&self.world.settings.brokers, &self.publisher, &self.downtime, left, is_committed);
        self.world.runtime.block_on(lost);
    }

    fn standing(&self) -> Vec<Standing> {
        Lookout::new(&self.world.settings).unwrap().standing(&[self.oee.clone(), self.downtime.clone()]).unwrap()
    }

    fn found(&self) -> Vec<String> {
        self.world.runtime.block_on(found(&self.world.settings, &self.oee))
    }

    /// Ends what is left on the line's figures; answers how.
    fn put_right(&self) -> Vec<End> {
        let settings = &self.world.settings;
        let left = standstill::left(settings, &self.handle, std::slice::from_ref(&self.oee), &self.publisher).unwrap();
        left.iter().for_each(|(at, end)| publisher::mark(settings, &self.publisher, &at.topic, *end).unwrap());
        left.into_iter().map(|(_, end)| end).collect()
    }
}

#[test]
fn what_the_group_has_heard_of_is_committed() {
    let line = Line::new();
    line.lose_end(&[line.word(7, "seven")], true);
    assert_eq!(line.standing(), [Standing { topic: line.oee.clone(), offset: 0 }]);
    assert_eq!(line.found(), [""; 0], "readers wait for an end that does not come");
    assert_eq!(line.put_right(), [End::Commit]);
    assert_eq!((line.standing(), line.found()), (vec![], vec!["seven".to_owned()]));
}

#[test]
fn what_the_group_has_not_heard_of_is_taken_back() {
    let line = Line::new();
    line.lose_end(&[line.word(8, "eight")], false);
    assert_eq!(line.put_right(), [End::Abort]);
    assert_eq!((line.standing(), line.found()), (vec![], vec![]));
}

#[test]
fn what_was_told_again_is_taken_back() {
    let line = Line::new();
    line.lose_end(&[line.word(7, "aborted")], false);
    // Another owner told it again; what it told waits behind.
    let again = Left { payload: "again".to_owned(), ..line.word(7, "") };
    let records = vec![out(&again)];
    let group = line.handle.group_metadata().unwrap();
    let topic_in = topics::detections(&line.world.tenant, "l1");
    let batch = PublishBatch { topic_in, next_offset: 3, commit_seq: 7, records };
    let next = format!("next-{}", line.world.tenant);
    Publisher::connect(&line.world.settings, &next).unwrap().publish(&[batch], &group).unwrap();
    assert_eq!(line.found(), [""; 0]);
    assert_eq!(line.put_right(), [End::Abort]);
    assert_eq!((line.standing(), line.found()), (vec![], vec!["again".to_owned()]));
}

#[test]
fn a_commit_that_nobody_has_seen_is_abandoned_and_one_that_somebody_has_is_not() {
    let line = Line::new();
    let unseen = line.word(8, "unseen");
    line.lose_end(std::slice::from_ref(&unseen), true);
    // Commit 7 has a record where nothing is lost.
    let seen = vec![out(&word(&line.world.tenant, "", &line.downtime, 7, "seven")), out(&line.word(7, "hidden"))];
    let commits = [vec![out(&unseen)], seen];
    let settings = &line.world.settings;
    let trace = || line.world.runtime.block_on(aftermath::visible(settings, &commits)).unwrap();
    assert_eq!(trace(), [Trace::Covered, Trace::There]);
    aftermath::abandon(settings, &commits[1..]).unwrap();
    assert_eq!(trace(), [Trace::Covered, Trace::There], "what is left is not of this commit");
    aftermath::abandon(settings, &commits).unwrap();
    assert_eq!(trace(), [Trace::Missing, Trace::There]);
    assert_eq!(line.standing(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_ends_what_it_or_a_process_that_is_gone_has_left_without_an_end() {
    let bench = Bench::new().await;
    let mut env = bench.env();
    env.push(("ANDON_KAFKA__INSTANCE", "one".to_owned()));
    env.push(("ANDON_LOG", "info,andon::engine::caretaker=debug".to_owned()));
    let own = Settings { instance: Some("one".to_owned()), ..bench.settings() }.transactional_id();
    let gone = format!("gone-{}", bench.tenant);
    let _andon = Andon::start(&["process"], &env);
    let send = async |first: i64| {
        bench.send((0..5).map(|n| piece(first + n, now() - 5_000 + (first + n) * 10)));
        until("the rows", async || {
            let rows = bench.db.detections("l1", ALWAYS, true).await.expect("read").len() as i64;
            if rows == first + 5 { Ok(()) } else { Err(format!("{rows} rows")) }
        })
        .await;
    };
    send(0).await;
    let (dead, late) = (topics::deadletter(&bench.tenant), topics::late(&bench.tenant));
    let downtime = topics::downtime(&bench.tenant, "l1");
    let brokers = bench.settings().brokers;
    for (id, topic) in [(&own, &dead), (&gone, &late)] {
        let left = word(&bench.tenant, id, topic, 1, "told");
        let (brokers, id, heard) = (brokers.clone(), id.clone(), downtime.clone());
        let lost = async move { lose_end(&brokers, &id, &heard, &[left], true).await };
        tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(lost)).await.expect("no panic");
    }
    // The line goes on meanwhile, though its publisher was fenced.
    send(5).await;
    let since = Instant::now();
    for topic in [&dead, &late] {
        until("readers to go on", async || {
            let found = found(&bench.settings(), topic).await;
            if found == ["told"] { Ok(()) } else { Err(format!("{topic} has {found:?}")) }
        })
        .await;
        println!("{topic}: readers go on after {:?}", since.elapsed());
    }
}
