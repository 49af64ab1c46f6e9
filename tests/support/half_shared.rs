//! A group whose members were all killed between the two steps of sharing lines out: these were given back, and whom they
//! were for is forgotten with the members.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, JoinGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::wire::Wire;

/// What the members tell each other through the broker.
const VERSION: i16 = 1;

/// Leaves `group` with one member, `instance`, which has none of the `topics` that it asked for, and is gone. Blocks.
pub fn leave_half_shared(brokers: &str, group: &str, instance: &str, topics: &[&str]) {
    let wire = Wire::to(brokers);
    let (group, instance) = (GroupId(text(group)), Some(text(instance)));
    let wanted = ConsumerProtocolSubscription::default().with_topics(topics.iter().map(|name| text(name)).collect());
    let strategy =
        JoinGroupRequestProtocol::default().with_name(text("cooperative-sticky")).with_metadata(told(&wanted));
    let join = JoinGroupRequest::default()
        .with_group_id(group.clone())
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_group_instance_id(instance.clone())
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![strategy]);
    let joined = wire.ask(5, &join);
    assert_eq!(joined.error_code, 0, "{joined:?}");

    let nothing = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(told(&ConsumerProtocolAssignment::default()));
    let sync = SyncGroupRequest::default()
        .with_group_id(group)
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id)
        .with_group_instance_id(instance)
        .with_assignments(vec![nothing]);
    let shared = wire.ask(3, &sync);
    assert_eq!(shared.error_code, 0, "{shared:?}");
}

fn text(word: &str) -> StrBytes {
    StrBytes::from_string(word.to_owned())
}

fn told(words: &impl Encodable) -> Bytes {
    let mut told = BytesMut::new();
    told.put_i16(VERSION);
    words.encode(&mut told, VERSION).expect("encoded");
    told.freeze()
}
