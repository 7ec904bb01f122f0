//! Addresses of what the linker and the loader define, without a relocation that
//! would have to be worked off before.
//!
//! How a name is bound is told in the block that uses it, not once in a
//! `global_asm!`: it holds for one object file, and functions land in those of
//! their callers.

use core::arch::asm;

/// This library's dynamic section.
pub(crate) fn own_dynamic<T>() -> *const T {
    let own: *const T;
    // SAFETY: the address of the library's dynamic section, which the linker
    // names so.
    unsafe {
        asm!(
            ".hidden _DYNAMIC",
            "lea {}, [rip + _DYNAMIC]",
            out(reg) own,
            options(pure, nomem, nostack)
        );
    }
    own
}

/// What the loader tells debuggers; null if there is none.
pub(crate) fn debug<T>() -> *const T {
    let debug: *const T;
    // Weak, so that there is no need to link with the dynamic loader.
    // SAFETY: the address of the loader's variable, or 0 if there is none.
    unsafe {
        asm!(
            ".weak _r_debug",
            "mov {}, [rip + _r_debug@GOTPCREL]",
            out(reg) debug,
            options(pure, readonly, nostack)
        );
    }
    debug
}

/// Where this library begins, and where it ends.
pub(crate) fn own_image() -> (usize, usize) {
    let (start, end): (usize, usize);
    // SAFETY: addresses that the linker names so.
    unsafe {
        asm!(
            ".hidden __ehdr_start",
            ".hidden _end",
            "lea {}, [rip + __ehdr_start]",
            "lea {}, [rip + _end]",
            out(reg) start,
            out(reg) end,
            options(pure, nomem, nostack)
        );
    }
    (start, end)
}
