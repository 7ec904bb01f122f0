//! Damaged and hostile files: degraded results, no panic, bounded memory.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use object::{Object, ObjectSection};

use super::fixture::*;
use crate::symbolize::{Limits, ModuleRequest, ModuleSymbols, SymbolizeOptions, symbolize};

/// Symbolizes a program's code and whatever else its offsets may mean.
fn symbolize_bytes(path: &Path, bytes: &[u8], offsets: &[u64]) -> ModuleSymbols {
    fs::write(path, bytes).unwrap();
    symbolize_program(path, offsets)
}

/// Offsets spread over the whole file.
fn spread(bytes: &[u8]) -> Vec<u64> {
    let text = (0x1000..0x1300).step_by(5);
    text.chain((0..bytes.len() as u64).step_by(997))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// A sequence that is the same in each run.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

#[test]
fn truncated_files() {
    let dir = Workshop::new();
    let bytes = fs::read(dir.c_program("a")).unwrap();
    let offsets = spread(&bytes);
    let path = dir.path("cut");
    for length in (0..bytes.len()).step_by(61).chain(0..80) {
        symbolize_bytes(&path, &bytes[..length], &offsets);
    }
    // The section headers are at the end, so a cut file has lost its names.
    let symbols = symbolize_bytes(&path, &bytes[..bytes.len() - 1], &offsets);
    assert!(symbols.note.is_some());
    assert_eq!(symbolize_bytes(&path, &bytes, &offsets).note, None);
}

#[test]
fn flipped_bits() {
    let dir = Workshop::new();
    for options in ["-gdwarf-5", "-gdwarf-4 -gz=zlib", "-g0 -static-pie -nostartfiles -e main"] {
        let program = dir.build("a", "c", C_PROGRAM, &format!("cc -O2 {options}"));
        let bytes = fs::read(&program).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let offsets = spread(&bytes);
        // Where a flipped bit matters: headers, symbols, debug information.
        let mut places = vec![(0, 0x400), (bytes.len() - 64 * 30, bytes.len())];
        let ranges = file.sections().filter(|section| {
            let name = section.name().unwrap();
            [".debug", ".sym", ".dyn", ".plt", ".rela", ".note"].iter().any(|p| name.starts_with(p))
        });
        places.extend(ranges.filter_map(|section| {
            let (start, size) = section.file_range()?;
            (size > 0).then_some((start as usize, (start + size) as usize))
        }));
        let mut state = 0x2545_f491_4f6c_dd1d;
        let path = dir.path("flipped");
        for &(start, end) in &places {
            for _ in 0..60 {
                let mut flipped = bytes.clone();
                for _ in 0..1 + random(&mut state) % 3 {
                    let at = start + random(&mut state) % (end - start);
                    flipped[at] ^= 1 << (random(&mut state) % 8);
                    if random(&mut state).is_multiple_of(4) {
                        flipped[at] = 0xff;
                    }
                }
                symbolize_bytes(&path, &flipped, &offsets);
            }
        }
    }
}

#[test]
fn damaged_debug_information_leaves_the_symbol_table() {
    let dir = Workshop::new();
    let program = dir.c_program("a");
    let outer = functions(&program)["outer"];
    let mut bytes = fs::read(&program).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let (start, size) = file.section_by_name(".debug_info").unwrap().file_range().unwrap();
    bytes[(start + size / 2) as usize..(start + size) as usize].fill(0xff);
    let path = dir.path("damaged");
    let symbols = symbolize_bytes(&path, &bytes, &[outer.offset]);
    // Lines are in another section.
    assert_eq!(distinct(&symbols), ["outer a.c:4"]);
    let note = symbols.note.unwrap();
    let expected = format!("{0}: debug information in {0} is incomplete (", path.display());
    assert!(note.starts_with(&expected), "{note}");
}

#[test]
fn a_section_that_claims_to_be_huge_is_not_allocated() {
    let dir = Workshop::new();
    let program = dir.build("a", "c", C_PROGRAM, "cc -g -O2 -gz=zlib");
    let outer = functions(&program)["outer"];
    let mut bytes = fs::read(&program).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let (start, _) = file.section_by_name(".debug_info").unwrap().file_range().unwrap();
    // Elf64_Chdr: ch_type, ch_reserved, ch_size.
    let size = start as usize + 8;
    bytes[size..size + 8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    let symbols = symbolize_bytes(&dir.path("huge"), &bytes, &[outer.offset]);
    assert_eq!(distinct(&symbols), ["outer"]);
    let note = symbols.note.unwrap();
    assert!(note.contains("(.debug_info: cannot be 1099511627776 bytes)"), "{note}");
}

/// A function with 200,000 levels of inlining, which no compiler makes.
const DEEP: &str = r#"
    .text
    .globl main
    .type main, @function
main:
    .fill 16, 1, 0x90
    .size main, 16
    .section .debug_abbrev, "", @progbits
    .uleb128 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0      # unit: low_pc, high_pc
    .uleb128 2, 0x2e, 1, 0x03, 8, 0x11, 1, 0x12, 7, 0, 0  # function: name too
    .uleb128 3, 0x1d, 1, 0x31, 0x13, 0x11, 1, 0x12, 7, 0, 0  # inlined: origin
    .byte 0
    .section .debug_info, "", @progbits
start:
    .long end - begin
begin:
    .short 4
    .long 0
    .byte 8
    .uleb128 1
    .quad main, 16
function:
    .uleb128 2
    .asciz "main"
    .quad main, 16
    .rept 200000
    .uleb128 3
    .long function - start
    .quad main, 16
    .endr
    .fill 200002, 1, 0
end:
"#;

#[test]
fn deep_inlining_does_not_overflow_the_stack() {
    let dir = Workshop::new();
    let program = dir.build("deep", "s", DEEP, "cc -nostartfiles -static -e main");
    let main = functions(&program)["main"];
    let symbols = symbolize_program(&program, &[main.offset]);
    assert_eq!(symbols.note, None);
    let depth = symbols.calls[0].len();
    assert!((500..=513).contains(&depth), "{depth}");
}

/// Names the entry point of a program within limits.
fn within(program: &Path, limits: Limits) -> ModuleSymbols {
    let offsets = [functions(program)["main"].offset];
    let request = ModuleRequest {
        path: program,
        build_id: &[],
        file_size: 0,
        segments: &[],
        offsets: &offsets,
        debug_dirs: &[],
    };
    let options = SymbolizeOptions { limits, ..SymbolizeOptions::default() };
    symbolize(&[request], &options).modules.pop().unwrap()
}

#[test]
fn limits_end_in_the_symbol_table() {
    let dir = Workshop::new();
    let program = dir.build("slow", "s", DEEP, "cc -nostartfiles -static -e main");
    let time = Duration::from_nanos(1);
    let symbols = within(&program, Limits { time, ..Limits::default() });
    assert_eq!(distinct(&symbols), ["main"]);
    let note = symbols.note.unwrap();
    assert!(note.contains("is incomplete (it takes more than 1ns to read): "), "{note}");

    let program = dir.build("packed", "c", C_PROGRAM, "cc -g -O2 -gz=zlib");
    let symbols = within(&program, Limits { bytes: 100, ..Limits::default() });
    assert_eq!(distinct(&symbols), ["main"]);
    let note = symbols.note.unwrap();
    assert!(note.contains(": it takes more than 0 MiB of memory): "), "{note}");
}

/// Entries of functions that refer to themselves, to each other, and behind
/// the end; a sibling that is before the entry; and a range that repeats.
const LOOPS: &str = r#"
    .text
    .globl main, other
    .type main, @function
    .type other, @function
main:
    .fill 16, 1, 0x90
    .size main, 16
other:
    .fill 16, 1, 0x90
    .size other, 16
    .section .debug_abbrev, "", @progbits
    .uleb128 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0      # unit: low_pc, high_pc
    .uleb128 2, 0x2e, 1, 0x31, 0x13, 0x11, 1, 0x12, 7, 0, 0  # function: origin
    .uleb128 3, 0x13, 1, 0x01, 0x13, 0, 0            # structure: sibling
    .uleb128 4, 0x1d, 0, 0x31, 0x13, 0x55, 0x17, 0, 0  # inlined: origin, ranges
    .byte 0
    .section .debug_ranges, "", @progbits
ranges:
    .rept 100000
    .quad 0, 16
    .endr
    .quad 0, 0
    .section .debug_info, "", @progbits
start:
    .long end - begin
begin:
    .short 4
    .long 0
    .byte 8
    .uleb128 1
    .quad main, 32
first:
    .uleb128 2
    .long second - start
    .quad main, 16
    .uleb128 3
    .long first - start
    .byte 0
    .uleb128 4
    .long 0x7fffffff
    .long ranges
    .byte 0
second:
    .uleb128 2
    .long first - start
    .quad other, 16
    .byte 0
    .byte 0
end:
"#;

#[test]
fn entries_that_refer_to_each_other_have_the_names_of_symbols() {
    let dir = Workshop::new();
    let program = dir.build("loops", "s", LOOPS, "cc -nostartfiles -static -e main");
    let functions = functions(&program);
    let offsets = [functions["main"].offset, functions["other"].offset];
    assert_eq!(distinct(&symbolize_program(&program, &offsets)), ["main", "other"]);
}

/// A unit whose list of files claims to have 16 MiB, which would become a
/// hundred times as much in memory.
const MANY_FILES: &str = r#"
    .text
    .globl main
    .type main, @function
main:
    .fill 16, 1, 0x90
    .size main, 16
    .section .debug_abbrev, "", @progbits
    .uleb128 1, 0x11, 0, 0x10, 0x17, 0x11, 1, 0x12, 7, 0, 0  # unit: stmt_list
    .byte 0
    .section .debug_line, "", @progbits
lines:
    .long lines_end - lines_begin
lines_begin:
    .short 4
    .long 0x1000000
    .byte 1, 1, 1, 0, 1, 1
    .byte 0
    .fill 0x1000000, 1, 0x61
    .byte 0, 0, 0, 0, 0
lines_end:
    .section .debug_info, "", @progbits
    .long end - begin
begin:
    .short 4
    .long 0
    .byte 8
    .uleb128 1
    .long lines
    .quad main, 16
end:
"#;

#[test]
fn lists_of_files_are_bounded() {
    let dir = Workshop::new();
    let program = dir.build("files", "s", MANY_FILES, "cc -nostartfiles -static -e main");
    let offsets = [functions(&program)["main"].offset];
    let symbols = symbolize_program(&program, &offsets);
    assert_eq!(distinct(&symbols), ["main"]);
    let note = symbols.note.unwrap();
    assert!(note.contains("is incomplete (a list of files has 16777216 bytes): "), "{note}");
}

/// Tables of abbreviations that lie over each other: each unit begins one
/// entry later than the one before, and would have most of the section.
#[test]
fn units_with_overlapping_tables_do_not_add_up() {
    let (entries, units) = (30_000, 3_000);
    let mut source = String::from(
        ".text\n.globl main\n.type main, @function\nmain: .fill 16, 1, 0x90\n.size main, 16\n\
         .section .debug_abbrev, \"\", @progbits\n",
    );
    for code in (1..=entries).rev() {
        writeln!(source, ".uleb128 {code}, 0x11, 0, 0x11, 1, 0x12, 7, 0, 0").unwrap();
    }
    source.push_str(".byte 0\n.section .debug_info, \"\", @progbits\n");
    // Codes below 128 have one byte less.
    let sizes = |code: u32| {
        if code < 128 {
            9
        } else if code < 16384 {
            10
        } else {
            11
        }
    };
    let mut offset = 0;
    for unit in 0..units {
        let code = entries - unit;
        for _ in 0..2 {
            writeln!(source, ".long 26\n.short 4\n.long {offset}\n.byte 8\n.uleb128 1").unwrap();
            writeln!(source, ".quad main, 16\n.short 0").unwrap();
        }
        offset += sizes(code);
    }
    let dir = Workshop::new();
    let program = dir.build("tables", "s", &source, "cc -nostartfiles -static -e main");
    let offsets = [functions(&program)["main"].offset];
    let request = ModuleRequest {
        path: &program,
        build_id: &[],
        file_size: 0,
        segments: &[],
        offsets: &offsets,
        debug_dirs: &[],
    };
    // A hundredth of the time of a module is enough to see that it ends.
    let limits = Limits { time: Duration::from_millis(300), ..Limits::default() };
    let options = SymbolizeOptions { limits, ..SymbolizeOptions::default() };
    let symbols = symbolize(&[request], &options).modules.pop().unwrap();
    assert_eq!(distinct(&symbols), ["main"]);
    let note = symbols.note.unwrap();
    assert!(note.contains("(it takes more than 300ms to read)"), "{note}");
}
