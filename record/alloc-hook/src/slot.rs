//! A thread's piece of the shared memory, and how it comes by it.

use core::cell::Cell;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
    compiler_fence,
};

use rz_alloc_ring::{
    Control, Counts, ENTRIES_OFFSET, Entry, MAX_SLOTS, PRIVATE_OFFSET, RING_OFFSET, SLOTS_OFFSET,
    SlotHeader, mode,
};

use crate::process;
use crate::stack::Readable;
use crate::sys;
use crate::unwind::Callers;

/// A slot that is mapped. It stays mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot(NonNull<u8>);

/// The hook's own state in a slot. Only the thread whose slot it is uses it,
/// and signal handlers that interrupt it. Zero is valid for all of it.
#[repr(C)]
pub(crate) struct Private {
    /// Bytes to allocate before the next sample. Far below zero in full mode,
    /// where every allocation is one to report.
    pub(crate) bytes_left: Cell<i64>,
    /// Whether every event is reported.
    pub(crate) is_full: Cell<bool>,
    /// Stack pointer of the call that is being reported; 0 if there is none.
    busy: AtomicUsize,
    /// State of the random number generator.
    pub(crate) random: Cell<u64>,
    /// Average number of bytes between samples.
    pub(crate) mean_interval: Cell<u64>,
    /// Most bytes of stack to copy with a sample.
    pub(crate) stack_bytes: Cell<u32>,
    /// Size of the ring in bytes.
    pub(crate) ring_bytes: Cell<u64>,
    /// How far the recorder had read when last looked.
    pub(crate) known_tail: Cell<u64>,
    /// Events lost since the last one that was written.
    pub(crate) lost: Cell<u64>,
    /// When the first one of them was.
    pub(crate) lost_since: Cell<u64>,
    /// What is known of the thread's stack.
    pub(crate) readable: Readable,
    /// The stack of the thread's last allocation.
    pub(crate) callers: Callers,
}

const _: () = assert!(PRIVATE_OFFSET + size_of::<Private>() <= RING_OFFSET);

impl Slot {
    /// The slot that is mapped at `address`, if it is not null.
    #[inline(always)]
    pub(crate) fn at(address: *mut u8) -> Option<Self> {
        NonNull::new(address).map(Slot)
    }

    /// Where it is mapped.
    pub(crate) fn address(self) -> *mut u8 {
        self.0.as_ptr()
    }

    #[inline(always)]
    pub(crate) fn header(&self) -> &SlotHeader {
        // SAFETY: a slot begins with it, and all of it is atomic.
        unsafe { self.0.cast().as_ref() }
    }

    #[inline(always)]
    pub(crate) fn counts(&self) -> &Counts {
        &self.header().counts
    }

    #[inline(always)]
    pub(crate) fn private(&self) -> &Private {
        let private = self.0.as_ptr().wrapping_add(PRIVATE_OFFSET).cast::<Private>();
        // SAFETY: it is there, valid when zero, and other threads and
        // processes leave it alone.
        unsafe { &*private }
    }

    /// The word at `offset` bytes in the ring.
    #[inline(always)]
    pub(crate) fn ring(self, offset: u64) -> *mut u64 {
        self.0.as_ptr().wrapping_add(RING_OFFSET + offset as usize).cast()
    }

    /// Begins to report an event of the call with stack pointer `sp`, unless
    /// that interrupts the reporting of another one.
    #[inline(always)]
    pub(crate) fn enter(&self, sp: usize) -> bool {
        let busy = &self.private().busy;
        // Relaxed, and a fence for the compiler: nobody else looks but a
        // signal handler on this thread.
        let noted = busy.load(Relaxed);
        if noted != 0 && !self.is_stale(noted, sp) {
            return false;
        }
        busy.store(sp, Relaxed);
        compiler_fence(Acquire);
        true
    }

