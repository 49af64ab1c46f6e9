//! The one unsafe corner: librdkafka's consumer as a handle, its batches and its rebalance callback.
//!
//! `rdkafka`'s `BaseConsumer` wraps each message in a counted event and forgets which topic an end of partition belongs
//! to. This takes messages as librdkafka has them and lets the rebalance callback run inside that call, on the calling
//! thread. Everything above is safe code.
//!
//! Contracts kept here:
//! - the callback's opaque pointer is the [`Hooks`] that [`Native`] owns and that outlives the client;
//! - messages of a [`Batch`] are destroyed with it, before the client, which the batch borrows;
//! - a panic never crosses into C: the hooks are called under `catch_unwind`.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::{ClientConfig, TopicPartitionList};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

/// What the client calls back, on the thread that polls or closes it.
pub(super) trait Hooks: Send + Sync {
    /// The group gives or takes partitions; must answer by an incremental assignment.
    fn rebalance(&self, client: ClientRef<'_>, change: Rebalance, partitions: &[(String, i32)]);
    /// The client as a whole has a problem; most pass by themselves, fatal ones never.
    fn error(&self, fatal: bool, reason: &str);
}

/// What the group does with partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rebalance {
    Assign,
    Revoke,
    /// Neither; the error's code.
    Failed(Code),
}

/// A failed call of librdkafka.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code:?})")]
pub struct NativeError {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) fatal: bool,
    pub(super) requires_abort: bool,
}

/// A consumer client: `batch` and `close` are for one thread, what [`ClientRef`] offers for any.
pub(super) struct Native {
    client: NonNull<sys::rd_kafka_t>,
    /// Called back until the client is destroyed.
    hooks: Box<Box<dyn Hooks>>,
}

/// A client that is alive for `'a`.
#[derive(Clone, Copy)]
pub(super) struct ClientRef<'a> {
    client: NonNull<sys::rd_kafka_t>,
    alive: PhantomData<&'a Native>,
}

/// A committed offset with its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    pub metadata: String,
}

/// Membership in the group as of now: what fences a publisher whose lines have moved on.
pub struct ConsumerGroupMetadata(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

/// Messages taken off the queue at once.
pub(super) struct Batch<'a> {
    messages: &'a mut Vec<*mut sys::rd_kafka_message_t>,
    client: PhantomData<&'a Native>,
}

/// One of a batch: a message, the end of a partition, or an error of one.
#[derive(Clone, Copy)]
pub(super) struct Taken<'a> {
    message: &'a sys::rd_kafka_message_t,
}

// SAFETY: librdkafka's handles are thread-safe; what is called back is `Send + Sync`.
unsafe impl Send for Native {}
// SAFETY: as above; `batch` and `close` are only reached through `Consumer`, which is not shared.
unsafe impl Sync for Native {}
// SAFETY: an immutable record of strings and a number, destroyed once.
unsafe impl Send for ConsumerGroupMetadata {}
// SAFETY: as above.
unsafe impl Sync for ConsumerGroupMetadata {}

// === impl NativeError ===

impl NativeError {
    fn of(code: Code) -> NativeError {
        // SAFETY: a static string for every code.
        let message = unsafe { text(sys::rd_kafka_err2str(code)) };
        NativeError { code, message, fatal: false, requires_abort: false }
    }

    fn check(code: Code) -> Result<(), NativeError> {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(NativeError::of(code)) }
    }

    /// Takes an error object over; null means none.
    ///
    /// # Safety
    /// `error` is null or an error object that nobody else destroys.
    unsafe fn take(error: *mut sys::rd_kafka_error_t) -> Result<(), NativeError> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, and ours until it is destroyed below.
        unsafe {
            let taken = NativeError {
                code: sys::rd_kafka_error_code(error),
                message: text(sys::rd_kafka_error_string(error)),
                fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            sys::rd_kafka_error_destroy(error);
            Err(taken)
        }
    }

    fn local(message: impl Into<String>) -> NativeError {
        NativeError {
            code: Code::RD_KAFKA_RESP_ERR__INVALID_ARG,
            message: message.into(),
            fatal: false,
            requires_abort: false,
        }
    }
}

// === impl Native ===

