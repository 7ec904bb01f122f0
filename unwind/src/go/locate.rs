//! Where in a file Go's table is, and the code that it is about.

use object::elf;
use object::read::elf::{FileHeader, Rela, SectionHeader, SectionTable};
use object::{LittleEndian, ReadRef};
use rz_format::Segment;

use super::table::{HEADER_LEN, TEXT_START_AT, Table};
use crate::segments::{file_offset_of, loaded_segments};

type Header = elf::FileHeader64<LittleEndian>;

/// The sections that hold a table, of programs and of what can be loaded anywhere.
const NAMES: [&[u8]; 2] = [b".gopclntab", b".data.rel.ro.gopclntab"];
/// The section that all that Go has built has.
const BUILD_INFO: &[u8] = b".go.buildinfo";
/// The section that a C linker puts the table into, with other data.
const MERGED: &[u8] = b".data.rel.ro";
/// How a table begins, behind the first byte, which is the version's.
const BEGINNING: [u8; 7] = [0xff, 0xff, 0xff, 0, 0, 1, 8];
/// What tables are aligned to in such a section.
const ALIGNMENT: usize = 32;
/// From Go 1.26 on, the section of what the runtime knows of the file, `moduledata`.
const MODULE: &[u8] = b".go.module";
/// Where that has the address of the names, which are the first part of the table.
const MODULE_NAMES: u64 = 8;
/// Where it has the address of the code.
const MODULE_TEXT: u64 = 176;
/// Where it may have the address of what functions have besides, `go:func.*`, and
/// behind it that of the table's end: Go 1.26 and later.
const MODULE_DATA_IN_TABLE: [u64; 5] = [312, 320, 328, 336, 344];
/// Where it has that in Go 1.18, and from 1.20 to 1.25.
const MODULE_DATA: [u64; 2] = [304, 320];
/// Most places that have the table's address which are looked at; one is usual.
const MAX_HOLDERS: usize = 16;
/// Most relocations that are looked at.
const MAX_RELOCATIONS: usize = 4 << 20;

/// A table in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Offset of its first byte in the file.
    pub file_offset: u64,
    /// How many bytes it may have: up to the end of its section, or of what is known
    /// to belong to it where that has other data as well.
    pub length: u64,
    /// Address of its first byte.
    svma: u64,
    /// Address of the code that it counts from.
    pub text_svma: u64,
}

/// Looks for a table in an ELF file.
pub fn locate<'d, R: ReadRef<'d>>(data: R) -> Option<Located> {
    let file = File::parse(data)?;
    let mut located = file.section().or_else(|| file.in_merged_section())?;
    let in_header = file.word(located.svma, TEXT_START_AT as u64);
    let text = || file.word(file.section_named(MODULE)?.sh_addr(LittleEndian), MODULE_TEXT);
    located.text_svma = in_header.filter(|text| *text != 0).or_else(text)?;
    Some(located)
}

/// Looks for what inlined calls are described in: it reaches from this offset in
/// the file to the end of what is there.
pub fn locate_data<'d, R: ReadRef<'d>>(data: R, located: &Located) -> Option<u64> {
    let file = File::parse(data)?;
    let table = data.read_bytes_at(located.file_offset, HEADER_LEN as u64).ok()?;
    let names = u64::from_le_bytes(table.get(32..40)?.try_into().ok()?);
    let names = located.svma.checked_add(names)?;
    let is_module = |module: &u64| {
        file.word(*module, 0) == Some(located.svma)
            && file.word(*module, MODULE_NAMES) == Some(names)
            && file.word(*module, MODULE_TEXT) == Some(located.text_svma)
    };
    let (module, at) = if let Some(section) = file.section_named(MODULE) {
        let module = Some(section.sh_addr(LittleEndian)).filter(is_module)?;
        let end = located.svma.checked_add(located.length)?;
        let is_followed = |at: &u64| file.word(module, *at + 8) == Some(end);
        (module, MODULE_DATA_IN_TABLE.into_iter().find(is_followed)?)
    } else {
        let is_1_20 = table[0] == 0xf1;
        let module = file.holders_of(located.svma).into_iter().find(is_module)?;
        (module, MODULE_DATA[usize::from(is_1_20)])
    };
    file_offset_of(&file.segments, file.word(module, at)?)
}

/// An ELF file, as far as this has to know it.
struct File<'d, R: ReadRef<'d>> {
    data: R,
    segments: Vec<Segment>,
    sections: SectionTable<'d, Header, R>,
}

