//! Files that are made up, one for each way in which Go's linker, or a C linker, puts
//! the tables into them.

use proptest::prelude::*;

use super::super::tests::{TEXT, table};
use super::super::{Lines, Rule};
use super::*;

/// Address of the file's first byte.
const BASE: u64 = 0x40_0000;
/// Sections begin at multiples of this; the first one is what `TEXT` is the address of.
const STEP: usize = 0x1000;
/// Bytes of the file's header and its only segment.
const HEADERS: usize = 64 + 56;

/// A section: its name, content and flags, and whether it has relocations.
struct Section {
    name: &'static [u8],
    content: Vec<u8>,
    flags: u64,
    is_rela: bool,
}

fn section(name: &'static [u8], content: Vec<u8>) -> Section {
    Section { name, content, flags: 2, is_rela: false }
}

fn writable(name: &'static [u8], content: Vec<u8>) -> Section {
    Section { flags: 3, ..section(name, content) }
}

/// For each place and value, what tells the dynamic linker to put it there.
fn relocations(values: &[(u64, u64)]) -> Section {
    let relative = u64::from(crate::arch::RELATIVE_RELOCATION.0);
    let entries = values.iter().flat_map(|(at, value)| [*at, relative, *value]);
    let content = entries.flat_map(u64::to_le_bytes).collect();
    Section { is_rela: true, ..section(b".rela.dyn", content) }
}

/// Address of the section with a number.
fn address_of(index: usize) -> u64 {
    BASE + ((index + 1) * STEP) as u64
}

/// Puts a number at an offset.
fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// A file with sections, of which only the last one may be longer than a step.
fn file(sections: &[Section]) -> Vec<u8> {
    let mut bytes = vec![0; HEADERS];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[6] = 1;
    let mut names = vec![0];
    let mut headers = vec![[0; 64]];
    let mut header = |name: &[u8], kind: u32, flags: u64, at: usize, length: usize| {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&(names.len() as u32).to_le_bytes());
        names.extend([name, b"\0"].concat());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        for (i, number) in [flags, BASE + at as u64, at as u64, length as u64].iter().enumerate() {
            put(&mut header, 8 + i * 8, *number);
        }
        put(&mut header, 56, if kind == 4 { 24 } else { 0 });
        headers.push(header);
        names.clone()
    };
    for (index, section) in sections.iter().enumerate() {
        let at = (address_of(index) - BASE) as usize;
        assert!(bytes.len() <= at, "longer than a step");
        bytes.resize(at, 0);
        bytes.extend_from_slice(&section.content);
        let kind = if section.is_rela { 4 } else { 1 };
        header(section.name, kind, section.flags, at, section.content.len());
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    // The names' own section is the last one.
    let names = header(b".shstrtab", 3, 0, bytes.len(), 0);
    put(headers.last_mut().unwrap(), 32, names.len() as u64);
    bytes.extend_from_slice(&names);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let headers_at = bytes.len() as u64;
    let count = headers.len() as u64;
    bytes.extend(headers.concat());
    // Little-endian x86-64; one segment has all of the file.
    put(&mut bytes, 16, 3 | 62 << 16 | 1 << 32);
    put(&mut bytes, 32, 64);
    put(&mut bytes, 40, headers_at);
    put(&mut bytes, 52, 64 | 56 << 16 | 1 << 32 | 64 << 48);
    put(&mut bytes, 60, count | (count - 1) << 16);
    let length = bytes.len() as u64;
    // The last word above has two bytes of the file's header, and four of the segment's.
    put(&mut bytes, 64, 1 | 5 << 32);
    for (i, number) in [0, BASE, BASE, length, length, 1].iter().enumerate() {
        put(&mut bytes, 72 + i * 8, *number);
    }
    bytes
}

/// Words of `moduledata`: the table, the names in it, and the code; then others.
fn module(table_svma: u64, others: &[(u64, u64)]) -> Vec<(u64, u64)> {
    // Names are behind the header.
    let mut words = vec![(0, table_svma), (MODULE_NAMES, table_svma + 72), (MODULE_TEXT, TEXT)];
    words.extend_from_slice(others);
    words
}

/// These as bytes.
fn bytes(words: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; 400];
    for (at, value) in words {
        put(&mut bytes, *at as usize, *value);
    }
    bytes
}

/// These as relocations of what is at an address.
fn relocated(svma: u64, words: &[(u64, u64)]) -> Vec<(u64, u64)> {
    words.iter().map(|(at, value)| (svma + at, *value)).collect()
}

