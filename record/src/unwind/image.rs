//! What unwinding needs of an executable or library: its segments, its unwind
//! tables and its build-id.
//!
//! The pieces are read, not mapped: a file that shrinks while it is looked at
//! gives an error then, not a SIGBUS in the recorder.

use std::fs::File;
use std::io;

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian, ReadCache, ReadRef};
use rz_format::Segment;

type Header = elf::FileHeader64<LittleEndian>;

/// Largest unwind table that is loaded. The largest programs have tenths of
/// it.
const MAX_SECTION: u64 = 256 << 20;

/// The parts of an ELF file that unwinding needs.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// Size of the file in bytes.
    pub(crate) file_size: u64,
    /// GNU build-id; empty if there is none.
    pub(crate) build_id: Vec<u8>,
    /// Where parts of the file lie in memory.
    pub(crate) segments: Vec<Segment>,
    /// `.eh_frame_hdr`, the search table of `.eh_frame`.
    pub(crate) eh_frame_hdr: Section,
    /// `.eh_frame`.
    pub(crate) eh_frame: Section,
    /// `.debug_frame`, for files without `.eh_frame`.
    pub(crate) debug_frame: Section,
    /// Address of the instruction that a program, or its loader, starts at.
    pub(crate) entry_svma: u64,
    /// Address of `.text`, which pointers may be relative to.
    pub(crate) text_svma: u64,
    /// Address of `.got`, likewise.
    pub(crate) got_svma: u64,
}

/// A section's address and bytes.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// Address in the file's own numbering.
    pub(crate) svma: u64,
    /// Content; empty if there is no such section.
    pub(crate) data: Vec<u8>,
}

impl Image {
    /// Reads a file. Fails if it is no x86-64 ELF file.
    pub(crate) fn from_file(file: File) -> io::Result<Self> {
        let file_size = file.metadata()?.len();
        let cache = ReadCache::new(file);
        let mut image = Self::parse(&cache).map_err(io::Error::other)?;
        image.file_size = file_size;
        Ok(image)
    }

    /// Reads an ELF file from memory, such as the vDSO.
    pub(crate) fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        Self::parse(bytes).map_err(io::Error::other)
    }

    fn parse<'data, R: ReadRef<'data>>(data: R) -> object::read::Result<Self> {
        let header = Header::parse(data)?;
        let endian = header.endian()?;
        let mut image = Image { entry_svma: header.e_entry(endian), ..Image::default() };
        for segment in header.program_headers(endian, data)? {
            match segment.p_type(endian) {
                elf::PT_LOAD => image.segments.push(Segment {
                    file_offset: segment.p_offset(endian),
                    length: segment.p_filesz(endian),
                    svma: segment.p_vaddr(endian),
                }),
                elf::PT_NOTE => {
                    // A damaged note costs the build-id only.
                    let Ok(Some(mut notes)) = segment.notes(endian, data) else { continue };
                    while let Ok(Some(note)) = notes.next() {
                        let is_build_id = note.n_type(endian) == elf::NT_GNU_BUILD_ID;
                        if is_build_id && note.name() == elf::ELF_NOTE_GNU {
                            image.build_id = note.desc().to_vec();
                        }
                    }
                }
                _ => {}
            }
        }
        let sections = header.sections(endian, data)?;
        let load = |name: &[u8]| -> object::read::Result<Section> {
            match sections.section_by_name(endian, name) {
                Some((_, section)) if section.sh_size(endian) <= MAX_SECTION => Ok(Section {
                    svma: section.sh_addr(endian),
                    // Compressed debug sections are of no use for unwinding.
                    data: match section.compression(endian, data)? {
                        None => section.data(endian, data)?.to_vec(),
                        Some(_) => Vec::new(),
                    },
                }),
                _ => Ok(Section::default()),
            }
        };
        let address = |name: &[u8]| {
            sections.section_by_name(endian, name).map_or(0, |(_, s)| s.sh_addr(endian))
        };
        image.eh_frame = load(b".eh_frame")?;
        image.eh_frame_hdr = load(b".eh_frame_hdr")?;
        if image.eh_frame.data.is_empty() {
            image.debug_frame = load(b".debug_frame")?;
        }
        image.text_svma = address(b".text");
        image.got_svma = address(b".got");
        Ok(image)
    }

    /// Address, in the file's own numbering, of the byte at a file offset.
    pub(crate) fn svma_of(&self, file_offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            file_offset.checked_sub(segment.file_offset).is_some_and(|at| at < segment.length)
        })?;
        Some(file_offset - segment.file_offset + segment.svma)
    }

    /// Whether there is any unwind information.
    pub(crate) fn has_unwind_info(&self) -> bool {
        !self.eh_frame.data.is_empty() || !self.debug_frame.data.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_executable() {
        let image = Image::from_file(File::open("/proc/self/exe").unwrap()).unwrap();
        assert!(image.has_unwind_info());
        assert!(!image.eh_frame_hdr.data.is_empty());
        assert_eq!(image.svma_of(u64::MAX), None);
    }

    #[test]
    fn something_else_is_an_error() {
        assert!(Image::from_bytes(b"#!/bin/sh\n").is_err());
        assert!(Image::from_bytes(&[]).is_err());
    }
}
