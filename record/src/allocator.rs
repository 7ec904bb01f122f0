//! Which functions a running process allocates with: they may be the C
//! library's, those of a library that is loaded before it, or linked into the
//! program itself.
//!
//! The dynamic linker takes a name from the first file that defines it, in the
//! order of its list of files. Allocators under names of their own, as programs
//! in Rust link them, are used beside the one called `malloc`.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use object::elf::{PT_INTERP, STB_GLOBAL, STB_WEAK, STT_FUNC};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, ObjectSymbolTable, ReadCache, SymbolFlags};

use crate::arch::probe_point::{self, ARGUMENT_0, ARGUMENT_1, ARGUMENT_2, LOOK_AT};
use crate::code_parts::{CodeParts, Elf};
use crate::tracker::link_map;
use crate::tracker::procfs::{self, MapEntry};

/// What a function takes and returns; the numbers are those of
/// `enum alloc_function`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum What {
    Malloc = 0,
    Calloc = 1,
    Realloc = 2,
    Reallocarray = 3,
    Aligned = 4,
    Valloc = 5,
    PosixMemalign = 6,
    Free = 7,
}

impl What {
    /// The registers in which what it is given is looked for.
    fn arguments(self) -> &'static [u8] {
        match self {
            What::Malloc | What::Valloc | What::Free => &[ARGUMENT_0],
            What::Calloc | What::Realloc | What::Aligned => &[ARGUMENT_0, ARGUMENT_1],
            What::PosixMemalign => &[ARGUMENT_0, ARGUMENT_2],
            What::Reallocarray => &[ARGUMENT_0, ARGUMENT_1, ARGUMENT_2],
        }
    }
}

/// A function of an allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function {
    /// Where in the file its probe is to be.
    pub(crate) file_offset: u64,
    /// Whether the processor has to execute what is there in a single step.
    pub(crate) is_stepped: bool,
    /// What it does.
    pub(crate) what: What,
    /// Calls from so many bytes before the probe to so many behind it are the
    /// allocator's own.
    pub(crate) own_code: (u32, u32),
    /// Whether it may do that by calling another one.
    pub(crate) may_call_another: bool,
}

/// A file with functions of an allocator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllocatorFile {
    /// Its path as the process sees it.
    pub(crate) path: String,
    /// Where it can be opened.
    pub(crate) opened: PathBuf,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Its functions, by offset.
    pub(crate) functions: Vec<Function>,
}

/// Functions of the C library, and of the allocators that go beyond it, by the
/// name behind their prefix.
const FUNCTIONS: [(&str, What); 22] = [
    ("malloc", What::Malloc),
    ("calloc", What::Calloc),
    ("realloc", What::Realloc),
    ("reallocarray", What::Reallocarray),
    ("aligned_alloc", What::Aligned),
    ("memalign", What::Aligned),
    ("valloc", What::Valloc),
    ("pvalloc", What::Valloc),
    ("posix_memalign", What::PosixMemalign),
    ("free", What::Free),
    ("cfree", What::Free),
    ("free_sized", What::Free),
    ("free_aligned_sized", What::Free),
    // jemalloc.
    ("mallocx", What::Malloc),
    ("rallocx", What::Realloc),
    ("dallocx", What::Free),
    ("sdallocx", What::Free),
    // mimalloc; its aligned functions take the size first.
    ("malloc_aligned", What::Malloc),
    ("zalloc", What::Malloc),
    ("zalloc_aligned", What::Malloc),
    ("realloc_aligned", What::Realloc),
    ("free_size", What::Free),
];
/// `operator new` and `delete` by the beginning of their names: behind it come
/// the types of what else they take.
const OPERATORS: [(&str, What); 4] = [
    ("_Znwm", What::Malloc),
    ("_Znam", What::Malloc),
    ("_ZdlPv", What::Free),
    ("_ZdaPv", What::Free),
];
/// Only in glibc, whose threads free what they have kept for themselves by
/// `free` when they end: it was freed before.
const OF_GLIBC: &str = "__libc_free";
/// Put before the names by allocators that leave `malloc` to the C library.
const PREFIXES: [&str; 4] = ["_rjem_", "je_", "mi_", "tc_"];

