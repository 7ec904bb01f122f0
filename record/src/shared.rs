//! What the threads of a recording tell each other.

use std::mem::take;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rz_format::EndReason;

use crate::config::{Limits, Summary};
use crate::cost;
use crate::host::now_ns;
use crate::tracker::Counts;

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stored {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// What the threads of a recording tell each other.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) samples: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) function_calls: AtomicU64,
    pub(crate) allocations: AtomicU64,
    truncated: AtomicU64,
    pub(crate) too_deep: AtomicU64,
    pub(crate) lost: AtomicU64,
    threads: AtomicU64,
    pub(crate) live_processes: AtomicU64,
    /// Bytes written to the file.
    pub(crate) written: AtomicU64,
    /// What the recorder may use.
    pub(crate) limits: Limits,
    /// Whether it would use more.
    pub(crate) limit_reached: AtomicBool,
    /// Whether the next file is to begin, although it is not time yet.
    next_file: AtomicBool,
    /// Whether a signal asked for it.
    signalled: AtomicBool,
    end_ns: AtomicU64,
    end_reason: AtomicU8,
    /// When the recording was over; 0 before.
    over_ns: AtomicU64,
    /// How long the output may take for what is left then.
    patience: Duration,
    /// How long it has taken since then, in writes that are done.
    waited_ns: AtomicU64,
    /// When the write began that is not done; 0 if there is none.
    write_began_ns: AtomicU64,
    /// Events that there was no time to write.
    unwritten: AtomicU64,
    /// What the user should know and has not been told.
    notices: Mutex<Vec<String>>,
}

// All but the notices are single numbers that stand for themselves: whoever reads an
// old one acts a moment later.
impl Shared {
    /// For a recording with these limits, whose output may take so long for what is left
    /// in the end.
    pub(crate) fn new(limits: Limits, patience: Duration) -> Self {
        Shared { limits, patience, ..Shared::default() }
    }

    /// Publishes what the tracker counted.
    pub(crate) fn set_counts(&self, counts: Counts) {
        self.samples.store(counts.samples, Ordering::Relaxed);
        self.waits.store(counts.waits, Ordering::Relaxed);
        self.calls.store(counts.calls, Ordering::Relaxed);
        self.function_calls.store(counts.function_calls, Ordering::Relaxed);
        self.allocations.store(counts.allocations, Ordering::Relaxed);
        self.truncated.store(counts.truncated, Ordering::Relaxed);
        self.too_deep.store(counts.too_deep, Ordering::Relaxed);
        self.lost.store(counts.lost, Ordering::Relaxed);
        self.threads.store(counts.threads, Ordering::Relaxed);
        self.live_processes.store(counts.live_processes, Ordering::Relaxed);
    }

    /// Has the user told, a moment later.
    pub(crate) fn say(&self, notice: String) {
        // A list is whole whatever happened to who held it.
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }

    /// Has the recording end, and the user told why.
    pub(crate) fn end_early(&self, why: &str) {
        // Once is enough.
        if !self.limit_reached.swap(true, Ordering::Relaxed) {
            self.say(format!("the recording ends early: {why}"));
        }
    }

    /// Has the next file begin soon.
    pub(crate) fn ask_for_next_file(&self) {
        self.next_file.store(true, Ordering::Relaxed);
    }

    /// Has the next file begin soon, as a signal asks for it.
    pub(crate) fn signal(&self) {
        self.signalled.store(true, Ordering::Relaxed);
        self.ask_for_next_file();
    }

    /// Whether a signal has come since the last call.
    pub(crate) fn take_signal(&self) -> bool {
        self.signalled.swap(false, Ordering::Relaxed)
    }

    /// Whether it was asked for since the last call.
    pub(crate) fn take_next_file(&self) -> bool {
        self.next_file.swap(false, Ordering::Relaxed)
    }

    /// Tells what there is to be told.
    pub(crate) fn tell(&self, notice: &mut dyn FnMut(&str)) {
        let notices = take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner));
        notices.iter().for_each(|text| notice(text));
    }

    /// What was recorded, and what that cost.
    pub(crate) fn summary(
        &self,
        path: PathBuf,
        stored: Stored,
        end: EndReason,
        status: Option<ExitStatus>,
    ) -> Summary {
        let used = cost::now(0, stored.bytes);
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Summary {
            path,
            files: stored.files,
            file_size: stored.bytes,
            samples: count(&self.samples),
            waits: count(&self.waits),
            calls: count(&self.calls),
            function_calls: count(&self.function_calls),
            allocations: count(&self.allocations),
            truncated: count(&self.truncated),
            lost: count(&self.lost) + count(&self.unwritten),
            threads: count(&self.threads),
            cpu_ns: used.user_ns + used.system_ns,
            peak_rss: used.peak_rss,
            end,
            status,
        }
    }

    /// Runs what writes to the output, and counts how long that takes.
    pub(crate) fn writing<T>(&self, write: impl FnOnce() -> T) -> T {
        self.write_began_ns.store(now_ns(), Ordering::Relaxed);
        let result = write();
        // Nobody is to count it twice.
        let took_ns = u64::try_from(self.output_took().as_nanos()).unwrap_or(u64::MAX);
        self.write_began_ns.store(0, Ordering::Relaxed);
        self.waited_ns.store(took_ns, Ordering::Relaxed);
        result
    }

    /// How long the output has taken since the recording was over.
    pub(crate) fn output_took(&self) -> Duration {
        let over_ns = self.over_ns.load(Ordering::Relaxed);
        let now = match (over_ns, self.write_began_ns.load(Ordering::Relaxed)) {
            (0, _) | (_, 0) => 0,
            (over_ns, began_ns) => now_ns().saturating_sub(began_ns.max(over_ns)),
        };
        Duration::from_nanos(self.waited_ns.load(Ordering::Relaxed).saturating_add(now))
    }

    /// Whether what was found is still to be written. If not, the output takes too long.
    pub(crate) fn has_time_to_write(&self) -> bool {
        self.over_ns.load(Ordering::Relaxed) == 0 || self.output_took() < self.patience
    }

    /// Counts events that are not written.
    pub(crate) fn add_unwritten(&self, count: u64) {
        self.unwritten.fetch_add(count, Ordering::Relaxed);
    }

    // The end's two numbers come from two threads. The one that captures reads its
    // own off the clock. Unless that time was due, the one that waits for the end has
    // given the reason before it had the former stop (`Stop`, release and acquire); and
    // that it was due is what the reason says before it is given. Only then are the
    // channels closed that lead to who reads both, and that orders them.

    /// Notes when capturing ended, which is now or was to be a moment ago.
    pub(crate) fn set_end_ns(&self, end_ns: u64) {
        self.end_ns.store(end_ns, Ordering::Relaxed);
        self.over_ns.store(now_ns(), Ordering::Relaxed);
    }

    /// Notes why the recording ends, before anybody is told to stop.
    pub(crate) fn set_end_reason(&self, reason: EndReason) {
        self.end_reason.store(reason.into(), Ordering::Relaxed);
    }

    /// When and why the recording ended, for who is behind the closed channels.
    pub(crate) fn end(&self) -> (u64, EndReason) {
        let reason = self.end_reason.load(Ordering::Relaxed).into();
        (self.end_ns.load(Ordering::Relaxed), reason)
    }
}
