//! A reader of committed figures that runs beside a load: how new they are, and how late they come.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::bench::site::{BenchError, BenchSite};
use crate::domain::time::Ms;
use crate::kafka::codec::decode_figure;
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics;

/// Reads until dropped.
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
}

/// What was read.
#[derive(Default)]
struct Seen {
    /// Of each line's topic, up to when in event time its newest figure goes.
    newest: HashMap<String, Ms>,
    /// Of each commit that told figures, topic and milliseconds from its newest detection to here.
    delays: Vec<(String, f64)>,
}

/// Wall time.
pub fn now() -> Ms {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as Ms
}

// === impl Watch ===

impl Watch {
    /// Follows the figures of all lines of `site` from now on.
    pub fn start(site: &BenchSite) -> Result<Watch, BenchError> {
        let refused = |why: rdkafka::error::KafkaError| BenchError::Failed(why.to_string());
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &site.settings.brokers)
            .set("group.id", format!("{}_reader", site.settings.group))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "10")
            .create()
            .map_err(refused)?;
        let mut list = TopicPartitionList::new();
        for (tenant, line) in &site.lines {
            list.add_partition_offset(&topics::oee(tenant, line), 0, Offset::Beginning).map_err(refused)?;
        }
        reader.assign(&list).map_err(refused)?;
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Seen>>::default());
        let (until, shared) = (stop.clone(), seen.clone());
        let reader = std::thread::Builder::new().name("reader".into()).spawn(move || {
            let ids = SchemaIds::builtin();
            while !until.load(Ordering::Relaxed) {
                let Some(Ok(record)) = reader.poll(Duration::from_millis(20)) else { continue };
                let Some(Ok(told)) = record.payload().map(|payload| decode_figure(payload, &ids)) else { continue };
                shared.lock().take(record.topic(), told.figure.as_of);
            }
        })?;
        Ok(Watch { stop, seen, reader: Some(reader) })
    }

    /// Lines with a figure that goes beyond `since`.
    pub fn fresh(&self, since: Ms) -> usize {
        self.seen.lock().newest.values().filter(|as_of| **as_of > since).count()
    }

    /// Waits until `count` lines have a figure beyond `since`; answers when the first had one and when the last.
    pub async fn beyond(&self, since: Ms, count: usize, patience: Duration) -> Result<(Instant, Instant), BenchError> {
        let deadline = Instant::now() + patience;
        let mut first = None;
        loop {
            let fresh = self.fresh(since);
            let at = Instant::now();
            if fresh > 0 {
                first.get_or_insert(at);
            }
            if let (Some(first), true) = (first, fresh >= count) {
                return Ok((first, at));
            }
            if at > deadline {
                return Err(BenchError::Failed(format!("only {fresh} of {count} lines went on within {patience:?}")));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Takes the delays, in milliseconds, of the commits read since the last call of topics that `wanted` likes.
    pub fn delays(&self, wanted: impl Fn(&str) -> bool) -> Vec<f64> {
        let taken = std::mem::take(&mut self.seen.lock().delays);
        taken.into_iter().filter(|(topic, _)| wanted(topic)).map(|(_, delay)| delay).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

// === impl Seen ===

impl Seen {
    /// The first figure of a commit tells its delay, the other windows' repeat it.
    fn take(&mut self, topic: &str, as_of: Ms) {
        match self.newest.get_mut(topic) {
            Some(newest) if *newest >= as_of => return,
            Some(newest) => *newest = as_of,
            None => {
                self.newest.insert(topic.to_owned(), as_of);
            }
        }
        self.delays.push((topic.to_owned(), (now() - as_of) as f64));
    }
}
