//! Names of the kernel's functions, of those addresses only that were seen: a
//! program has the kernel print them.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;

use libbpf_rs::{MapCore, MapFlags, ObjectBuilder, ProgramInput};
use rz_format::{Record, Symbol};

use crate::arch::bpf_objects;
use crate::libbpf_log::listen;

/// Addresses that it names at a time.
const ADDRESSES: usize = 64;
/// Bytes for the text of each.
const TEXT: usize = 256;

/// The symbols of the kernel that hold the given addresses. Fails where there
/// are no such programs: before Linux 5.14, or without the rights.
pub(crate) fn kernel_symbols(addresses: &BTreeSet<u64>, module: u32) -> io::Result<Vec<Record>> {
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    // It would say on standard error what is only found out here.
    listen();
    let object =
        ObjectBuilder::default().open_memory(bpf_objects::NAMES).map_err(io::Error::other)?;
    let object = object.load().map_err(io::Error::other)?;
    let map = object.maps().next().ok_or(io::ErrorKind::NotFound)?;
    let program = object.progs_mut().next().ok_or(io::ErrorKind::NotFound)?;
    let addresses: Vec<u64> = addresses.iter().copied().collect();
    let mut symbols: Vec<Symbol> = Vec::new();
    for some in addresses.chunks(ADDRESSES) {
        let mut value: Vec<u8> = some.iter().flat_map(|address| address.to_ne_bytes()).collect();
        value.resize(ADDRESSES * (size_of::<u64>() + TEXT), 0);
        map.update(&[0; 4], &value, MapFlags::ANY).map_err(io::Error::other)?;
        program.test_run(ProgramInput::default()).map_err(io::Error::other)?;
        map.lookup_into(&[0; 4], &mut value, MapFlags::ANY).map_err(io::Error::other)?;
        let texts = value[ADDRESSES * size_of::<u64>()..].chunks(TEXT);
        for (address, text) in some.iter().zip(texts) {
            let text = CStr::from_bytes_until_nul(text).map_err(io::Error::other)?;
            if text.count_bytes() + 1 == TEXT {
                return Err(io::Error::other("a name is longer than there is room"));
            }
            symbols.extend(parse(&text.to_string_lossy(), *address, module));
        }
    }
    // Addresses are in order, and so are those of one function.
    symbols.dedup_by_key(|symbol| symbol.start);
    Ok(symbols.into_iter().map(Record::Symbol).collect())
}

/// Programs of ours, by what the kernel calls them, are named as the recorder's: what they
/// cost is not to be taken for another one's.
pub(crate) fn own(record: Record, tags: &[String]) -> Record {
    let Record::Symbol(symbol) = record else { return record };
    let tagged = symbol.name.strip_prefix("bpf_prog_").and_then(|rest| rest.split_once('_'));
    match tagged {
        Some((tag, name)) if tags.iter().any(|ours| ours == tag) => {
            Record::Symbol(Symbol { name: name.to_owned(), area: "rec".to_owned(), ..symbol })
        }
        _ => Record::Symbol(symbol),
    }
}

/// Reads `name+0x12/0x345 [module]`; `None` for an address without a name.
fn parse(text: &str, address: u64, module: u32) -> Option<Symbol> {
    let (symbol, area) = text.split_once(' ').unwrap_or((text, ""));
    let (name, place) = symbol.rsplit_once("+0x")?;
    let (offset, length) = place.split_once("/0x")?;
    let hex = |digits| u64::from_str_radix(digits, 16).ok();
    // Programs have no module, where lists of symbols put them into one.
    let area = match area.trim_matches(['[', ']']) {
        "" if ["bpf_prog_", "bpf_trampoline_"].iter().any(|start| name.starts_with(start)) => "bpf",
        area => area,
    };
    Some(Symbol {
        module,
        start: address.checked_sub(hex(offset)?)?,
        length: hex(length)?,
        name: name.to_owned(),
        area: area.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_kernel_prints_them() {
        let check = |text, expected: Option<(u64, u64, &str, &str)>| {
            let found = parse(text, 0xffff_ffff_8100_0012, 7);
            let found = found.as_ref().map(|s| (s.start, s.length, &*s.name, &*s.area));
            assert_eq!(found, expected, "{text}");
        };
        let start = 0xffff_ffff_8100_0000;
        check("schedule+0x12/0x345", Some((start, 0x345, "schedule", "")));
        check("read+0x12/0x20 [ext4]", Some((start, 0x20, "read", "ext4")));
        check("a.isra.0+0x12/0x20", Some((start, 0x20, "a.isra.0", "")));
        check(
            "bpf_prog_12ab_on_tick+0x12/0x20",
            Some((start, 0x20, "bpf_prog_12ab_on_tick", "bpf")),
        );
        check("0xffffffff81000012", None);
        check("wrong+0xffffffffffffffff/0x1", None);
        check("", None);
    }

    #[test]
    fn programs_of_ours_are_told_from_others() {
        let tags = ["12ab".to_owned()];
        let named = |name: &str| {
            let symbol = Symbol { name: name.into(), area: "bpf".into(), ..Symbol::default() };
            let Record::Symbol(symbol) = own(Record::Symbol(symbol), &tags) else { panic!() };
            (symbol.name, symbol.area)
        };
        let pair = |name: &str, area: &str| (name.to_owned(), area.to_owned());
        assert_eq!(named("bpf_prog_12ab_on_tick"), pair("on_tick", "rec"));
        assert_eq!(named("bpf_prog_12ac_on_tick"), pair("bpf_prog_12ac_on_tick", "bpf"));
        assert_eq!(named("bpf_prog_12ab"), pair("bpf_prog_12ab", "bpf"));
    }
}
