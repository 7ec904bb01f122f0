//! Turns recorded code addresses into names, with what this machine has.
//!
//! Nothing is resolved on the recording host: a trace says "file offset
//! 0x1234 of the file with build-id ab12". Here that file, or its separate
//! debug file, is looked for, its identity is checked, and each offset becomes
//! an address of the file's own symbol table (SVMA) with the calls at that
//! address, inlined ones included.
//!
//! ```text
//! offset ─► segments ─► address ─┬► dwarf    functions, inlined calls, lines
//!                                └► symbols  .symtab, .dynsym, PLT entries
//! ```
//!
//! A file that is missing, is another build, or is damaged costs names and
//! gives a note, never a wrong name.

mod code;
mod demangle;
mod dwarf;
mod find;
mod module;
pub(crate) mod names;
mod plt;
mod segments;
mod starts;
mod symbols;
#[cfg(test)]
pub(crate) mod tests;

pub use code::{CodeFile, CodeRange, with_code};
pub use demangle::without_clone_suffixes;
pub(crate) use find::find_binary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use rz_format::Segment;

/// Stack of the threads that read debug information, for addr2line recurses
/// where functions are inlined into each other. Only what is used is allocated.
const STACK_SIZE: usize = 64 << 20;

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
    pub calls: Vec<Vec<Call>>,
    /// What is amiss with this module and why, in one sentence. Missing debug
    /// information alone is not amiss as long as there is a symbol table.
    pub note: Option<String>,
}

/// A function at an address, and the line it is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
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

/// Names the addresses of each module; the result has one entry per request,
/// in the same order.
pub fn symbolize(requests: &[ModuleRequest]) -> Vec<ModuleSymbols> {
    let all = || requests.par_iter().map(module::symbolize_module).collect();
    match rayon::ThreadPoolBuilder::new().stack_size(STACK_SIZE).build() {
        Ok(pool) => pool.install(all),
        // A system that is short of threads still has those that exist.
        Err(_) => all(),
    }
}
