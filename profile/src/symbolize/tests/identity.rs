//! Which files are trusted, and where separate debug files are found.

use std::fs;
use std::path::{Path, PathBuf};

use rz_format::Segment;

use super::fixture::*;
use crate::symbolize::{ModuleRequest, ModuleSymbols};

const INLINED: &str = "inner a.c:3 < outer a.c:7";

/// A program, its parts, and what a trace would have recorded about it.
struct Split {
    dir: Workshop,
    program: PathBuf,
    debug: PathBuf,
    build_id: Vec<u8>,
    segments: Vec<Segment>,
    outer: Listed,
}

impl Split {
    /// Builds `bin/a`, moves its debug information to `a.debug`, and strips it.
    fn new() -> Self {
        Self::with_options("-Wl,--build-id")
    }

    /// A program whose addresses differ from its file offsets.
    fn at_other_addresses() -> Self {
        let split = Self::with_options("-Wl,--build-id -no-pie");
        assert_ne!(split.outer.address, split.outer.offset);
        split
    }

    fn with_options(options: &str) -> Self {
        let dir = Workshop::new();
        let program = dir.build("bin/a", "c", C_PROGRAM, &format!("cc -g -O2 {options}"));
        let debug = dir.path("bin/a.debug");
        let has_build_id = !options.contains("build-id=none");
        let build_id = if has_build_id { build_id(&program) } else { Vec::new() };
        let outer = functions(&program)["outer"];
        run(&format!("objcopy --only-keep-debug {} {}", program.display(), debug.display()));
        run(&format!("strip {}", program.display()));
        Split { dir, program, debug, build_id, segments: Vec::new(), outer }
    }

    fn link(&self) {
        let (program, debug) = (self.program.display(), self.debug.display());
        run(&format!("objcopy --add-gnu-debuglink={debug} {program}"));
    }

