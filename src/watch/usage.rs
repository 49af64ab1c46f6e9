//! What a process has used, by the kernel's own accounts (`/proc`).

use std::time::Duration;

/// Ticks of `/proc/*/stat` per second; fixed by Linux' interface.
const TICKS: f64 = 100.0;

/// CPU time of a process so far, user and system; none when it cannot be read.
pub fn cpu_of(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold blanks: the fields are counted from behind it.
    let rest = stat.rsplit_once(") ")?.1;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_secs_f64((user + system) / TICKS))
}

/// Peak resident memory of a process, bytes; 0 when it cannot be read.
pub fn peak_memory_of(pid: u32) -> u64 {
    status_of(pid, "VmHWM:")
}

/// Resident memory of a process, bytes; 0 when it cannot be read.
pub fn memory_of(pid: u32) -> u64 {
    status_of(pid, "VmRSS:")
}

fn status_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}
