//! What the allocation hook in a program and the recorder share: the layout of
//! their common memory, and of the events in its rings.
//!
//! ```text
//! ┌─────────┬───────────────────────────┬────────┬────────┬───
//! │ Control │ Entry, one for each slot  │ slot 0 │ slot 1 │ …
//! └─────────┴───────────────────────────┴────────┴────────┴───
//! 0         ENTRIES_OFFSET              SLOTS_OFFSET, then every slot_bytes
//!
//! slot: │ SlotHeader │ the hook's own state │ ring │
//!       0            PRIVATE_OFFSET         RING_OFFSET
//! ```
//!
//! A slot belongs to one thread at a time, the only one that writes events and
//! counts. The recorder reads them whenever it likes; nobody wakes anybody.
//!
//! This crate holds no pointers: who maps the memory makes references from
//! them. All fields that both sides use at the same time are atomic.
#![no_std]
#![forbid(unsafe_code)]

mod event;

use core::sync::atomic::{AtomicU32, AtomicU64};

pub use event::{Event, Events, MAX_FRAMES, Malformed, Words, entry, first_word, shape, tag};

/// Starts the memory.
pub const MAGIC: u64 = u64::from_le_bytes(*b"rzalloc\n");
/// Version of this layout: hook and recorder come from the same build.
pub const VERSION: u32 = 1;
/// Name of the environment variable with the path of the memory.
pub const VARIABLE: &str = "RZ_ALLOC";

/// Most slots, and so most threads at one time.
pub const MAX_SLOTS: u32 = 4096;
/// Where the entries begin.
pub const ENTRIES_OFFSET: usize = 4096;
/// Where the first slot begins; what is before it is mapped by every process.
pub const SLOTS_OFFSET: usize = ENTRIES_OFFSET + MAX_SLOTS as usize * size_of::<Entry>();
/// Where the hook's own state begins in a slot.
pub const PRIVATE_OFFSET: usize = 4096;
/// Where the ring begins in a slot. Its size is a power of two.
pub const RING_OFFSET: usize = 64 << 10;

/// What a hook does; the value of [`Control::mode`].
pub mod mode {
    /// Nothing, ever again: the recording is over.
    pub const OFF: u32 = 0;
    /// Counts, and takes samples.
    pub const SAMPLED: u32 = 1;
    /// Counts, and reports every event.
    pub const FULL: u32 = 2;
}

/// Where [`Event`]s get their ticks from; the value of [`Control::clock`].
pub mod clock {
    /// The processor's own, on x86-64 the time stamp counter.
    pub const PROCESSOR: u32 = 0;
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub const MONOTONIC: u32 = 1;
}

/// The first thing in the memory. The recorder fills it in before the program
/// starts; hooks change only what is atomic, and the recorder `mode`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Control {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// What hooks do: see [`mod@mode`].
    pub mode: AtomicU32,
    /// See [`mod@clock`].
    pub clock: u32,
    /// Whether processes other than `target_pid` are recorded.
    pub follow: u32,
    /// The process that is going to execute the program.
    pub target_pid: u32,
    /// The recorder. When it is gone and a ring is full, the hook turns itself
    /// off.
    pub recorder_pid: u32,
    /// Inode of the recorder's pid namespace, the one that ids are of; 0 if it
    /// is not known.
    pub pid_namespace: u64,
    /// Average number of bytes between samples.
    pub mean_interval: u64,
    /// Size of a ring in bytes, a power of two.
    pub ring_bytes: u64,
    /// Most bytes of stack to copy with a sample, a multiple of 8.
    pub stack_bytes: u32,
    /// Number of slots.
    pub slots: u32,
    /// Processes whose hook has begun to work.
    pub started: AtomicU32,
    /// Why the first hook that could not work could not: an errno,
    /// [`NOT_FIRST`], [`OTHER_NAMESPACE`], [`NO_CLOCK`] or [`NO_MEMORY`]. 0 if all
    /// could.
    pub failure: AtomicU32,
    /// Events of threads that found no free slot.
    pub without_slot: AtomicU64,
}

