//! Names of code that cannot be looked up on another machine: the kernel's
//! and the vDSO's. Only names of code that was seen are kept.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSymbol, SymbolKind};
use rz_format::{Record, Symbol};

use crate::arch::KERNEL_IMAGE_END;
use crate::vdso::own_vdso;

/// The symbols of the kernel that hold the given addresses, from
/// `/proc/kallsyms`. Empty if the kernel hides its addresses.
pub fn kernel_symbols(addresses: &BTreeSet<u64>, module: u32) -> io::Result<Vec<Record>> {
    kernel_symbols_in(Path::new("/proc/kallsyms"), addresses, module)
}

/// The same from a copy of that file.
pub fn kernel_symbols_in(
    path: &Path,
    addresses: &BTreeSet<u64>,
    module: u32,
) -> io::Result<Vec<Record>> {
    let file = BufReader::with_capacity(256 << 10, File::open(path)?);
    let symbol = |(start, line): (u64, Vec<u8>)| {
        let text = String::from_utf8_lossy(&line);
        let (name, area) = text.split_once('\t').unwrap_or((&text, ""));
        let area = area.trim_matches(['[', ']']).to_owned();
        Record::Symbol(Symbol { module, start, length: 0, name: name.to_owned(), area })
    };
    Ok(enclosing_symbols(file, addresses)?.into_iter().map(symbol).collect())
}

/// The address of a symbol in such a file.
pub fn kernel_address_of(path: &Path, name: &str) -> io::Result<Option<u64>> {
    let mut file = BufReader::with_capacity(256 << 10, File::open(path)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        if let Some((address, _, found)) = split_line(&line)
            && found == name.as_bytes()
        {
            return Ok(Some(address));
        }
        line.clear();
    }
    Ok(None)
}

/// The functions of the vDSO that hold the given offsets in its image.
pub fn vdso_symbols(offsets: &BTreeSet<u64>, module: u32) -> io::Result<Vec<Record>> {
    let bytes = own_vdso()?;
    let file = ElfFile64::<LittleEndian>::parse(&*bytes).map_err(io::Error::other)?;
    // Addresses in the vDSO are offsets in its image.
    let mut symbols: Vec<Record> = file
        .dynamic_symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .filter(|symbol| {
            let range = symbol.address()..symbol.address() + symbol.size();
            offsets.range(range).next().is_some()
        })
        .filter_map(|symbol| {
            Some(Record::Symbol(Symbol {
                module,
                start: symbol.address(),
                length: symbol.size(),
                name: symbol.name().ok()?.to_owned(),
                area: String::new(),
            }))
        })
        .collect();
    // Two names for one function: keep the exported one with the prefix.
    symbols.sort_by_key(|record| match record {
        Record::Symbol(symbol) => (symbol.start, !symbol.name.starts_with("__vdso")),
        _ => (0, false),
    });
    symbols.dedup_by_key(|record| match record {
        Record::Symbol(symbol) => symbol.start,
        _ => 0,
    });
    Ok(symbols)
}

/// For each address the start of the symbol that starts closest before it,
/// with what the list says about that symbol.
///
/// The list is not sorted as a whole, and has more than a hundred thousand
/// lines, so it is gone through once: each line is matched with the first
/// address at or behind it. An address without a match of its own is in the
/// same symbol as the one before it.
fn enclosing_symbols(
    mut lines: impl BufRead,
    addresses: &BTreeSet<u64>,
) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let sorted: Vec<u64> = addresses.iter().copied().collect();
    let Some(&last) = sorted.last() else { return Ok(Vec::new()) };
    let mut best = vec![(0, Vec::new()); sorted.len()];
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Some((start, kind, rest)) = split_line(&line) else { continue };
        if start > last && last < KERNEL_IMAGE_END && start < KERNEL_IMAGE_END {
            // The kernel's own symbols come first and in order; formatting
            // the rest would cost more than all else here.
            break;
        }
        if !matches!(kind, b't' | b'T' | b'w' | b'W') {
            continue;
        }
        let at = sorted.partition_point(|address| *address < start);
        if let Some((found, text)) = best.get_mut(at)
            && *found < start
        {
            *found = start;
            text.clear();
            text.extend_from_slice(rest);
        }
    }
    best.retain(|(start, _)| *start != 0);
    Ok(best)
}

/// Splits `ffffffff81000000 T name\t[module]`.
fn split_line(line: &[u8]) -> Option<(u64, u8, &[u8])> {
    let (address, rest) = line.split_at_checked(16)?;
    let digit = |value: u64, byte: &u8| Some(value << 4 | u64::from((*byte as char).to_digit(16)?));
    let address = address.iter().try_fold(0, digit)?;
    let [b' ', kind, b' ', name @ ..] = rest else { return None };
    Some((address, *kind, name.trim_ascii_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_gets_the_closest_symbol_before_it() {
        let list = "ffffffff81001000 T start\n\
                    ffffffff81001100 t middle\n\
                    ffffffff81001180 d data\n\
                    ffffffff81002000 T end\n\
                    ffffffffc1001800 t late\t[ext4]\n\
                    ffffffffc1000800 t early\t[xfs]\n\
                    garbage\n";
        let found = |addresses: &[u64]| {
            let set = addresses.iter().map(|address| 0xffff_ffff_0000_0000 | address).collect();
            let symbols = enclosing_symbols(list.as_bytes(), &set).unwrap();
            let text = |(start, line): (u64, Vec<u8>)| {
                format!("{:x} {}", start as u32, String::from_utf8(line).unwrap())
            };
            symbols.into_iter().map(text).collect()
        };
        let check = |addresses: &[u64], expected: &[&str]| {
            let symbols: Vec<String> = found(addresses);
            assert_eq!(symbols, expected);
        };
        check(&[0x8100_1010, 0x8100_1020, 0x8100_1190], &["81001000 start", "81001100 middle"]);
        check(&[0x8100_2000], &["81002000 end"]);
        check(
            &[0x8100_1010, 0xc100_0900, 0xc100_1900],
            &["81001000 start", "c1000800 early\t[xfs]", "c1001800 late\t[ext4]"],
        );
        check(&[0x8100_0fff], &[]);
        check(&[], &[]);
    }
}
