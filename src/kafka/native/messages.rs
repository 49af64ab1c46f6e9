//! Messages as librdkafka has them: borrowed, and destroyed with their batch.

use std::ffi::CStr;
use std::marker::PhantomData;

use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::Native;
use super::raw::{bytes, text};

/// Messages taken off the queue at once.
pub(in crate::kafka) struct Batch<'a> {
    pub(super) messages: &'a mut Vec<*mut sys::rd_kafka_message_t>,
    pub(super) client: PhantomData<&'a Native>,
}

/// One of a batch: a message, the end of a partition, or an error of one.
#[derive(Clone, Copy)]
pub(in crate::kafka) struct Taken<'a> {
    message: &'a sys::rd_kafka_message_t,
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
