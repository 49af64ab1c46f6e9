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

mod callbacks;
mod client;
mod group;
mod messages;
mod raw;

use std::ffi::{c_char, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::{ClientConfig, TopicPartitionList};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use callbacks::{on_error, on_log, on_rebalance};
use raw::{millis, text};

pub use client::Committed;
pub use group::Member;

pub(super) use callbacks::{Hooks, Rebalance};
pub(super) use client::ClientRef;
pub(super) use messages::{Batch, Taken};
pub(super) use raw::partitions;

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

/// Membership in the group as of now: what fences a publisher whose lines have moved on.
pub struct ConsumerGroupMetadata(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

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