/// What is said if nothing is found.
pub(crate) const LOOKED_FOR: &str =
    "malloc, or an allocator with names such as _rjem_malloc, je_malloc, mi_malloc or tc_malloc";

/// The files whose functions a process allocates with; none if it has no
/// allocator that can be told by its names.
pub(crate) fn find(pid: u32) -> io::Result<Vec<AllocatorFile>> {
    let maps = procfs::executable_maps(pid)?;
    let executable = std::fs::metadata(format!("/proc/{pid}/exe")).map(|data| data.ino());
    let executable = executable.unwrap_or(0);
    let mut files: Vec<Found> = Vec::new();
    for map in maps.iter().filter(|map| map.is_file()) {
        if files.iter().any(|file| file.is_of(map)) {
            continue;
        }
        match read(pid, map, &maps) {
            Ok(Some(mut found)) => {
                found.is_executable = map.inode == executable;
                files.push(found);
            }
            Ok(None) => {}
            Err(error) => log::debug!("{}: {error}", map.path),
        }
    }
    let order = link_map::biases(pid);
    Ok(choose(files, order.as_deref().ok()))
}

/// The `malloc` by another name that a program has or wants from its libraries, if it says
/// so. What is called by that does not go to a library that is loaded before them.
pub(crate) fn other_malloc(program: &Path) -> Option<String> {
    let cache = ReadCache::new(File::open(program).ok()?);
    let elf = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
    let mut names = elf.dynamic_symbols().chain(elf.symbols()).filter_map(|it| it.name().ok());
    let is_other = |name: &&str| {
        PREFIXES.iter().filter_map(|prefix| name.strip_prefix(prefix)).any(|rest| rest == "malloc")
    };
    names.find(is_other).map(str::to_owned)
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    file: AllocatorFile,
    /// What is added to its addresses in this process.
    bias: u64,
    is_executable: bool,
    /// Whether its functions have the C library's names.
    is_malloc: bool,
}

impl Found {
    fn is_of(&self, map: &MapEntry) -> bool {
        (self.file.device, self.file.inode) == (map.device, map.inode)
    }

    /// The position in the order in which names are looked up.
    fn rank(&self, order: Option<&[u64]>) -> (usize, usize) {
        let position = order.and_then(|order| order.iter().position(|bias| *bias == self.bias));
        let name = self.file.path.rsplit('/').next().unwrap_or_default();
        let usual = match name {
            _ if self.is_executable => 0,
            _ if name.starts_with("ld-linux") || name.starts_with("ld.so") => 3,
            _ if name.starts_with("libc.") || name.starts_with("libc-") => 2,
            _ if name.starts_with("ld-musl") => 2,
            _ => 1,
        };
        // The dynamic linker's own is for itself until there is another one.
        match position {
            Some(position) if usual < 3 => (position, usual),
            _ => (usize::MAX, usual),
        }
    }
}

/// The one that is called `malloc`, and all that have names of their own.
fn choose(files: Vec<Found>, order: Option<&[u64]>) -> Vec<AllocatorFile> {
    let first = files
        .iter()
        .enumerate()
        .filter(|(_, found)| found.is_malloc)
        .min_by_key(|(_, found)| found.rank(order))
        .map(|(at, _)| at);
    let is_used = |(at, found): &(usize, Found)| !found.is_malloc || first == Some(*at);
    files.into_iter().enumerate().filter(is_used).map(|(_, found)| found.file).collect()
}

/// Looks for allocators in the file that `map` shows.
fn read(pid: u32, map: &MapEntry, maps: &[MapEntry]) -> io::Result<Option<Found>> {
    let mut last_error = io::ErrorKind::NotFound.into();
    for path in procfs::mapped_file_candidates(pid, map) {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => {
                last_error = error;
                continue;
            }
        };
        if file.metadata()?.ino() != map.inode {
            continue;
        }
        let is_mapped = |offset: u64| {
            maps.iter().any(|other| {
                (other.device, other.inode) == (map.device, map.inode)
                    && (other.file_offset..other.file_offset + (other.end - other.start))
                        .contains(&offset)
            })
        };
        let code_file = file.try_clone()?;
        let cache = ReadCache::new(file);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(io::Error::other)?;
        let symbols = Symbols::of(&elf);
        let code = |offset: u64| {
            let mut bytes = vec![0; LOOK_AT];
            let length = code_file.read_at(&mut bytes, offset).unwrap_or(0);
            bytes.truncate(length);
            bytes
        };
        let (functions, is_malloc) = symbols.functions(is_mapped, code);
        let bias =
            symbols.parts.address_of(map.file_offset).map_or(0, |at| map.start.wrapping_sub(at));
        let file = AllocatorFile {
            path: map.path.clone(),
            opened: path,
            device: map.device,
            inode: map.inode,
            functions,
        };
        let found = Found { file, bias, is_executable: false, is_malloc };
        return Ok((!found.file.functions.is_empty()).then_some(found));
    }
    Err(last_error)
}

