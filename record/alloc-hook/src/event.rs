//! Reports allocations and what becomes of them.

use core::sync::atomic::Ordering::Relaxed;
use rz_alloc_ring::{first_word, mode, shape, tag};

use crate::arch::RETURN_ADDRESS_LEN;
use crate::clock;
use crate::process;
use crate::ring;
use crate::sampled_set;
use crate::sampler;
use crate::slot::Slot;
use crate::stack::Readable;

/// Reports an allocation, in sampled mode one that is to be sampled.
///
/// `sp` is the stack pointer of a call that has not returned, where its
/// return address is; `bp` is the frame pointer.
#[inline(never)]
pub(crate) fn allocation(slot: Slot, kind: u64, address: usize, size: usize, sp: usize, bp: usize) {
    if !slot.enter(sp) {
        return;
    }
    if is_over() {
        process::turn_off();
    } else if slot.private().is_full.get() {
        full(slot, kind, address, size, sp, bp);
    } else {
        sample(slot, kind, address, size, sp, bp);
    }
    slot.leave();
}

/// Whether the recorder has ended the recording.
#[inline(always)]
fn is_over() -> bool {
    // Relaxed: it is enough to learn of it soon.
    process::control().is_none_or(|control| control.mode.load(Relaxed) == mode::OFF)
}

#[inline(always)]
fn full(slot: Slot, kind: u64, address: usize, size: usize, sp: usize, bp: usize) {
    let ticks = clock::now();
    if ring::is_still_full(slot, ticks) {
        return;
    }
    let private = slot.private();
    // SAFETY: as the caller says.
    let change = unsafe { private.callers.update(&private.readable, sp, bp) };
    let (words, tag) = match change.same {
        true => (3, tag::SAME),
        false => (4 + change.new, tag::STACK),
    };
    let Some(room) = ring::room(slot, words, ticks) else { return };
    // SAFETY: there is room for `words`, which are 3 at least.
    unsafe { room.write(0, first_word(ticks, tag + kind)) };
    // SAFETY: as above.
    unsafe { room.write(1, address as u64) };
    // SAFETY: as above.
    unsafe { room.write(2, size as u64) };
    if !change.same {
        // SAFETY: as above; these are 4 and the new frames.
        unsafe { room.write(3, shape(change.kept, change.new, change.truncated)) };
        for (index, frame) in private.callers.innermost(change.new).enumerate() {
            // SAFETY: as above.
            unsafe { room.write(4 + index, frame) };
        }
    }
    room.publish();
}

#[cold]
#[inline(never)]
fn sample(slot: Slot, kind: u64, address: usize, size: usize, sp: usize, bp: usize) {
    let private = slot.private();
    sampler::draw(private);
    let ticks = clock::now();
    // The stack of the caller, without the return address.
    let from = sp + RETURN_ADDRESS_LEN;
    let bytes = Readable::length(sp, private.stack_bytes.get() as usize) & !7;
    let words = bytes.saturating_sub(RETURN_ADDRESS_LEN) / 8;
    // First, so that the object's end cannot go unnoticed.
    if !sampled_set::insert(address) {
        return;
    }
    let Some(room) = ring::room(slot, 8 + words, ticks) else {
        sampled_set::remove(address);
        return;
    };
    // SAFETY: it is where the caller says, in a call that has not returned.
    let ip = unsafe { (sp as *const u64).read_volatile() };
    let allocations = slot.counts().allocations.load(Relaxed);
    let [address, size, bytes] = [address as u64, size as u64, 8 * words as u64];
    let first = first_word(ticks, tag::SAMPLE + kind);
    let head = [first, address, size, allocations, ip, from as u64, bp as u64, bytes];
    for (index, word) in head.into_iter().enumerate() {
        // SAFETY: there is room for 8 words and the stack.
        unsafe { room.write(index, word) };
    }
    // SAFETY: as above, and the stack was found to be readable. Nobody else
    // writes to it; what signal handlers wrote below `sp` is not in it.
    unsafe { room.copy(8, from as *const u64, words) };
    room.publish();
}

/// Reports that an object is about to be freed; in full mode.
#[inline(always)]
pub(crate) fn free(slot: Slot, address: usize, sp: usize) {
    if slot.enter(sp) {
        freed(slot, tag::FREE, address, clock::now());
        slot.leave();
    }
}

#[inline(always)]
fn freed(slot: Slot, tag: u64, address: usize, ticks: u64) {
    let Some(room) = ring::room(slot, 2, ticks) else { return };
    // SAFETY: there is room for 2 words.
    unsafe { room.write(0, first_word(ticks, tag)) };
    // SAFETY: as above.
    unsafe { room.write(1, address as u64) };
    room.publish();
}

/// Reports that an object is about to be freed, if it was sampled.
#[cold]
#[inline(never)]
pub(crate) fn sampled_free(slot: Slot, address: usize, sp: usize) {
    // Even where it cannot be reported: another object may get the address.
    if sampled_set::remove(address) && slot.enter(sp) {
        sampled_freed(slot, tag::SAMPLED_FREE, address, clock::now());
        slot.leave();
    }
}

fn sampled_freed(slot: Slot, tag: u64, address: usize, ticks: u64) {
    let allocations = slot.counts().allocations.load(Relaxed);
    let Some(room) = ring::room(slot, 3, ticks) else { return };
    for (index, word) in [first_word(ticks, tag), address as u64, allocations].iter().enumerate() {
        // SAFETY: there is room for 3 words.
        unsafe { room.write(index, *word) };
    }
    room.publish();
}

/// What is known before a call to `realloc`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    /// When. If the call succeeds, the object was free from then on.
    ticks: u64,
    was_sampled: bool,
}

/// Prepares for `realloc` of an object, or of none at address 0. Another one
/// may get its address before the call returns.
#[inline(always)]
pub(crate) fn before_realloc(slot: Slot, address: usize) -> Pending {
    if address == 0 {
        Pending { ticks: 0, was_sampled: false }
    } else if slot.private().is_full.get() {
        Pending { ticks: clock::now(), was_sampled: false }
    } else if sampled_set::has_not(address) {
        Pending { ticks: 0, was_sampled: false }
    } else {
        Pending { ticks: clock::now(), was_sampled: sampled_set::remove(address) }
    }
}

/// Reports that an object was freed by `realloc`, if it was.
#[inline(always)]
pub(crate) fn after_realloc(
    slot: Slot,
    pending: Pending,
    address: usize,
    is_free: bool,
    sp: usize,
) {
    if !is_free {
        if pending.was_sampled {
            sampled_set::insert(address);
        }
    } else if slot.private().is_full.get() {
        if slot.enter(sp) {
            freed(slot, tag::REALLOC_FREE, address, pending.ticks);
            slot.leave();
        }
    } else if pending.was_sampled && slot.enter(sp) {
        sampled_freed(slot, tag::SAMPLED_REALLOC_FREE, address, pending.ticks);
        slot.leave();
    }
}
