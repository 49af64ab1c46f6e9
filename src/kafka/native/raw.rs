//! From C's pointers and lengths to Rust's.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka_sys as sys;

/// # Safety
/// Null or a C string.
pub(super) unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: not null, so a C string.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// # Safety
/// Null, or valid for `length` bytes for as long as the result is used.
pub(super) unsafe fn bytes<'a>(start: *const c_void, length: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: not null, so valid for that long.
    unsafe { std::slice::from_raw_parts(start.cast(), length) }
}

/// # Safety
/// Null or a valid list that outlives the result.
pub(super) unsafe fn elements<'a>(
    list: *const sys::rd_kafka_topic_partition_list_t,
) -> &'a [sys::rd_kafka_topic_partition_t] {
    // SAFETY: null or valid.
    unsafe { list.as_ref() }.map_or(&[], |list| unsafe { slice(list.elems, list.cnt) })
}

/// # Safety
/// Null, or `count` valid elements that outlive the result.
pub(super) unsafe fn slice<'a, T>(start: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: not null, so that many.
        Ok(count) if !start.is_null() => unsafe { std::slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

/// Partition 0 of each topic.
pub(in crate::kafka) fn partitions(topics: &[String]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(topics.len());
    for topic in topics {
        list.add_partition(topic, 0);
    }
    list
}

pub(super) fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}
