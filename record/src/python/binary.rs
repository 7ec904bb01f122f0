//! Whether a file has a CPython in it, and which one.

use std::fmt;
use std::fs::File;
use std::ops::Range;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ReadRef};
use rz_unwind::Bounded;

use super::offsets::{Offsets, SAID_LEN, of_version, said_by};

/// A version of the language, within which nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u8,
    pub(crate) minor: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A CPython in a file. Addresses are the file's own.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) version: Version,
    /// Where its state begins.
    pub(crate) runtime_svma: u64,
    /// What all code objects have as their type; 0 if unknown.
    pub(crate) code_type_svma: u64,
    /// Where in the file the function is that evaluates frames: in one piece or in
    /// several.
    pub(crate) evaluating: Vec<Range<u64>>,
    pub(crate) offsets: Offsets,
}

/// What a file has in it.
#[derive(Debug)]
pub(crate) enum Found {
    Known(Build),
    /// A version whose layout is not known.
    Unknown(Option<Version>),
}

/// Looks into a file, which may be called after Python; `None` if there is no CPython
/// in it.
pub(crate) fn find(file: File, is_called_so: bool) -> Option<Found> {
    let data = Bounded::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&data).ok()?;
    // Up to version 3.9 it has no section of its own. To look through the names of all
    // that is mapped would take too long.
    let section = elf.section_by_name(".PyRuntime");
    if section.is_none() && !is_called_so {
        return None;
    }
    let symbols = Symbols::of(&elf);
    // The section holds nothing else.
    let runtime_svma = symbols.runtime.or(section.map(|section| section.address()))?;
    let file_offset = |address: u64| {
        let endian = elf.endian();
        let part = elf.elf_program_headers().iter().find(|header| {
            let (start, length) = (header.p_vaddr(endian), header.p_filesz(endian));
            header.p_type(endian) == PT_LOAD
                && address.checked_sub(start).is_some_and(|behind| behind < length)
        })?;
        part.p_offset(endian).checked_add(address - part.p_vaddr(endian))
    };
    let bytes = |address: u64, length: usize| {
        (&data).read_bytes_at(file_offset(address)?, length as u64).ok()
    };
    let version = symbols.version.and_then(|at| bytes(at, 4)?.first_chunk()).map(|bytes| {
        let [_, _, minor, major] = *bytes;
        Version { major, minor }
    });
    let Some(version) = version.or(symbols.oldest) else { return Some(Found::Unknown(None)) };
    let said = || bytes(runtime_svma, SAID_LEN).and_then(|bytes| said_by(version, bytes));
    let Some(offsets) = of_version(version).or_else(said) else {
        return Some(Found::Unknown(Some(version)));
    };
    let code_type_svma = symbols.code_type.unwrap_or(0);
    let evaluating = symbols.evaluating.into_iter().filter_map(|(address, length)| {
        let start = file_offset(address)?;
        Some(start..start.checked_add(length)?)
    });
    let evaluating = evaluating.collect();
    Some(Found::Known(Build { version, runtime_svma, code_type_svma, evaluating, offsets }))
}

/// Addresses that a file exports.
#[derive(Default)]
struct Symbols {
    runtime: Option<u64>,
    code_type: Option<u64>,
    /// The number of the version.
    version: Option<u64>,
    /// What it must at least be, from the functions that it has.
    oldest: Option<Version>,
    /// Addresses and lengths.
    evaluating: Vec<(u64, u64)>,
}

/// Functions that a version was the first to have, of those that do not say which they
/// are.
const FIRST_HAD: [(&str, Version); 3] = [
    ("PyCode_NewWithPosOnlyArgs", Version { major: 3, minor: 8 }),
    ("PyObject_CallNoArgs", Version { major: 3, minor: 9 }),
    ("PyIter_Send", Version { major: 3, minor: 10 }),
];
/// The function that evaluates frames. Compilers add to the name of what they have
/// split off.
const EVALUATES: &str = "_PyEval_EvalFrameDefault";

/// How much of a name is looked at, in bytes: more than is compared.
const LONGEST_NAME: usize = 64;
/// Length of a symbol's entry.
const SYMBOL_LEN: usize = 24;

impl Symbols {
    fn of<'d>(elf: &ElfFile64<'d, Endianness, &'d Bounded>) -> Self {
        let mut found = Symbols::default();
        // They are read at once: there may be some 10,000 of them, and a program that is
        // started waits for nobody.
        let content = |name| {
            let section = elf.section_by_name(name);
            section.and_then(|section| section.data().ok()).unwrap_or_default()
        };
        for (table, names) in [(".dynsym", ".dynstr"), (".symtab", ".strtab")] {
            let (table, names) = (content(table), content(names));
            for symbol in table.as_chunks::<SYMBOL_LEN>().0 {
                found.look_at(symbol, names);
            }
        }
        found
    }

    fn look_at(&mut self, symbol: &[u8; SYMBOL_LEN], names: &[u8]) {
        let word = |at: usize| symbol[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        // The name's place, what it is, and the section that has it; address and length.
        let (head, address, length) = (word(0), word(8), word(16));
        let is_definition = head >> 48 != 0;
        let rest = names.get(head as u32 as usize..).unwrap_or_default();
        // All that is looked for begins so, and most else does not.
        let begins_so = rest.starts_with(b"_Py") || rest.starts_with(b"Py");
        if !is_definition || !begins_so {
            return;
        }
        // Nothing longer is looked for, and a hostile file may have a name that does not end.
        let rest = rest.get(..LONGEST_NAME).unwrap_or(rest);
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        let Ok(name) = std::str::from_utf8(&rest[..end]) else { return };
        let place = match name {
            "_PyRuntime" => &mut self.runtime,
            "PyCode_Type" => &mut self.code_type,
            "Py_Version" => &mut self.version,
            _ if name.starts_with(EVALUATES) => {
                self.evaluating.push((address, length));
                return;
            }
            _ => {
                let first = FIRST_HAD.iter().find(|(first, _)| *first == name);
                self.oldest = self.oldest.max(first.map(|(_, version)| *version));
                return;
            }
        };
        place.get_or_insert(address);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn symbol(name: u32) -> [u8; SYMBOL_LEN] {
        let words = [u64::from(name) | 1 << 48, 0x1000, 8].map(u64::to_le_bytes);
        words.concat().try_into().unwrap()
    }

    #[test]
    fn names_say_what_is_where() {
        let mut found = Symbols::default();
        let names = b"\0PyIter_Send\0_PyEval_EvalFrameDefault.cold\0_PyRuntime";
        for name in [1, 13, 43] {
            found.look_at(&symbol(name), names);
        }
        let version = Version { major: 3, minor: 10 };
        assert_eq!((found.oldest, found.runtime), (Some(version), Some(0x1000)));
        assert_eq!(found.evaluating, [(0x1000, 8)]);
    }

    #[test]
    fn a_name_that_does_not_end_takes_no_time() {
        let names = b"Py".repeat(16 << 20);
        let started = Instant::now();
        let mut found = Symbols::default();
        for name in (0..20_000).map(|number| number * 2) {
            found.look_at(&symbol(name), &names);
        }
        // To look through all of it for each takes minutes.
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}
