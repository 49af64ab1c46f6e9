//! Records of other topics, once more: so that two engines are measured on the same ones, on the same broker.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::bench::site::BenchError;
use crate::kafka::Settings;
use crate::kafka::producer::Producer;

/// A broker that says nothing for so long is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Copies the payloads of one topic's partition 0 into another's, for each pair, unchanged and in order; answers how
/// many there were of each. Blocks.
///
/// # Errors
/// A topic that is not there or stays silent before its end.
pub fn copy(
    settings: &Settings,
    topics: Vec<(String, String)>,
    mut producer: Producer,
) -> Result<Vec<i64>, BenchError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers).set("group.id", format!("{}-copy", settings.group));
    config.set("enable.auto.commit", "false").set("auto.offset.reset", "error");
    let reader: BaseConsumer = config.create()?;
    let mut counts = Vec::with_capacity(topics.len());
    for (from, to) in topics {
        let (low, high) = reader.fetch_watermarks(&from, 0, PATIENCE)?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&from, 0, Offset::Offset(low))?;
        reader.assign(&list)?;
        let (mut next, mut sent, mut heard) = (low, 0, Instant::now());
        while next < high {
            match reader.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => {
                    producer.send(&to, None, record.payload())?;
                    (next, sent, heard) = (record.offset() + 1, sent + 1, Instant::now());
                }
                Some(Err(why)) => return Err(why.into()),
                None if heard.elapsed() > PATIENCE => {
                    return Err(BenchError::Failed(format!("{from} ends at offset {next}, before {high}")));
                }
                None => {}
            }
        }
        counts.push(sent);
    }
    producer.flush(PATIENCE)?;
    Ok(counts)
}
