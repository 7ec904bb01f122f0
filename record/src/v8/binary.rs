//! Whether a file has a V8 in it, and what it says of itself.

use std::fs::File;
use std::ops::Range;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSymbol, ReadCache, ReadRef};

use super::layout::{Layout, PREFIX};

/// A V8 in a file.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) layout: Layout,
    /// Where in the file its own code in its own calling convention is: the
    /// interpreter, and functions of the language.
    pub(crate) embedded: Range<u64>,
}

/// What a file has in it.
#[derive(Debug)]
pub(crate) enum Found {
    Known(Build),
    /// One whose frames are not known, and a name that is missing, or stands for a number
    /// that is new.
    Unknown(&'static str),
}

/// A number that each V8 exports.
const MARKER: &str = "v8dbg_SmiTag";
const EMBEDDED: &str = "v8_Default_embedded_blob_code_";
/// What it was called when the other one was only its address, up to version 10.
const EMBEDDED_ONCE: &str = "v8_Default_embedded_blob_code_data_";
const EMBEDDED_LENGTH: &str = "v8_Default_embedded_blob_code_size_";

type Elf<'d> = ElfFile64<'d, Endianness, &'d ReadCache<File>>;

/// Looks into a file; `None` if there is no V8 in it.
pub(crate) fn find(file: File) -> Option<Found> {
    let data = ReadCache::new(file);
    let elf = Elf::parse(&data).ok()?;
    // Nearly all files are none, and to look through all of their names takes long.
    if !exports(&elf, MARKER) {
        return None;
    }
    let mut numbers = Vec::new();
    for symbol in elf.dynamic_symbols() {
        let name = symbol.name().ok().and_then(|name| name.strip_prefix(PREFIX));
        if let Some(name) = name {
            // What is zero takes no space in the file.
            let number = word_at(&elf, &data, symbol.address()).unwrap_or(0);
            numbers.push((name, number as i32));
        }
    }
    let layout = match Layout::of(&numbers) {
        Ok(layout) => layout,
        Err(name) => return Some(Found::Unknown(name)),
    };
    match embedded(&elf, &data) {
        Some(embedded) => Some(Found::Known(Build { layout, embedded })),
        None => Some(Found::Unknown(EMBEDDED)),
    }
}

/// Whether a file exports a name, as far as its table of hashes says.
fn exports(elf: &Elf<'_>, name: &str) -> bool {
    let (endian, data) = (elf.endian(), elf.data());
    let sections = elf.elf_section_table();
    let hash = object::elf::gnu_hash(name.as_bytes());
    let found = sections.iter().find_map(|section| {
        let (table, linked) = section.gnu_hash(endian, data).ok().flatten()?;
        let symbols = sections.symbol_table_by_index(endian, data, linked).ok()?;
        table.find(endian, name.as_bytes(), hash, None, &symbols, &Default::default())
    });
    found.is_some()
}

/// Where the embedded code is in the file.
fn embedded(elf: &Elf<'_>, data: &ReadCache<File>) -> Option<Range<u64>> {
    let [mut start, mut start_once, mut length] = [None; 3];
    for symbol in elf.symbols() {
        let place = match symbol.name() {
            Ok(EMBEDDED) => &mut start,
            Ok(EMBEDDED_ONCE) => &mut start_once,
            Ok(EMBEDDED_LENGTH) => &mut length,
            _ => continue,
        };
        *place = Some(symbol.address());
    }
    let start = file_offset(elf, start_once.or(start)?)?;
    let length = word_at(elf, data, length?)?;
    Some(start..start.checked_add(length.into())?)
}

/// The number at one of the file's own addresses, if the file has it.
fn word_at(elf: &Elf<'_>, data: &ReadCache<File>, address: u64) -> Option<u32> {
    let bytes = data.read_bytes_at(file_offset(elf, address)?, 4).ok()?;
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn file_offset(elf: &Elf<'_>, address: u64) -> Option<u64> {
    let endian = elf.endian();
    elf.elf_program_headers().iter().find_map(|header| {
        let behind = address.checked_sub(header.p_vaddr(endian))?;
        let is_in = header.p_type(endian) == PT_LOAD && behind < header.p_filesz(endian);
        is_in.then(|| header.p_offset(endian).checked_add(behind)).flatten()
    })
}
