//! Writes events into a slot's ring.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rz_alloc_ring::{first_word, mode, tag};

use crate::process;
use crate::slot::{Slot, add};
use crate::sys;

/// Lost events after which to look whether anybody still reads the ring.
const LOOK_EVERY: u64 = 64;
/// Words of a [`tag::LOST`].
const LOST_WORDS: u64 = 3;

/// Room for one event.
#[derive(Debug)]
pub(crate) struct Room {
    slot: Slot,
    at: *mut u64,
    /// Where the ring's head is once the event is written.
    head: u64,
}

impl Room {
    /// Writes word number `index`. The compiler is to see that it is one of
    /// those asked for.
    ///
    /// # Safety
    ///
    /// `index` is below the number of words that there is room for.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, index: usize, word: u64) {
        // SAFETY: inside of the ring, where the recorder does not read yet.
        unsafe { self.at.wrapping_add(index).write(word) };
    }

    /// Copies words to where number `index` is.
    ///
    /// # Safety
    ///
    /// There is room for them, and they can be read. They may change.
    pub(crate) unsafe fn copy(&self, index: usize, words: *const u64, count: usize) {
        // SAFETY: as the caller vouches for; nothing else is in the ring.
        unsafe { core::ptr::copy(words, self.at.wrapping_add(index), count) };
    }

    /// Hands the event to the recorder.
    #[inline(always)]
    pub(crate) fn publish(self) {
        // Release: the words come before.
        self.slot.header().head.store(self.head, Release);
    }
}

/// Room for an event of so many words, which happens at `ticks`. If there is
/// none, the event is lost, and is counted as that.
#[inline(always)]
pub(crate) fn room(slot: Slot, words: usize, ticks: u64) -> Option<Room> {
    let private = slot.private();
    let size = private.ring_bytes.get();
    // Relaxed: only this thread changes it.
    let head = slot.header().head.load(Relaxed);
    let at = head & (size - 1);
    let end = head + 8 * words as u64;
    if at + 8 * words as u64 <= size
        && end - private.known_tail.get() <= size
        && private.lost.get() == 0
    {
        return Some(Room { slot, at: slot.ring(at), head: end });
    }
    room_at_limits(slot, words, ticks)
}

/// As `room`, if the ring goes on at its beginning, may be full, or was.
#[cold]
#[inline(never)]
fn room_at_limits(slot: Slot, words: usize, ticks: u64) -> Option<Room> {
    let private = slot.private();
    let size = private.ring_bytes.get();
    let lost = private.lost.get();
    let mut head = slot.header().head.load(Relaxed);
    let bytes = 8 * (words as u64 + if lost > 0 { LOST_WORDS } else { 0 });
    let to_end = size - (head & (size - 1));
    let skipped = if to_end < bytes { to_end } else { 0 };
    // Acquire: the recorder has read what is written over.
    let tail = slot.header().tail.load(Acquire);
    private.known_tail.set(tail);
    if bytes > size || head + skipped + bytes - tail > size {
        lose(slot, ticks);
        return None;
    }
    if skipped > 0 {
        let room = Room { slot, at: slot.ring(head & (size - 1)), head };
        // SAFETY: there are 8 bytes at least up to the end.
        unsafe { room.write(0, first_word(ticks, tag::SKIP)) };
        head += skipped;
    }
    let mut room = Room { slot, at: slot.ring(head & (size - 1)), head: head + bytes };
    if lost > 0 {
        // SAFETY: there is room for it before the event.
        unsafe { room.write(0, first_word(ticks, tag::LOST)) };
        // SAFETY: as above.
        unsafe { room.write(1, lost) };
        // SAFETY: as above.
        unsafe { room.write(2, private.lost_since.get()) };
        room.at = room.at.wrapping_add(LOST_WORDS as usize);
        private.lost.set(0);
    }
    Some(room)
}

/// Whether the ring was full, and still is so nearly.
pub(crate) fn is_still_full(slot: Slot, ticks: u64) -> bool {
    let private = slot.private();
    if private.lost.get() == 0 {
        return false;
    }
    let head = slot.header().head.load(Relaxed);
    // Relaxed: what is read is not relied on.
    let used = head - slot.header().tail.load(Relaxed);
    let is_full = used > private.ring_bytes.get() / 2;
    if is_full {
        lose(slot, ticks);
    }
    is_full
}

/// Counts an event that does not fit.
fn lose(slot: Slot, ticks: u64) {
    let private = slot.private();
    let lost = private.lost.get();
    if lost == 0 {
        private.lost_since.set(ticks);
    }
    private.lost.set(lost + 1);
    add(&slot.counts().dropped, 1);
    // What comes next cannot refer to what was lost.
    private.callers.forget();
    if lost.is_multiple_of(LOOK_EVERY)
        && let Some(control) = process::control()
        && (control.mode.load(Relaxed) == mode::OFF || sys::is_gone(control.recorder_pid))
    {
        process::turn_off();
    }
}
