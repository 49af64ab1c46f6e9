//! A steady load in real time on some lines of a site, until dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::bench::site::{BenchError, BenchSite};
use crate::bench::watch::now;
use crate::domain::production::detection::Detection;

/// See the module. Its rate can be changed while it runs.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    /// Records a second over all its topics.
    rate: Arc<AtomicU64>,
    sender: Option<JoinHandle<Result<(), BenchError>>>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Pieces of this very moment.
    Pieces,
    /// Bytes that nobody can decode.
    Rubbish,
}

// === impl Traffic ===

impl Traffic {
    /// Sends `rate` records a second to `lines` of `site`, by number. `series` tells the pieces of several from each
    /// other.
    pub fn start(
        site: &Arc<BenchSite>,
        lines: Vec<usize>,
        rate: u64,
        content: Content,
        series: i64,
    ) -> Result<Traffic, BenchError> {
        let stop = Arc::new(AtomicBool::new(false));
        let rate = Arc::new(AtomicU64::new(rate));
        let (site, until, wanted) = (site.clone(), stop.clone(), rate.clone());
        let sender = std::thread::Builder::new()
            .name("load".into())
            .spawn(move || send(&site, &lines, &wanted, content, series, &until))?;
        Ok(Traffic { stop, rate, sender: Some(sender) })
    }

    pub fn set_rate(&self, per_second: u64) {
        self.rate.store(per_second, Ordering::Relaxed);
    }

    /// Ends it.
    ///
    /// # Errors
    /// Whatever kept it from sending.
    pub fn end(mut self) -> Result<(), BenchError> {
        self.stop.store(true, Ordering::Relaxed);
        match self.sender.take().map(JoinHandle::join) {
            Some(Ok(sent)) => sent,
            _ => Err(BenchError::Failed("the load ended in a panic".to_owned())),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            let _ = sender.join();
        }
    }
}

fn send(
    site: &BenchSite,
    lines: &[usize],
    rate: &AtomicU64,
    content: Content,
    series: i64,
    stop: &AtomicBool,
) -> Result<(), BenchError> {
    let mut producer = site.producer(Duration::from_millis(2))?;
    let topics: Vec<String> = lines.iter().map(|number| site.topic(*number)).collect();
    let mut payload = Vec::new();
    let (mut sent, mut due, mut last) = (0u64, 0.0, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let at = Instant::now();
        due += at.duration_since(last).as_secs_f64() * rate.load(Ordering::Relaxed) as f64;
        last = at;
        while due >= 1.0 {
            let topic = &topics[(sent % topics.len() as u64) as usize];
            match content {
                Content::Pieces => {
                    let detection = Detection {
                        detection_id: (series << 40) | sent as i64,
                        detected_at: now(),
                        area_id: 1 + (sent / topics.len() as u64 % 2) as i32,
                        product_id: 1,
                        quantity: 1,
                        camera_id: Some(11),
                        confidence: Some(0.9),
                    };
                    site.send(&mut producer, topic, &detection, &mut payload)?;
                }
                Content::Rubbish => producer.send(topic, None, Some(b"\x00\x00\x00\x00\x63rubbish"))?,
            }
            sent += 1;
            due -= 1.0;
        }
        producer.poll(Duration::ZERO)?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}
