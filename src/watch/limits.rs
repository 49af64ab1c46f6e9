//! What the kernel lets a process have.

/// Lets this process have as many files open as it may at all: every socket is one, and the limit that a shell hands on
/// is often 1,024. Answers the limit; none where there is none or it cannot be read.
pub fn raise_open_files() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the one argument is a place for the answer, which outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return None;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: the one argument is read during the call.
    if limit.rlim_cur < limit.rlim_max && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
        limit = raised;
    }
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one_afterwards() {
        let raised = raise_open_files();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let mut numbers = line.split_ascii_whitespace().skip(3);
        let (soft, hard) = (numbers.next().unwrap(), numbers.next().unwrap());
        assert_eq!(soft, hard);
        assert_eq!(raised, soft.parse().ok());
    }
}
