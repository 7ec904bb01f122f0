//! Registers, as call frame information numbers them.

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
