//! Which functions a running process allocates with: they may be the C
//! library's, those of a library that is loaded before it, or linked into the
//! program itself.
//!
//! The dynamic linker takes a name from the first file that defines it, in the
//! order of its list of files. Allocators under names of their own, as programs
//! in Rust link them, are used beside the one called `malloc`.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use object::elf::{PF_X, PT_INTERP, PT_LOAD, STB_GLOBAL, STB_WEAK, STT_FUNC};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, ObjectSymbolTable, ReadCache, SymbolFlags};

use crate::target::link_map;
use crate::target::procfs::{self, MapEntry};

/// What a function takes and gives back; the numbers are those of
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

/// A function of an allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function {
    /// Where it begins in the file.
    pub(crate) file_offset: u64,
    /// What it does.
    pub(crate) what: What,
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
        let cache = ReadCache::new(file);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(io::Error::other)?;
        let symbols = Symbols::of(&elf);
        let (functions, is_malloc) = symbols.functions(is_mapped);
        let bias = symbols.address_of(map.file_offset).map_or(0, |at| map.start.wrapping_sub(at));
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
    /// Executable parts: address, offset in the file, length.
    parts: Vec<(u64, u64, u64)>,
}

impl Symbols {
    fn of<'d>(elf: &ElfFile64<'d, Endianness, &'d ReadCache<File>>) -> Self {
        let endian = elf.endian();
        let headers = elf.elf_program_headers();
        let parts = headers
            .iter()
            .filter(|header| {
                header.p_type(endian) == PT_LOAD && header.p_flags(endian).contains(PF_X)
            })
            .map(|h| (h.p_vaddr(endian), h.p_offset(endian), h.p_filesz(endian)))
            .collect();
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
        // that is complete in itself.
        for symbol in elf.symbols().filter(|symbol| symbol.is_definition()) {
            if is_function(symbol.flags()) {
                let global = is_static && is_global(symbol.flags());
                take(symbol.name().ok(), symbol.address(), &|name| {
                    if global { of_any_allocator(name) } else { prefix_of(name).is_some() }
                });
            }
        }
        Symbols { functions, parts }
    }

    /// The address that an offset in the file has, before it is loaded.
    fn address_of(&self, file_offset: u64) -> Option<u64> {
        // A mapping begins at a page, a part anywhere in it.
        let page = |offset: u64| offset & !0xfff;
        let part = self
            .parts
            .iter()
            .find(|(_, offset, length)| (page(*offset)..offset + length).contains(&file_offset));
        part.map(|(address, offset, _)| address.wrapping_sub(*offset).wrapping_add(file_offset))
    }

    /// The functions to watch, and whether they have the C library's names.
    fn functions(&self, is_mapped: impl Fn(u64) -> bool) -> (Vec<Function>, bool) {
        let is_malloc = self.functions.iter().any(|(name, _)| name == "malloc");
        let prefix = PREFIXES.iter().find(|prefix| {
            self.functions.iter().any(|(name, _)| {
                name.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with("malloc"))
            })
        });
        let mut functions: Vec<Function> = Vec::new();
        for (name, address) in &self.functions {
            let known = match prefix {
                _ if is_malloc => of_c_library(name).or_else(|| operator(name)),
                Some(prefix) => name.strip_prefix(prefix).and_then(of_c_library),
                None => None,
            };
            let Some(what) = known else { continue };
            let part = self.parts.iter().find(|(start, _, length)| {
                (*start..start.saturating_add(*length)).contains(address)
            });
            let Some((start, offset, _)) = part else { continue };
            let file_offset = address - start + offset;
            if is_mapped(file_offset) && !functions.iter().any(|f| f.file_offset == file_offset) {
                let plain = ["malloc", "free"].map(|plain| name.ends_with(plain));
                let may_call_another = !plain.contains(&true);
                functions.push(Function { file_offset, what, may_call_another });
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
    of_c_library(name).is_some() || operator(name).is_some() || prefix_of(name).is_some()
}
