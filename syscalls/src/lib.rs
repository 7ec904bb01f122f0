//! What is known of the system calls of Linux without running one.
//!
//! The recorder asks which arguments lead to paths and addresses that have to
//! be copied while they are there, and which calls a group names; what turns a
//! recording into text asks for names and for what each argument means. The
//! tables are made by `generate.py` from what a kernel says of itself.
//!
//! Calls have other numbers on other processors. Their table stands in a folder
//! of the processor's, of which `x86_64` is the only one.
//!
//! ```
//! let openat = rz_syscalls::by_name("openat").unwrap();
//! assert_eq!((openat.number, openat.args[1].name), (257, "filename"));
//! assert_eq!(openat.captures().count(), 1);
//! assert!(rz_syscalls::group("%file").unwrap().contains(openat));
//! ```
#![forbid(unsafe_code)]

pub mod errno;
pub mod uring;

mod call;
mod data;
#[rustfmt::skip]
mod errno_table;
mod group;
mod kind;
#[rustfmt::skip]
mod uring_table;
mod x86_64;

pub use call::{Argument, Capture, Captured, MAX_CAPTURES, Syscall};
pub use data::{Count, Data, MAX_DATA, Pointee, When};
pub use group::Group;
pub use kind::{Kind, Returns};

use x86_64::table::SYSCALLS;

/// All calls, by number.
pub fn all() -> &'static [Syscall] {
    SYSCALLS
}

/// The call with this number.
pub fn by_number(number: u32) -> Option<&'static Syscall> {
    let at = SYSCALLS.binary_search_by_key(&number, |call| call.number).ok()?;
    SYSCALLS.get(at)
}

/// The call with this name.
pub fn by_name(name: &str) -> Option<&'static Syscall> {
    SYSCALLS.iter().find(|call| call.name == name)
}

/// The name of a call.
pub fn name(number: u32) -> Option<&'static str> {
    by_number(number).map(|call| call.name)
}

/// The number of a call.
pub fn number(name: &str) -> Option<u32> {
    by_name(name).map(|call| call.number)
}

/// The group that strace calls `name`, `%` included: `%file`, `%desc`,
/// `%network` (or `%net`), `%process`, `%memory`, `%signal`, `%ipc`.
pub fn group(name: &str) -> Option<Group> {
    Group::named(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_to_each_other() {
        for (nr, text) in [(0, "read"), (59, "execve"), (257, "openat"), (435, "clone3")] {
            assert_eq!((name(nr), number(text)), (Some(text), Some(nr)));
        }
        for nr in [337, 423, 9999, u32::MAX] {
            assert_eq!(name(nr), None);
        }
        assert_eq!(number("open_sesame"), None);
        assert!(all().is_sorted_by(|a, b| a.number < b.number));
        for call in all() {
            assert_eq!(number(call.name), Some(call.number), "{} is there once", call.name);
        }
    }
}
