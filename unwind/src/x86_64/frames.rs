//! Where in a frame what leads to its caller is.
//!
//! ```text
//!                  ┌────────────────────────┐ ◀─ CFA: the caller's stack pointer
//!                  │ return address         │    put there by the call
//!                  ├────────────────────────┤
//! frame pointer ─▶ │ caller's frame pointer │    if the function keeps one
//!                  └────────────────────────┘
//! ```

/// Offset of the return address from the CFA.
pub const RETURN_ADDRESS_AT_CFA: i64 = -8;
/// Offset of the return address from the frame pointer.
pub const CHAINED_RETURN_ADDRESS: u64 = 8;
/// Offset of the caller's stack pointer from the frame pointer.
pub const CHAINED_END: u64 = 16;
