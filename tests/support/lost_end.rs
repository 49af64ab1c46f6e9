//! A broker that has lost the end of a transaction on some partitions, as one does that is killed at the wrong moment
//! (KAFKA-20734): made by writing to a partition that the transaction does not know of, so that its end is never told
//! there. Clients refuse to do that; this speaks the protocol itself.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, ProduceRequest,
    TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use super::until;
use super::wire::Wire;

/// A record whose transaction will not end.
#[derive(Clone, Debug)]
pub struct Left {
    pub topic: String,
    pub payload: String,
    pub headers: Vec<(String, String)>,
}

/// Writes `left` as `id`, in a transaction that ends, in a commit or not, but on none of their topics. `heard` is a topic
/// that does hear of it. Whoever else goes by `id` is fenced.
pub async fn lose_end(brokers: &str, id: &str, heard: &str, left: &[Left], is_committed: bool) {
    let wire = Wire::to(brokers);
    // The broker would ask whether the partition belongs to the transaction.
    let setting = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("transaction.partition.verification.enable"))
        .with_value(Some(StrBytes::from_static_str("false")));
    let broker = AlterConfigsResource::default().with_resource_type(4).with_configs(vec![setting]);
    let done = wire.ask(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![broker]));
    assert_eq!(done.responses[0].error_code, 0, "{done:?}");

    let id = TransactionalId(StrBytes::from_string(id.to_owned()));
    let (producer, epoch) = until("a producer id", async || {
        let ask = InitProducerIdRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let answer = wire.ask(4, &ask);
        match answer.error_code {
            0 => Ok((answer.producer_id, answer.producer_epoch)),
            code => Err(format!("error {code}")),
        }
    })
    .await;

    let heard = AddPartitionsToTxnTopic::default().with_name(name(heard)).with_partitions(vec![0]);
    let added = wire.ask(
        3,
        &AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id.clone())
            .with_v3_and_below_producer_id(producer)
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(vec![heard]),
    );
    let code = added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
    assert_eq!(code, 0, "{added:?}");

    for left in left {
        let records = PartitionProduceData::default().with_records(Some(batch(left, producer.0, epoch)));
        let topic = TopicProduceData::default().with_name(name(&left.topic)).with_partition_data(vec![records]);
        let produce = ProduceRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![topic]);
        let sent = wire.ask(9, &produce);
        assert_eq!(sent.responses[0].partition_responses[0].error_code, 0, "{sent:?}");
    }

    let end = EndTxnRequest::default()
        .with_transactional_id(id)
        .with_producer_id(producer)
        .with_producer_epoch(epoch)
        .with_committed(is_committed);
    until("its end", async || match wire.ask(3, &end).error_code {
        0 => Ok(()),
        code => Err(format!("error {code}")),
    })
    .await;
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn batch(left: &Left, producer_id: i64, producer_epoch: i16) -> Bytes {
    let headers = left
        .headers
        .iter()
        .map(|(name, value)| (StrBytes::from_string(name.clone()), Some(Bytes::from(value.clone().into_bytes()))));
    let record = Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: 0,
        timestamp: 1_700_000_000_000,
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from(left.payload.clone().into_bytes())),
        headers: headers.collect(),
    };
    let mut buffer = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut buffer, [&record], &options).expect("encoded");
    buffer.freeze()
}