/// Two functions, and what inlined calls are described in.
fn content(is_1_20: bool) -> (Vec<u8>, Vec<u8>) {
    table(is_1_20, &["main.f", "runtime.goexit"], 0)
}

/// The same without the address of the code.
fn without_text(is_1_20: bool) -> (Vec<u8>, Vec<u8>) {
    let (mut table, data) = content(is_1_20);
    put(&mut table, TEXT_START_AT, 0);
    (table, data)
}

fn text_section() -> Section {
    section(b".text", vec![0x90; 0x80])
}

/// A program as Go's linker makes it, of 1.18 or 1.19, or of 1.20 to 1.25.
fn own_section(is_1_20: bool) -> Vec<u8> {
    let (table, data) = content(is_1_20);
    let at = if is_1_20 { 320 } else { 304 };
    let words = module(address_of(1), &[(at, address_of(2))]);
    file(&[
        text_section(),
        section(b".gopclntab", table),
        section(b".rodata", data),
        writable(b".noptrdata", bytes(&words)),
    ])
}

/// One that can be loaded anywhere.
fn relocated_section() -> Vec<u8> {
    let (table, data) = without_text(true);
    let words = module(address_of(1), &[(320, address_of(2))]);
    let mut values = relocated(address_of(3), &words);
    values.push((address_of(1) + TEXT_START_AT as u64, TEXT));
    file(&[
        text_section(),
        section(b".data.rel.ro.gopclntab", table),
        section(b".rodata", data),
        writable(b".data", bytes(&[])),
        relocations(&values),
    ])
}

/// One that a C linker has made, with other data before the table and behind it.
fn merged_section() -> Vec<u8> {
    let (table, data) = without_text(true);
    let table_svma = address_of(1) + 64;
    let words = module(table_svma, &[(320, address_of(2))]);
    let mut values = relocated(address_of(3), &words);
    values.push((table_svma + TEXT_START_AT as u64, TEXT));
    file(&[
        text_section(),
        writable(b".data.rel.ro", [vec![0xff; 64], table, vec![0xff; 0x400]].concat()),
        section(b".rodata", data),
        writable(b".data", bytes(&[])),
        section(b".go.buildinfo", vec![0; 16]),
        relocations(&values),
    ])
}

/// One of Go 1.26 or later, whose table has everything in it, where `moduledata` says
/// so; its words are there, or put there.
fn own_module(at: u64, is_relocated: bool) -> Vec<u8> {
    let (mut table, data) = without_text(true);
    let (table_svma, data_at) = (address_of(1), table.len() as u64);
    table.extend_from_slice(&data);
    let data_svma = table_svma + data_at;
    let end = table_svma + table.len() as u64;
    let words = module(table_svma, &[(at, data_svma), (at + 8, end)]);
    let (content, values) = match is_relocated {
        true => (bytes(&[]), relocated(address_of(2), &words)),
        false => (bytes(&words), Vec::new()),
    };
    file(&[
        text_section(),
        section(b".gopclntab", table),
        writable(b".go.module", content),
        relocations(&values),
    ])
}

/// All that are made here.
fn files() -> Vec<Vec<u8>> {
    let mut files = vec![own_section(false), own_section(true)];
    files.extend([relocated_section(), merged_section()]);
    for at in MODULE_DATA_IN_TABLE {
        files.extend([own_module(at, false), own_module(at, true)]);
    }
    files
}

/// The calls at an address, as far as they are there.
fn calls(file: &[u8], located: &Located, svma: u64) -> Vec<String> {
    let start = located.file_offset as usize;
    let table = &file[start..start + located.length as usize];
    let data = locate_data(file, located).and_then(|at| file.get(at as usize..));
    let lines =
        Lines::new(Table::parse(table, located.text_svma).unwrap(), data.unwrap_or_default());
    let calls = lines.find(svma);
    calls.iter().map(|call| String::from_utf8_lossy(call.function).into_owned()).collect()
}

#[test]
fn tables_and_data_are_found() {
    for (index, file) in files().iter().enumerate() {
        let located = locate(file.as_slice()).unwrap_or_else(|| panic!("file {index}"));
        assert_eq!(located.text_svma, TEXT, "file {index}");
        assert_eq!(calls(file, &located, TEXT + 0x17), ["inlined", "main.f"], "file {index}");
        assert_eq!(calls(file, &located, TEXT + 0x40), ["runtime.goexit"], "file {index}");
        let program = crate::Image::from_bytes(file).unwrap().go.unwrap();
        assert_eq!(program.rule(TEXT + 4), Some(Rule::Called { size: 32 }), "file {index}");
        assert_eq!(program.rule(TEXT + 0x40), Some(Rule::Root), "file {index}");
    }
}

