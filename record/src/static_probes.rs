//! Static probes (USDT): places in a program that its authors have named, for tools to look
//! at. What <sys/sdt.h> makes of one is a `nop` and a note, which says where that is, what it
//! passes, and where its semaphore is: a number by which the program knows that somebody
//! looks, so that it may spare itself what is passed.
//!
//! <https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation>

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSection, ReadCache};
use rustc_hash::FxHashSet;

use crate::cursor::Cursor;
use crate::tracker::open_mapped;
use crate::tracker::procfs::executable_maps;

const SECTION: &str = ".note.stapsdt";
/// A section whose address the notes repeat: a file that was prelinked has moved since then.
const BASE_SECTION: &str = ".stapsdt.base";
const OWNER: &[u8] = b"stapsdt";
const NOTE_TYPE: u32 = 3;

/// A static probe of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticProbe {
    /// Who defines it, such as `postgresql`.
    pub provider: String,
    /// Its name there, such as `transaction__start`.
    pub name: String,
    /// The file that it is in, as the process sees it.
    pub file: String,
    /// Where it is: once for each time that the compiler has put it somewhere.
    pub places: Vec<Place>,
}

/// Where a static probe is. Offsets are those in the file, as the kernel takes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Offset of the probed instruction.
    pub offset: u64,
    /// Offset of the semaphore; `None` if it has none.
    pub semaphore: Option<u64>,
    /// What it passes, each as `N@OPERAND`: so many bytes (signed if negative) that are found
    /// in an operand, which is written as the assembler takes it.
    pub arguments: String,
}

/// The static probes of a running process, by file and name, and the files that cannot be
/// read.
pub fn static_probes(pid: u32) -> io::Result<(Vec<StaticProbe>, Vec<String>)> {
    let (mut probes, mut unread) = (Vec::new(), Vec::new());
    let mut seen = FxHashSet::default();
    for map in executable_maps(pid)?.iter().filter(|map| map.is_file()) {
        if !seen.insert((map.device, map.inode)) {
            continue;
        }
        match open_mapped(map, pid).and_then(|file| of_file(file, &map.path)) {
            Ok(found) => probes.extend(found),
            Err(error) => unread.push(format!("{}: {error}", map.path)),
        }
    }
    Ok((probes, unread))
}

fn of_file(file: File, path: &str) -> io::Result<Vec<StaticProbe>> {
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(io::Error::other)?;
    let Some(section) = elf.section_by_name(SECTION) else { return Ok(Vec::new()) };
    let base = elf.section_by_name(BASE_SECTION).map(|section| section.address());
    let endian = elf.endian();
    let parts: Vec<Part> = elf
        .elf_program_headers()
        .iter()
        .filter(|header| header.p_type(endian) == PT_LOAD)
        .map(|header| Part {
            address: header.p_vaddr(endian),
            offset: header.p_offset(endian),
            length: header.p_filesz(endian),
        })
        .collect();
    let notes = section.elf_section_header().notes(endian, &cache).map_err(io::Error::other)?;
    let mut by_name: BTreeMap<(String, String), Vec<Place>> = BTreeMap::new();
    for note in notes.into_iter().flatten() {
        let note = note.map_err(io::Error::other)?;
        if note.name() != OWNER || note.n_type(endian).0 != NOTE_TYPE {
            continue;
        }
        // One that makes no sense says nothing of the others.
        if let Some((name, place)) = parse(note.desc(), base, &parts) {
            by_name.entry(name).or_default().push(place);
        }
    }
    let probes = by_name.into_iter().map(|((provider, name), mut places)| {
        places.sort();
        StaticProbe { provider, name, file: path.to_owned(), places }
    });
    Ok(probes.collect())
}

/// What of a file is loaded where.
struct Part {
    address: u64,
    offset: u64,
    length: u64,
}

/// Reads a note: provider and name, and a place.
fn parse(note: &[u8], base: Option<u64>, parts: &[Part]) -> Option<((String, String), Place)> {
    let mut input = Cursor(note);
    let [address, noted_base, semaphore] = input.u64s()?;
    let moved = base.map_or(0, |base| base.wrapping_sub(noted_base));
    let offset_of = |address: u64| {
        let address = address.wrapping_add(moved);
        let at = |part: &Part| address.checked_sub(part.address).filter(|at| *at < part.length);
        parts.iter().find_map(|part| part.offset.checked_add(at(part)?))
    };
    let mut texts = input.0.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let mut text = || texts.next().map(|text| text.into_owned());
    let (provider, name, arguments) = (text()?, text()?, text()?);
    let semaphore = match semaphore {
        0 => None,
        address => Some(offset_of(address)?),
    };
    Some(((provider, name), Place { offset: offset_of(address)?, semaphore, arguments }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(numbers: [u64; 3], texts: &[u8]) -> Vec<u8> {
        [numbers.map(u64::to_le_bytes).as_flattened(), texts].concat()
    }

    #[test]
    fn notes() {
        let parts = [
            Part { address: 0x1000, offset: 0x1000, length: 0x1000 },
            Part { address: 0x5000, offset: 0x3000, length: 0x100 },
        ];
        let check = |numbers, texts: &[u8], base, expected: Option<(u64, Option<u64>, &str)>| {
            let found = parse(&note(numbers, texts), base, &parts);
            let found = found.map(|((provider, name), place)| {
                assert_eq!((&*provider, &*name), ("p", "n"));
                (place.offset, place.semaphore, place.arguments)
            });
            assert_eq!(found, expected.map(|(at, sem, text)| (at, sem, text.to_owned())));
        };
        check([0x1234, 0, 0], b"p\0n\0\0", None, Some((0x1234, None, "")));
        let texts = b"p\0n\0-4@%edi 8@-8(%rbp)\0";
        let arguments = "-4@%edi 8@-8(%rbp)";
        check([0x1234, 0x1800, 0x5010], texts, Some(0x1800), {
            Some((0x1234, Some(0x3010), arguments))
        });
        // Prelinked: all has moved by 0x100.
        check([0x1134, 0x1700, 0x4f10], texts, Some(0x1800), {
            Some((0x1234, Some(0x3010), arguments))
        });
        // Nowhere in the file, and cut.
        check([0x9234, 0, 0], texts, None, None);
        check([0x1234, 0, 0x9010], texts, None, None);
        check([0x1234, 0, 0], b"p\0n", None, None);
        assert_eq!(parse(&[0; 23], None, &parts), None);
    }
}
