//! Finds functions, inlined calls and lines in DWARF debug information.
//!
//! Damage is found by gimli and ends in an error. Two things that no compiler
//! makes, but an attacker can, are not: addr2line recurses for each level of
//! inlining, so about a hundred thousand nested levels overflow even the large
//! stack that [`super::symbolize`] provides, and it joins directory and name of
//! each entry of a file table, so many entries that share one huge name take
//! much memory.

use std::borrow::Cow;
use std::sync::Arc;

use addr2line::{Context, FrameIter};
use gimli::{DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::{Object, ObjectSection};

/// Compressed sections may claim to be this many times as large when
/// uncompressed, which no real debug information comes close to; memory for
/// what they claim is allocated before it can be checked.
const MAX_EXPANSION: u64 = 128;

/// Calls at one address beyond this depth of inlining are dropped.
const MAX_DEPTH: usize = 512;

pub(super) type Reader<'d> = EndianSlice<'d, RunTimeEndian>;

/// The sections of a file's debug information, uncompressed where need be.
pub(super) struct DebugSections<'d> {
    main: DwarfSections<Cow<'d, [u8]>>,
    supplementary: Option<DwarfSections<Cow<'d, [u8]>>>,
    endian: RunTimeEndian,
}

/// A function at an address and the place in its source, as DWARF has them.
pub(super) struct Frame<'c> {
    /// Linkage name if there is one, else the plain name.
    pub(super) name: Option<&'c [u8]>,
    pub(super) file: Option<&'c str>,
    pub(super) line: u32,
}

/// Whether a file has debug information of its own.
pub(super) fn has_debug_info(file: &object::File) -> bool {
    file.section_by_name(".debug_info").is_some_and(|section| has_content(&section))
}

/// Whether a section's content is in this file. A separate debug file has
/// headers, but no content, for the sections that stayed in the binary.
fn has_content(section: &object::Section) -> bool {
    section.file_range().is_some_and(|(_, size)| size > 0)
}

impl<'d> DebugSections<'d> {
    /// Reads the sections of `file`, and of the file that `dwz` moved shared
    /// parts to; fails with the cause.
    pub(super) fn load(
        file: &object::File<'d>,
        supplementary: Option<&object::File<'d>>,
    ) -> Result<Self, String> {
        let endian =
            if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let load = |file| DwarfSections::load(|id| load_section(file, id));
        let supplementary = supplementary.map(load).transpose()?;
        Ok(DebugSections { main: load(file)?, supplementary, endian })
    }

    /// The sections in the form that contexts are made of.
    pub(super) fn dwarf(&self) -> Arc<gimli::Dwarf<Reader<'_>>> {
        let mut dwarf = self.main.borrow_with_sup(self.supplementary.as_ref(), |data| {
            EndianSlice::new(data, self.endian)
        });
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        Arc::new(dwarf)
    }
}

/// One section's content, empty if the file has no such section or names do
/// not depend on it.
fn load_section<'d>(file: &object::File<'d>, id: SectionId) -> Result<Cow<'d, [u8]>, String> {
    let needed = matches!(
        id,
        SectionId::DebugAbbrev
            | SectionId::DebugAddr
            | SectionId::DebugAranges
            | SectionId::DebugInfo
            | SectionId::DebugLine
            | SectionId::DebugLineStr
            | SectionId::DebugRanges
            | SectionId::DebugRngLists
            | SectionId::DebugStr
            | SectionId::DebugStrOffsets
    );
    match file.section_by_name(id.name()) {
        Some(section) if needed && has_content(&section) => {
            decompress(&section).map_err(|cause| format!("{}: {cause}", id.name()))
        }
        _ => Ok(Cow::Borrowed(&[])),
    }
}

fn decompress<'d>(section: &object::Section<'d, '_>) -> Result<Cow<'d, [u8]>, String> {
    let data = section.compressed_data().map_err(|e| e.to_string())?;
    let size = data.uncompressed_size;
    if size / MAX_EXPANSION > data.data.len() as u64 {
        return Err(format!("cannot be {size} bytes"));
    }
    data.decompress().map_err(|e| e.to_string())
}

/// The calls at an address (SVMA), innermost first; empty if the debug
/// information does not cover it.
pub(super) fn find_frames<'c>(
    context: &'c Context<Reader<'c>>,
    address: u64,
) -> gimli::Result<Vec<Frame<'c>>> {
    // Split debug information (`.dwo`) is not followed: its units still have
    // lines, and the function's name comes from the symbol table.
    let mut found: FrameIter<_> = context.find_frames(address).skip_all_loads()?;
    let mut frames = Vec::new();
    while let Some(frame) = found.next()? {
        if frames.len() == MAX_DEPTH {
            break;
        }
        let location = frame.location.as_ref();
        frames.push(Frame {
            name: frame.function.map(|function| function.name.slice()),
            file: location.and_then(|location| location.file),
            line: location.and_then(|location| location.line).unwrap_or(0),
        });
    }
    Ok(frames)
}
