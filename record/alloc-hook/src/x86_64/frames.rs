//! Where in a frame what leads to its caller is.
//!
//! ```text
//!                  ┌────────────────────────┐ ◀─ end: the caller's stack pointer
//!                  │ return address         │    put there by the call
//!                  ├────────────────────────┤
//! frame pointer ─▶ │ caller's frame pointer │    if the function keeps one
//!                  └────────────────────────┘
//! ```

/// How far a call moves the stack pointer to put its return address there.
pub(crate) const RETURN_ADDRESS_LEN: usize = 8;
/// Offset of the return address from the frame's end, for call frame
/// information.
pub(crate) const RETURN_ADDRESS_AT_END: i64 = -8;
/// Offset of the return address from the frame pointer.
pub(crate) const CHAINED_RETURN_ADDRESS: usize = 8;

/// Code that no entry covers is a program's first function if it lies at most
/// so far behind the first instruction.
pub(crate) const ENTRY_BYTES: usize = 64;

/// Where registers are in the `struct ucontext` of an interrupted frame: the
/// frame pointer, the stack pointer, the instruction pointer.
pub(crate) const SIGNAL_FP: usize = 120;
pub(crate) const SIGNAL_SP: usize = 160;
pub(crate) const SIGNAL_IP: usize = 168;
