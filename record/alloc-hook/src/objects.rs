//! What is loaded at an address, and where its unwind table is.
//!
//! The loader says so since glibc 2.35, without taking a lock. With older ones
//! its list of objects is searched.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::real::{self, Memory};
use crate::symbols::objects;
use crate::sys;

/// What is loaded somewhere: `struct dl_find_object`.
#[repr(C)]
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    flags: u64,
    /// Where the object begins, or if there are gaps in it, its segment.
    pub(crate) start: usize,
    /// Where that ends.
    pub(crate) end: usize,
    /// Its entry in the loader's list, which begins with its base address.
    map: usize,
    /// Its `.eh_frame_hdr`; 0 if it has none.
    pub(crate) unwind_table: usize,
    reserved: [u64; 7],
}

/// An ELF file's header.
#[repr(C)]
struct Header {
    magic: [u8; 4],
    kinds: [u8; 12],
    kind: u16,
    machine: u16,
    version: u32,
    entry: u64,
    segments: u64,
    sections: u64,
    flags: u32,
    size: u16,
    segment_size: u16,
    segment_count: u16,
}

/// A segment: `Elf64_Phdr`.
#[repr(C)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_size: u64,
    size: u64,
    align: u64,
}

impl Object {
    /// What has `address` in it.
    pub(crate) fn at(address: usize) -> Option<Self> {
        let mut object = Object::default();
        // SAFETY: any address may be asked for.
        let result = unsafe { real::_dl_find_object(address as Memory, &mut object) };
        (result == 0).then_some(object)
    }

    /// The address of the first instruction, 0 if it is not known.
    pub(crate) fn entry(&self) -> usize {
        if self.map == 0 {
            return 0;
        }
        // SAFETY: the loader's entry for it, which begins with its base.
        let base = unsafe { *(self.map as *const usize) };
        header(self.start).map_or(0, |header| match header.entry {
            0 => 0,
            entry => base.wrapping_add(entry as usize),
        })
    }
}

/// The header at the start of an object or segment, if one is there.
fn header(start: usize) -> Option<&'static Header> {
    if !start.is_multiple_of(4096) || !sys::is_readable(start) {
        return None;
    }
    // SAFETY: it can be read, and is smaller than a page.
    let header = unsafe { &*(start as *const Header) };
    (header.magic == *b"\x7fELF").then_some(header)
}

/// Where the program's own header is, which the loader's list does not say if
/// its base address is 0.
static PROGRAM: AtomicUsize = AtomicUsize::new(0);

/// Notes where the program is.
///
/// # Safety
///
/// `environment` is that which the kernel made.
pub(crate) unsafe fn note_program(environment: *const *const libc::c_char) {
    let mut word = environment.cast::<usize>();
    if word.is_null() {
        return;
    }
    // SAFETY: the auxiliary vector follows the null at its end.
    while unsafe { *word } != 0 {
        word = word.wrapping_add(1);
    }
    let mut pair = word.wrapping_add(1).cast::<[usize; 2]>();
    loop {
        // SAFETY: it ends with a pair of type AT_NULL.
        let [kind, value] = unsafe { *pair };
        match kind as u64 {
            libc::AT_NULL => return,
            libc::AT_PHDR => return PROGRAM.store(value & !4095, Relaxed),
            _ => pair = pair.wrapping_add(1),
        }
    }
}

/// Does what `_dl_find_object` does.
///
/// # Safety
///
/// `result` can be written to.
pub(crate) unsafe fn search(address: usize, result: *mut Object) -> i32 {
    // Another thread may close a library just now: better ask than rely on
    // what the list says.
    let mut found = objects(sys::is_readable).filter_map(|map| {
        let start = if map.base == 0 { PROGRAM.load(Relaxed) } else { map.base };
        let header = header(start)?;
        let segments = start.checked_add(header.segments as usize)? as *const Segment;
        let count = usize::from(header.segment_count);
        let last = segments.wrapping_add(count.checked_sub(1)?);
        if !segments.is_aligned() || !sys::is_readable(last as usize) {
            return None;
        }
        // SAFETY: they can be read; they are on one page, or the next.
        let segments = unsafe { core::slice::from_raw_parts(segments, count) };
        let at = |segment: &Segment| map.base.wrapping_add(segment.address as usize);
        let is_around = |segment: &&Segment| {
            segment.kind == libc::PT_LOAD
                && address.wrapping_sub(at(segment)) < segment.size as usize
        };
        let around = segments.iter().find(is_around)?;
        let table = segments.iter().find(|segment| segment.kind == libc::PT_GNU_EH_FRAME);
        Some(Object {
            start,
            end: at(around).wrapping_add(around.size as usize),
            map: core::ptr::from_ref(map) as usize,
            unwind_table: table.map_or(0, at),
            ..Object::default()
        })
    });
    let Some(object) = found.next() else { return -1 };
    // SAFETY: as the caller vouches for.
    unsafe { result.write(object) };
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_what_the_loader_does() {
        let data = [0_u8];
        let libc = crate::symbols::next(c"qsort").unwrap();
        for (address, is_code) in [
            (a_search_finds_what_the_loader_does as *const () as usize, true),
            (libc as usize, true),
            (&raw const data as usize, false),
            (0, false),
            (usize::MAX, false),
        ] {
            let mut found = Object::default();
            // SAFETY: it is written to.
            let result = unsafe { search(address, &mut found) };
            let expected = Object::at(address);
            assert_eq!((result == 0, expected.is_some()), (is_code, is_code));
            let Some(expected) = expected else { continue };
            assert_eq!(found.map, expected.map);
            assert_eq!(found.unwind_table, expected.unwind_table);
            assert_eq!(found.entry(), expected.entry());
            assert!(found.start <= address && address < found.end);
        }
    }
}
