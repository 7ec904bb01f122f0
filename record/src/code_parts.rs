//! Where in a file its code is, and at which addresses.

use std::fs::File;

use object::elf::{PF_X, PT_LOAD};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, ReadCache};

/// An ELF file that is read as it is needed.
pub(crate) type Elf<'d> = ElfFile64<'d, Endianness, &'d ReadCache<File>>;

/// The executable parts of a file.
#[derive(Debug, Default)]
pub(crate) struct CodeParts(Vec<Part>);

#[derive(Debug)]
struct Part {
    address: u64,
    offset: u64,
    length: u64,
}

impl CodeParts {
    pub(crate) fn of(elf: &Elf<'_>) -> Self {
        let endian = elf.endian();
        let is_code = |header: &&_| {
            let header: &object::elf::ProgramHeader64<Endianness> = header;
            header.p_type(endian) == PT_LOAD && header.p_flags(endian).contains(PF_X)
        };
        let part = |header: &object::elf::ProgramHeader64<Endianness>| Part {
            address: header.p_vaddr(endian),
            offset: header.p_offset(endian),
            length: header.p_filesz(endian),
        };
        CodeParts(elf.elf_program_headers().iter().filter(is_code).map(part).collect())
    }

    #[cfg(test)]
    pub(crate) fn one(address: u64, offset: u64, length: u64) -> Self {
        CodeParts(vec![Part { address, offset, length }])
    }

    /// Where in the file an address of it is.
    pub(crate) fn offset_of(&self, address: u64) -> Option<u64> {
        let is_in = |part: &&Part| {
            (part.address..part.address.saturating_add(part.length)).contains(&address)
        };
        self.0.iter().find(is_in).map(|part| address - part.address + part.offset)
    }

    /// The address that an offset in the file has, before it is loaded.
    pub(crate) fn address_of(&self, file_offset: u64) -> Option<u64> {
        // A mapping begins at a page, a part anywhere in it.
        let page = |offset: u64| offset & !0xfff;
        let is_in = |part: &&Part| {
            (page(part.offset)..part.offset.saturating_add(part.length)).contains(&file_offset)
        };
        let part = self.0.iter().find(is_in);
        part.map(|part| part.address.wrapping_sub(part.offset).wrapping_add(file_offset))
    }
}
