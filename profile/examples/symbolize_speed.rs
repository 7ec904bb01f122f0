//! How fast addresses of a program are named, and with how much memory:
//! `… --example symbolize_speed -- list PROGRAM [ADDRESSES] > list`, then
//! `… -- name PROGRAM [CACHE_DIR] < list`.
//!
//! The list has addresses that are spread over the program's functions, one a
//! line, the same ones each time; other tools can read it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use rz_profile::mapped_file::MappedFile;
use rz_profile::symbolize::{ModuleRequest, SymbolizeOptions, symbolize};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [verb, program, rest @ ..] = arguments.as_slice() else {
        return Err("list or name, and which program?".into());
    };
    let file = MappedFile::open(Path::new(program))?;
    let object = object::File::parse(&*file)?;
    match verb.as_str() {
        "list" => {
            let count = rest.first().map_or(Ok(20_000), |text| text.parse())?;
            spread(&object, count).iter().for_each(|address| println!("{address:#x}"));
            Ok(())
        }
        _ => name(Path::new(program), &object, rest.first().map(PathBuf::from)),
    }
}

/// Names the addresses on standard input, and prints what that took.
fn name(
    program: &Path,
    object: &object::File,
    cache_dir: Option<PathBuf>,
) -> Result<(), Box<dyn Error>> {
    let offset = |address: u64| {
        object.segments().find_map(|segment| {
            let (start, size) = segment.file_range();
            let distance = address.checked_sub(segment.address())?;
            (distance < size).then_some(start + distance)
        })
    };
    let mut offsets = Vec::new();
    for line in io::stdin().lines() {
        let address = u64::from_str_radix(line?.trim_start_matches("0x"), 16)?;
        offsets.extend(offset(address));
    }
    let request = ModuleRequest {
        path: program,
        build_id: &[],
        file_size: 0,
        segments: &[],
        offsets: &offsets,
        debug_dirs: &[],
    };
    let options = SymbolizeOptions { cache_dir, ..SymbolizeOptions::default() };
    let started = Instant::now();
    let symbolized = symbolize(&[request], &options);
    let seconds = started.elapsed().as_secs_f64();
    let module = &symbolized.modules[0];
    let calls: usize = module.calls.iter().map(Vec::len).sum();
    let named = module.calls.iter().filter(|calls| !calls.is_empty()).count();
    println!("{named} of {} addresses, {calls} calls, {seconds:.3} s", offsets.len());
    for note in module.note.iter().chain(&symbolized.notes).chain(&symbolized.details) {
        println!("note: {note}");
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let line = |key| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("?").trim();
    println!("peak {}, now {} not of files", line("VmHWM:"), line("RssAnon:"));
    Ok(())
}

/// Addresses, ascending, spread over all functions.
fn spread(object: &object::File, count: usize) -> Vec<u64> {
    let functions = object.symbols().filter(|s| s.kind() == SymbolKind::Text && s.size() > 0);
    let mut functions: Vec<(u64, u64)> = functions.map(|s| (s.address(), s.size())).collect();
    functions.sort_unstable();
    functions.dedup();
    let total: u64 = functions.iter().map(|(_, size)| size).sum();
    let step = (total / count.max(1) as u64).max(1);
    let (mut addresses, mut into) = (Vec::new(), 0);
    for (start, size) in functions {
        while into < size {
            addresses.push(start + into);
            into += step;
        }
        into -= size;
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