impl Native {
    /// A consumer that reports to `hooks`.
    ///
    /// # Errors
    /// When librdkafka refuses the configuration.
    pub fn consumer(config: &ClientConfig, hooks: Box<dyn Hooks>) -> Result<Native, NativeError> {
        let conf = config.create_native_config().map_err(|e| NativeError::local(e.to_string()))?;
        let hooks = Box::new(hooks);
        let opaque = (&raw const *hooks).cast_mut().cast::<c_void>();
        let mut reason = [0 as c_char; 512];
        // SAFETY: `conf` is valid; `rd_kafka_new` takes it over only when it succeeds, so it is forgotten only then.
        let client = unsafe {
            sys::rd_kafka_conf_set_opaque(conf.ptr(), opaque);
            sys::rd_kafka_conf_set_rebalance_cb(conf.ptr(), Some(on_rebalance));
            sys::rd_kafka_conf_set_error_cb(conf.ptr(), Some(on_error));
            sys::rd_kafka_conf_set_log_cb(conf.ptr(), Some(on_log));
            let kind = sys::rd_kafka_type_t::RD_KAFKA_CONSUMER;
            NonNull::new(sys::rd_kafka_new(kind, conf.ptr(), reason.as_mut_ptr(), reason.len()))
        };
        let Some(client) = client else {
            // SAFETY: filled and terminated by the failed call.
            return Err(NativeError::local(unsafe { text(reason.as_ptr()) }));
        };
        let _taken_over = ManuallyDrop::new(conf);
        // SAFETY: the client is valid.
        let served = NativeError::check(unsafe { sys::rd_kafka_poll_set_consumer(client.as_ptr()) });
        let native = Native { client, hooks };
        served.map(|()| native)
    }

    pub fn client(&self) -> ClientRef<'_> {
        ClientRef { client: self.client, alive: PhantomData }
    }

    /// Takes up to `max` messages, waiting up to `timeout` for the first and for no other. Callbacks run in here.
    ///
    /// Not by `rd_kafka_consume_batch_queue`: that takes the end of a partition for a record and goes on one too far
    /// after the next pause, also after the ones that a rebalance makes, which loses a record.
    pub fn batch<'a>(
        &'a self,
        max: usize,
        timeout: Duration,
        messages: &'a mut Vec<*mut sys::rd_kafka_message_t>,
    ) -> Batch<'a> {
        messages.clear();
        let mut wait = millis(timeout);
        while messages.len() < max {
            // SAFETY: the client is valid; the message is ours.
            let message = unsafe { sys::rd_kafka_consumer_poll(self.client.as_ptr(), wait) };
            if message.is_null() {
                break;
            }
            messages.push(message);
            wait = 0;
        }
        Batch { messages, client: PhantomData }
    }

    /// Leaves the group; the rebalance callback runs in here. Later calls do nothing.
    pub fn close(&self) -> Result<(), NativeError> {
        // SAFETY: the client is valid.
        NativeError::check(unsafe { sys::rd_kafka_consumer_close(self.client.as_ptr()) })
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: nothing uses the client any more; `hooks` goes after it.
        unsafe { sys::rd_kafka_destroy(self.client.as_ptr()) };
        let _outlives_the_client = &self.hooks;
    }
}

// === impl ClientRef ===

impl ClientRef<'_> {
    pub fn subscribe(self, pattern: &str) -> Result<(), NativeError> {
        let mut topics = TopicPartitionList::new();
        topics.add_topic_unassigned(pattern);
        // SAFETY: both are valid; the list is copied.
        NativeError::check(unsafe { sys::rd_kafka_subscribe(self.client.as_ptr(), topics.ptr()) })
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

    /// All partitions of all topics.
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

// === impl ConsumerGroupMetadata ===

impl ConsumerGroupMetadata {
    /// Adds offsets to the transaction that `producer` has open, fenced by this membership.
    ///
    /// # Safety
    /// `producer` is a valid transactional producer.
    pub(super) unsafe fn send_offsets(
        &self,
        producer: *mut sys::rd_kafka_t,
        offsets: &TopicPartitionList,
        timeout: Duration,
    ) -> Result<(), NativeError> {
        // SAFETY: the caller vouches for the producer, the rest is ours.
        unsafe {
            NativeError::take(sys::rd_kafka_send_offsets_to_transaction(
                producer,
                offsets.ptr(),
                self.0.as_ptr(),
                millis(timeout),
            ))
        }
    }
}

impl Drop for ConsumerGroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) };
    }
}

// === impl Batch, Taken ===

impl Batch<'_> {
    pub fn iter(&self) -> impl Iterator<Item = Taken<'_>> {
        // SAFETY: pointers to messages that live until the batch is dropped.
        self.messages.iter().map(|message| Taken { message: unsafe { &**message } })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: taken off the queue by us, destroyed once.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}

impl<'a> Taken<'a> {
    pub fn code(&self) -> Code {
        self.message.err
    }

    pub fn is_message(&self) -> bool {
        self.message.err == Code::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// Stands for the topic while the batch lives: equal for equal topics, mostly.
    pub fn topic_mark(&self) -> usize {
        self.message.rkt as usize
    }

    /// None for errors of the whole client.
    pub fn topic(&self) -> Option<&'a str> {
        if self.message.rkt.is_null() {
            return None;
        }
        // SAFETY: a message keeps its topic alive; names are ASCII.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.message.rkt)) }.to_str().ok()
    }

