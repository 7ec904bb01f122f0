//! What each thread keeps outside of its slot: where the slot is.

use core::cell::Cell;
use core::ptr;

use crate::arch;
use crate::process::{self, GENERATION};
use crate::slot::{self, Slot};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Events after which a thread without a slot looks for one again.
const RETRY: u32 = 1024;

/// All zero in a new thread.
#[repr(C)]
struct Thread {
    slot: Cell<*mut u8>,
    /// The process's generation when it took the slot.
    generation: Cell<u64>,
    /// Events without a slot.
    misses: Cell<u32>,
}

const _: () = assert!(size_of::<Thread>() <= arch::VARIABLE_LEN);

#[inline(always)]
fn this<'a>() -> &'a Thread {
    // SAFETY: it is there as long as the thread, and no other one knows of it.
    unsafe { &*arch::variable::<Thread>() }
}

/// Where the thread's own variables are, behind its stack if the C library
/// has made that.
pub(crate) fn variables() -> usize {
    ptr::from_ref(this()) as usize
}

/// The slot of this thread, which takes one if it has none.
#[inline(always)]
pub(crate) fn slot() -> Option<Slot> {
    let thread = this();
    // Relaxed: the slot was taken by this thread.
    if thread.generation.get() == GENERATION.get().load(Relaxed)
        && let Some(slot) = Slot::at(thread.slot.get())
    {
        return Some(slot);
    }
    take(thread)
}

#[cold]
#[inline(never)]
fn take(thread: &Thread) -> Option<Slot> {
    // Acquire: what the constructor has written is there.
    let generation = match GENERATION.get().load(Acquire) {
        process::NEW => process::restart()?,
        process::OFF | process::STARTING => return None,
        generation => generation,
    };
    if thread.generation.get() != generation {
        thread.slot.set(ptr::null_mut());
        thread.misses.set(0);
        thread.generation.set(generation);
    }
    let misses = thread.misses.get();
    // A signal handler that interrupts this has a miss.
    thread.misses.set(misses.wrapping_add(1));
    if misses.is_multiple_of(RETRY)
        && let Some(slot) = slot::take()
    {
        thread.slot.set(slot.address());
        return Some(slot);
    }
    process::control()?.without_slot.fetch_add(1, Relaxed);
    None
}