impl<'d, R: ReadRef<'d>> File<'d, R> {
    fn parse(data: R) -> Option<Self> {
        let header = Header::parse(data).ok()?;
        let sections = header.sections(header.endian().ok()?, data).ok()?;
        let segments = header.program_headers(LittleEndian, data).ok()?;
        Some(File { data, segments: loaded_segments(segments, LittleEndian), sections })
    }

    fn section_named(&self, name: &[u8]) -> Option<&'d elf::SectionHeader64<LittleEndian>> {
        Some(self.sections.section_by_name(LittleEndian, name)?.1)
    }

    /// The table in a section of its own.
    fn section(&self) -> Option<Located> {
        let section = NAMES.into_iter().find_map(|name| self.section_named(name))?;
        // Files with debug information alone have sections without content.
        let (file_offset, length) = section.file_range(LittleEndian)?;
        let svma = section.sh_addr(LittleEndian);
        Some(Located { file_offset, length, svma, text_svma: 0 })
    }

    /// The table among other data of a file that Go has built.
    fn in_merged_section(&self) -> Option<Located> {
        self.section_named(BUILD_INFO)?;
        let section = self.section_named(MERGED)?;
        let (file_offset, length) = section.file_range(LittleEndian)?;
        let content = self.data.read_bytes_at(file_offset, length).ok()?;
        let svma = section.sh_addr(LittleEndian);
        let first = (svma.wrapping_neg() % ALIGNMENT as u64) as usize;
        let mut aligned = (first..content.len()).step_by(ALIGNMENT);
        let (at, length) = aligned.find_map(|at| {
            let rest = &content[at..];
            let table = (rest.get(1..8) == Some(&BEGINNING)).then(|| Table::parse(rest, 0))??;
            Some((at as u64, table.length()?.min(rest.len()) as u64))
        })?;
        let (file_offset, svma) = (file_offset.checked_add(at)?, svma.checked_add(at)?);
        Some(Located { file_offset, length, svma, text_svma: 0 })
    }

    /// The address that is so many bytes behind another one, as it is once the file is
    /// loaded where it says.
    fn word(&self, start: u64, behind: u64) -> Option<u64> {
        let svma = start.checked_add(behind)?;
        let bytes = self.data.read_bytes_at(file_offset_of(&self.segments, svma)?, 8).ok()?;
        match u64::from_le_bytes(bytes.try_into().ok()?) {
            // What the dynamic linker puts there.
            0 => {
                let mut relocations = self.relocations();
                relocations.find_map(|(at, value)| (at == svma).then_some(value)).or(Some(0))
            }
            value => Some(value),
        }
    }

    /// Addresses that have the address `svma` in them, as far as they are looked at.
    fn holders_of(&self, svma: u64) -> Vec<u64> {
        let by_linker = self.relocations().filter(|(_, value)| *value == svma);
        let mut holders: Vec<u64> = by_linker.map(|(at, _)| at).take(MAX_HOLDERS).collect();
        let is_data = |section: &&elf::SectionHeader64<LittleEndian>| {
            section.sh_flags(LittleEndian).contains(elf::SHF_WRITE)
        };
        // Sections that were made to harm us lie in each other, and are longer in all
        // than the file.
        let mut left = self.data.len().unwrap_or(0);
        for section in self.sections.iter().filter(is_data) {
            let Ok(content) = section.data(LittleEndian, self.data) else { continue };
            let Some(rest) = left.checked_sub(content.len() as u64) else { break };
            left = rest;
            let at = section.sh_addr(LittleEndian);
            let words = content.as_chunks::<8>().0.iter().enumerate();
            let holds = words.filter(|(_, word)| u64::from_le_bytes(**word) == svma);
            let holds = holds.filter_map(|(i, _)| at.checked_add(i as u64 * 8));
            holders.extend(holds.take(MAX_HOLDERS - holders.len()));
        }
        holders
    }

    /// Where the dynamic linker puts addresses of the file itself, and which.
    fn relocations(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let tables = self
            .sections
            .iter()
            .filter_map(|section| Some(section.rela(LittleEndian, self.data).ok()??.0));
        tables.flatten().take(MAX_RELOCATIONS).filter_map(|relocation| {
            let kind = relocation.r_type(LittleEndian, false);
            let addend = relocation.r_addend(LittleEndian) as u64;
            (kind == crate::arch::RELATIVE_RELOCATION)
                .then_some((relocation.r_offset(LittleEndian), addend))
        })
    }
}

#[cfg(test)]
mod tests;
