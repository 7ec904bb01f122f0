//! Memory of the hook's in a process whose program unmaps what it does not know.

use core::ffi::c_int;
use core::ops::Range;

use crate::real::{self, Memory};
use crate::{arch, process, sampled_set, slot};

const PAGE: usize = 4096;

/// munmap(2), but for what is the hook's: that stays, as the program would not live
/// without it.
///
/// # Safety
///
/// As munmap(2).
pub(crate) unsafe fn unmap_others(address: Memory, length: usize) -> c_int {
    let mut from = address as usize;
    let Some(end) = from.checked_add(length).filter(|_| from.is_multiple_of(PAGE)) else {
        // SAFETY: the program's own call, which fails.
        return unsafe { real::munmap(address, length) };
    };
    loop {
        let piece = first_in(&(from..end));
        let stop = piece.as_ref().map_or(end, |piece| piece.start);
        if from < stop || piece.is_none() {
            // SAFETY: a part of what the program's own call is about.
            let result = unsafe { real::munmap(from as Memory, stop.saturating_sub(from)) };
            if result != 0 {
                return result;
            }
        }
        match piece {
            Some(piece) if piece.end < end => from = piece.end,
            _ => return 0,
        }
    }
}

/// Turns the hook off if the program is about to put something else where the hook's
/// memory is.
pub(crate) fn note_replaced(address: Memory, length: usize) {
    let start = address as usize;
    let range = start..start.saturating_add(length);
    if pieces().any(|piece| overlaps(&piece, &range)) {
        process::lose_memory();
    }
}

fn overlaps(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

/// The lowest piece of the hook's that is in a range.
fn first_in(range: &Range<usize>) -> Option<Range<usize>> {
    let all = pieces().chain([image()]);
    all.filter(|piece| overlaps(piece, range)).min_by_key(|piece| piece.start)
}

/// What the hook has mapped; none once it is off for good.
fn pieces() -> impl Iterator<Item = Range<usize>> {
    process::control().into_iter().flat_map(|control| {
        let shared = [process::mapped(control)].into_iter().chain(slot::mapped(control));
        shared.chain(sampled_set::mapped())
    })
}

/// The library itself.
fn image() -> Range<usize> {
    let (start, end) = arch::own_image();
    start..end.next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    #[test]
    fn what_is_not_ours_is_unmapped() {
        let memory = sys::map_memory(3 * PAGE).unwrap() as usize;
        // SAFETY: mapped above, and nothing is there.
        assert_eq!(unsafe { unmap_others((memory + PAGE) as Memory, 2 * PAGE) }, 0);
        assert!(sys::is_readable(memory));
        assert!(!sys::is_readable(memory + PAGE));
        // SAFETY: fails.
        assert_eq!(unsafe { unmap_others((memory + 1) as Memory, PAGE) }, -1);
        // SAFETY: fails.
        assert_eq!(unsafe { unmap_others(memory as Memory, 0) }, -1);
        assert!(sys::is_readable(memory));
    }

    #[test]
    fn pieces_overlap() {
        let check = |one: Range<usize>, other: Range<usize>, expected: bool| {
            assert_eq!(overlaps(&one, &other), expected, "{one:?} {other:?}");
            assert_eq!(overlaps(&other, &one), expected, "{one:?} {other:?}");
        };
        check(1..3, 2..4, true);
        check(1..4, 2..3, true);
        check(1..2, 2..3, false);
        check(1..2, 3..4, false);
    }
}
