//! What reads bytes of others gets damaged ones: no panic, nothing that takes long.
//!
//! Those of other entry points stand beside these, in their crates. `tests/fuzz.sh` runs
//! all of them for longer than here.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use rz_convert::trace::repair::repair;
use rz_convert::trace::verify::{State, verify};
use rz_format::{
    BLOCK_HEADER_LEN, FormatError, HEADER_LEN, MAX_PAYLOAD, Reader, Spare, read_index,
    rebuild_index,
};
use rz_fuzz::{Random, change, changed, files_in, fuzz, fuzz_made};
use rz_profile::load::{LoadOptions, load};
use rz_profile::symbolize::{ModuleRequest, SymbolizeOptions, symbolize};
use rz_tests::{program_path, temp_dir, workspace_root};
use rz_unwind::{Cfi, Image, REGISTER_COUNT, Registers, StackMemory};

/// All golden vectors of versions. What is bad stands for very much, and takes long.
fn traces() -> Vec<Vec<u8>> {
    let vectors = workspace_root().join("format-spec/vectors");
    let mut folders: Vec<PathBuf> =
        vectors.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| !folder.ends_with("bad"));
    folders.sort();
    folders.iter().flat_map(|folder| files_in(folder)).collect()
}

/// A block by itself: its header, and its payload after decompression.
type Bare = (Vec<u8>, Vec<u8>);

/// The file header of a trace, and its blocks.
fn taken_apart(trace: &[u8]) -> (Vec<u8>, Vec<Bare>) {
    let block = |entry: rz_format::IndexEntry| {
        let start = entry.offset as usize;
        let payload = start + BLOCK_HEADER_LEN;
        let header = trace[start..payload].to_vec();
        let stored = &trace[payload..payload + entry.stored_len as usize];
        let raw = match header[6] {
            0 => stored.to_vec(),
            _ => zstd::bulk::decompress(stored, MAX_PAYLOAD).unwrap(),
        };
        (header, raw)
    };
    let index = rebuild_index(&mut Cursor::new(trace)).unwrap();
    (trace[..HEADER_LEN].to_vec(), index.into_iter().map(block).collect())
}

/// A trace with a payload or more changed, and checksums that are right all the same:
/// without these, hardly any change would get into a block.
fn rewritten(trace: &(Vec<u8>, Vec<Bare>), random: &mut Random) -> Vec<u8> {
    let (mut bytes, mut blocks) = trace.clone();
    let payloads: Vec<Vec<u8>> = blocks.iter().map(|(_, payload)| payload.clone()).collect();
    for _ in 0..1 + random.below(3) {
        let at = random.below(blocks.len() as u64) as usize;
        for _ in 0..1 + random.below(3) {
            change(&mut blocks[at].1, &payloads, random);
        }
    }
    for (header, payload) in &mut blocks {
        let length = (payload.len() as u32).to_le_bytes();
        header[6] = 0;
        header[12..16].copy_from_slice(&length);
        header[16..20].copy_from_slice(&length);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&header[..36]), payload);
        header[36..].copy_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// Tries a function with damaged traces, of which every other one has right checksums.
fn fuzz_traces(name: &str, try_one: impl Fn(&[u8])) {
    let seeds = traces();
    let whole: Vec<_> = seeds.iter().map(|trace| taken_apart(trace)).collect();
    let make = |random: &mut Random| match random.below(2) {
        0 => changed(&seeds, random),
        _ => rewritten(random.pick(&whole), random),
    };
    fuzz_made(name, &seeds, make, try_one);
}

fn read(bytes: &[u8]) -> Result<(), FormatError> {
    let mut reader = Reader::new(Cursor::new(bytes))?;
    while let Some(stored) = reader.next_stored_if(|_| true)? {
        let whole = stored.decode();
        let mut spare = Spare::default();
        let bare = stored.decode_bare(&mut spare);
        let some = stored.decode_chosen_calls(&mut spare, |numbers| {
            Ok((0..numbers.rows()).step_by(3).collect())
        });
        // Arguments and texts may be wrong in calls that are read without them.
        assert!(whole.is_err() || bare.is_ok());
        if let (Ok(rz_format::Block::Calls(calls)), Ok((some, rows))) = (&whole, some) {
            assert_eq!(rows, calls.len());
            assert!(some.iter().eq(calls.iter().step_by(3)));
        }
        match whole {
            Ok(block) if !reader.admit(&stored, block.rows()) => break,
            Ok(_) => {}
            Err(damage) => reader.add_damage(damage),
        }
    }
    let damage = reader.damage().to_vec();
    for damage in &damage {
        reader.expected(damage)?;
    }
    read_index(&mut Cursor::new(bytes))?;
    Ok(())
}

#[test]
fn fuzz_reader() {
    fuzz_traces("reader", |trace| drop(read(trace)));
}

#[test]
fn fuzz_loading() {
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let options = LoadOptions { timeline: true, ..LoadOptions::default() };
    fuzz_traces("loading", |trace| {
        fs::write(&path, trace).unwrap();
        drop(load(&path, &options));
    });
}

/// What is written of a damaged trace is whole, and writing it again changes nothing.
#[test]
fn fuzz_writer_to_reader() {
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let copy = |trace: &[u8]| {
        fs::write(&path, trace).unwrap();
        let mut copy = Vec::new();
        repair(&path, &mut copy).ok().map(|repaired| (copy, repaired.damage))
    };
    fuzz_traces("writer to reader", |trace| {
        let Some((first, _)) = copy(trace) else { return };
        let (second, damage) = copy(&first).expect("what was written is a trace");
        assert!(damage.is_empty(), "{damage:?}");
        assert!(first == second, "a copy of a copy is another one");
        let verified = verify(&path).unwrap();
        assert_eq!(verified.state, State::Whole);
    });
}

/// Small programs with everything that is read of them.
fn programs() -> Vec<Vec<u8>> {
    let names = ["split", "split-compressed", "split-stripped.debug", "libplt.so", "split-nopie"];
    names.map(|name| fs::read(program_path(name)).unwrap()).to_vec()
}

#[test]
fn fuzz_unwind_tables() {
    let stack: Vec<u8> = (0..4096u64).flat_map(|at| (0x1000 + at).to_le_bytes()).collect();
    fuzz("unwind tables", &programs(), |program| {
        let Ok(image) = Image::from_bytes(program) else { return };
        let mut tables = Cfi::new(image);
        let registers = Registers::from_slots(&[0x7000; REGISTER_COUNT]);
        for offset in (0x1000..0x1400).step_by(7).chain((0..program.len() as u64).step_by(997)) {
            let memory = StackMemory::new(0x7000, &stack);
            drop(tables.step(offset, &registers, &memory, || None));
        }
    });
}

fn named(path: &Path, program: &[u8]) {
    fs::write(path, program).unwrap();
    let offsets: Vec<u64> = (0x1000..0x1400).step_by(31).collect();
    let request = ModuleRequest {
        path,
        build_id: &[],
        file_size: program.len() as u64,
        segments: &[],
        offsets: &offsets,
        debug_dirs: &[],
    };
    let found = symbolize(&[request], &SymbolizeOptions::default());
    assert_eq!(found.modules.len(), 1);
    assert_eq!(found.modules[0].calls.len(), offsets.len());
}

#[test]
fn fuzz_symbols() {
    let dir = temp_dir();
    let path = dir.path().join("program");
    fuzz("symbols", &programs(), |program| named(&path, program));
}
