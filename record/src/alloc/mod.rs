//! Allocations of a program that is started for the recording: a library that
//! is loaded with it (the *hook*, `record/alloc-hook/`) writes them to memory
//! that it shares with the recorder.
//!
//! Nobody waits for the other: the recorder looks at the memory every few
//! milliseconds, and a hook that finds its ring full counts what it drops.

mod capture;
mod library;
mod memory;
mod program;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;

use rz_alloc_ring::VARIABLE;

pub(crate) use capture::Rings;
pub(crate) use memory::Memory;
pub use program::Unfit;
pub(crate) use program::{executed, privileged};

use crate::config::AllocationOptions;

/// What makes ld.so load a library before all others.
const PRELOAD: &str = "LD_PRELOAD";

/// A hook that a program is going to be started with.
pub(crate) struct Hook {
    /// What it shares with the recorder.
    pub(crate) memory: Memory,
    /// What it will not see of the program.
    pub(crate) note: Option<String>,
    library: OsString,
}

/// Why allocations of a program cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The program cannot be started with a library of ours.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The library cannot be put where the program finds it.
    #[error(
        "cannot write the library that --alloc loads into the program: {0}; set TMPDIR to a \
         directory that allows executing files"
    )]
    Library(io::Error),
    /// There is no memory to share.
    #[error("cannot make the memory that --alloc shares with the program: {0}")]
    Memory(io::Error),
}

impl Hook {
    /// Prepares the hook for `command`, if that can take one.
    pub(crate) fn prepare(
        command: &[OsString],
        options: AllocationOptions,
        stack_bytes: u32,
        follow: bool,
    ) -> Result<Self, HookError> {
        let note = program::check(command)?;
        let library = library::install().map_err(HookError::Library)?.into_os_string();
        let memory = Memory::create(options.interval, stack_bytes, follow);
        Ok(Hook { memory: memory.map_err(HookError::Memory)?, note, library })
    }

    /// What the program has to have in its environment.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 2] {
        let mut preload = self.library.clone();
        if let Some(others) = std::env::var_os(PRELOAD).filter(|others| !others.is_empty()) {
            preload.push(OsStr::from_bytes(b":"));
            preload.push(others);
        }
        [(PRELOAD, preload), (VARIABLE, self.memory.path().into())]
    }
}
