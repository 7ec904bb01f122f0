//! A variable that each thread has for itself.
//!
//! It is thread local memory in the initial-exec model, which stable Rust cannot
//! ask for: to get at it neither calls a function nor allocates. It comes out of
//! a small reserve if the library is not loaded from the start, so it is small.

use core::arch::{asm, global_asm};

/// Bytes that it has; zero in a new thread.
pub(crate) const VARIABLE_LEN: usize = 32;

global_asm!(
    ".pushsection .tbss.rz_alloc_hook, \"awT\", @nobits",
    ".p2align 5",
    ".globl rz_alloc_hook_thread",
    ".hidden rz_alloc_hook_thread",
    ".type rz_alloc_hook_thread, @tls_object",
    ".size rz_alloc_hook_thread, {length}",
    "rz_alloc_hook_thread:",
    ".zero {length}",
    ".popsection",
    length = const VARIABLE_LEN,
);

/// Where it is.
#[inline(always)]
pub(crate) fn variable<T>() -> *const T {
    let variable: *const T;
    // SAFETY: the thread pointer is at its own address, and the loader has put
    // the offset of our variable from it where this reads it.
    unsafe {
        asm!(
            "mov {0}, fs:[0]",
            "add {0}, qword ptr [rip + rz_alloc_hook_thread@GOTTPOFF]",
            out(reg) variable,
            options(pure, readonly, nostack),
        );
    }
    variable
}
