//! What the allocation hook brings of one thread at a time.

use rz_format::HeapCounts;

use crate::ticks::Ticks;

/// What one slot brings: words out of its ring, in order, or counts.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The slot.
    pub(crate) slot: u32,
    /// How many threads had the slot before this one.
    pub(crate) taken: u32,
    /// The thread's process.
    pub(crate) pid: u32,
    /// The thread.
    pub(crate) tid: u32,
    /// When the first event in it was, on the trace's clock.
    pub(crate) first_ns: u64,
    /// When the last one was.
    pub(crate) last_ns: u64,
    /// Tells the times of the events.
    pub(crate) ticks: Ticks,
    /// The events.
    pub(crate) words: Vec<u64>,
    /// What the thread has done since its last counts, up to `last_ns`.
    pub(crate) counts: HeapCounts,
    /// When the thread took the slot: an earlier one may have had the same id.
    pub(crate) born_ns: u64,
    /// Address of the function that its process allocates with.
    pub(crate) malloc: u64,
}
