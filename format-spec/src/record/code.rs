//! What is said of code: where it is, and what it is called.

use bincode::{Decode, Encode};

use crate::codes::coded;

/// What a [`Module`] is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ModuleKind {
    /// An executable or library file. Frame offsets are file offsets.
    #[default]
    File,
    /// The kernel or one of its modules. Frame offsets are addresses.
    Kernel,
    /// The vDSO. Frame offsets are offsets in its image.
    Vdso,
    /// Executable memory without a file, of one process. Frame offsets are
    /// addresses.
    Anonymous,
    /// Code that is known by its names only. Frame offsets are numbers that
    /// [`Name`](crate::Name)s refer to.
    Names,
    /// A kind that this crate does not know.
    Unknown,
}

coded! {
    ModuleKind: u8,
    0 => File,
    1 => Kernel,
    2 => Vdso,
    3 => Anonymous,
    4 => Names,
}

/// Something that code addresses belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Module {
    /// Number that frames and mappings refer to.
    pub id: u32,
    /// A [`ModuleKind`] as a number.
    pub kind: u8,
    /// Path on the recording host, or a name in brackets.
    pub path: String,
    /// GNU build-id, or what stands in for it (SPEC.md); empty if neither is known.
    pub build_id: Vec<u8>,
    /// Size of the file in bytes; 0 if unknown.
    pub file_size: u64,
    /// Process whose memory this is, plus one, for anonymous memory; else 0.
    pub process_plus_one: u32,
    /// The file's `PT_LOAD` program headers; empty if unknown or not a file.
    pub segments: Vec<Segment>,
}

/// A part of a file that is loaded into memory, as its program headers say.
///
/// Relates file offsets to the addresses in the file's symbol table when only
/// a separate debug file is at hand, whose own headers no longer tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Segment {
    /// Offset in the file of the first byte (`p_offset`).
    pub file_offset: u64,
    /// Length in the file in bytes (`p_filesz`).
    pub length: u64,
    /// Address of the first byte in the file's own numbering (`p_vaddr`).
    pub svma: u64,
}

/// A part of a module became executable in a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Mapping {
    /// The process.
    pub process: u32,
    /// The module.
    pub module: u32,
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Offset in the module's file of the first address.
    pub file_offset: u64,
    /// When, on the trace's clock; 0 if before the recording.
    pub time_ns: u64,
}

/// The name of a piece of code that cannot be looked up later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Symbol {
    /// The module.
    pub module: u32,
    /// First frame offset of the code.
    pub start: u64,
    /// Length in bytes; 0 if unknown.
    pub length: u64,
    /// The linker's name.
    pub name: String,
    /// Kernel module it is part of; empty for the kernel proper.
    pub area: String,
}

/// Code that a process generated, as it published it: in `perf-PID.map` or a
/// jitdump.
///
/// It is there until other code is at the same place. Of records for the same
/// place and time, the last holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Generated {
    /// The module.
    pub module: u32,
    /// First frame offset of the code.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// From when on it is there, on the trace's clock; 0 if unknown.
    pub from_ns: u64,
    /// Name, as published.
    pub name: String,
    /// Places in the source, ascending by offset; each holds up to the next.
    pub lines: Vec<GeneratedLine>,
}

/// Which place in the source a part of generated code is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct GeneratedLine {
    /// Where it begins, counted from the start of the code.
    pub offset: u32,
    /// Source file, as published.
    pub file: String,
    /// Line in that file; 0 if unknown.
    pub line: u32,
    /// Column in that line, from 1; 0 if unknown.
    pub column: u32,
}

/// The names of a module's code are in the trace: of all code that it has
/// frames of, as far as names were known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Named {
    /// The module.
    pub module: u32,
    /// What is amiss with the names, in one sentence; empty if nothing is.
    pub note: String,
}
