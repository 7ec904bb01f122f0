//! What of the thread's stack can be read without risk.
//!
//! Call frame information, or a program that switches stacks, can lead
//! anywhere. So each page is asked for before it is read for the first time.

use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::{sys, thread};

const PAGE: usize = 4096;
/// Largest frame to reach across.
const MAX_REACH: usize = 16 << 20;
/// Longest stack to look at again page by page.
const MAX_CHECK: usize = 256 << 10;
/// Stack pointers so far below what is known belong to the same stack.
const NEAR: usize = 64 << 10;

/// Where the stack of the first thread ends; 0 if that is not known.
static FIRST_END: AtomicUsize = AtomicUsize::new(0);

/// Says where the stack of the first thread ends.
pub(crate) fn note_first_end(end: usize) {
    // Relaxed: one number, and only less is copied because of it.
    FIRST_END.store(end, Relaxed);
}

/// A range of addresses that can be read, as long as the program does not
/// unmap them. Zero is an empty one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Readable {
    low: Cell<usize>,
    high: Cell<usize>,
    /// [`crate::process::state_of_memory`] at that time.
    state: Cell<u64>,
}

impl Readable {
    /// Nothing is known any more.
    pub(crate) fn forget(&self) {
        self.low.set(0);
        self.high.set(0);
    }

    /// Moves on to the stack of which `sp` is the end, which is readable.
    /// Returns whether it is the same one as before.
    #[inline(always)]
    pub(crate) fn cover(&self, sp: usize, state: u64) -> bool {
        if self.has(sp) && self.state.get() == state {
            return true;
        }
        let is_same = match self.state.replace(state) == state {
            true => self.extend_down(sp),
            false => self.check(sp),
        };
        is_same || self.begin(sp)
    }

    /// Whether all of the stack that is in use can still be read.
    #[cold]
    fn check(&self, sp: usize) -> bool {
        let page = sp & !(PAGE - 1);
        let is_there = self.has(sp)
            && self.high.get() - page <= MAX_CHECK
            && (page + PAGE..self.high.get()).step_by(PAGE).all(sys::is_readable);
        if is_there {
            self.low.set(page);
        }
        is_there
    }

    #[cold]
    fn extend_down(&self, sp: usize) -> bool {
        let (low, page) = (self.low.get(), sp & !(PAGE - 1));
        let is_near = sp < low && low - sp <= NEAR;
        let is_contiguous = is_near && (page + PAGE..low).step_by(PAGE).all(sys::is_readable);
        if is_contiguous {
            self.low.set(page);
        }
        is_contiguous
    }

    #[cold]
    fn begin(&self, sp: usize) -> bool {
        let page = sp & !(PAGE - 1);
        self.low.set(page);
        self.high.set(page + PAGE);
        false
    }

    #[inline(always)]
    fn has(&self, address: usize) -> bool {
        address >= self.low.get() && address < self.high.get()
    }

    /// The word at `address`, if it can be read.
    #[inline(always)]
    pub(crate) fn read(&self, address: usize) -> Option<usize> {
        if !address.is_multiple_of(8) || !(self.has(address) || self.extend_up(address)) {
            return None;
        }
        // SAFETY: it is known to be readable.
        Some(unsafe { (address as *const usize).read_volatile() })
    }

    /// The word at an address that was read since `cover` last said that the
    /// stack is another one.
    #[inline(always)]
    pub(crate) fn read_again(&self, address: usize) -> usize {
        // SAFETY: it is known to be readable.
        unsafe { (address as *const usize).read_volatile() }
    }

    #[cold]
    fn extend_up(&self, address: usize) -> bool {
        let high = self.high.get();
        if address < high || address - high >= MAX_REACH {
            return false;
        }
        self.extend(address + 1) > address
    }

    /// Extends the range up to `end` if possible; returns how far it goes.
    fn extend(&self, end: usize) -> usize {
        let mut high = self.high.get();
        while high < end && sys::is_readable(high) {
            high += PAGE;
        }
        self.high.set(high);
        high
    }

    /// How many bytes, at most `limit`, can be read from `sp` on, of a stack
    /// of which nothing need be known. `sp` is on a page that can be read.
    pub(crate) fn length(sp: usize, limit: usize) -> usize {
        // What is behind a stack is not copied: the arguments and environment
        // of the program, or the thread's own variables.
        let ends = [FIRST_END.load(Relaxed), thread::variables()];
        let limit = ends.iter().filter_map(|end| end.checked_sub(sp)).fold(limit, usize::min);
        let page = sp & !(PAGE - 1);
        let readable =
            Readable { low: Cell::new(page), high: Cell::new(page + PAGE), state: Cell::new(0) };
        let end = sp.saturating_add(limit);
        readable.extend(end).min(end) - sp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_at_what_is_not_mapped() {
        let memory = sys::map_memory(4 * PAGE).unwrap() as usize;
        // SAFETY: mapped above, and nothing is there.
        unsafe { sys::unmap((memory + 3 * PAGE) as *mut u8, PAGE) };
        assert_eq!(Readable::length(memory + 8, 100), 100);
        assert_eq!(Readable::length(memory + 8, 1 << 20), 3 * PAGE - 8);
        // SAFETY: zero is an empty range.
        let readable: Readable = unsafe { core::mem::zeroed() };
        assert!(!readable.cover(memory + PAGE, 1));
        assert!(readable.cover(memory + PAGE + 8, 1));
        assert_eq!(readable.read(memory + 2 * PAGE), Some(0));
        assert_eq!(readable.read(memory + 3 * PAGE), None);
        assert_eq!(readable.read(memory + PAGE + 1), None);
        assert_eq!(readable.read(0), None);
        assert_eq!(readable.read(usize::MAX - 7), None);
        assert!(readable.cover(memory, 1));
        // Something was unmapped, but not of this.
        assert!(readable.cover(memory + 8, 2));
        // SAFETY: mapped above, and nothing is there.
        unsafe { sys::unmap((memory + 2 * PAGE) as *mut u8, PAGE) };
        assert!(!readable.cover(memory + 8, 3));
        assert_eq!(readable.read(memory + 2 * PAGE), None);
        // SAFETY: mapped above, and nothing is there.
        unsafe { sys::unmap(memory as *mut u8, 3 * PAGE) };
        assert!(!sys::is_readable(memory));
    }
}
