//! The plant's side: cameras that keep a book of their own of what the brokers have acknowledged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use andon::domain::production::detection::{CameraStatus, Detection, Health};
use andon::domain::time::Ms;
use andon::kafka::codec;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};

use super::chance::Chance;
use super::plant::{CAMERAS, EXIT_AREA, LATENESS_S, PROCESS_AREA};
use super::registry::NEWER_ID;

/// What a record should become.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// One row of the table, however often it is sent.
    Piece(Detection),
    /// One stored input, however often it is sent.
    Status(CameraStatus),
    /// A dead letter with this reason.
    Bad(&'static str),
}

/// What the brokers have said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Waiting,
    /// At this offset.
    Acknowledged(i64),
    /// It may be there or not.
    Unknown,
}

/// A record that was sent.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Index of [`Book::lines`].
    pub line: usize,
    pub what: What,
    pub fate: Fate,
}

/// Everything that was ever sent.
#[derive(Default)]
pub struct Book {
    pub entries: Mutex<Vec<Entry>>,
    /// Tenant and line.
    pub lines: Mutex<Vec<(String, String)>>,
}

/// What the storm tells the cameras.
#[derive(Default)]
pub struct Mood {
    stop: AtomicBool,
    /// Some records come from a newer writer.
    pub newer: AtomicBool,
    /// No line falls silent, so that time to live can be measured.
    pub is_chatty: AtomicBool,
    /// Detections a second of each line.
    pub rate: AtomicU64,
}

/// The cameras' thread.
pub struct Feed {
    pub book: Arc<Book>,
    pub mood: Arc<Mood>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Deliveries(Arc<Book>);

struct Camera {
    at: usize,
    topic: String,
    next_id: i64,
    /// Until when there are no exits, and whether there is nothing at all.
    pause: Option<(Instant, bool)>,
    owed: f64,
    owed_process: f64,
    /// Records to be told again.
    known: VecDeque<(usize, Vec<u8>)>,
}

struct Cameras {
    ids: SchemaIds,
    brokers: String,
    producer: ThreadedProducer<Deliveries>,
    book: Arc<Book>,
    mood: Arc<Mood>,
    chance: Chance,
    lines: Vec<Camera>,
}

fn now() -> Ms {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as Ms
}

// === impl Deliveries ===

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, entry: usize) {
        let fate = match result {
            Ok(message) => Fate::Acknowledged(message.offset()),
            Err(_) => Fate::Unknown,
        };
        self.0.entries.lock().unwrap()[entry].fate = fate;
    }
}

// === impl Book ===

impl Book {
    /// Records without an answer.
    pub fn waiting(&self) -> usize {
        self.entries.lock().unwrap().iter().filter(|entry| entry.fate == Fate::Waiting).count()
    }

    /// The offset after the last acknowledged one of a line.
    pub fn end(&self, line: usize) -> i64 {
        let entries = self.entries.lock().unwrap();
        let offsets = entries.iter().filter(|entry| entry.line == line).filter_map(|entry| match entry.fate {
            Fate::Acknowledged(offset) => Some(offset + 1),
            _ => None,
        });
        offsets.max().unwrap_or(-1)
    }

    pub fn add_line(&self, tenant: &str, line: &str) {
        self.lines.lock().unwrap().push((tenant.to_owned(), line.to_owned()));
    }
}

// === impl Feed ===

impl Feed {
    pub fn start(brokers: &str, book: Arc<Book>, seed: u64, rate: u64) -> Feed {
        let mood = Arc::new(Mood::default());
        mood.rate.store(rate, Ordering::Relaxed);
        let cameras = Cameras {
            ids: SchemaIds::builtin(),
            brokers: brokers.to_owned(),
            producer: producer(brokers, &book),
            book: book.clone(),
            mood: mood.clone(),
            chance: Chance::new(seed),
            lines: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("cameras".into()).spawn(move || cameras.run());
        Feed { book, mood, thread: Some(thread.expect("a thread")) }
    }

    /// Sends nothing more; what was sent may still wait for its answer.
    pub fn stop(&mut self) {
        self.mood.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the cameras do not panic");
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.mood.stop.store(true, Ordering::Relaxed);
    }
}

fn producer(brokers: &str, book: &Arc<Book>) -> ThreadedProducer<Deliveries> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "900000")
        .set("queue.buffering.max.messages", "1000000")
        .set("linger.ms", "2")
        .set("reconnect.backoff.max.ms", "500")
        .create_with_context(Deliveries(book.clone()))
        .expect("a producer's settings")
}

// === impl Cameras ===

impl Cameras {
    fn run(mut self) {
        let mut last = Instant::now();
        while !self.mood.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
            let passed = last.elapsed().as_secs_f64().min(1.0);
            last = Instant::now();
            self.meet_lines();
            if self.producer.client().fatal_error().is_some() {
                self.producer = producer(&self.brokers, &self.book);
            }
            if self.producer.in_flight_count() > 100_000 {
                continue;
            }
            for index in 0..self.lines.len() {
                self.step(index, passed);
            }
        }
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn meet_lines(&mut self) {
        let book = self.book.lines.lock().unwrap();
        for (at, (tenant, line)) in book.iter().enumerate().skip(self.lines.len()) {
            self.lines.push(Camera {
                at,
                topic: topics::detections(tenant, line),
                next_id: 1,
                pause: None,
                owed: 0.0,
                owed_process: 0.0,
                known: VecDeque::new(),
            });
        }
    }

