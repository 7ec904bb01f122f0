//! Since when threads wait that were on no CPU during the recording: when they last ran, as
//! the scheduler says in `/proc/PID/task/TID/sched`.
//!
//! Each CPU has a clock there that stands still in interrupts, and so is behind ours by
//! another amount on each, which grows slowly. What it is now is found by running there.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use rustc_hash::FxHashMap;
use rz_format::{LastRan, Record};

use super::{Tracker, procfs};
use crate::host::now_ns;

impl Tracker {
    /// Tells it of the threads that are there.
    pub(super) fn tell_last_ran(&mut self) {
        let began_ns = self.cpu_times.first_ns();
        if !self.policy.last_ran || began_ns == 0 {
            return;
        }
        let mut clocks = Clocks::new();
        for tid in self.recorded_tids() {
            let thread = &self.threads[&tid];
            let Some((cpu, ran_ns)) = procfs::last_ran(thread.pid, tid) else { continue };
            let Some(behind_ns) = clocks.behind(cpu) else { continue };
            let time_ns = ran_ns.saturating_add_signed(behind_ns);
            if time_ns < began_ns {
                self.found.records.push(Record::LastRan(LastRan { thread: thread.id, time_ns }));
            }
        }
    }
}

/// The scheduler's clocks.
struct Clocks {
    /// Where this thread may run.
    allowed: Option<CpuSet>,
    /// How far they are behind ours, by CPU, in nanoseconds.
    behind: FxHashMap<usize, Option<i64>>,
}

impl Clocks {
    fn new() -> Self {
        Clocks { allowed: sched_getaffinity(MYSELF).ok(), behind: FxHashMap::default() }
    }

    /// How far that of a CPU is behind ours; `None` if we cannot run there.
    fn behind(&mut self, cpu: usize) -> Option<i64> {
        self.allowed?;
        *self.behind.entry(cpu).or_insert_with(|| {
            let mut only = CpuSet::new();
            only.set(cpu).ok()?;
            sched_setaffinity(MYSELF, &only).ok()?;
            // Brings its clock to our time.
            std::thread::yield_now();
            let before_ns = now_ns();
            let (on, ran_ns) = procfs::last_ran_self()?;
            (on == cpu).then(|| before_ns.wrapping_sub(ran_ns).cast_signed())
        })
    }
}

impl Drop for Clocks {
    fn drop(&mut self) {
        if let Some(allowed) = &self.allowed
            && let Err(error) = sched_setaffinity(MYSELF, allowed)
        {
            log::debug!("this thread stays on one CPU: {error}");
        }
    }
}

/// The thread that asks.
const MYSELF: Pid = Pid::from_raw(0);
