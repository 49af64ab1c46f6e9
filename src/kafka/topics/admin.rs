//! Making, mending and describing topics.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use thiserror::Error;

use super::{TopicName, deadletter, detections, downtime, late, oee, parse};
use crate::kafka::Settings;

/// How long one question or order to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The brokers' own replication factor.
const BROKERS_CHOICE: i32 = -1;
/// Late records and dead letters are for repairs: a quarter of a year, milliseconds.
const REPAIRABLE_MS: &str = "7776000000";

/// Why topics could not be made or read. Messages follow "failed to ".
#[derive(Debug, Error)]
pub enum AdminError {
    #[error("{doing}: {cause}")]
    Kafka { doing: String, cause: KafkaError },
    #[error("{doing} {topic}: {cause}")]
    Topic { doing: &'static str, topic: String, cause: RDKafkaErrorCode },
    #[error("use {topic}: it has {partitions} partitions where one is needed: delete it or choose another name")]
    Partitions { topic: String, partitions: usize },
    #[error("finish: the worker thread stopped")]
    Worker,
}

/// Where a topic stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TopicDescription {
    pub topic: String,
    pub partitions: usize,
    /// First offset that is still there; of partition 0, as all offsets here.
    pub low: i64,
    /// Offset after the last record.
    pub high: i64,
    /// `delete` or `compact`.
    pub cleanup_policy: String,
    /// Milliseconds; -1: for ever.
    pub retention_ms: i64,
    /// Records younger than this are never compacted away, milliseconds.
    pub compaction_lag_ms: i64,
    /// `CreateTime` or `LogAppendTime`.
    pub timestamp_type: String,
    /// What the group has published up to; none where it has not been.
    pub group_offset: Option<i64>,
    /// Records between the group's offset and the end, markers of transactions included; of topics that Andon reads.
    pub lag: Option<i64>,
}

/// Makes and describes topics.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    settings: Settings,
}

type Wanted<'a> = Vec<(&'a str, String)>;

// === impl Admin ===

impl Admin {
    /// # Errors
    /// When librdkafka refuses a setting; brokers that are away show at the first call.
    pub fn connect(settings: &Settings) -> Result<Admin, AdminError> {
        let made = settings.client(&[], &[]).create();
        let client: AdminClient<DefaultClientContext> = made.map_err(kafka("make an admin client"))?;
        Ok(Admin { client: Arc::new(client), settings: settings.clone() })
    }

    /// The three topics of a line, made where they are missing: one partition each, detections stamped by the broker,
    /// outputs compacted. `retention` is that of detections in Kafka; none: the brokers' default. Tells what it made.
    ///
    /// # Errors
    /// When brokers refuse or are away, or when a topic is there with more partitions than one.
    pub async fn ensure_line_topics(
        &self,
        tenant: &str,
        line: &str,
        retention: Option<Duration>,
    ) -> Result<Vec<String>, AdminError> {
        let mut input = vec![("message.timestamp.type", "LogAppendTime".to_owned())];
        if let Some(retention) = retention {
            input.push(("retention.ms", retention.as_millis().to_string()));
        }
        // Small segments, so that compaction gets at what is an hour old.
        let output = vec![
            ("cleanup.policy", "compact".to_owned()),
            ("segment.ms", "3600000".to_owned()),
            ("segment.bytes", "16777216".to_owned()),
            // What is younger is all there, so that a reader can prove it.
            ("min.compaction.lag.ms", "3600000".to_owned()),
        ];
        let wanted =
            [(detections(tenant, line), input), (downtime(tenant, line), output.clone()), (oee(tenant, line), output)];
        self.ensure(&wanted).await
    }

    /// The two topics of a tenant, made where they are missing. Tells what it made.
    ///
    /// # Errors
    /// As [`Admin::ensure_line_topics`].
    pub async fn ensure_tenant_topics(&self, tenant: &str) -> Result<Vec<String>, AdminError> {
        let kept = vec![("retention.ms", REPAIRABLE_MS.to_owned())];
        self.ensure(&[(late(tenant), kept.clone()), (deadletter(tenant), kept)]).await
    }