    /// Ends what `enter` began.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        compiler_fence(Release);
        self.private().busy.store(0, Relaxed);
    }

    /// Whether a signal handler jumped out of the reporting that began at
    /// `noted`: the stack is shorter than that now.
    #[cold]
    #[inline(never)]
    fn is_stale(&self, noted: usize, sp: usize) -> bool {
        if sp < noted || sys::is_on_signal_stack() {
            add(&self.counts().nested, 1);
            return false;
        }
        self.private().callers.forget();
        true
    }

    /// Prepares for a new thread.
    fn reset(&self, control: &Control, seed: u64) {
        let private = self.private();
        let is_full = control.mode.load(Relaxed) == mode::FULL;
        private.busy.store(0, Relaxed);
        private.is_full.set(is_full);
        private.random.set(seed);
        private.mean_interval.set(control.mean_interval.max(1));
        private.ring_bytes.set(control.ring_bytes);
        // Two events have to fit at least.
        private.stack_bytes.set(control.stack_bytes.min(control.ring_bytes as u32 / 4));
        private.known_tail.set(self.header().tail.load(Relaxed));
        private.lost.set(0);
        private.readable.forget();
        private.callers.forget_all(is_full);
        private.bytes_left.set(i64::MIN / 2);
        if !is_full {
            crate::sampler::draw(private);
        }
    }
}

/// Adds to a count that only this thread changes. Relaxed, and no locked
/// instruction: the recorder sees one value or the other.
#[inline(always)]
pub(crate) fn add(count: &AtomicU64, value: u64) {
    count.store(count.load(Relaxed).wrapping_add(value), Relaxed);
}

/// Slots that the process has mapped, in use or not.
static MAPPED: [AtomicPtr<u8>; MAX_SLOTS as usize] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MAX_SLOTS as usize];
/// All mapped ones are before this.
static MAPPED_END: AtomicUsize = AtomicUsize::new(0);

/// Takes a free slot for this thread.
pub(crate) fn take() -> Option<Slot> {
    let control = process::control()?;
    let entries = ptr::from_ref(control).cast::<u8>().wrapping_add(ENTRIES_OFFSET).cast::<Entry>();
    let count = control.slots.min(MAX_SLOTS) as usize;
    // SAFETY: they were mapped together with the control, and are atomic.
    let entries = unsafe { core::slice::from_raw_parts(entries, count) };
    let end = MAPPED_END.load(Relaxed);
    let is_mapped =
        |index: &usize| MAPPED.get(*index).is_some_and(|mapped| !mapped.load(Relaxed).is_null());
    let (tid, pid) = (sys::gettid(), sys::getpid());
    if tid == 0 || pid == 0 {
        return None;
    }
    // First those that need not be mapped.
    for index in (0..end).filter(is_mapped).chain(0..count) {
        let Some(entry) = entries.get(index) else { continue };
        // Acquire: what the recorder has reset is.
        let is_free = entry.tid.load(Relaxed) == 0
            && entry.tid.compare_exchange(0, tid, Acquire, Relaxed).is_ok();
        if !is_free {
            continue;
        }
        let Some(slot) = map(control, index) else {
            // Release: nothing was done with it.
            entry.tid.store(0, Release);
            return None;
        };
        let seed = crate::arch::ticks() ^ u64::from(tid) << 32 ^ slot.address() as u64;
        slot.reset(control, seed | 1);
        // Relaxed: the store below orders them.
        slot.header().born.store(crate::clock::now(), Relaxed);
        slot.header().malloc.store(crate::real::address_of_malloc(), Relaxed);
        // Release: who sees it, sees the slot as it is now.
        entry.pid.store(pid, Release);
        return Some(slot);
    }
    None
}

/// Maps the slot at `index`, which this thread has taken, if it is not mapped.
fn map(control: &Control, index: usize) -> Option<Slot> {
    let mapped = MAPPED.get(index)?;
    // Acquire: another thread may have mapped it, and given it back since.
    if let Some(slot) = Slot::at(mapped.load(Acquire)) {
        return Some(slot);
    }
    let length = control.slot_bytes();
    let address = match sys::map_file(process::path(), SLOTS_OFFSET + index * length, length) {
        Ok(address) => address,
        Err(reason) => {
            // Relaxed: one number. The first reason stays.
            let _ = control.failure.compare_exchange(0, reason, Relaxed, Relaxed);
            return None;
        }
    };
    mapped.store(address, Release);
    MAPPED_END.fetch_max(index + 1, Relaxed);
    Slot::at(address)
}

/// Where slots are mapped.
pub(crate) fn mapped(control: &Control) -> impl Iterator<Item = Range<usize>> {
    let length = control.slot_bytes();
    let slots = MAPPED.iter().take(MAPPED_END.load(Relaxed));
    let addresses = slots.map(|slot| slot.load(Relaxed) as usize);
    addresses.filter(|address| *address != 0).map(move |address| address..address + length)
}
