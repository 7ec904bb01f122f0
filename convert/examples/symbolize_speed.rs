//! How fast addresses of a program are named, and with how much memory:
//! `cargo run --release -p rz-convert --example symbolize_speed -- PROGRAM
//! [ADDRESSES [CACHE_DIR]]`.
//!
//! Takes ADDRESSES addresses that are spread over the program's functions, the
//! same ones each time. With `--list` in front, prints them instead, one a
//! line, for other tools.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use rz_convert::symbolize::{ModuleRequest, SymbolizeOptions, symbolize};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_list = arguments.first().is_some_and(|word| word == "--list");
    if is_list {
        arguments.remove(0);
    }
    let program = PathBuf::from(arguments.first().ok_or("which program?")?);
    let count = arguments.get(1).map_or(Ok(20_000), |text| text.parse())?;
    let places = places(&program, count)?;
    if is_list {
        places.iter().for_each(|(_, address)| println!("{address:#x}"));
        return Ok(());
    }
    let cache_dir = arguments.get(2).map(PathBuf::from);
    let offsets: Vec<u64> = places.iter().map(|(offset, _)| *offset).collect();
    let request = ModuleRequest {
        path: &program,
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
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    println!(
        "peak {}, of which not of files {}",
        peak.unwrap_or("?").trim(),
        own.unwrap_or("?").trim()
    );
    Ok(())
}

/// File offsets and addresses, ascending, spread over all functions.
fn places(program: &Path, count: usize) -> Result<Vec<(u64, u64)>, Box<dyn Error>> {
    let content = fs::read(program)?;
    let file = object::File::parse(&*content)?;
    let functions = file.symbols().filter(|s| s.kind() == SymbolKind::Text && s.size() > 0);
    let mut functions: Vec<(u64, u64)> = functions.map(|s| (s.address(), s.size())).collect();
    functions.sort_unstable();
    functions.dedup();
    let total: u64 = functions.iter().map(|(_, size)| size).sum();
    let step = (total / count.max(1) as u64).max(1);
    let offset = |address: u64| {
        file.segments().find_map(|segment| {
            let (start, size) = segment.file_range();
            let distance = address.checked_sub(segment.address())?;
            (distance < size).then_some(start + distance)
        })
    };
    let (mut places, mut into) = (Vec::new(), 0);
    for (start, size) in functions {
        while into < size {
            places.extend(offset(start + into).map(|offset| (offset, start + into)));
            into += step;
        }
        into -= size;
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}
