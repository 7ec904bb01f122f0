//! Whether a file has a V8 in it, and what it says of itself.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ReadCache, ReadRef};

use crate::exports::exported;

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
    Known(Arc<Build>),
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

/// Length of a symbol's entry.
const SYMBOL_LEN: usize = 24;

type Elf<'d> = ElfFile64<'d, Endianness, &'d ReadCache<File>>;

/// Looks into a file; `None` if there is no V8 in it.
pub(crate) fn find(file: File) -> Option<Found> {
    let data = ReadCache::new(file);
    let elf = Elf::parse(&data).ok()?;
    // Nearly all files are none, and to look through all of their names takes long.
    exported(&elf, MARKER)?;
    let mut numbers = Vec::new();
    for (name, address) in symbols(&elf, ".dynsym", ".dynstr") {
        if let Some(name) = name.strip_prefix(PREFIX.as_bytes()).and_then(text) {
            // What is zero takes no space in the file.
            let number = word_at(&elf, &data, address).unwrap_or(0);
            numbers.push((name, number as i32));
        }
    }
    let layout = match Layout::of(&numbers) {
        Ok(layout) => layout,
        Err(name) => return Some(Found::Unknown(name)),
    };
    match embedded(&elf, &data) {
        Some(embedded) => Some(Found::Known(Arc::new(Build { layout, embedded }))),
        None => Some(Found::Unknown(EMBEDDED)),
    }
}

/// Names, each with what comes after it, and addresses. They are read at once: there may
/// be 100,000 of them.
fn symbols<'d>(
    elf: &Elf<'d>,
    table: &str,
    names: &str,
) -> impl Iterator<Item = (&'d [u8], u64)> + use<'d> {
    let content = |name| elf.section_by_name(name).and_then(|section| section.data().ok());
    let (table, names) = (content(table).unwrap_or_default(), content(names).unwrap_or_default());
    table.as_chunks::<SYMBOL_LEN>().0.iter().filter_map(|symbol| {
        let name = u32::from_le_bytes(*symbol.first_chunk()?) as usize;
        let address = u64::from_le_bytes(*symbol.get(8..)?.first_chunk()?);
        Some((names.get(name..)?, address))
    })
}

/// A name, up to its end.
fn text(name: &[u8]) -> Option<&str> {
    let end = name.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&name[..end]).ok()
}

/// Where the embedded code is in the file.
fn embedded(elf: &Elf<'_>, data: &ReadCache<File>) -> Option<Range<u64>> {
    let [mut start, mut start_once, mut length] = [None; 3];
    for (name, address) in symbols(elf, ".symtab", ".strtab") {
        // Few begin so, and to look where each of the others ends takes long.
        let name = name.starts_with(EMBEDDED.as_bytes()).then(|| text(name)).flatten();
        let place = match name {
            Some(EMBEDDED) => &mut start,
            Some(EMBEDDED_ONCE) => &mut start_once,
            Some(EMBEDDED_LENGTH) => &mut length,
            _ => continue,
        };
        *place = Some(address);
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
