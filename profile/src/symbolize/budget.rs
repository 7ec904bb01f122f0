//! How much time and memory the names of one module may cost.
//!
//! A file can be made to take for ever, or more memory than there is, in ways
//! that no parser can tell from a large program. What does not fit into these
//! limits has no names, and the module's note says so.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Limits of the work on one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time that may be spent on debug information, all threads together.
    pub time: Duration,
    /// Bytes that may be allocated for what is compressed or made of it.
    pub bytes: u64,
}

impl Default for Limits {
    /// Half a minute, in which some 5 GB of debug information can be read, and
    /// 4 GiB.
    fn default() -> Self {
        Limits { time: Duration::from_secs(30), bytes: 4 << 30 }
    }
}

/// What is left of the [`Limits`] of a module; shared by all its threads.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    spent_ns: AtomicU64,
    allocated: AtomicU64,
}

/// A limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// Of time.
    Time(Duration),
    /// Of memory.
    Bytes(u64),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Exceeded::Time(limit) => write!(f, "it takes more than {limit:?} to read"),
            Exceeded::Bytes(limit) => {
                write!(f, "it takes more than {} MiB of memory", limit >> 20)
            }
        }
    }
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Budget { limits, spent_ns: AtomicU64::new(0), allocated: AtomicU64::new(0) }
    }

    /// Asks for memory before it is allocated.
    pub(super) fn allocate(&self, bytes: u64) -> Result<(), Exceeded> {
        // Relaxed: a sum that orders nothing else.
        let before = self.allocated.fetch_add(bytes, Ordering::Relaxed);
        match before.checked_add(bytes) {
            Some(sum) if sum <= self.limits.bytes => Ok(()),
            _ => {
                // What was not given is not missing to others.
                self.allocated.fetch_sub(bytes, Ordering::Relaxed);
                Err(Exceeded::Bytes(self.limits.bytes))
            }
        }
    }

    /// Says that memory is not used any more.
    pub(super) fn free(&self, bytes: u64) {
        self.allocated.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Begins work of the calling thread.
    pub(super) fn meter(&self) -> Meter<'_> {
        Meter { budget: self, since: Instant::now(), steps: 0 }
    }
}

/// Steps between two looks at the clock: about a hundred microseconds.
const STEPS: u32 = 4096;

/// Counts the work of one thread. It is the thread's own time that counts: one
/// that waits for others works on other modules meanwhile.
pub(super) struct Meter<'b> {
    budget: &'b Budget,
    since: Instant,
    steps: u32,
}

impl Meter<'_> {
    /// Counts a small step, such as an entry or a line that is read.
    #[inline]
    pub(super) fn step(&mut self) -> Result<(), Exceeded> {
        self.steps += 1;
        if self.steps < STEPS { Ok(()) } else { self.look() }
    }

    /// Looks at the clock.
    pub(super) fn look(&mut self) -> Result<(), Exceeded> {
        self.steps = 0;
        let Budget { limits, spent_ns, .. } = self.budget;
        let now = Instant::now();
        let added = u64::try_from(now.duration_since(self.since).as_nanos()).unwrap_or(u64::MAX);
        self.since = now;
        let spent = spent_ns.fetch_add(added, Ordering::Relaxed).saturating_add(added);
        match Duration::from_nanos(spent) > limits.time {
            true => Err(Exceeded::Time(limits.time)),
            false => Ok(()),
        }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        // Work that took fewer steps counts as well.
        let _ = self.look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_up_to_the_limit() {
        let budget = Budget::new(Limits { bytes: 100, ..Limits::default() });
        assert_eq!(budget.allocate(60), Ok(()));
        assert_eq!(budget.allocate(60), Err(Exceeded::Bytes(100)));
        assert_eq!(budget.allocate(40), Ok(()));
        assert_eq!(budget.allocate(u64::MAX), Err(Exceeded::Bytes(100)));
        budget.free(40);
        assert_eq!(budget.allocate(40), Ok(()));
    }

    #[test]
    fn time_ends_work() {
        let budget = Budget::new(Limits { time: Duration::from_millis(2), ..Limits::default() });
        let mut meter = budget.meter();
        let started = Instant::now();
        while meter.step().is_ok() {
            assert!(started.elapsed() < Duration::from_secs(20));
        }
        assert!(started.elapsed() >= Duration::from_millis(2));
        drop(meter);
        assert!(budget.meter().look().is_err(), "there is none left for others");
    }
}
