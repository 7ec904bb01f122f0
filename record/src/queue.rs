//! What travels between draining the kernel's buffers and unwinding.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

/// Records copied out of the kernel's buffers at one time.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The records, one after the other.
    pub(crate) bytes: Vec<u8>,
    /// Time, offset and length of each.
    pub(crate) entries: Vec<(u64, usize, usize)>,
    /// Everything that happened before this time is in this batch or an
    /// earlier one.
    pub(crate) horizon_ns: u64,
    /// Samples that were dropped for lack of room since the batch before.
    pub(crate) dropped: Dropped,
    /// Other records that were dropped for lack of room.
    pub(crate) dropped_reports: u64,
    /// In the last batch: what the events have counted in all.
    pub(crate) counted: Option<u64>,
    /// Times that a kernel buffer made no sense and was emptied.
    pub(crate) malformed: u64,
}

/// Samples that the recorder had no room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// How many.
    pub(crate) count: u64,
    /// When the first of them was taken.
    pub(crate) from_ns: u64,
    /// When the last of them was taken.
    pub(crate) to_ns: u64,
}

impl Dropped {
    /// Counts one more.
    pub(crate) fn add(&mut self, time_ns: u64) {
        if self.count == 0 || time_ns < self.from_ns {
            self.from_ns = time_ns;
        }
        self.to_ns = self.to_ns.max(time_ns);
        self.count += 1;
    }
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub(crate) fn reset(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.horizon_ns = 0;
        self.dropped = Dropped::default();
        self.dropped_reports = 0;
        self.malformed = 0;
        self.counted = None;
    }

    /// Memory that the batch occupies, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<(u64, usize, usize)>()
    }
}

/// Where each thread's stack ends, as unwinding found out; tells draining how
/// much of a sample's stack copy is worth keeping.
#[derive(Debug, Default)]
pub(crate) struct StackEnds(Mutex<FxHashMap<u32, u64>>);

impl StackEnds {
    /// Sets a thread's end of stack.
    pub(crate) fn set(&self, tid: u32, end: u64) {
        self.lock().insert(tid, end);
    }

    /// Forgets a thread.
    pub(crate) fn remove(&self, tid: u32) {
        self.lock().remove(&tid);
    }

    /// A thread's end of stack, if it is known.
    pub(crate) fn get(&self, tid: u32) -> Option<u64> {
        self.lock().get(&tid).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashMap<u32, u64>> {
        // Each operation leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes in batches that wait to be unwound.
#[derive(Debug, Default)]
pub(crate) struct QueueGauge {
    bytes: AtomicUsize,
}

impl QueueGauge {
    // The number only steers how much is kept; it orders nothing.

    /// Counts a batch that was queued.
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a batch that was dealt with.
    pub(crate) fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes queued.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}