    pub fn partition(&self) -> i32 {
        self.message.partition
    }

    pub fn offset(&self) -> i64 {
        self.message.offset
    }

    /// The broker's time where the topic has LogAppendTime, else the producer's; 0 when there is none. Milliseconds.
    pub fn timestamp(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid, `kind` is ours.
        unsafe { sys::rd_kafka_message_timestamp(self.message, &mut kind) }.max(0)
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: null or that long, and as long-lived as the message.
        (!self.message.key.is_null()).then(|| unsafe { bytes(self.message.key, self.message.key_len) })
    }

    pub fn payload(&self) -> Option<&'a [u8]> {
        // SAFETY: null or that long, and as long-lived as the message.
        (!self.message.payload.is_null()).then(|| unsafe { bytes(self.message.payload, self.message.len) })
    }

    /// Empty where there are none.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is valid and keeps its headers.
        let code = unsafe { sys::rd_kafka_message_headers(self.message, &mut headers) };
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Vec::new();
        }
        let mut found = Vec::new();
        loop {
            let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            // SAFETY: the headers are valid; name and value live as long as they.
            let header = unsafe {
                let code = sys::rd_kafka_header_get_all(headers, found.len(), &mut name, &mut value, &mut size);
                (code == Code::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| (text(name), bytes(value, size).to_vec()))
            };
            match header {
                Some(header) => found.push(header),
                None => return found,
            }
        }
    }

    /// What an error says.
    pub fn reason(&self) -> String {
        // SAFETY: the message is valid; the text is static or the message's own.
        unsafe { text(sys::rd_kafka_message_errstr(self.message)) }
    }
}

// === callbacks ===

unsafe extern "C" fn on_rebalance(
    client: *mut sys::rd_kafka_t,
    code: Code,
    list: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    let change = match code {
        Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign,
        Code::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Rebalance::Revoke,
        other => Rebalance::Failed(other),
    };
    // SAFETY: the list is null or valid for the call, its names are C strings.
    let named: Vec<(String, i32)> =
        unsafe { elements(list) }.iter().map(|e| (unsafe { text(e.topic) }, e.partition)).collect();
    let (Some(client), Some(hooks)) = (NonNull::new(client), hooks(opaque)) else { return };
    let client = ClientRef { client, alive: PhantomData };
    guarded(|| hooks.rebalance(client, change, &named));
}

unsafe extern "C" fn on_error(_: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: a C string for the time of the call.
    let reason = unsafe { text(reason) };
    let fatal = code == Code::RD_KAFKA_RESP_ERR__FATAL as c_int;
    if let Some(hooks) = hooks(opaque) {
        guarded(|| hooks.error(fatal, &reason));
    }
}

unsafe extern "C" fn on_log(_: *const sys::rd_kafka_t, level: c_int, facility: *const c_char, line: *const c_char) {
    // SAFETY: C strings for the time of the call.
    let (facility, line) = unsafe { (text(facility), text(line)) };
    guarded(|| match level {
        ..=3 => tracing::error!(target: "librdkafka", facility, "{line}"),
        4 => tracing::warn!(target: "librdkafka", facility, "{line}"),
        5..=6 => tracing::info!(target: "librdkafka", facility, "{line}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
    });
}

/// The hooks behind a client's opaque pointer.
fn hooks<'a>(opaque: *mut c_void) -> Option<&'a dyn Hooks> {
    // SAFETY: set by `Native::consumer` to the box that lives until the client is destroyed, or null.
    unsafe { opaque.cast::<Box<dyn Hooks>>().as_ref() }.map(|hooks| hooks.as_ref())
}

/// Unwinding into C is undefined: a panic of a hook ends here, with a log line.
fn guarded(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!("a callback of the consumer panicked");
    }
}

// === small change ===

/// # Safety
/// Null or a C string.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: not null, so a C string.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// # Safety
/// Null, or valid for `length` bytes for as long as the result is used.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: not null, so valid for that long.
    unsafe { std::slice::from_raw_parts(start.cast(), length) }
}

/// # Safety
/// Null or a valid list that outlives the result.
unsafe fn elements<'a>(list: *const sys::rd_kafka_topic_partition_list_t) -> &'a [sys::rd_kafka_topic_partition_t] {
    // SAFETY: null or valid.
    unsafe { list.as_ref() }.map_or(&[], |list| unsafe { slice(list.elems, list.cnt) })
}

/// # Safety
/// Null, or `count` valid elements that outlive the result.
unsafe fn slice<'a, T>(start: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: not null, so that many.
        Ok(count) if !start.is_null() => unsafe { std::slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

/// Partition 0 of each topic.
pub(super) fn partitions(topics: &[String]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(topics.len());
    for topic in topics {
        list.add_partition(topic, 0);
    }
    list
}

fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}