#[test]
fn a_merged_table_has_its_own_length() {
    let file = merged_section();
    let located = locate(file.as_slice()).unwrap();
    assert_eq!(located.file_offset, address_of(1) - BASE + 64);
    assert_eq!(located.length, content(true).0.len() as u64);
}

#[test]
fn addresses_at_the_end_of_memory() {
    for name in [b".gopclntab".as_slice(), b".go.module"] {
        for svma in [u64::MAX, u64::MAX - 7, u64::MAX - 176] {
            let mut file = own_module(MODULE_DATA_IN_TABLE[0], false);
            let header = section_header(&file, name);
            put(&mut file, header + 16, svma);
            let data = locate(file.as_slice()).and_then(|at| locate_data(file.as_slice(), &at));
            assert_eq!(data, None, "{svma:x}");
        }
    }
}

/// Where in the file the header of a section is.
fn section_header(file: &[u8], name: &[u8]) -> usize {
    let parsed = File::parse(file).unwrap();
    let (index, _) = parsed.sections.section_by_name(LittleEndian, name).unwrap();
    let headers_at = u64::from_le_bytes(file[40..48].try_into().unwrap());
    headers_at as usize + index.0 * 64
}

/// Each is looked up among all relocations, of which a file may have any number.
#[test]
fn only_some_holders_are_looked_at() {
    let (table, data) = content(true);
    let words = module(address_of(1), &[(320, address_of(2))]);
    let with = |others: u64| {
        // Places that are not in the file, and then the one that is right.
        let mut values: Vec<_> =
            (0..others).map(|i| (BASE + (1 << 40) + i * 8, address_of(1))).collect();
        values.extend(relocated(address_of(3), &words));
        let file = file(&[
            text_section(),
            section(b".gopclntab", table.clone()),
            section(b".rodata", data.clone()),
            writable(b".data", bytes(&[])),
            relocations(&values),
        ]);
        let located = locate(file.as_slice()).unwrap();
        locate_data(file.as_slice(), &located)
    };
    assert_eq!(with(3), Some(address_of(2) - BASE));
    assert_eq!(with(1 << 16), None);
}

/// Sections that all have the whole file are not gone through each.
#[test]
fn sections_in_each_other() {
    let (table, data) = content(true);
    let words = module(address_of(1), &[(320, address_of(2))]);
    let mut sections =
        vec![text_section(), section(b".gopclntab", table), section(b".rodata", data)];
    sections.extend((0..10).map(|_| writable(b".data", Vec::new())));
    sections.push(writable(b".noptrdata", bytes(&words)));
    let mut file = file(&sections);
    let located = locate(file.as_slice()).unwrap();
    assert!(locate_data(file.as_slice(), &located).is_some());
    let (first, length) = (section_header(&file, b".data"), file.len() as u64);
    for header in (0..10).map(|i| first + i * 64) {
        put(&mut file, header + 24, 0);
        put(&mut file, header + 32, length);
    }
    assert_eq!(locate_data(file.as_slice(), &located), None);
}

proptest! {
    /// Whatever is damaged, an answer comes. Most damage is where addresses are.
    #[test]
    fn damaged_files(
        file in prop::sample::select(files()),
        changes in prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop_oneof![Just(0), Just(u64::MAX), Just(u64::MAX - 7), Just(TEXT), any::<u64>()],
            ),
            1..6,
        ),
        svma in TEXT - 2..TEXT + 0x100,
    ) {
        let mut file = file;
        // Words that say something: the rest of each section is empty.
        let is_empty = |at: &usize| file[*at..at + 8] == [0; 8];
        let words: Vec<usize> =
            (16..file.len() - 8).step_by(8).filter(|at| !is_empty(at)).collect();
        for (at, value) in changes {
            put(&mut file, *at.get(&words), value);
        }
        let image = crate::Image::from_bytes(&file);
        if let Some(go) = image.ok().and_then(|image| image.go) {
            go.rule(svma);
        }
        if let Some(located) = locate(file.as_slice()) {
            locate_data(file.as_slice(), &located);
        }
    }
}