    fn move_debug_to(&self, name: &str) {
        let target = self.dir.path(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::rename(&self.debug, target).unwrap();
    }

    fn symbolize(&self, path: &Path, debug_dirs: &[&str]) -> ModuleSymbols {
        let debug_dirs: Vec<PathBuf> = debug_dirs.iter().map(|dir| self.dir.path(dir)).collect();
        symbolize_one(ModuleRequest {
            path,
            build_id: &self.build_id,
            file_size: 0,
            segments: &self.segments,
            offsets: &offsets_of(self.outer),
            debug_dirs: &debug_dirs,
        })
    }

    #[track_caller]
    fn assert_found(&self, path: &Path, debug_dirs: &[&str]) {
        let symbols = self.symbolize(path, debug_dirs);
        assert_eq!(symbols.note, None);
        assert_eq!(symbols.addresses[0], self.outer.address);
        assert_has(&distinct(&symbols), &[INLINED]);
    }

    #[track_caller]
    fn assert_note(&self, path: &Path, debug_dirs: &[&str], expected: &str) {
        let symbols = self.symbolize(path, debug_dirs);
        assert!(symbols.calls.iter().all(Vec::is_empty), "{:?}", distinct(&symbols));
        let note = symbols.note.unwrap();
        let note = note.replace(self.dir.path("").to_str().unwrap(), "DIR/");
        assert_eq!(note, expected);
    }

    fn by_build_id(&self, root: &str, extension: &str) -> String {
        let hex: String = self.build_id.iter().map(|b| format!("{b:02x}")).collect();
        format!("{root}/.build-id/{}/{}{extension}", &hex[..2], &hex[2..])
    }
}

#[test]
fn debug_file_by_link() {
    for place in ["bin/a.debug", "bin/.debug/a.debug", "dbg/a.debug"] {
        let split = Split::new();
        split.link();
        split.move_debug_to(place);
        split.assert_found(&split.program, &["dbg"]);
    }
}

#[test]
fn debug_file_by_build_id() {
    let split = Split::new();
    split.move_debug_to(&split.by_build_id("dbg", ".debug"));
    split.assert_found(&split.program, &["other", "dbg"]);
}

#[test]
fn debug_file_by_program_name() {
    let split = Split::new();
    split.move_debug_to("dbg/a.debug");
    split.assert_found(&split.program, &["dbg"]);
}

#[test]
fn debug_file_by_checksum() {
    let split = Split::with_options("-Wl,--build-id=none");
    split.link();
    split.assert_found(&split.program, &[]);
    let mut changed = fs::read(&split.debug).unwrap();
    changed.push(0);
    fs::write(&split.debug, changed).unwrap();
    split.assert_note(
        &split.program,
        &[],
        "DIR/bin/a: has neither symbols nor debug information, and no debug file was found",
    );
}

#[test]
fn debug_file_of_another_build_is_not_used() {
    let split = Split::new();
    split.link();
    let source = split.dir.path("bin/a.c");
    let (debug, source) = (split.debug.display(), source.display());
    run(&format!("cc -g -O2 -Wl,--build-id=0x0102 -o {debug} {source}"));
    split.assert_note(
        &split.program,
        &[],
        "DIR/bin/a: has neither symbols nor debug information, and no debug file was found",
    );
}

#[test]
fn debug_file_alone_does_with_recorded_segments() {
    for place in ["BUILD-ID", "dbg/a.debug", "dbg/bin/a", "dbg/a"] {
        let mut split = Split::at_other_addresses();
        split.segments = segments(&split.program);
        split.move_debug_to(&match place {
            "BUILD-ID" => split.by_build_id("dbg", ".debug"),
            place => place.to_string(),
        });
        fs::remove_file(&split.program).unwrap();
        split.assert_found(Path::new("/opt/bin/a"), &["dbg/bin", "dbg"]);
    }
}

#[test]
fn debug_file_alone_must_be_of_the_same_build() {
    let mut split = Split::at_other_addresses();
    split.segments = segments(&split.program);
    split.move_debug_to("dbg/a.debug");
    fs::remove_file(&split.program).unwrap();
    for build_id in [&[][..], &[1, 2]] {
        split.build_id = build_id.to_vec();
        split.assert_note(&split.program, &["dbg"], "DIR/bin/a: not found on this machine");
    }
}

#[test]
fn recorded_segments_give_addresses_without_any_file() {
    let mut split = Split::at_other_addresses();
    split.segments = segments(&split.program);
    fs::remove_file(&split.program).unwrap();
    let symbols = split.symbolize(&split.program, &[]);
    assert_eq!(symbols.addresses[0], split.outer.address);
}

#[test]
fn debug_file_alone_does_not_tell_offsets() {
    let split = Split::new();
    split.move_debug_to(&split.by_build_id("dbg", ".debug"));
    fs::remove_file(&split.program).unwrap();
    let file = split.by_build_id("DIR/dbg", ".debug");
    let expected = format!("DIR/bin/a: only a file without code was found: {file}");
    split.assert_note(&split.program, &["dbg"], &expected);
}

#[test]
fn binary_in_a_debug_directory() {
    for place in ["root/opt/app/a", "root/a", "BUILD-ID"] {
        let split = Split::new();
        let place = match place {
            "BUILD-ID" => split.by_build_id("root", ""),
            place => place.to_string(),
        };
        let target = split.dir.path(&place);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::rename(&split.program, target).unwrap();
        split.move_debug_to("root/a.debug");
        split.assert_found(Path::new("/opt/app/a"), &["root"]);
    }
}

#[test]
fn another_build_is_skipped() {
    let split = Split::new();
    split.link();
    let source = split.dir.path("bin/a.c");
    fs::create_dir(split.dir.path("dbg")).unwrap();
    let other = split.dir.path("dbg/a");
    run(&format!("cc -g -Wl,--build-id=0x0102 -o {} {}", other.display(), source.display()));
    // The next candidate is right.
    split.assert_found(&split.program, &["dbg"]);
    // There is no other.
    fs::remove_file(&split.program).unwrap();
    let recorded: String = split.build_id.iter().map(|b| format!("{b:02x}")).collect();
    let expected =
        format!("DIR/bin/a: another build: build-id {recorded} was recorded, DIR/dbg/a has 0102");
    split.assert_note(&split.program, &["dbg"], &expected);
    run(&format!("cc -Wl,--build-id=none -o {} {}", other.display(), source.display()));
    let expected = expected.replace("0102", "none");
    split.assert_note(&split.program, &["dbg"], &expected);
}

#[test]
fn without_build_id_the_size_counts() {
    let dir = Workshop::new();
    let program = dir.build("a", "c", C_PROGRAM, "cc -g -O2 -Wl,--build-id=none");
    let size = fs::metadata(&program).unwrap().len();
    let outer = functions(&program)["outer"];
    let symbolize = |file_size| {
        symbolize_one(ModuleRequest {
            path: &program,
            build_id: &[],
            file_size,
            segments: &[],
            offsets: &offsets_of(outer),
            debug_dirs: &[],
        })
    };
    assert_has(&distinct(&symbolize(size)), &[INLINED]);
    assert_has(&distinct(&symbolize(0)), &[INLINED]);
    let symbols = symbolize(size + 1);
    let path = program.display();
    let expected = format!(
        "{path}: another file: {} bytes were recorded, the file there has {size}",
        size + 1
    );
    assert_eq!((symbols.note, symbols.addresses[0]), (Some(expected), outer.offset));
}

#[test]
fn missing_and_foreign_files() {
    let split = Split::new();
    fs::remove_file(&split.program).unwrap();
    split.assert_note(&split.program, &["dbg"], "DIR/bin/a: not found on this machine");
    split.assert_note(Path::new("Cargo.toml"), &[], "Cargo.toml: not found on this machine");
    fs::write(&split.program, "#!/bin/sh\n").unwrap();
    split.assert_note(
        &split.program,
        &[],
        "DIR/bin/a: the file there is not a readable ELF file (it is another kind of file)",
    );
    fs::remove_file(&split.program).unwrap();
    run(&format!("mkfifo {}", split.program.display()));
    split.assert_note(
        &split.program,
        &[],
        "DIR/bin/a: the file there cannot be read: not a regular file",
    );
}