    /// Andon's topics, of one tenant or of all, by name.
    ///
    /// # Errors
    /// When brokers are away.
    pub async fn list(&self, tenant: Option<&str>) -> Result<Vec<(String, TopicName)>, AdminError> {
        let mut found: Vec<(String, TopicName)> = self
            .partitions()
            .await?
            .into_keys()
            .filter_map(|topic| parse(&topic).map(|name| (topic, name)))
            .filter(|(_, name)| tenant.is_none_or(|tenant| name.tenant() == tenant))
            .collect();
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Where Andon's topics stand, of one tenant or of all, by name.
    ///
    /// # Errors
    /// When brokers are away.
    pub async fn describe(&self, tenant: Option<&str>) -> Result<Vec<TopicDescription>, AdminError> {
        let partitions = self.partitions().await?;
        let mut topics: Vec<String> = self.list(tenant).await?.into_iter().map(|(topic, _)| topic).collect();
        let (offsets, group) = self.offsets(topics.clone()).await?;
        // One may have been deleted since it was listed.
        topics.retain(|topic| offsets.contains_key(topic));
        let configs = self.configs(&topics).await?;
        let described = topics.iter().map(|topic| {
            let config = |name: &str| configs.get(topic).and_then(|c| c.get(name)).cloned().unwrap_or_default();
            let (low, high) = offsets.get(topic).copied().unwrap_or_default();
            let group_offset = group.get(topic).copied();
            let is_input = matches!(parse(topic), Some(TopicName::Detections { .. }));
            TopicDescription {
                topic: topic.clone(),
                partitions: partitions.get(topic).copied().unwrap_or_default(),
                low,
                high,
                cleanup_policy: config("cleanup.policy"),
                retention_ms: config("retention.ms").parse().unwrap_or(-1),
                compaction_lag_ms: config("min.compaction.lag.ms").parse().unwrap_or(0),
                timestamp_type: config("message.timestamp.type"),
                group_offset,
                lag: is_input.then(|| (high - group_offset.unwrap_or(low).max(low)).max(0)),
            }
        });
        Ok(described.collect())
    }

    /// Deletes topics; those that are not there are no error.
    ///
    /// # Errors
    /// When brokers refuse or are away.
    pub async fn delete(&self, topics: &[String]) -> Result<(), AdminError> {
        if topics.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let answers = self.client.delete_topics(&names, &options()).await.map_err(kafka("delete topics"))?;
        for answer in answers {
            match answer {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((topic, cause)) => return Err(AdminError::Topic { doing: "delete", topic, cause }),
            }
        }
        Ok(())
    }

    async fn ensure(&self, wanted: &[(String, Wanted<'_>)]) -> Result<Vec<String>, AdminError> {
        let new: Vec<NewTopic<'_>> = wanted
            .iter()
            .map(|(topic, settings)| {
                let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(BROKERS_CHOICE));
                settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
            })
            .collect();
        let answers = self.client.create_topics(&new, &options()).await.map_err(kafka("make topics"))?;
        let mut made = Vec::new();
        let mut there = Vec::new();
        for answer in answers {
            match answer {
                Ok(topic) => made.push(topic),
                Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => there.push(topic),
                Err((topic, cause)) => return Err(AdminError::Topic { doing: "make", topic, cause }),
            }
        }
        let wanted: Vec<&(String, Wanted<'_>)> = wanted.iter().filter(|(topic, _)| there.contains(topic)).collect();
        self.mend(&wanted).await?;
        Ok(made)
    }

    /// Topics that were there before (made by a camera's first record, say): one partition is demanded, settings are
    /// put right and others left as they are.
    async fn mend(&self, wanted: &[&(String, Wanted<'_>)]) -> Result<(), AdminError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let partitions = self.partitions().await?;
        let topics: Vec<String> = wanted.iter().map(|(topic, _)| topic.clone()).collect();
        let configs = self.describe_configs(&topics).await?;
        for ((topic, settings), config) in wanted.iter().zip(&configs) {
            match partitions.get(topic) {
                None | Some(1) => {}
                Some(&partitions) => return Err(AdminError::Partitions { topic: topic.clone(), partitions }),
            }
            let holds = |(name, value): &(&str, String)| {
                config.get(name).and_then(|entry| entry.value.as_deref()) == Some(value.as_str())
            };
            if settings.iter().all(holds) {
                continue;
            }
            // The order replaces all of a topic's own settings, so those go with it.
            let own = config.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
            let own = own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
            let all: BTreeMap<&str, &str> =
                own.chain(settings.iter().map(|(name, value)| (*name, value.as_str()))).collect();
            let order = AlterConfig::new(ResourceSpecifier::Topic(topic));
            let order = all.into_iter().fold(order, |order, (name, value)| order.set(name, value));
            let answers = self.client.alter_configs([&order], &options()).await.map_err(kafka("change topics"))?;
            for answer in answers {
                answer.map_err(|(_, cause)| AdminError::Topic { doing: "change", topic: topic.clone(), cause })?;
            }
        }
        Ok(())
    }

    async fn configs(&self, topics: &[String]) -> Result<HashMap<String, HashMap<String, String>>, AdminError> {
        let described = self.describe_configs(topics).await?;
        let maps = described.into_iter().map(|resource| {
            resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
        });
        Ok(topics.iter().cloned().zip(maps).collect())
    }

    /// In the order of `topics`.
    async fn describe_configs(&self, topics: &[String]) -> Result<Vec<ConfigResource>, AdminError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let answers = self.client.describe_configs(&asked, &options()).await.map_err(kafka("read topics' settings"))?;
        topics
            .iter()
            .zip(answers)
            .map(|(topic, answer)| {
                answer.map_err(|cause| AdminError::Topic { doing: "read settings of", topic: topic.clone(), cause })
            })
            .collect()
    }

    /// All topics with their number of partitions.
    async fn partitions(&self) -> Result<HashMap<String, usize>, AdminError> {
        let client = self.client.clone();
        blocking(move || {
            let metadata = client.inner().fetch_metadata(None, TIMEOUT).map_err(kafka("read the list of topics"))?;
            Ok(metadata.topics().iter().map(|t| (t.name().to_owned(), t.partitions().len())).collect())
        })
        .await
    }

    /// Low and high offsets, and the group's.
    async fn offsets(
        &self,
        topics: Vec<String>,
    ) -> Result<(HashMap<String, (i64, i64)>, HashMap<String, i64>), AdminError> {
        let client = self.client.clone();
        let settings = self.settings.clone();
        blocking(move || {
            let mut marks = HashMap::with_capacity(topics.len());
            let mut list = TopicPartitionList::with_capacity(topics.len());
            for topic in &topics {
                match client.inner().fetch_watermarks(topic, 0, TIMEOUT) {
                    Ok(found) => marks.insert(topic.clone(), found),
                    Err(cause) if is_unknown(&cause) => continue,
                    Err(cause) => return Err(kafka("read topics' offsets")(cause)),
                };
                list.add_partition(topic, 0);
            }
            // Never subscribes, so it is no member of the group.
            let asked = settings.client(&[], &[("group.id", &settings.group)]).create();
            let reader: BaseConsumer = asked.map_err(kafka("make a client"))?;
            let committed = reader.committed_offsets(list, TIMEOUT).map_err(kafka("read the group's offsets"))?;
            let group = committed.elements().into_iter().filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((element.topic().to_owned(), offset)),
                _ => None,
            });
            Ok((marks, group.collect()))
        })
        .await
    }
}

fn is_unknown(cause: &KafkaError) -> bool {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    cause
        .rdkafka_error_code()
        .is_some_and(|code| matches!(code, UnknownPartition | UnknownTopic | UnknownTopicOrPartition))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

fn kafka(doing: &'static str) -> impl FnOnce(KafkaError) -> AdminError {
    move |cause| AdminError::Kafka { doing: doing.to_owned(), cause }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AdminError> + Send + 'static,
) -> Result<T, AdminError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AdminError::Worker)?
}
