//! What call frame information, and code without it, means on this processor.

use std::ops::RangeInclusive;

use gimli::{ReaderOffset, RegisterRule};

use super::registers::RA;

/// DWARF numbers of the registers that rules are read of.
pub const RULE_REGISTERS: RangeInclusive<u16> = 0..=RA;

/// Code without unwind information is a program's first function if it lies
/// at most so far behind the first instruction. That of glibc's loader, from
/// which libraries are relocated and their constructors called, has 61 bytes.
pub const ENTRY_BYTES: u64 = 64;

/// glibc leaves the system call that makes a thread out of its call frame
/// information, for behind it the stack is that of either thread. The 10 bytes
/// up to where the new one has its own way are without.
pub const CLONE_BYTES: u64 = 16;

/// A program with such code.
#[cfg(test)]
pub const DYNAMIC_LINKER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Whether a frame is a thread's first, by the rule for its return address. A
/// call leaves that on the stack, so whoever was called has a rule for it.
pub fn is_outermost<T: ReaderOffset>(return_address: Option<RegisterRule<T>>) -> bool {
    matches!(return_address, None | Some(RegisterRule::SameValue | RegisterRule::Undefined))
}
