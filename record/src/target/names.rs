//! Names of code that cannot be looked up on another machine: the kernel's
//! and the vDSO's. Only names of code that was seen are kept.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSymbol, SymbolKind};
use rz_format::{Record, Symbol};

use crate::target::procfs;

/// A line of `/proc/kallsyms`.
struct Candidate {
    start: u64,
    name: String,
    area: String,
}

/// The symbols of the kernel that hold the given addresses, from
/// `/proc/kallsyms`. Empty if the kernel hides its addresses.
pub(crate) fn kernel_symbols(addresses: &BTreeSet<u64>, module: u32) -> io::Result<Vec<Record>> {
    let file = BufReader::with_capacity(256 << 10, File::open("/proc/kallsyms")?);
    let symbols = enclosing_symbols(file, addresses)?;
    Ok(symbols
        .into_iter()
        .map(|found| {
            let Candidate { start, name, area } = found;
            Record::Symbol(Symbol { module, start, length: 0, name, area })
        })
        .collect())
}

/// The functions of the vDSO that hold the given offsets in its image.
pub(crate) fn vdso_symbols(offsets: &BTreeSet<u64>, module: u32) -> io::Result<Vec<Record>> {
    let bytes = procfs::own_vdso()?;
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

/// For each address the symbol that starts closest before it.
///
/// The list is not sorted as a whole, and has more than a hundred thousand
/// lines, so it is gone through once: each line is matched with the first
/// address at or behind it, and in the end each address takes the better of
/// its own match and that of the address before it.
fn enclosing_symbols(
    mut lines: impl BufRead,
    addresses: &BTreeSet<u64>,
) -> io::Result<Vec<Candidate>> {
    let sorted: Vec<u64> = addresses.iter().copied().collect();
    let mut best: Vec<Option<Candidate>> = sorted.iter().map(|_| None).collect();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Some((start, kind, rest)) = split_line(&line) else { continue };
        if !matches!(kind, b't' | b'T' | b'w' | b'W') || start == 0 {
            continue;
        }
        let at = sorted.partition_point(|address| *address < start);
        let Some(slot) = best.get_mut(at) else { continue };
        if slot.as_ref().is_none_or(|found| found.start < start) {
            let text = String::from_utf8_lossy(rest);
            let (name, area) = text.split_once('\t').unwrap_or((&text, ""));
            let area = area.trim_matches(['[', ']']).to_owned();
            *slot = Some(Candidate { start, name: name.to_owned(), area });
        }
    }
    // An address without a match of its own lies in the same symbol as the
    // one before it, which is kept already.
    Ok(best.into_iter().flatten().collect())
}

/// Splits `ffffffff81000000 T name\t[module]`.
fn split_line(line: &[u8]) -> Option<(u64, u8, &[u8])> {
    let (address, rest) = line.split_at_checked(16)?;
    let address = u64::from_str_radix(std::str::from_utf8(address).ok()?, 16).ok()?;
    let [b' ', kind, b' ', name @ ..] = rest else { return None };
    Some((address, *kind, name.trim_ascii_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_gets_the_closest_symbol_before_it() {
        let list = "0000000000001000 T start\n\
                    0000000000001100 t middle\n\
                    0000000000001180 d data\n\
                    0000000000002000 T end\n\
                    0000000000001800 t late\t[ext4]\n\
                    garbage\n";
        let found = |addresses: &[u64]| {
            let set = addresses.iter().copied().collect();
            let symbols = enclosing_symbols(list.as_bytes(), &set).unwrap();
            symbols.into_iter().map(|s| format!("{:x} {}{}", s.start, s.name, s.area)).collect()
        };
        let check = |addresses: &[u64], expected: &[&str]| {
            let symbols: Vec<String> = found(addresses);
            assert_eq!(symbols, expected);
        };
        check(&[0x1010, 0x1020, 0x1190], &["1000 start", "1100 middle"]);
        check(&[0x1900, 0x2000], &["1800 lateext4", "2000 end"]);
        check(&[0xfff], &[]);
        check(&[], &[]);
    }
}
