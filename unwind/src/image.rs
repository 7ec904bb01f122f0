//! What unwinding needs of an executable or library: its segments, its unwind
//! tables and its build-id.
//!
//! The pieces are read, not mapped: a file that shrinks while it is looked at
//! gives an error then, not a SIGBUS in the recorder.

use std::fs::File;
use std::io;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader, SectionHeader};
use object::{LittleEndian, Object, ObjectSection, ReadRef};
use rz_format::Segment;

use crate::bounded::{Bounded, MAX_READ};
use crate::go::Program;
use crate::identity::identity;
use crate::segments::loaded_segments;

type Header = elf::FileHeader64<LittleEndian>;

/// The parts of an ELF file that unwinding needs.
#[derive(Debug, Default)]
pub struct Image {
    /// Size of the file in bytes.
    pub file_size: u64,
    /// GNU build-id, or what stands in for it, see [`identity`].
    pub build_id: Vec<u8>,
    /// Where parts of the file lie in memory.
    pub segments: Vec<Segment>,
    /// `.eh_frame_hdr`, the search table of `.eh_frame`.
    pub eh_frame_hdr: Section,
    /// `.eh_frame`.
    pub eh_frame: Section,
    /// `.debug_frame`, for files without `.eh_frame`.
    pub debug_frame: Section,
    /// What Go says of its functions.
    pub(crate) go: Option<Program>,
    /// Address of the instruction that a program, or its loader, starts at.
    pub entry_svma: u64,
    /// Address of `.text`, which pointers may be relative to.
    pub text_svma: u64,
    /// Address of `.got`, likewise.
    pub got_svma: u64,
}

/// A section's address and bytes.
#[derive(Debug, Default)]
pub struct Section {
    /// Address in the file's own numbering.
    pub svma: u64,
    /// Content; empty if there is no such section.
    pub data: Vec<u8>,
}

impl Image {
    /// Reads a file. Fails if it is no little-endian ELF file of 64 bits.
    pub fn from_file(file: File) -> io::Result<Self> {
        let file_size = file.metadata()?.len();
        let bounded = Bounded::new(file);
        let mut image = Self::parse(&bounded).map_err(io::Error::other)?;
        image.file_size = file_size;
        Ok(image)
    }

    /// Reads an ELF file from memory, such as the vDSO.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        Self::parse(bytes).map_err(io::Error::other)
    }

    fn parse<'data, R: ReadRef<'data>>(data: R) -> object::read::Result<Self> {
        let header = Header::parse(data)?;
        let endian = header.endian()?;
        let mut image = Image { entry_svma: header.e_entry(endian), ..Image::default() };
        let headers = header.program_headers(endian, data)?;
        image.segments = loaded_segments(headers, endian);
        image.build_id = identity(data);
        let sections = header.sections(endian, data)?;
        let load = |name: &[u8]| -> object::read::Result<Section> {
            match sections.section_by_name(endian, name) {
                Some((_, section)) => Ok(Section {
                    svma: section.sh_addr(endian),
                    data: section.data(endian, data)?.to_vec(),
                }),
                None => Ok(Section::default()),
            }
        };
        let address = |name: &[u8]| {
            sections.section_by_name(endian, name).map_or(0, |(_, s)| s.sh_addr(endian))
        };
        image.eh_frame = load(b".eh_frame")?;
        image.eh_frame_hdr = load(b".eh_frame_hdr")?;
        image.go = Program::read(data, &image.segments);
        if image.eh_frame.data.is_empty() && image.go.is_none() {
            image.debug_frame = debug_frame(data).unwrap_or_default();
        }
        image.text_svma = address(b".text");
        image.got_svma = address(b".got");
        Ok(image)
    }

    /// Address, in the file's own numbering, of the byte at a file offset.
    pub fn svma_of(&self, file_offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            file_offset.checked_sub(segment.file_offset).is_some_and(|at| at < segment.length)
        })?;
        (file_offset - segment.file_offset).checked_add(segment.svma)
    }
}

/// `.debug_frame`, which may be compressed, by either of two conventions.
fn debug_frame<'data, R: ReadRef<'data>>(data: R) -> Option<Section> {
    let file = ElfFile64::<LittleEndian, R>::parse(data).ok()?;
    let section = file.section_by_name(".debug_frame")?;
    let content = section.compressed_data().ok()?;
    let is_bounded = content.uncompressed_size <= MAX_READ;
    let data = is_bounded.then(|| content.decompress().ok())??.into_owned();
    Some(Section { svma: section.address(), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_at_the_end_of_all_addresses() {
        let segment = Segment { file_offset: 0, length: 16, svma: u64::MAX - 4 };
        let image = Image { segments: vec![segment], ..Image::default() };
        assert_eq!((image.svma_of(4), image.svma_of(5)), (Some(u64::MAX), None));
    }

    #[test]
    fn a_made_up_size_is_not_read() {
        // Our own executable with a note that is said to have 4 GiB, and a
        // section header table that is said to have as many entries, in a
        // file that really is that long, at least in name.
        let mut bytes = std::fs::read("/proc/self/exe").unwrap();
        let headers = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
        let count = u16::from_le_bytes(bytes[56..58].try_into().unwrap()) as usize;
        for header in (0..count).map(|i| headers + i * 56) {
            if bytes[header..header + 4] == elf::PT_NOTE.0.to_le_bytes() {
                bytes[header + 32..header + 40].copy_from_slice(&(4u64 << 30).to_le_bytes());
            }
        }
        let sections = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize;
        bytes[60..62].copy_from_slice(&[0, 0]);
        bytes[sections + 32..sections + 40].copy_from_slice(&(1u64 << 26).to_le_bytes());
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &bytes).unwrap();
        file.set_len(8 << 30).unwrap();
        assert!(Image::from_file(file).is_err());
    }

    #[test]
    fn our_own_executable() {
        let image = Image::from_file(File::open("/proc/self/exe").unwrap()).unwrap();
        assert!(!image.eh_frame.data.is_empty());
        assert!(!image.eh_frame_hdr.data.is_empty());
        assert_eq!(image.svma_of(u64::MAX), None);
    }

    #[test]
    fn compressed_debug_frames() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
        let run = |program: &str, args: &[&str]| {
            let status = std::process::Command::new(program).args(args).status().unwrap();
            assert!(status.success(), "{program} {args:?}");
        };
        std::fs::write(path("a.c"), "void _start(void) { for (;;); }").unwrap();
        let plain = path("plain");
        let options = ["-g", "-nostdlib", "-static", "-fno-asynchronous-unwind-tables"];
        run("gcc", &[&options[..], &["-Wl,--build-id=none", "-o", &plain, &path("a.c")]].concat());
        let read = |path| Image::from_file(File::open(path).unwrap()).unwrap().debug_frame.data;
        let expected = read(plain.clone());
        assert!(!expected.is_empty());
        for how in ["zlib", "zlib-gnu"] {
            let compressed = path(how);
            let option = format!("--compress-debug-sections={how}");
            run("objcopy", &[&option, &plain, &compressed]);
            assert_eq!(read(compressed), expected, "{how}");
        }
    }

    #[test]
    fn something_else_is_an_error() {
        assert!(Image::from_bytes(b"#!/bin/sh\n").is_err());
        assert!(Image::from_bytes(&[]).is_err());
    }
}
