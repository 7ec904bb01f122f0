//! What the recorder itself uses.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rz_format::Cost;

use crate::host::now_ns;

/// The recorder's use of the machine up to now.
pub(crate) fn now(queued: usize, written: u64) -> Cost {
    let (user_ns, system_ns) = cpu_ns();
    let queued = queued as u64;
    Cost { time_ns: now_ns(), user_ns, system_ns, peak_rss: peak_rss(), queued, written }
}

/// CPU time in user mode and in the kernel, in nanoseconds.
pub(crate) fn cpu_ns() -> (u64, u64) {
    used_ns(UsageWho::RUSAGE_SELF)
}

/// The same of a program that was started, if it has ended.
pub(crate) fn cpu_ns_of_children() -> (u64, u64) {
    used_ns(UsageWho::RUSAGE_CHILDREN)
}

fn used_ns(who: UsageWho) -> (u64, u64) {
    let ns = |time: TimeVal| time.tv_sec() as u64 * 1_000_000_000 + time.tv_usec() as u64 * 1000;
    getrusage(who).map_or((0, 0), |usage| (ns(usage.user_time()), ns(usage.system_time())))
}

/// Peak resident memory in bytes. Not from `getrusage`, whose figure survives
/// exec and so may be that of the shell we were started from.
fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or_default();
    kib * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_use_something() {
        let cost = now(5, 7);
        assert!(cost.peak_rss > 100 << 10, "{}", cost.peak_rss);
        assert_eq!((cost.queued, cost.written), (5, 7));
    }
}