/// What a file says of its functions, and where they are.
struct Symbols {
    /// Name and address of each function that others can call.
    functions: Vec<(String, u64)>,
    parts: CodeParts,
}

impl Symbols {
    fn of(elf: &Elf<'_>) -> Self {
        let endian = elf.endian();
        let headers = elf.elf_program_headers();
        let is_static = headers.iter().all(|header| header.p_type(endian) != PT_INTERP)
            && elf.dynamic_symbol_table().is_none_or(|table| table.symbols().next().is_none());
        let is_function = |flags| match flags {
            SymbolFlags::Elf { st_info, .. } => st_info.st_type() == STT_FUNC,
            _ => false,
        };
        let is_global = |flags| match flags {
            SymbolFlags::Elf { st_info, .. } => matches!(st_info.st_bind(), STB_GLOBAL | STB_WEAK),
            _ => false,
        };
        let mut functions = Vec::new();
        let mut take = |name: Option<&str>, address, wanted: &dyn Fn(&str) -> bool| {
            if let Some(name) = name.filter(|name| wanted(name)) {
                functions.push((name.to_owned(), address));
            }
        };
        for symbol in elf.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
            if is_function(symbol.flags()) && is_global(symbol.flags()) {
                take(symbol.name().ok(), symbol.address(), &|name| of_any_allocator(name));
            }
        }
        // What is not exported is used under its own names, or in a program
        // that is complete in itself: there, linkers may make all names local.
        for symbol in elf.symbols().filter(|symbol| symbol.is_definition()) {
            if is_function(symbol.flags()) {
                take(symbol.name().ok(), symbol.address(), &|name| {
                    if is_static { of_any_allocator(name) } else { prefix_of(name).is_some() }
                });
            }
        }
        Symbols { functions, parts: CodeParts::of(elf) }
    }

    /// The functions to watch, and whether they have the C library's names.
    fn functions(
        &self,
        is_mapped: impl Fn(u64) -> bool,
        code: impl Fn(u64) -> Vec<u8>,
    ) -> (Vec<Function>, bool) {
        let is_malloc = self.functions.iter().any(|(name, _)| name == "malloc");
        let prefix = PREFIXES.iter().find(|prefix| {
            self.functions.iter().any(|(name, _)| {
                name.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with("malloc"))
            })
        });
        let mut functions: Vec<Function> = Vec::new();
        let is_glibc = self.functions.iter().any(|(name, _)| name == OF_GLIBC);
        let plain = self.functions.iter().filter(|(name, _)| of_c_library(name).is_some());
        let first = plain.clone().map(|(_, address)| *address).min().unwrap_or(0);
        let last = plain.map(|(_, address)| *address).max().unwrap_or(0);
        for (name, address) in &self.functions {
            let known = match prefix {
                _ if is_malloc => of_c_library(name).or_else(|| operator(name)),
                Some(prefix) => name.strip_prefix(prefix).and_then(of_c_library),
                None => None,
            };
            let Some(what) = known else { continue };
            let Some(begin) = self.parts.offset_of(*address) else { continue };
            let place = probe_point::find(&code(begin), what.arguments());
            let (file_offset, is_stepped) = (begin + place.unwrap_or(0) as u64, place.is_none());
            if is_mapped(file_offset) && !functions.iter().any(|f| f.file_offset == file_offset) {
                let plain = ["malloc", "free"].map(|plain| name.ends_with(plain));
                let may_call_another = !plain.contains(&true);
                let probe = address + place.unwrap_or(0) as u64;
                let distance =
                    |from: u64, to: u64| to.saturating_sub(from).try_into().unwrap_or(u32::MAX);
                let own_code = match is_glibc && what == What::Free {
                    true => (distance(first, probe), distance(probe, last)),
                    false => (0, 0),
                };
                functions.push(Function {
                    file_offset,
                    is_stepped,
                    what,
                    own_code,
                    may_call_another,
                });
            }
        }
        functions.sort_by_key(|function| function.file_offset);
        (functions, is_malloc)
    }
}

