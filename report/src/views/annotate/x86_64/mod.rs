//! What only code of x86 needs to be shown.

pub(crate) mod disassemble;
