//! Names that a file exports.

use object::Endianness;
use object::read::ReadRef;
use object::read::elf::{ElfFile64, SectionHeader, Sym};

/// The address that a file exports by a name, as far as its table of hashes says.
pub(crate) fn exported<'d, R: ReadRef<'d>>(
    elf: &ElfFile64<'d, Endianness, R>,
    name: &str,
) -> Option<u64> {
    let (endian, data) = (elf.endian(), elf.data());
    let sections = elf.elf_section_table();
    let name = name.as_bytes();
    let found = sections.iter().find_map(|section| {
        let (table, linked) = section.gnu_hash(endian, data).ok().flatten()?;
        let symbols = sections.symbol_table_by_index(endian, data, linked).ok()?;
        let hash = object::elf::gnu_hash(name);
        Some(table.find(endian, name, hash, None, &symbols, &Default::default())?.1)
    });
    // Some linkers write the older kind of table alone.
    let older = || {
        sections.iter().find_map(|section| {
            let (table, linked) = section.hash(endian, data).ok().flatten()?;
            let symbols = sections.symbol_table_by_index(endian, data, linked).ok()?;
            let hash = object::elf::hash(name);
            Some(table.find(endian, name, hash, None, &symbols, &Default::default())?.1)
        })
    };
    Some(found.or_else(older)?.st_value(endian))
}
