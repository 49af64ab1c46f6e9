//! Who is in a group, and what each has of it.

use std::ffi::CString;
use std::time::Duration;

use rdkafka_sys as sys;

use super::raw::{bytes, millis, slice, text};
use super::{ClientRef, NativeError};

/// A member of a group, as the group's broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The broker's name for it; another one each time it joins.
    pub id: String,
    /// Topics of which it was given partition 0.
    pub topics: Vec<String>,
}

/// The state of a group that has shared everything out.
const SHARED_OUT: &str = "Stable";

impl ClientRef<'_> {
    /// The members of a group that is between two rebalances; `None` while it is in one, and where nobody is in it.
    /// Blocks.
    ///
    /// Not by the administrator's `DescribeConsumerGroups`: where no answer comes in time, that ends the whole process
    /// (librdkafka's issue 4605).
    pub fn members(self, group: &str, timeout: Duration) -> Result<Option<Vec<Member>>, NativeError> {
        let group = CString::new(group).map_err(|e| NativeError::local(e.to_string()))?;
        let mut found = std::ptr::null();
        // SAFETY: the client lives, the name is a C string, and the place for the answer is ours.
        let code =
            unsafe { sys::rd_kafka_list_groups(self.client.as_ptr(), group.as_ptr(), &mut found, millis(timeout)) };
        if found.is_null() {
            return NativeError::check(code).map(|()| None);
        }
        // An answer beside an error is that of some brokers only: only the group's own tells anything of it.
        // SAFETY: not null, so valid with as many groups, members and bytes as it says, until it is destroyed, after
        // everything was copied.
        unsafe {
            let members = shared_out(slice((*found).groups, (*found).group_cnt));
            sys::rd_kafka_group_list_destroy(found);
            members
        }
    }
}

/// # Safety
/// The groups are of an answer that is still alive.
unsafe fn shared_out(groups: &[sys::rd_kafka_group_info]) -> Result<Option<Vec<Member>>, NativeError> {
    let Some(group) = groups.first() else { return Ok(None) };
    NativeError::check(group.err)?;
    // SAFETY: by this function's contract.
    unsafe {
        if text(group.state) != SHARED_OUT {
            return Ok(None);
        }
        let members = slice(group.members, group.member_cnt).iter().map(|member| {
            let length = usize::try_from(member.member_assignment_size).unwrap_or(0);
            let topics = given(bytes(member.member_assignment, length));
            topics.map(|topics| Member { id: text(member.member_id), topics })
        });
        let members: Option<Vec<Member>> = members.collect();
        members.map(Some).ok_or_else(|| NativeError::local("a member of the group has what cannot be read"))
    }
}

/// Topics of which an assignment has partition 0, in the consumers' own protocol: a version, then topics with partitions,
/// then what is the assignor's business. `None` where it is cut off.
fn given(mut assignment: &[u8]) -> Option<Vec<String>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let rest = &mut assignment;
    let _version = i16::from_be_bytes(*take(rest)?);
    let mut topics = Vec::new();
    for _ in 0..i32::from_be_bytes(*take(rest)?) {
        let length = usize::try_from(i16::from_be_bytes(*take(rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        *rest = after;
        let mut has_first = false;
        for _ in 0..i32::from_be_bytes(*take(rest)?) {
            has_first |= i32::from_be_bytes(*take(rest)?) == 0;
        }
        if has_first {
            topics.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Some(topics)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 1; `a` with partition 0, `bc` with 1, `d` with 1 and 0.
    const TOLD: &[u8] =
        b"\0\x01\0\0\0\x03\0\x01a\0\0\0\x01\0\0\0\0\0\x02bc\0\0\0\x01\0\0\0\x01\0\x01d\0\0\0\x02\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";

    #[test]
    fn a_member_has_the_topics_of_which_it_was_given_partition_0() {
        assert_eq!(given(TOLD), Some(vec!["a".to_owned(), "d".to_owned()]));
        assert_eq!(given(b""), Some(vec![]), "it has not been told yet");
        assert_eq!(given(b"\0\x01\0\0\0\0"), Some(vec![]));
    }

    #[test]
    fn what_is_cut_off_is_refused_and_never_more_than_that() {
        let whole = TOLD.len() - 4;
        for end in 1..whole {
            assert_eq!(given(&TOLD[..end]), None, "{end} bytes");
        }
        assert_eq!(given(b"\0\x01\x7f\xff\xff\xff"), None);
    }
}
