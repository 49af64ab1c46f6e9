//! What may be asked of a client that is alive, from any thread.

use std::collections::HashMap;
use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::raw::{bytes, elements, millis, partitions, slice, text};
use super::{ConsumerGroupMetadata, Native, NativeError};

/// A client that is alive for `'a`.
#[derive(Clone, Copy)]
pub(in crate::kafka) struct ClientRef<'a> {
    pub(super) client: NonNull<sys::rd_kafka_t>,
    pub(super) alive: PhantomData<&'a Native>,
}

/// A committed offset with its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    pub metadata: String,
}

// === impl ClientRef ===

impl ClientRef<'_> {
    pub fn subscribe(self, pattern: &str) -> Result<(), NativeError> {
        let mut topics = TopicPartitionList::new();
        topics.add_topic_unassigned(pattern);
        // SAFETY: both are valid; the list is copied.
        NativeError::check(unsafe { sys::rd_kafka_subscribe(self.client.as_ptr(), topics.ptr()) })
    }

    /// Gives everything back and leaves the group, a member with a name of its own too; takes some polls.
    pub fn unsubscribe(self) -> Result<(), NativeError> {
        // SAFETY: the client is valid.
        NativeError::check(unsafe { sys::rd_kafka_unsubscribe(self.client.as_ptr()) })
    }

    /// The group's name for this client, as far as the client knows; empty while it is no member.
    pub fn member_id(self) -> String {
        // SAFETY: the client is valid; the text is ours and destroyed after it was copied.
        unsafe {
            let id = sys::rd_kafka_memberid(self.client.as_ptr());
            let copied = text(id);
            sys::rd_kafka_mem_free(self.client.as_ptr(), id.cast());
            copied
        }
    }

    pub fn incremental_assign(self, partitions: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: both are valid; the list is copied, the error is ours.
        unsafe { NativeError::take(sys::rd_kafka_incremental_assign(self.client.as_ptr(), partitions.ptr())) }
    }

    pub fn incremental_unassign(self, partitions: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: both are valid; the list is copied, the error is ours.
        unsafe { NativeError::take(sys::rd_kafka_incremental_unassign(self.client.as_ptr(), partitions.ptr())) }
    }

    pub fn pause(self, partitions: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: both are valid.
        NativeError::check(unsafe { sys::rd_kafka_pause_partitions(self.client.as_ptr(), partitions.ptr()) })
    }

    pub fn resume(self, partitions: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: both are valid.
        NativeError::check(unsafe { sys::rd_kafka_resume_partitions(self.client.as_ptr(), partitions.ptr()) })
    }

    /// Whether what is being revoked has been lost already, so that others may own it.
    pub fn assignment_lost(self) -> bool {
        // SAFETY: the client is valid.
        unsafe { sys::rd_kafka_assignment_lost(self.client.as_ptr()) != 0 }
    }

    pub fn group_metadata(self) -> Option<ConsumerGroupMetadata> {
        // SAFETY: the client is valid; the result is ours.
        NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(self.client.as_ptr()) }).map(ConsumerGroupMetadata)
    }

    /// What the group has committed for partition 0 of `topics`; topics without are left out. Waits for transactions
    /// that are being committed.
    pub fn committed(self, topics: &[String], timeout: Duration) -> Result<Vec<(String, Committed)>, NativeError> {
        let list = partitions(topics);
        // SAFETY: both are valid; the call writes into the list that we own.
        NativeError::check(unsafe { sys::rd_kafka_committed(self.client.as_ptr(), list.ptr(), millis(timeout)) })?;
        let mut found = Vec::with_capacity(topics.len());
        // SAFETY: the list is alive until the end of this function.
        for element in unsafe { elements(list.ptr()) } {
            NativeError::check(element.err)?;
            if element.offset < 0 {
                continue;
            }
            // SAFETY: names are C strings; metadata is null or has that size.
            let (topic, metadata) = unsafe {
                (text(element.topic), String::from_utf8_lossy(bytes(element.metadata, element.metadata_size)))
            };
            found.push((topic, Committed { offset: element.offset, metadata: metadata.into_owned() }));
        }
        Ok(found)
    }

    /// All partitions of all topics, asked for now, whatever was asked before and not answered. What a group's pattern
    /// matches and is new is subscribed to.
    pub fn partitions(self, timeout: Duration) -> Result<Vec<(String, i32)>, NativeError> {
        let mut metadata = std::ptr::null();
        // SAFETY: the client is valid; the result is ours and destroyed below.
        NativeError::check(unsafe {
            sys::rd_kafka_metadata(self.client.as_ptr(), 1, std::ptr::null_mut(), &mut metadata, millis(timeout))
        })?;
        let mut found = Vec::new();
        // SAFETY: the call succeeded, so the metadata is valid with as many topics and partitions as it says.
        unsafe {
            for topic in slice((*metadata).topics, (*metadata).topic_cnt) {
                let name = text(topic.topic);
                found.extend(slice(topic.partitions, topic.partition_cnt).iter().map(|p| (name.clone(), p.id)));
            }
            sys::rd_kafka_metadata_destroy(metadata);
        }
        Ok(found)
    }

    /// The end of a topic's only partition as the last fetch told it; asks nobody. `None` before the first fetch.
    pub fn known_end(self, topic: &str) -> Option<i64> {
        let name = CString::new(topic).ok()?;
        let (mut low, mut high) = (0, 0);
        // SAFETY: the client lives, the name is a C string, and the two places are ours.
        let code =
            unsafe { sys::rd_kafka_get_watermark_offsets(self.client.as_ptr(), name.as_ptr(), 0, &mut low, &mut high) };
        (NativeError::check(code).is_ok() && high >= 0).then_some(high)
    }

    /// The offset after the last record that this client may see, of partition 0 of each topic: what has no partition 0
    /// is left out. One request for each broker.
    pub fn ends(self, topics: &[String], timeout: Duration) -> Result<HashMap<String, i64>, NativeError> {
        let mut list = TopicPartitionList::with_capacity(topics.len());
        for topic in topics {
            // In the place of a time: the end.
            let asked = list.add_partition(topic, 0).set_offset(Offset::End);
            asked.map_err(|cause| NativeError::local(cause.to_string()))?;
        }
        // SAFETY: both are valid; the call writes into the list that we own.
        NativeError::check(unsafe {
            sys::rd_kafka_offsets_for_times(self.client.as_ptr(), list.ptr(), millis(timeout))
        })?;
        let mut found = HashMap::with_capacity(topics.len());
        // SAFETY: the list is alive until the end of this function.
        for element in unsafe { elements(list.ptr()) } {
            if element.err == Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                || element.err == Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
                || element.err == Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            {
                continue;
            }
            NativeError::check(element.err)?;
            // SAFETY: names are C strings.
            found.insert(unsafe { text(element.topic) }, element.offset);
        }
        Ok(found)
    }

    /// First offset that is still there and the offset after the last, of partition 0.
    pub fn watermarks(self, topic: &str, timeout: Duration) -> Result<(i64, i64), NativeError> {
        let topic = CString::new(topic).map_err(|e| NativeError::local(e.to_string()))?;
        let (mut low, mut high) = (0, 0);
        // SAFETY: all pointers are valid for the call.
        NativeError::check(unsafe {
            sys::rd_kafka_query_watermark_offsets(
                self.client.as_ptr(),
                topic.as_ptr(),
                0,
                &mut low,
                &mut high,
                millis(timeout),
            )
        })?;
        Ok((low, high))
    }
}
