//! Names that are kept for the next time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use object::{Object, ObjectSection};

use super::fixture::*;
use crate::symbolize::{ModuleRequest, SymbolizeOptions, Symbolized, symbolize};

const INLINED: &str = "inner a.c:3 < outer a.c:7";

/// A program, and a directory to keep its names in.
struct Kept {
    dir: Workshop,
    program: PathBuf,
    outer: Listed,
}

impl Kept {
    fn new() -> Self {
        let dir = Workshop::new();
        let program = dir.c_program("a");
        let outer = functions(&program)["outer"];
        Kept { dir, program, outer }
    }

    fn symbolize(&self, offsets: &[u64]) -> Symbolized {
        symbolize_with(&self.program, offsets, &self.dir.path("cache"))
    }

    /// All calls in the function `outer`.
    fn calls(&self) -> Vec<String> {
        let symbolized = self.symbolize(&offsets_of(self.outer));
        assert_eq!((&symbolized.notes, &symbolized.details), (&vec![], &vec![]));
        distinct(&symbolized.modules[0])
    }

    fn entries(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path("cache/names")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Wipes the debug information, so that nobody notices.
    fn wipe(&self) {
        let modified = fs::metadata(&self.program).unwrap().modified().unwrap();
        let mut bytes = fs::read(&self.program).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let section = |name| file.section_by_name(name).unwrap().file_range().unwrap();
        let ranges = [".debug_info", ".debug_line"].map(section);
        for (start, size) in ranges {
            bytes[start as usize..(start + size) as usize].fill(0);
        }
        fs::write(&self.program, bytes).unwrap();
        self.set_modified(modified);
    }

    fn set_modified(&self, time: SystemTime) {
        File::options().write(true).open(&self.program).unwrap().set_modified(time).unwrap();
    }
}

fn symbolize_with(program: &Path, offsets: &[u64], cache_dir: &Path) -> Symbolized {
    let request = ModuleRequest {
        path: program,
        build_id: &[],
        file_size: 0,
        segments: &[],
        offsets,
        debug_dirs: &[],
    };
    let cache_dir = Some(cache_dir.to_owned());
    symbolize(&[request], &SymbolizeOptions { cache_dir, ..SymbolizeOptions::default() })
}

#[test]
fn names_come_from_the_cache_as_long_as_files_are_the_same() {
    let kept = Kept::new();
    let offsets = offsets_of(kept.outer);
    // Part of them first: the rest is added.
    kept.symbolize(&offsets[..5]);
    let calls = kept.calls();
    assert_has(&calls, &[INLINED]);
    assert_eq!(kept.entries().len(), 1);
    kept.wipe();
    assert_eq!(kept.calls(), calls);
    kept.set_modified(SystemTime::now() + Duration::from_secs(60));
    // Behind the function is padding.
    assert_eq!(kept.calls(), ["", "outer"]);
}

#[test]
fn damaged_entries_are_replaced() {
    let kept = Kept::new();
    let calls = kept.calls();
    let entry = kept.entries().pop().unwrap();
    let good = fs::read(&entry).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [&flipped[..], &good[..good.len() - 1], &[], b"something else altogether"] {
        fs::write(&entry, bad).unwrap();
        assert_eq!(kept.calls(), calls);
        assert!(fs::read(&entry).unwrap() == good);
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_a_detail() {
    let kept = Kept::new();
    let file = kept.dir.path("file");
    fs::write(&file, "").unwrap();
    let offsets = offsets_of(kept.outer);
    for place in [file, PathBuf::from("/proc/none")] {
        let symbolized = symbolize_with(&kept.program, &offsets, &place);
        assert_has(&distinct(&symbolized.modules[0]), &[INLINED]);
        assert_eq!((symbolized.notes.len(), &symbolized.modules[0].note), (0, &None));
        let expected = format!("names cannot be kept in {}/names: ", place.display());
        let [detail] = &symbolized.details[..] else { panic!("{:?}", symbolized.details) };
        assert!(detail.starts_with(&expected), "{detail}");
    }
}

#[test]
fn programs_of_the_same_time_do_not_disturb_each_other() {
    let kept = Kept::new();
    let expected = kept.calls();
    let entry = kept.entries().pop().unwrap();
    let offsets = offsets_of(kept.outer);
    std::thread::scope(|scope| {
        for part in 0..8 {
            let (kept, offsets, entry, expected) = (&kept, &offsets, &entry, &expected);
            scope.spawn(move || {
                for round in 0..20 {
                    if (round + part) % 5 == 0 {
                        // Somebody makes room, or breaks something.
                        let _ = if part % 2 == 0 {
                            fs::remove_file(entry)
                        } else {
                            fs::write(entry, "broken")
                        };
                    }
                    kept.symbolize(&offsets[part..offsets.len() - round % 5]);
                    let whole = kept.symbolize(offsets);
                    assert_eq!(&distinct(&whole.modules[0]), expected);
                }
            });
        }
    });
    assert_eq!(kept.entries().len(), 1);
}

#[test]
fn programs_without_identity_or_debug_information_are_not_kept() {
    for options in ["-g -O2 -Wl,--build-id=none", "-O2 -Wl,--build-id"] {
        let dir = Workshop::new();
        let program = dir.build("a", "c", C_PROGRAM, &format!("cc {options}"));
        let outer = functions(&program)["outer"];
        symbolize_with(&program, &offsets_of(outer), &dir.path("cache"));
        assert!(!dir.path("cache").exists(), "{options}");
    }
}