    fn step(&mut self, index: usize, passed: f64) {
        let is_chatty = self.mood.is_chatty.load(Ordering::Relaxed);
        if self.lines[index].pause.is_some_and(|(until, _)| Instant::now() > until) {
            self.lines[index].pause = None;
        }
        let is_running = self.lines[index].pause.is_none();
        // A stop about every 12 s, between 1 and 5 s long.
        if is_running && self.chance.permille(2) {
            let length = Duration::from_millis(self.chance.between(1_200, 5_000));
            self.lines[index].pause = Some((Instant::now() + length, self.chance.permille(400)));
        }
        let line = &mut self.lines[index];
        let rate = self.mood.rate.load(Ordering::Relaxed) as f64;
        if is_running {
            line.owed += passed * rate;
        }
        if line.pause.is_none_or(|(_, is_silent)| is_chatty || !is_silent) {
            line.owed_process += passed * 6.0;
        }
        let (exits, others) = (line.owed as u64, line.owed_process as u64);
        line.owed -= exits as f64;
        line.owed_process -= others as f64;
        for _ in 0..exits {
            self.piece(index, EXIT_AREA);
        }
        for _ in 0..others {
            self.piece(index, PROCESS_AREA);
        }
        if self.chance.permille(3) {
            self.status(index);
        }
    }

    fn piece(&mut self, index: usize, area: i32) {
        let id = self.lines[index].next_id;
        self.lines[index].next_id += 1;
        let back = match self.chance.between(0, 999) {
            0..6 => self.chance.between(40_000, 90_000),
            6..50 => self.chance.between(1, (LATENESS_S as u64 - 10) * 1_000),
            _ => self.chance.between(0, 30),
        };
        let detection = Detection {
            detection_id: id,
            detected_at: now() - back as Ms,
            area_id: area,
            product_id: self.chance.between(1, 3) as i32,
            quantity: if self.chance.permille(20) { self.chance.between(2, 5) as i32 } else { 1 },
            camera_id: Some(*self.chance.pick(&CAMERAS)),
            confidence: self.chance.permille(500).then_some(0.75),
        };
        let is_newer = self.mood.newer.load(Ordering::Relaxed) && self.chance.permille(50);
        let bytes = if is_newer { self.newer(&detection) } else { self.plain(&detection) };
        let entry = self.send(index, What::Piece(detection), &bytes);
        if self.chance.permille(20) {
            self.send(index, What::Piece(detection), &bytes);
        }
        if self.chance.permille(60) {
            let known = &mut self.lines[index].known;
            known.push_back((entry, bytes));
            if known.len() > 200 {
                known.pop_front();
            }
        }
        if self.chance.permille(30) {
            self.again(index);
        }
        if self.chance.permille(4) {
            self.bad(index, &detection);
        }
    }

    fn plain(&self, detection: &Detection) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode_detection(detection, &self.ids, &mut bytes);
        bytes
    }

    /// With the newer writer's field at the end.
    fn newer(&self, detection: &Detection) -> Vec<u8> {
        let mut bytes = self.plain(detection);
        bytes[1..5].copy_from_slice(&NEWER_ID.to_be_bytes());
        bytes.extend_from_slice(&[2, 6, b'b', b'0', b'7']);
        bytes
    }

    /// Something that was told before, maybe long ago; sometimes with other content.
    fn again(&mut self, index: usize) {
        let known = &self.lines[index].known;
        if known.is_empty() {
            return;
        }
        let (entry, bytes) = self.chance.pick(known.iter().collect::<Vec<_>>().as_slice()).to_owned().clone();
        let Entry { what, fate, .. } = self.book.entries.lock().unwrap()[entry].clone();
        let What::Piece(mut detection) = what else { return };
        if self.chance.permille(100) && matches!(fate, Fate::Acknowledged(_)) {
            detection.quantity += 1;
            let other = self.plain(&detection);
            self.send(index, What::Bad("id_conflict"), &other);
        } else {
            self.send(index, What::Piece(detection), &bytes);
        }
    }

    fn bad(&mut self, index: usize, like: &Detection) {
        let id = self.lines[index].next_id;
        self.lines[index].next_id += 1;
        let like = Detection { detection_id: id, ..*like };
        let (why, bytes) = match self.chance.between(0, 4) {
            0 => ("undecodable", b"no record of ours".to_vec()),
            1 => {
                let mut bytes = self.plain(&like);
                bytes[1..5].copy_from_slice(&999u32.to_be_bytes());
                ("undecodable", bytes)
            }
            2 => ("unknown_area", self.plain(&Detection { area_id: 99, ..like })),
            3 => ("future", self.plain(&Detection { detected_at: now() + 3_600_000, ..like })),
            _ => ("bad_quantity", self.plain(&Detection { quantity: 0, ..like })),
        };
        self.send(index, What::Bad(why), &bytes);
    }

    fn status(&mut self, index: usize) {
        let status = CameraStatus {
            camera_id: *self.chance.pick(&CAMERAS),
            at: now() - self.chance.between(0, 5_000) as Ms,
            status: if self.chance.permille(500) { Health::Online } else { Health::Offline },
            reason: None,
        };
        let mut bytes = Vec::new();
        codec::encode_status(&status, &self.ids, &mut bytes);
        self.send(index, What::Status(status.clone()), &bytes);
        if self.chance.permille(200) {
            self.send(index, What::Status(status), &bytes);
        }
    }

    fn send(&self, index: usize, what: What, bytes: &[u8]) -> usize {
        let line = &self.lines[index];
        let entry = {
            let mut entries = self.book.entries.lock().unwrap();
            entries.push(Entry { line: line.at, what, fate: Fate::Waiting });
            entries.len() - 1
        };
        let record = BaseRecord::<(), [u8], usize>::with_opaque_to(&line.topic, entry).payload(bytes);
        if self.producer.send(record).is_err() {
            self.book.entries.lock().unwrap()[entry].fate = Fate::Unknown;
        }
        entry
    }
}
