//! Registers, as call frame information numbers them.

use core::arch::asm;

use gimli::{Register, X86_64};

/// The stack pointer.
pub(crate) const SP: Register = X86_64::RSP;
/// The frame pointer.
pub(crate) const FP: Register = X86_64::RBP;
/// The return address.
pub(crate) const RA: Register = X86_64::RA;
/// Begins an expression that is the frame pointer plus an offset.
pub(crate) const FP_PLUS: gimli::DwOp = gimli::DW_OP_breg6;
/// Registers that have a rule of their own; a signal trampoline has 17.
pub(crate) const MAX_REGISTERS: usize = 20;

/// What the thread may do with memory by the keys that it has: `PKRU`. Only for programs
/// that have got a key.
#[inline(always)]
pub(crate) fn key_rights() -> u32 {
    let rights: u32;
    // SAFETY: the kernel gives keys only where the instruction is.
    unsafe {
        asm!("rdpkru", in("ecx") 0, out("eax") rights, out("edx") _, options(nomem, nostack));
    }
    rights
}
