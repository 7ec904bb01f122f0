//! Whether a file has a CPython in it, and which one.

use std::fs::File;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, ReadCache, ReadRef};

use super::offsets::{Offsets, SAID_LEN, of_version, said_by};

/// A version of the language, within which nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u8,
    pub(crate) minor: u8,
}

/// A CPython in a file. Addresses are the file's own.
#[derive(Debug)]
pub(crate) struct Build {
    /// Where its state begins.
    pub(crate) runtime_svma: u64,
    /// What all code objects have as their type; 0 if unknown.
    pub(crate) code_type_svma: u64,
    pub(crate) offsets: Offsets,
}

/// What a file has in it.
#[derive(Debug)]
pub(crate) enum Found {
    Known(Build),
    /// A version whose layout is not known.
    Unknown(Option<Version>),
}

/// Looks into a file; `None` if there is no CPython in it.
pub(crate) fn find(file: File) -> Option<Found> {
    let data = ReadCache::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&data).ok()?;
    // Until version 3.9 it had no section of its own, and was in programs and
    // libraries of its own name only.
    let section = elf.section_by_name(".PyRuntime")?;
    let symbols = Symbols::of(&elf);
    // The section holds nothing else.
    let runtime_svma = symbols.runtime.unwrap_or(section.address());
    let bytes = |address: u64, length: usize| {
        let endian = elf.endian();
        let part = elf.elf_program_headers().iter().find(|header| {
            let (start, length) = (header.p_vaddr(endian), header.p_filesz(endian));
            header.p_type(endian) == PT_LOAD
                && address.checked_sub(start).is_some_and(|behind| behind < length)
        })?;
        let offset = part.p_offset(endian).checked_add(address - part.p_vaddr(endian))?;
        (&data).read_bytes_at(offset, length as u64).ok()
    };
    let version = symbols.version.and_then(|at| bytes(at, 4)?.first_chunk()).map(|bytes| {
        let [_, _, minor, major] = *bytes;
        Version { major, minor }
    });
    let Some(version) = version else { return Some(Found::Unknown(None)) };
    let said = || bytes(runtime_svma, SAID_LEN).and_then(|bytes| said_by(version, bytes));
    let Some(offsets) = of_version(version).or_else(said) else {
        return Some(Found::Unknown(Some(version)));
    };
    let code_type_svma = symbols.code_type.unwrap_or(0);
    Some(Found::Known(Build { runtime_svma, code_type_svma, offsets }))
}

/// Addresses that a file exports.
#[derive(Default)]
struct Symbols {
    runtime: Option<u64>,
    code_type: Option<u64>,
    /// The number of the version.
    version: Option<u64>,
}

impl Symbols {
    fn of<'d>(elf: &ElfFile64<'d, Endianness, &'d ReadCache<File>>) -> Self {
        let mut found = Symbols::default();
        for symbol in elf.dynamic_symbols().chain(elf.symbols()) {
            if !symbol.is_definition() {
                continue;
            }
            let place = match symbol.name() {
                Ok("_PyRuntime") => &mut found.runtime,
                Ok("PyCode_Type") => &mut found.code_type,
                Ok("Py_Version") => &mut found.version,
                _ => continue,
            };
            place.get_or_insert(symbol.address());
        }
        found
    }
}
