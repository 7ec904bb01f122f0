//! Turns recorded code addresses into names, with what this machine has.
//!
//! Nothing is resolved on the recording host: a trace says "file offset
//! 0x1234 of the file with build-id ab12". Here that file, or its separate
//! debug file, is looked for, its identity is checked, and each offset becomes
//! an address of the file's own symbol table (SVMA) with the calls at that
//! address, inlined ones included.
//!
//! ```text
//! find, debuginfod ─► files
//! offset ─► segments ─► address ─► cache ─┬► go       functions of Go, inlined calls, lines
//!                                         ├► dwarf    functions, inlined calls, lines
//!                                         └► symbols  .symtab, .dynsym, PLT entries
//! ```
//!
//! A file that is missing, is another build, or is damaged costs names and
//! gives a note, never a wrong name.

mod budget;
mod cache;
mod code;
mod debuginfod;
mod decompress;
pub(crate) mod demangle;
mod dwarf;
mod files;
mod find;
mod go;
mod module;
pub(crate) mod names;
mod plt;
mod resolve;
mod segments;
mod starts;
mod symbols;
#[cfg(test)]
pub(crate) mod tests;
mod x86_64;

pub use budget::Limits;
pub use code::{CodeFile, CodeRange, with_code};
pub use demangle::without_clone_suffixes;
pub use find::find_binary;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use rz_format::Segment;

use cache::Cache;
use debuginfod::Debuginfod;

/// How to find names. By default nothing is kept, and nobody is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolizeOptions {
    /// Directory to keep names and fetched files in, for the next time. What is
    /// in it is removed when it becomes too much, and it is made if it is not
    /// there. Nothing is kept if it is `None`.
    pub cache_dir: Option<PathBuf>,
    /// URLs of debuginfod servers to fetch files from that are not here.
    pub servers: Vec<String>,
    /// How long a server may be silent.
    pub server_timeout: Duration,
    /// What each module may cost.
    pub limits: Limits,
}

impl Default for SymbolizeOptions {
    fn default() -> Self {
        SymbolizeOptions {
            cache_dir: None,
            servers: Vec::new(),
            server_timeout: Duration::from_secs(90),
            limits: Limits::default(),
        }
    }
}

/// One file of the recording host, and the addresses to name in it.
#[derive(Debug, Clone, Copy)]
pub struct ModuleRequest<'a> {
    /// The file's path on the recording host.
    pub path: &'a Path,
    /// The file's GNU build-id; empty if it had none or it is unknown.
    pub build_id: &'a [u8],
    /// The file's size in bytes, 0 if unknown: tells files apart when there is
    /// no build-id.
    pub file_size: u64,
    /// The file's `PT_LOAD` program headers, as recorded: with them a separate
    /// debug file is enough, without the binary. May be empty.
    pub segments: &'a [Segment],
    /// Distinct offsets of code in the file, ascending. Those of callers point
    /// into the call instruction, not behind it.
    pub offsets: &'a [u64],
    /// Directories to search before the recorded path, for the binary and for
    /// its debug file.
    pub debug_dirs: &'a [PathBuf],
}

/// What is known about the addresses of a [`ModuleRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleSymbols {
    /// Address (SVMA) of each offset, in the order of the offsets; the offset
    /// itself if no segment is known that contains it.
    pub addresses: Vec<u64>,
    /// Start of the function at each address, where no name is known but the
    /// file's unwind tables tell; else the address itself. In the same order.
    pub starts: Vec<u64>,
    /// Calls at each offset, in the same order: innermost first, all but the
    /// last of them inlined. Empty if no name is known.
    pub calls: Vec<Vec<FunctionLine>>,
    /// What is amiss with this module and why, in one sentence. Missing debug
    /// information alone is not amiss as long as there is a symbol table.
    pub note: Option<String>,
}

/// A function at an address, and the line it is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionLine {
    /// Name for people: demangled, and without the suffixes by which compilers
    /// tell the parts and copies of one function apart.
    pub name: Arc<str>,
    /// The linker's name; the same as `name` if it is not mangled.
    pub system_name: Arc<str>,
    /// Source file, as the compiler recorded it.
    pub file: Option<Arc<str>>,
    /// Line in that file; 0 if unknown. For all but the innermost call, the
    /// line of the inlined call.
    pub line: u32,
    /// Column in that line, from 1; 0 if unknown.
    pub column: u32,
}

/// What became of [`ModuleRequest`]s.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbolized {
    /// One entry per request, in the same order.
    pub modules: Vec<ModuleSymbols>,
    /// What is amiss apart from the modules, one sentence each.
    pub notes: Vec<String>,
    /// What cost time but no names, one sentence each: for those who ask.
    pub details: Vec<String>,
}

/// What all modules are symbolized with.
struct Tools {
    cache: Option<Cache>,
    servers: Option<Debuginfod>,
    limits: Limits,
}

/// Names the addresses of each module.
pub fn symbolize(requests: &[ModuleRequest], options: &SymbolizeOptions) -> Symbolized {
    let SymbolizeOptions { cache_dir, servers, server_timeout, limits } = options;
    let cache_dir = cache_dir.as_deref();
    let servers =
        (!servers.is_empty()).then(|| Debuginfod::new(servers, cache_dir, *server_timeout));
    let tools = Tools { cache: cache_dir.map(Cache::new), servers, limits: *limits };
    let modules =
        requests.par_iter().map(|request| module::symbolize_module(request, &tools)).collect();
    let Tools { cache, servers, .. } = tools;
    Symbolized {
        modules,
        notes: servers.map(Debuginfod::finish).unwrap_or_default(),
        details: cache.and_then(Cache::finish).into_iter().collect(),
    }
}
