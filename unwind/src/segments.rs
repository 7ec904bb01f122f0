//! Which addresses the bytes of an ELF file have.

use object::Endian;
use object::elf::{PT_LOAD, ProgramHeader64};
use object::read::elf::ProgramHeader;
use rz_format::Segment;

/// Most loaded segments; real files have four to a dozen. A trace, and a search for an
/// address, can do with these.
const MAX_SEGMENTS: usize = 128;

/// The parts of a file that are loaded.
pub fn loaded_segments<E: Endian>(headers: &[ProgramHeader64<E>], endian: E) -> Vec<Segment> {
    let is_loaded = |header: &&ProgramHeader64<E>| header.p_type(endian) == PT_LOAD;
    let segment = |header: &ProgramHeader64<E>| Segment {
        file_offset: header.p_offset(endian),
        length: header.p_filesz(endian),
        svma: header.p_vaddr(endian),
    };
    headers.iter().filter(is_loaded).take(MAX_SEGMENTS).map(segment).collect()
}

/// Offset in the file of the byte at an address, if it is in the file.
pub fn file_offset_of(segments: &[Segment], svma: u64) -> Option<u64> {
    segments.iter().find_map(|segment| {
        let at = svma.checked_sub(segment.svma).filter(|at| *at < segment.length)?;
        segment.file_offset.checked_add(at)
    })
}
