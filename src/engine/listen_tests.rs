//! What the listener does with tenants of which too much waits in memory.

use parking_lot::Mutex;

use super::*;
use crate::domain::time::Ms;

/// A clock that stands until it is moved.
#[derive(Clone)]
struct Hand(Arc<Mutex<Instant>>);

impl Hand {
    fn forward(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Clock for Hand {
    fn now(&self) -> Ms {
        0
    }

    fn instant(&self) -> Instant {
        *self.0.lock()
    }
}

/// A log without end of each topic, `each` records a poll.
#[derive(Default)]
struct Endless {
    each: BTreeMap<String, usize>,
    paused: BTreeMap<String, bool>,
    next: i64,
    polls: usize,
    news: Vec<Event<'static>>,
    refuses: bool,
}

impl Reader for Endless {
    fn poll(&mut self, _: usize, _: Duration, on: &mut dyn FnMut(Event<'_>)) {
        self.polls += 1;
        std::mem::take(&mut self.news).into_iter().for_each(&mut *on);
        for (topic, each) in &self.each {
            if self.paused.get(topic) == Some(&true) {
                continue;
            }
            for _ in 0..*each {
                self.next += 1;
                on(Event::Message { topic, offset: self.next, timestamp: 0, key: None, payload: None });
            }
        }
    }

    fn leave(&mut self, _: Duration) {}

    fn start(&mut self, _: &str, _: i64) -> Result<bool, ConsumerError> {
        if self.refuses { Err(ConsumerError::Passing("the client refuses".to_owned())) } else { Ok(true) }
    }

    fn beginning(&self, _: &str) -> Result<i64, ConsumerError> {
        Ok(0)
    }

    fn stop(&mut self, _: &str) -> Result<bool, ConsumerError> {
        Ok(true)
    }

    fn pause(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        self.paused.insert(topic.to_owned(), true);
        Ok(true)
    }

    fn resume(&mut self, topic: &str) -> Result<bool, ConsumerError> {
        self.paused.insert(topic.to_owned(), false);
        Ok(true)
    }

    fn owned(&self) -> Vec<String> {
        self.each.keys().cloned().collect()
    }

    fn lags(&self) -> Vec<(String, i64)> {
        Vec::new()
    }
}

/// A listener on one line each of two tenants, of which 100 records may wait.
struct Bench {
    listener: Listener<Hand>,
    reader: Endless,
    clock: Hand,
    asks: mpsc::UnboundedSender<FromShard>,
    _inboxes: Vec<mpsc::UnboundedReceiver<ToShard>>,
}

const BIG: &str = "detections.big.l1";
const SMALL: &str = "detections.small.l1";

impl Bench {
    /// `big` and `small` are what each poll brings of each tenant.
    fn new(big: usize, small: usize) -> Bench {
        let clock = Hand(Arc::new(Mutex::new(Instant::now())));
        let shards = Shards::default();
        let mut inboxes = Vec::new();
        for tenant in ["big", "small"] {
            let (inbox, hears) = mpsc::unbounded_channel();
            shards.insert(tenant.to_owned(), ShardHandle { inbox, buffered: Arc::default() });
            inboxes.push(hears);
        }
        let ownership = Ownership::default();
        let topics = [BIG.to_owned(), SMALL.to_owned()];
        ownership.add(&topics);
        let (asks, asked) = mpsc::unbounded_channel();
        for topic in topics {
            asks.send(FromShard::Start { topic, offset: 0, grant: Grant::default() }).unwrap();
        }
        let (assigned, _) = mpsc::unbounded_channel();
        let listener = Listener::new(shards, ownership, asked, assigned, 100, Health::new(), clock.clone());
        let each = BTreeMap::from([(BIG.to_owned(), big), (SMALL.to_owned(), small)]);
        Bench { listener, reader: Endless { each, ..Endless::default() }, clock, asks, _inboxes: inboxes }
    }

    fn turn(&mut self) {
        self.clock.forward(Duration::from_millis(10));
        self.listener.turn(&mut self.reader).unwrap();
    }

    fn waiting(&self, tenant: &str) -> usize {
        self.listener.shards.get(tenant).unwrap().buffered.load(Ordering::Relaxed)
    }

    /// The shard of `tenant` has applied all but `left`.
    fn work_off(&self, tenant: &str, left: usize) {
        self.listener.shards.get(tenant).unwrap().buffered.store(left, Ordering::Relaxed);
    }

    fn is_paused(&self, topic: &str) -> bool {
        self.reader.paused.get(topic) == Some(&true)
    }
}

#[test]
fn what_the_stretch_before_reads_on_is_not_taken_for_that_of_one_that_failed_to_start() {
    let mut bench = Bench::new(5, 0);
    bench.turn();
    assert_eq!(bench.waiting("big"), 5);
    bench.reader.refuses = true;
    bench.asks.send(FromShard::Start { topic: BIG.to_owned(), offset: 0, grant: Grant::default() }).unwrap();
    bench.work_off("big", 0);
    bench.turn();
    assert_eq!(bench.waiting("big"), 0, "it would go on after a gap");
}

#[test]
fn a_backlog_is_left_where_it_is_until_some_of_it_is_worked_off() {
    let mut bench = Bench::new(60, 60);
    bench.turn();
    bench.turn();
    assert_eq!((bench.waiting("big"), bench.waiting("small")), (120, 120));
    let polls = bench.reader.polls;
    bench.turn();
    assert_eq!(bench.reader.polls, polls, "nothing more is fetched into memory");
    assert!(!bench.is_paused(BIG) && !bench.is_paused(SMALL), "what the client has fetched is kept");
    bench.work_off("big", 10);
    bench.work_off("small", 100);
    bench.turn();
    assert_eq!(bench.reader.polls, polls + 1);
}

#[test]
fn a_tenant_that_is_too_full_does_not_keep_a_quiet_one_waiting() {
    let mut bench = Bench::new(60, 1);
    for _ in 0..4 {
        bench.turn();
    }
    assert!(bench.is_paused(BIG));
    assert!(!bench.is_paused(SMALL));
    assert_eq!(bench.waiting("small"), 4, "every turn brought its record");
}

#[test]
fn one_that_stays_too_full_is_paused_and_goes_on_when_half_is_worked_off() {
    let mut bench = Bench::new(60, 0);
    for _ in 0..3 + PATIENCE.as_millis() / 10 {
        bench.turn();
    }
    assert!(bench.is_paused(BIG));
    bench.work_off("big", 51);
    bench.turn();
    assert!(bench.is_paused(BIG));
    bench.work_off("big", 50);
    bench.turn();
    assert!(!bench.is_paused(BIG));
}

#[test]
fn what_the_group_gives_and_takes_again_within_one_poll_is_not_owned() {
    let mut bench = Bench::new(0, 0);
    let topics = vec!["detections.big.l2".to_owned()];
    // The handler is called in the middle of the poll, the news come after it.
    bench.listener.ownership.give_up(&topics);
    bench.reader.news = vec![Event::Assigned(topics.clone()), Event::Revoked(topics.clone())];
    bench.turn();
    assert!(!bench.listener.ownership.owns(&topics[0]));
    // Taken and given anew, it is.
    bench.listener.ownership.give_up(&topics);
    bench.reader.news = vec![Event::Revoked(topics.clone()), Event::Assigned(topics.clone())];
    bench.turn();
    assert!(bench.listener.ownership.owns(&topics[0]));
}
