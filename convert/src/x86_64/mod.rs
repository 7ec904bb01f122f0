//! What conversions have to know of x86-64. Traces and profiles may be of other
//! processors: what is here holds for those that say so.

/// What the kernel calls the machine.
pub(crate) const MACHINE: &str = "x86_64";

/// Where the kernel begins in every process.
pub(crate) const KERNEL_START: u64 = 0xffff_8000_0000_0000;

/// Where modules of the kernel are, at the earliest; see
/// Documentation/arch/x86/x86_64/mm.rst in its sources.
pub(crate) const KERNEL_MODULES_START: u64 = 0xffff_ffff_a000_0000;
