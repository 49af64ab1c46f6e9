//! What librdkafka calls: rebalances and errors go to the [`Hooks`], logs to `tracing`.

use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::client::ClientRef;
use super::raw::{elements, text};

/// What the client calls back, on the thread that polls or closes it.
pub(in crate::kafka) trait Hooks: Send + Sync {
    /// The group gives or takes partitions; must answer by an incremental assignment.
    fn rebalance(&self, client: ClientRef<'_>, change: Rebalance, partitions: &[(String, i32)]);
    /// The client as a whole has a problem; most pass by themselves, fatal ones never.
    fn error(&self, fatal: bool, reason: &str);
}

/// What the group does with partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum Rebalance {
    Assign,
    Revoke,
    /// Neither; the error's code.
    Failed(Code),
}

pub(super) unsafe extern "C" fn on_rebalance(
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

pub(super) unsafe extern "C" fn on_error(
    _: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: a C string for the time of the call.
    let reason = unsafe { text(reason) };
    let fatal = code == Code::RD_KAFKA_RESP_ERR__FATAL as c_int;
    if let Some(hooks) = hooks(opaque) {
        guarded(|| hooks.error(fatal, &reason));
    }
}

pub(super) unsafe extern "C" fn on_log(
    _: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: C strings for the time of the call.
    let (facility, line) = unsafe { (text(facility), text(line)) };
    guarded(|| crate::kafka::words::logged(level, &facility, &line));
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
