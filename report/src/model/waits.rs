//! Sums up why and for how long threads did not run.

use std::collections::BTreeMap;

use rz_profile::model::{EventKind, Profile, ThreadId, Total, TotalClass, Unit};
use rz_profile::reason::WaitReason;

/// Waits for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitsFor {
    /// The reason.
    pub reason: WaitReason,
    /// What they add up to.
    pub sum: Total,
}

/// Where the time of one thread went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadTime {
    /// The thread; `None` for all that could not be told apart.
    pub thread: Option<ThreadId>,
    /// Its waits, those that were not over included.
    pub waits: Total,
    /// For how long it ran, in nanoseconds, by the samples of the CPU.
    pub on_cpu_ns: u64,
}

/// The exact sums of waits by reason, the longest first.
pub fn by_reason(profile: &Profile) -> Vec<WaitsFor> {
    sum_by_reason(profile, &profile.totals)
}

/// The same of those that were not over at the end, which are in no total.
pub fn open_by_reason(profile: &Profile) -> Vec<WaitsFor> {
    sum_by_reason(profile, &profile.open_waits)
}

fn sum_by_reason(profile: &Profile, totals: &[Total]) -> Vec<WaitsFor> {
    let mut sums: BTreeMap<WaitReason, Total> = BTreeMap::new();
    for total in waits(totals) {
        let thread = total.thread.map(|id| profile.thread(id as ThreadId));
        let kernel = thread.is_some_and(|(_, process)| process.kernel);
        let reason = WaitReason::new(total.state, total.number, kernel);
        sums.entry(reason).or_default().add(total);
    }
    let mut reasons: Vec<WaitsFor> =
        sums.into_iter().map(|(reason, sum)| WaitsFor { reason, sum }).collect();
    // Equally long ones are in the order of their words.
    reasons.sort_by_cached_key(|waits| {
        (std::cmp::Reverse(waits.sum.total_ns), waits.reason.to_string())
    });
    reasons
}

/// The time of every thread that waited, the longest wait first.
pub fn by_thread(profile: &Profile) -> Vec<ThreadTime> {
    let mut sums: BTreeMap<Option<ThreadId>, Total> = BTreeMap::new();
    for total in waits(&profile.totals).chain(waits(&profile.open_waits)) {
        sums.entry(total.thread.map(|id| id as ThreadId)).or_default().add(total);
    }
    let mut on_cpu = vec![0_u64; profile.threads.len()];
    for sample in &profile.samples {
        let event = &profile.events[sample.event];
        if event.kind == EventKind::Cpu && event.unit == Unit::Nanoseconds {
            on_cpu[sample.thread] = on_cpu[sample.thread].saturating_add(sample.weight);
        }
    }
    let mut threads: Vec<ThreadTime> = sums
        .into_iter()
        .map(|(thread, waits)| {
            let on_cpu_ns = thread.map_or(0, |thread| on_cpu[thread]);
            ThreadTime { thread, waits, on_cpu_ns }
        })
        .collect();
    threads.sort_by_key(|thread| std::cmp::Reverse(thread.waits.total_ns));
    threads
}

fn waits(totals: &[Total]) -> impl Iterator<Item = &Total> {
    totals.iter().filter(|total| total.class == TotalClass::Waits)
}

#[cfg(test)]
mod tests {
    use rz_profile::model::WaitState;

    use super::*;
    use crate::fixture::Builder;

    fn wait(thread: Option<u32>, state: WaitState, number: Option<u32>, ns: u64) -> Total {
        Total { thread, state, number, count: 1, total_ns: ns, max_ns: ns, ..Total::default() }
    }

    fn profile() -> Profile {
        let mut builder = Builder::new();
        let stack = builder.stack(&["main"]);
        builder.sample(0, stack, 2);
        let kernel = builder.process("kworker", 9);
        builder.thread(kernel, "kworker", 9);
        let mut profile = builder.profile;
        profile.processes[1].kernel = true;
        use WaitState::*;
        profile.totals = vec![
            wait(Some(0), Sleeping, Some(202), 50),
            wait(Some(0), Blocked, Some(202), 5),
            wait(Some(0), Sleeping, None, 7),
            wait(Some(1), Sleeping, None, u64::MAX),
            wait(None, Preempted, Some(202), 9),
            Total { class: TotalClass::Calls, ..wait(Some(0), Unknown, Some(0), 1000) },
        ];
        profile.open_waits = vec![wait(Some(0), Sleeping, Some(35), 30)];
        profile
    }

    #[test]
    fn by_reason_longest_first() {
        let line = |WaitsFor { reason, sum }: &WaitsFor| {
            format!("{reason} {} {}", sum.count, sum.total_ns)
        };
        let lines = |reasons: Vec<WaitsFor>| reasons.iter().map(line).collect::<Vec<_>>();
        assert_eq!(
            lines(by_reason(&profile())),
            [&format!("sleeping 1 {}", u64::MAX), "futex 2 55", "preempted 1 9", "page fault 1 7"]
        );
        assert_eq!(lines(open_by_reason(&profile())), ["nanosleep 1 30"]);
    }

    #[test]
    fn by_thread_with_what_is_not_over() {
        let threads = by_thread(&profile());
        let row = |row: &ThreadTime| (row.thread, row.waits.total_ns, row.on_cpu_ns);
        let rows: Vec<_> = threads.iter().map(row).collect();
        assert_eq!(rows, [(Some(1), u64::MAX, 0), (Some(0), 92, 20_000_000), (None, 9, 0)]);
    }
}
