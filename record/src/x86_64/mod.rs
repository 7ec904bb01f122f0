//! What the recorder has to know of x86-64; the rest of this crate gets at it
//! as `crate::arch`.

pub(crate) mod bpf_objects;
pub(crate) mod calls;
pub(crate) mod clock;
pub(crate) mod java;
pub(crate) mod probe_point;

use object::elf;

/// The processor in the header of a program that runs on it.
pub(crate) const MACHINE: elf::Machine = elf::EM_X86_64;
