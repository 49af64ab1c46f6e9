//! What a process and its machine use, by the kernel's own accounts (`/proc`).

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

/// The machine's name, of signs that a topic's and a group's names can have; none when it does not say.
pub fn host() -> Option<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    (!host.is_empty()).then_some(host)
}

/// What all processors of the machine did since it began, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    all: u64,
    idle: u64,
}

// === impl CpuTime ===

impl CpuTime {
    /// As it is; none when it cannot be read.
    pub fn now() -> Option<CpuTime> {
        CpuTime::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<CpuTime> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
        let ticks: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
        let idle = ticks.get(3)?.saturating_add(ticks.get(4).copied().unwrap_or(0));
        Some(CpuTime { all: ticks.iter().sum(), idle })
    }

    /// Percent in use since then; none when no time has passed.
    pub fn use_since(self, before: CpuTime) -> Option<f32> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        let idle = self.idle.saturating_sub(before.idle).min(all);
        Some((all - idle) as f32 * 100.0 / all as f32)
    }
}

/// Percent of the machine's memory that is in use and could not be given away; none when it cannot be read.
pub fn memory_in_use() -> Option<f32> {
    in_use(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn in_use(meminfo: &str) -> Option<f32> {
    let kilobytes = |name: &str| -> Option<u64> {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim().trim_end_matches(" kB").parse().ok()
    };
    let (all, free) = (kilobytes("MemTotal:")?, kilobytes("MemAvailable:")?);
    (all > 0).then(|| all.saturating_sub(free) as f32 * 100.0 / all as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_what_was_not_idle_since_then() {
        let before = CpuTime::parse("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\n").unwrap();
        let after = CpuTime::parse("cpu  125 0 125 725 125 0 0 0 50 0\n").unwrap();
        assert_eq!(after.use_since(before), Some(50.0));
        assert_eq!(before.use_since(before), None, "no time has passed");
        assert_eq!(CpuTime::parse("cpu0 1 2 3 4\n"), None);
        assert!(CpuTime::now().is_some());
    }

    #[test]
    fn memory_in_use_is_what_is_not_available() {
        assert_eq!(in_use("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n"), Some(75.0));
        assert_eq!(in_use("MemTotal:       1000 kB\n"), None);
        assert!(memory_in_use().is_some());
    }
}