impl Control {
    /// Bytes from one slot to the next.
    pub fn slot_bytes(&self) -> usize {
        RING_OFFSET + self.ring_bytes as usize
    }
}

/// In [`Control::failure`]: calls to `malloc` do not go to the hook, because
/// the program brings its own.
pub const NOT_FIRST: u32 = u32::MAX;
/// In [`Control::failure`]: the process is in another pid namespace, so its ids
/// would be taken for those of others.
pub const OTHER_NAMESPACE: u32 = u32::MAX - 1;
/// In [`Control::failure`]: the process has forbidden itself to read the clock.
pub const NO_CLOCK: u32 = u32::MAX - 2;
/// In [`Control::failure`]: the process has put other memory in the place of this.
pub const NO_MEMORY: u32 = u32::MAX - 3;

/// Whose a slot is.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Entry {
    /// The thread's id while the slot is in use, else 0. A hook takes a slot
    /// by changing 0 into its thread's id; the recorder frees it when the
    /// thread is gone and its ring is empty.
    pub tid: AtomicU32,
    /// The thread's process, written after `tid`; 0 until then.
    pub pid: AtomicU32,
}

/// What a slot begins with. New memory, all zero, is a valid one.
#[derive(Debug)]
#[repr(C)]
pub struct SlotHeader {
    /// Bytes written to the ring since the slot was taken. Stored with release
    /// by the hook, after the events.
    pub head: AtomicU64,
    _apart: [u64; 7],
    /// Bytes read from the ring. Stored with release by the recorder, after it
    /// has read them.
    pub tail: AtomicU64,
    _apart_too: [u64; 7],
    /// When the slot was taken, in ticks.
    pub born: AtomicU64,
    /// Address of the `malloc` that the program would call without the hook.
    pub malloc: AtomicU64,
    /// What the thread has done.
    pub counts: Counts,
}

/// Sizes are counted by power of two.
pub const SIZE_CLASSES: usize = 40;

/// Exact counts of a thread since its slot was taken. Only the thread writes
/// them, with relaxed loads and stores: each stands for itself.
#[derive(Debug)]
#[repr(C)]
pub struct Counts {
    /// Allocations that succeeded, those by realloc included.
    pub allocations: AtomicU64,
    /// Bytes they asked for.
    pub bytes: AtomicU64,
    /// Objects freed, by realloc included.
    pub frees: AtomicU64,
    /// Allocations that failed.
    pub failed: AtomicU64,
    /// Calls that mapped anonymous memory.
    pub mmaps: AtomicU64,
    /// Bytes they mapped.
    pub mapped: AtomicU64,
    /// Calls that unmapped memory.
    pub munmaps: AtomicU64,
    /// Bytes they unmapped.
    pub unmapped: AtomicU64,
    /// Bytes by which the program moved its break up and down again.
    pub break_up: AtomicU64,
    /// See `break_up`.
    pub break_down: AtomicU64,
    /// Events that did not fit into the ring.
    pub dropped: AtomicU64,
    /// Events in a signal handler that interrupted the hook.
    pub nested: AtomicU64,
    /// How many allocations were of 2ⁿ bytes or more and less than twice that;
    /// 0 bytes count in the first, and the last has no upper end.
    pub sizes: [AtomicU64; SIZE_CLASSES],
}

/// The size class of an allocation; see [`Counts::sizes`].
#[inline]
pub fn size_class(size: u64) -> usize {
    let class = 63 - (size | 1).leading_zeros() as usize;
    if class < SIZE_CLASSES { class } else { SIZE_CLASSES - 1 }
}

const _: () = assert!(size_of::<Control>() <= ENTRIES_OFFSET);
const _: () = assert!(size_of::<SlotHeader>() <= PRIVATE_OFFSET);
const _: () = assert!(SLOTS_OFFSET.is_multiple_of(4096));
