//! One system call: its arguments, and which of them lead to bytes worth a copy.

use crate::kind::{Kind, Returns};

/// Most captures of one call; further arguments that could be are not.
pub const MAX_CAPTURES: usize = 2;

/// One system call.
#[derive(Debug)]
pub struct Syscall {
    /// Number by which programs call it.
    pub number: u32,
    /// Name, such as `openat`.
    pub name: &'static str,
    /// Arguments in order, at most six. A call that no kernel of today has
    /// takes six of kind [`Kind::Hex`].
    pub args: &'static [Argument],
    /// What it returns when it does not fail.
    pub returns: Returns,
}

/// One argument of a call.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Name in the kernel's source.
    pub name: &'static str,
    /// What its bits mean.
    pub kind: Kind,
}

/// An argument that leads to bytes in the caller's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capture {
    /// Index of the argument.
    pub arg: usize,
    /// What it points to.
    pub what: Captured,
}

/// What a captured argument points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Captured {
    /// A path or another text that ends with NUL; there at entry.
    Text,
    /// A socket address, there at entry; its length is argument `len_arg`.
    SockaddrIn {
        /// Index of the argument that is the length (`int`).
        len_arg: usize,
    },
    /// A socket address, there at exit if the call succeeded; its length is
    /// where argument `len_ptr_arg` points. Either pointer may be NULL.
    SockaddrOut {
        /// Index of the argument that points to the length (`int`).
        len_ptr_arg: usize,
    },
}

impl Syscall {
    /// The arguments whose bytes are copied, in order, at most
    /// [`MAX_CAPTURES`].
    pub fn captures(&self) -> impl Iterator<Item = Capture> + use<> {
        let args = self.args.iter().enumerate();
        // The length of an address is always the argument after it.
        let captures = args.filter_map(|(arg, argument)| {
            let what = match argument.kind {
                Kind::Path | Kind::Text => Captured::Text,
                Kind::SockaddrIn => Captured::SockaddrIn { len_arg: arg + 1 },
                Kind::SockaddrOut => Captured::SockaddrOut { len_ptr_arg: arg + 1 },
                _ => return None,
            };
            Some(Capture { arg, what })
        });
        captures.take(MAX_CAPTURES)
    }
}

/// A line of the table.
pub(crate) const fn call(
    number: u32,
    name: &'static str,
    args: &'static [Argument],
    returns: Returns,
) -> Syscall {
    Syscall { number, name, args, returns }
}

/// An argument in the table.
pub(crate) const fn arg(name: &'static str, kind: Kind) -> Argument {
    Argument { name, kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{all, by_name};

    #[test]
    fn captures_are_the_first_two_texts_and_addresses() {
        use Captured::*;
        fn check(name: &str, expect: &[(usize, Captured)]) {
            let found = by_name(name).unwrap().captures().map(|c| (c.arg, c.what));
            assert_eq!(found.collect::<Vec<_>>(), expect, "{name}");
        }
        check("read", &[]);
        check("openat", &[(1, Text)]);
        check("renameat2", &[(1, Text), (3, Text)]);
        check("mount", &[(0, Text), (1, Text)]);
        check("setxattr", &[(0, Text), (1, Text)]);
        check("memfd_create", &[(0, Text)]);
        check("connect", &[(1, SockaddrIn { len_arg: 2 })]);
        check("sendto", &[(4, SockaddrIn { len_arg: 5 })]);
        check("recvfrom", &[(4, SockaddrOut { len_ptr_arg: 5 })]);
        check("accept4", &[(1, SockaddrOut { len_ptr_arg: 2 })]);
    }

    #[test]
    fn lengths_of_addresses_are_lengths() {
        for call in all() {
            assert!(call.args.len() <= 6, "{}", call.name);
            for capture in call.captures() {
                let (len, kind) = match capture.what {
                    Captured::Text => continue,
                    Captured::SockaddrIn { len_arg } => (len_arg, Kind::Int),
                    Captured::SockaddrOut { len_ptr_arg } => (len_ptr_arg, Kind::Pointer),
                };
                assert!(call.args[len].name.contains("len"), "{}", call.name);
                assert_eq!(call.args[len].kind, kind, "{}", call.name);
            }
        }
    }

    /// The kernel that runs this publishes what it calls its arguments.
    #[test]
    fn the_kernel_agrees() {
        let events = std::path::Path::new("/sys/kernel/tracing/events/syscalls");
        let listed = std::fs::read_dir(events).expect("needs root and a mounted tracefs");
        let other_names = [
            ("newstat", "stat"),
            ("newfstat", "fstat"),
            ("newlstat", "lstat"),
            ("newuname", "uname"),
            ("sendfile64", "sendfile"),
            ("umount", "umount2"),
        ];
        let mut seen = 0;
        for entry in listed {
            let file_name = entry.unwrap().file_name();
            let Some(name) = file_name.to_str().unwrap().strip_prefix("sys_enter_") else {
                continue;
            };
            let format = std::fs::read_to_string(events.join(&file_name).join("format")).unwrap();
            let abi_name = other_names.iter().find(|names| names.0 == name).map_or(name, |n| n.1);
            let call = by_name(abi_name).unwrap_or_else(|| panic!("{name} is not in the table"));
            // Fields of all events, whose names begin with `common_`, and the
            // number of the call come before the arguments.
            let fields = format.lines().filter(|line| line.trim_start().starts_with("field:"));
            let arguments = fields.filter(|line| !line.contains("common_"));
            assert_eq!(arguments.count() - 1, call.args.len(), "arguments of {name}");
            seen += 1;
        }
        assert!(seen > 300, "only {seen} calls are published");
    }
}
