//! Builds programs and describes how they were symbolized.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSegment};
use rz_format::Segment;
use tempfile::TempDir;

use crate::symbolize::{FunctionLine, ModuleRequest, ModuleSymbols, SymbolizeOptions, symbolize};

/// A C program with an inlined call; line numbers matter.
pub const C_PROGRAM: &str = "\
volatile int sink;
static inline __attribute__((always_inline)) int inner(int x) {
    sink = x;
    return x * 3;
}
__attribute__((noinline)) int outer(int x) {
    int y = inner(x);
    sink = y;
    return y + 1;
}
int main(int argc, char **argv) {
    return outer(argc);
}
";

/// A directory to build programs in.
pub struct Workshop(TempDir);

/// A function as `objdump` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    pub address: u64,
    pub offset: u64,
    /// Bytes up to the next function.
    pub size: u64,
}

impl Workshop {
    pub fn new() -> Self {
        Workshop(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Compiles `text` into `name` by `command`, such as `cc -g`. The source
    /// is called `name` with the extension `extension`.
    pub fn build(&self, name: &str, extension: &str, text: &str, command: &str) -> PathBuf {
        let source = self.path(name).with_extension(extension);
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        fs::write(&source, text).unwrap();
        let source = source.to_str().unwrap();
        let output = self.path(name);
        run(&format!("{command} -o {} {source}", output.display()));
        output
    }

    /// [`C_PROGRAM`], optimized and with debug information.
    pub fn c_program(&self, name: &str) -> PathBuf {
        self.build(name, "c", C_PROGRAM, "cc -g -O2 -Wl,--build-id")
    }
}

/// Runs a command made of words without spaces; its standard output.
pub fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let mut process = Command::new(words.next().unwrap());
    let output = process.args(words).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|e| panic!("this test needs `{command}`: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{command}` failed:\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The functions in a program, by name, `name@plt` included.
pub fn functions(program: &Path) -> BTreeMap<String, Listed> {
    let listing = run(&format!("objdump -dF --no-show-raw-insn {}", program.display()));
    let header = |line: &str| {
        let (address, rest) = line.split_once(" <")?;
        let (name, rest) = rest.split_once("> (File Offset: 0x")?;
        let offset = u64::from_str_radix(rest.strip_suffix("):")?, 16).unwrap();
        Some((name.to_string(), u64::from_str_radix(address, 16).unwrap(), offset))
    };
    let mut all: Vec<_> = listing.lines().filter_map(header).collect();
    all.sort_by_key(|&(_, address, _)| address);
    let ends = all.iter().skip(1).map(|f| f.1).chain([all.last().unwrap().1 + 16]);
    let listed = |((name, address, offset), end): ((String, _, _), u64)| {
        (name, Listed { address, offset, size: end - address })
    };
    all.clone().into_iter().zip(ends).map(listed).collect()
}

/// The build-id that `readelf` finds.
pub fn build_id(program: &Path) -> Vec<u8> {
    let notes = run(&format!("readelf -n {}", program.display()));
    let (_, digits) = notes.split_once("Build ID: ").expect("no build-id");
    let digits = digits.lines().next().unwrap().trim().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The segments that a recorder would find in a program.
pub fn segments(program: &Path) -> Vec<Segment> {
    let bytes = fs::read(program).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let segment = |segment: object::Segment| {
        let (file_offset, length) = segment.file_range();
        Segment { file_offset, length, svma: segment.address() }
    };
    file.segments().map(segment).collect()
}

/// Symbolizes one module.
pub fn symbolize_one(request: ModuleRequest) -> ModuleSymbols {
    let symbols = symbolize(&[request], &SymbolizeOptions::default()).modules.pop().unwrap();
    assert_eq!(symbols.addresses.len(), request.offsets.len());
    assert_eq!(symbols.calls.len(), request.offsets.len());
    symbols
}

/// Symbolizes `offsets` of a program by its path alone.
pub fn symbolize_program(program: &Path, offsets: &[u64]) -> ModuleSymbols {
    let request = ModuleRequest {
        path: program,
        build_id: &[],
        file_size: 0,
        segments: &[],
        offsets,
        debug_dirs: &[],
    };
    symbolize_one(request)
}

/// Offsets of all bytes of a function.
pub fn offsets_of(function: Listed) -> Vec<u64> {
    (function.offset..function.offset + function.size).collect()
}

/// All distinct calls in the function that `objdump` calls `name`, each like
/// `inner a.c:3 < outer a.c:7`.
pub fn calls_in(program: &Path, name: &str) -> Vec<String> {
    let functions = functions(program);
    let function = *functions.get(name).unwrap_or_else(|| panic!("no {name} in {functions:#?}"));
    let symbols = symbolize_program(program, &offsets_of(function));
    assert_eq!(symbols.note, None);
    let addresses: Vec<u64> = (function.address..function.address + function.size).collect();
    assert_eq!(symbols.addresses, addresses);
    distinct(&symbols)
}

/// All distinct calls of a module, sorted.
pub fn distinct(symbols: &ModuleSymbols) -> Vec<String> {
    let mut calls: Vec<String> = symbols.calls.iter().map(|calls| describe(calls)).collect();
    calls.sort();
    calls.dedup();
    calls
}

fn describe(calls: &[FunctionLine]) -> String {
    let one = |call: &FunctionLine| match &call.file {
        Some(file) => format!("{} {}:{}", call.name, file.rsplit('/').next().unwrap(), call.line),
        None => call.name.to_string(),
    };
    calls.iter().map(one).collect::<Vec<_>>().join(" < ")
}

/// Fails unless `calls` has all of `expected`.
#[track_caller]
pub fn assert_has(calls: &[String], expected: &[&str]) {
    for expected in expected {
        assert!(calls.iter().any(|call| call == expected), "no {expected:?} in {calls:#?}");
    }
}
