//! Reads the sections of debug information, uncompressed where need be.

use std::borrow::Cow;

use gimli::{Dwarf, DwarfPackage, DwarfPackageSections, DwarfSections, EndianSlice};
use gimli::{RunTimeEndian, SectionId};
use object::{Object, ObjectSection};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::Reader;
use crate::symbolize::budget::Budget;
use crate::symbolize::decompress::decompress;

/// Sections that names depend on; all others are taken for empty.
const NEEDED: [SectionId; 12] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugCuIndex,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTuIndex,
];

/// Sections that a package's index has parts of, whether they are read or not.
const INDEXED: [SectionId; 5] = [
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugMacinfo,
    SectionId::DebugMacro,
    SectionId::DebugTypes,
];

type Contents<'d> = FxHashMap<SectionId, Cow<'d, [u8]>>;

/// The sections of a file's debug information.
pub(crate) struct Sections<'d> {
    sections: DwarfSections<Cow<'d, [u8]>>,
    endian: RunTimeEndian,
    unpacked: u64,
}

impl<'d> Sections<'d> {
    /// Reads the sections of a program or its debug file, or with `is_dwo` of a
    /// file of split debug information. Fails with the cause.
    pub(crate) fn load(
        file: &object::File<'d>,
        is_dwo: bool,
        budget: &Budget,
    ) -> Result<Self, String> {
        let mut contents = load_all(file, &NEEDED, is_dwo, budget)?;
        let unpacked = contents.values().map(|content| match content {
            Cow::Owned(content) => content.len() as u64,
            Cow::Borrowed(_) => 0,
        });
        let unpacked = unpacked.sum();
        let load = |id| Ok::<_, String>(contents.remove(&id).unwrap_or_default());
        Ok(Sections { sections: DwarfSections::load(load)?, endian: endian(file), unpacked })
    }

    /// Bytes of memory that unpacked sections take.
    pub(crate) fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// The sections as gimli reads them.
    pub(crate) fn dwarf(&self) -> Dwarf<Reader<'_>> {
        self.sections.borrow(|data| EndianSlice::new(data, self.endian))
    }
}

/// The sections of a package of split debug information (`.dwp`).
pub(crate) struct PackageSections<'d> {
    sections: DwarfPackageSections<Cow<'d, [u8]>>,
    endian: RunTimeEndian,
}

impl<'d> PackageSections<'d> {
    /// Reads the sections of a `.dwp` file; fails with the cause.
    pub(crate) fn load(file: &object::File<'d>, budget: &Budget) -> Result<Self, String> {
        let all = [&NEEDED[..], &INDEXED].concat();
        let mut contents = load_all(file, &all, true, budget)?;
        let load = |id| Ok::<_, gimli::Error>(contents.remove(&id).unwrap_or_default());
        let sections = DwarfPackageSections::load(load).map_err(|e| e.to_string())?;
        Ok(PackageSections { sections, endian: endian(file) })
    }

    /// The package as gimli reads it.
    pub(crate) fn package(&self) -> gimli::Result<DwarfPackage<Reader<'_>>> {
        let empty = EndianSlice::new(&[], self.endian);
        self.sections.borrow(|data| EndianSlice::new(data, self.endian), empty)
    }
}

fn endian(file: &object::File) -> RunTimeEndian {
    match file.is_little_endian() {
        true => RunTimeEndian::Little,
        false => RunTimeEndian::Big,
    }
}

fn load_all<'d>(
    file: &object::File<'d>,
    wanted: &[SectionId],
    is_dwo: bool,
    budget: &Budget,
) -> Result<Contents<'d>, String> {
    let name = |id: SectionId| match is_dwo {
        true => id.dwo_name().unwrap_or(id.name()),
        false => id.name(),
    };
    // Unpacking takes longer than all the rest, so it is shared out.
    wanted
        .par_iter()
        .filter_map(|&id| Some((id, file.section_by_name(name(id)).filter(has_content)?)))
        .map(|(id, section)| {
            let data = section.compressed_data().map_err(|e| e.to_string());
            let data = data.and_then(|data| decompress(data, budget));
            Ok((id, data.map_err(|cause| format!("{}: {cause}", name(id)))?))
        })
        .collect()
}

/// Whether a section's content is in this file. A separate debug file has
/// headers, but no content, for the sections that stayed in the binary.
pub(crate) fn has_content(section: &object::Section) -> bool {
    section.file_range().is_some_and(|(_, size)| size > 0)
}
