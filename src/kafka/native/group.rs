//! Who is in a group, and what each has of it.

use std::ffi::{CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_consumer_group_state_t as State;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::raw::{elements, millis, text};
use super::{ClientRef, NativeError};

/// A member of a group, as the group's broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The broker's name for it; another one each time it joins.
    pub id: String,
    /// Topics of which it was given partition 0.
    pub topics: Vec<String>,
}

/// A queue for one answer.
struct Queue(NonNull<sys::rd_kafka_queue_t>);

/// An answer that came by a [`Queue`].
struct Answer(NonNull<sys::rd_kafka_event_t>);

/// How a request is made.
struct Options(NonNull<sys::rd_kafka_AdminOptions_t>);

impl ClientRef<'_> {
    /// The members of a group that is between two rebalances; `None` while it is in one, and where nobody is in it.
    /// Blocks.
    pub fn members(self, group: &str, timeout: Duration) -> Result<Option<Vec<Member>>, NativeError> {
        let answer = self.describe(group, timeout)?;
        let mut count = 0;
        // SAFETY: the answer is of this request, by the code that `describe` has looked at, and outlives what is taken
        // from it; one group was asked for, and members are asked for by numbers below their count.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.0.as_ptr());
            let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
            let Some(group) = (!groups.is_null() && count > 0).then(|| *groups) else { return Ok(None) };
            let error = sys::rd_kafka_ConsumerGroupDescription_error(group);
            if !error.is_null() {
                NativeError::check(sys::rd_kafka_error_code(error))?;
            }
            if sys::rd_kafka_ConsumerGroupDescription_state(group) != State::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE {
                return Ok(None);
            }
            let members = (0..sys::rd_kafka_ConsumerGroupDescription_member_count(group)).map(|n| {
                let member = sys::rd_kafka_ConsumerGroupDescription_member(group, n);
                let given = sys::rd_kafka_MemberDescription_assignment(member);
                let given = elements(sys::rd_kafka_MemberAssignment_partitions(given));
                Member {
                    id: text(sys::rd_kafka_MemberDescription_consumer_id(member)),
                    topics: given.iter().filter(|at| at.partition == 0).map(|at| text(at.topic)).collect(),
                }
            });
            Ok(Some(members.collect()))
        }
    }

    fn describe(self, group: &str, timeout: Duration) -> Result<Answer, NativeError> {
        let group = CString::new(group).map_err(|e| NativeError::local(e.to_string()))?;
        let mut groups = [group.as_ptr()];
        let options = Options::new(self, timeout)?;
        // SAFETY: the client lives, and all that the request is given is valid until the call returns; the queue until
        // the answer has come or is waited for no longer.
        let answer = unsafe {
            let queue = NonNull::new(sys::rd_kafka_queue_new(self.client.as_ptr())).map(Queue);
            let queue = queue.ok_or_else(|| NativeError::of(Code::RD_KAFKA_RESP_ERR__FAIL))?;
            let (to, options) = (queue.0.as_ptr(), options.0.as_ptr());
            sys::rd_kafka_DescribeConsumerGroups(self.client.as_ptr(), groups.as_mut_ptr(), groups.len(), options, to);
            NonNull::new(sys::rd_kafka_queue_poll(to, millis(timeout))).map(Answer)
        };
        let answer = answer.ok_or_else(|| NativeError::of(Code::RD_KAFKA_RESP_ERR__TIMED_OUT))?;
        // SAFETY: the answer is ours.
        NativeError::check(unsafe { sys::rd_kafka_event_error(answer.0.as_ptr()) })?;
        Ok(answer)
    }
}

// === impl Options ===

impl Options {
    fn new(client: ClientRef<'_>, timeout: Duration) -> Result<Options, NativeError> {
        let what = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        let mut why = [0 as c_char; 256];
        // SAFETY: the client lives; the place for the reason is ours and as long as is said.
        unsafe {
            let options = NonNull::new(sys::rd_kafka_AdminOptions_new(client.client.as_ptr(), what)).map(Options);
            let options = options.ok_or_else(|| NativeError::of(Code::RD_KAFKA_RESP_ERR__INVALID_ARG))?;
            let at = options.0.as_ptr();
            let code = sys::rd_kafka_AdminOptions_set_request_timeout(at, millis(timeout), why.as_mut_ptr(), why.len());
            NativeError::check(code).map(|()| options)
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) };
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once; what comes for it later is dropped by librdkafka.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}
