//! Facts about the machine that `rec` runs on.

use std::fs;
use std::sync::OnceLock;

use nix::sys::utsname::uname;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use rz_format::{Clock, Host};

/// Has the allocator give back what it keeps of memory that is free.
#[allow(unsafe_code)]
pub(crate) fn give_back_free_memory() {
    // SAFETY: it may be called at any time, and frees nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// The kernel's release, as `uname -r` has it.
pub fn release() -> String {
    uname().map_or_else(|_| String::new(), |names| names.release().to_string_lossy().into_owned())
}

/// Bytes in a page of memory.
pub(crate) fn page_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
    })
}

/// Now, in nanoseconds on the trace's clock.
pub(crate) fn now_ns() -> u64 {
    clock_ns(ClockId::CLOCK_MONOTONIC)
}

/// The same moment on all clocks.
pub(crate) fn clocks() -> Clock {
    Clock {
        monotonic_ns: now_ns(),
        realtime_ns: clock_ns(ClockId::CLOCK_REALTIME),
        boottime_ns: clock_ns(ClockId::CLOCK_BOOTTIME),
    }
}

fn clock_ns(clock: ClockId) -> u64 {
    // These clocks exist on every kernel that has perf events.
    clock_gettime(clock)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// Numbers of the CPUs that are online.
pub(crate) fn online_cpus() -> Vec<u32> {
    let list = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let cpus = parse_cpu_list(list.trim());
    if cpus.is_empty() {
        // sysfs is not mounted, as in a minimal chroot: they are then taken to
        // be numbered without gaps.
        let count = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(1);
        return (0..count as u32).collect();
    }
    cpus
}

/// Reads a list such as `0-3,8`.
fn parse_cpu_list(list: &str) -> Vec<u32> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<u32>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// The machine, as it is written into the trace.
pub(crate) fn describe(cpus: u32) -> Host {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    Host {
        hostname: text("/proc/sys/kernel/hostname"),
        sysname: text("/proc/sys/kernel/ostype"),
        release: text("/proc/sys/kernel/osrelease"),
        version: text("/proc/sys/kernel/version"),
        machine: std::env::consts::ARCH.to_owned(),
        cpus,
        page_size: page_size() as u32,
        boot_id: text("/proc/sys/kernel/random/boot_id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0-3,8"), [0, 1, 2, 3, 8]);
        assert_eq!(parse_cpu_list("5"), [5]);
        assert_eq!(parse_cpu_list(""), []);
    }
}
