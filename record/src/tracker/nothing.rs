//! Says why a recording has not a single sample, by what the kernel counted of its
//! targets.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::procfs::{self, ProcessTime};
use super::{Scope, Tracker};
use crate::cost::cpu_ns_of_children;

/// How samples are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling {
    /// CPU time between two of them.
    pub(crate) period: Duration,
    /// Whether they are taken in kernel mode, too.
    pub(crate) kernel: bool,
    /// Whether threads have events of their own, as in the perf tier.
    pub(crate) by_thread: bool,
}

/// CPU time of the targets when they were taken in.
#[derive(Debug, Default)]
pub(super) struct Before {
    of_processes: FxHashMap<u32, ProcessTime>,
    /// The one that `rec` has started.
    launched: Option<u32>,
}

impl Before {
    /// How long they have run since; `None` if that cannot be known any more.
    fn ran(&self, tids: &[u32]) -> Option<Duration> {
        let of_one = |(&pid, before): (&u32, &ProcessTime)| match procfs::cpu_time(pid, tids) {
            Ok(now) => now.since(before),
            Err(_) if self.launched == Some(pid) => {
                let (user_ns, system_ns) = cpu_ns_of_children();
                Some(Duration::from_nanos(user_ns + system_ns))
            }
            Err(_) => None,
        };
        self.of_processes.iter().map(of_one).sum()
    }
}

impl Tracker {
    /// Notes how long a target has run before it is recorded.
    pub(crate) fn note_cpu_time(&mut self, pid: u32, is_launched: bool) {
        if matches!(self.policy.scope, Scope::AllBut(_)) {
            return;
        }
        if let Ok(time) = procfs::cpu_time(pid, &self.policy.tids) {
            self.before.of_processes.entry(pid).or_insert(time);
            self.before.launched = self.before.launched.or(is_launched.then_some(pid));
        }
    }

    /// Why there are no samples, if there are none.
    pub(crate) fn why_nothing(&self) -> Option<String> {
        // Who asks since when threads wait knows that some do.
        if self.policy.last_ran || self.counts.samples > 0 || self.before.of_processes.is_empty() {
            return None;
        }
        let ran = self.before.ran(&self.policy.tids);
        let why = why(ran, self.counts.lost, self.counts.waits, self.policy.sampling);
        Some(format!("nothing was sampled: {why}"))
    }
}

fn why(ran: Option<Duration>, lost: u64, waits: u64, sampling: Sampling) -> String {
    let Sampling { period, kernel, by_thread } = sampling;
    let Some(ran) = ran else {
        return "the target has ended, and how long it ran is not known".to_owned();
    };
    if ran.is_zero() {
        let waiting = match waits {
            0 => "rec --off-cpu records where its threads wait",
            _ => "report --off-cpu shows where its threads waited",
        };
        return format!("the target did not run on a CPU; {waiting}");
    }
    let ran_for = format!("the target ran for {ran:.1?}");
    if lost > 0 {
        return format!("{ran_for}, and {lost} events are lost: the report says why");
    }
    if ran < 2 * period {
        return format!(
            "{ran_for}, and a sample is taken for every {period:.1?} of CPU time: record for \
             longer, or more often (-F)"
        );
    }
    let kernel_is_missing = match kernel {
        true => "",
        false => "kernel mode, in which it may have been, is not recorded",
    };
    match (by_thread, kernel) {
        (true, _) => {
            let also = if kernel { "" } else { "; and " };
            format!(
                "{ran_for}: the kernel takes the events of the perf tier from programs with the \
                 rights of another user (setuid), which root records by the bpf tier{also}\
                 {kernel_is_missing}"
            )
        }
        (false, false) => format!("{ran_for}: {kernel_is_missing}"),
        (false, true) => format!("{ran_for}, and no sample came of it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_sentence() {
        let sampling =
            Sampling { period: Duration::from_millis(10), kernel: true, by_thread: false };
        let perf = Sampling { by_thread: true, ..sampling };
        let millis = |millis| Some(Duration::from_millis(millis));
        let check = |ran, lost, waits, sampling, part: &str| {
            let why = why(ran, lost, waits, sampling);
            assert!(why.contains(part), "{why}");
            assert_eq!(why.contains("did not run"), ran == Some(Duration::ZERO), "{why}");
        };
        check(None, 0, 0, sampling, "not known");
        check(millis(0), 0, 0, sampling, "did not run on a CPU; rec --off-cpu records");
        check(millis(0), 0, 3, sampling, "did not run on a CPU; report --off-cpu shows");
        check(millis(19), 0, 0, sampling, "ran for 19.0ms, and a sample is taken for every 10.0ms");
        check(millis(3000), 7, 0, sampling, "ran for 3.0s, and 7 events are lost");
        check(
            millis(3000),
            0,
            0,
            perf,
            "another user (setuid), which root records by the bpf tier",
        );
        let user = Sampling { kernel: false, ..sampling };
        check(millis(3000), 0, 0, user, "ran for 3.0s: kernel mode, in which");
        let user = Sampling { kernel: false, ..perf };
        check(millis(3000), 0, 0, user, "; and kernel mode, in which it may have been");
        check(millis(3000), 0, 0, sampling, "no sample came of it");
    }
}