fn of_c_library(name: &str) -> Option<What> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
}

fn operator(name: &str) -> Option<What> {
    OPERATORS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, what)| *what)
}

fn prefix_of(name: &str) -> Option<&'static str> {
    let of =
        |prefix: &&&str| name.strip_prefix(**prefix).is_some_and(|n| of_c_library(n).is_some());
    PREFIXES.iter().find(of).copied()
}

fn of_any_allocator(name: &str) -> bool {
    name == OF_GLIBC
        || of_c_library(name).is_some()
        || operator(name).is_some()
        || prefix_of(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, bias: u64, is_malloc: bool) -> Found {
        let file = AllocatorFile {
            path: path.to_owned(),
            opened: PathBuf::new(),
            device: 1,
            inode: bias,
            functions: Vec::new(),
        };
        Found { file, bias, is_executable: path == "/bin/program", is_malloc }
    }

    #[test]
    fn the_first_in_the_list_of_files_is_used() {
        let check = |names: &[(&str, u64, bool)], order: Option<&[u64]>, expected: &[&str]| {
            let files = names.iter().map(|(path, bias, plain)| found(path, *bias, *plain));
            let chosen = choose(files.collect(), order);
            let paths: Vec<&str> = chosen.iter().map(|file| file.path.as_str()).collect();
            assert_eq!(paths, expected);
        };
        let libc = ("/lib/libc.so.6", 30, true);
        let linker = ("/lib/ld-linux-x86-64.so.2", 40, true);
        let jemalloc = ("/lib/libjemalloc.so.2", 20, true);
        check(&[libc, linker], Some(&[40, 30]), &[libc.0]);
        check(&[libc, jemalloc], Some(&[10, 20, 30]), &[jemalloc.0]);
        // A plugin that brings its own comes after the C library.
        check(&[libc, jemalloc], Some(&[10, 30, 20]), &[libc.0]);
        // If nothing is known of the order.
        check(&[linker, libc, jemalloc], None, &[jemalloc.0]);
        let own = ("/bin/program", 10, true);
        check(&[own, jemalloc, libc], None, &[own.0]);
        // One with names of its own, beside the C library's.
        let prefixed = ("/bin/program", 10, false);
        check(&[prefixed, libc], Some(&[10, 30]), &[prefixed.0, libc.0]);
    }

    #[test]
    fn functions_by_name() {
        let check = |names: &[&str], is_malloc: bool, expected: &[(u64, What)]| {
            let at = |(number, name): (usize, &&str)| ((*name).to_owned(), 0x1000 + number as u64);
            let symbols = Symbols {
                functions: names.iter().enumerate().map(at).collect(),
                parts: CodeParts::one(0x1000, 0, 0x1000),
            };
            let (functions, is_plain) = symbols.functions(|_| true, |_| vec![0x55]);
            let functions: Vec<(u64, What)> =
                functions.iter().map(|function| (function.file_offset, function.what)).collect();
            assert_eq!((&functions[..], is_plain), (expected, is_malloc));
        };
        check(&["malloc", "free"], true, &[(0, What::Malloc), (1, What::Free)]);
        // Those with a prefix are the same ones.
        check(&["je_malloc", "malloc", "_Znwm"], true, &[(1, What::Malloc), (2, What::Malloc)]);
        check(
            &["_rjem_malloc", "_rjem_sdallocx", "_Znwm"],
            false,
            &[(0, What::Malloc), (1, What::Free)],
        );
        check(&["free", "_Znwm"], false, &[]);
        check(&["mi_free", "mi_malloc_aligned"], false, &[(0, What::Free), (1, What::Malloc)]);
    }
}
