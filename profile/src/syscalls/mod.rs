//! System calls as text, in lines like those of strace.
//!
//! ```
//! use rz_profile::syscalls::{Blob, Invocation, Outcome, decode};
//!
//! let call = Invocation {
//!     number: 257,
//!     args: [-100i32 as u64, 0x7ffd_0000_1000, 0x8_0000, 0, 0, 0],
//!     outcome: Outcome::Returned(3),
//!     blobs: [Some(Blob::whole(b"/etc/passwd")), None],
//!     data: &[],
//! };
//! let line = decode::line(&call, |_| None);
//! assert_eq!(line, r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"#);
//! ```

pub mod address;
pub mod decode;
pub mod files;
mod names;
pub mod parse;
mod text;

use crate::reason::is_error;

/// A call as it was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// Number in the x86-64 ABI.
    pub number: u32,
    /// The registers of the arguments, used or not.
    pub args: [u64; 6],
    /// How it went.
    pub outcome: Outcome,
    /// What was copied of [`rz_syscalls::Syscall::captures`], in their order.
    pub blobs: [Option<Blob<'a>>; rz_syscalls::MAX_CAPTURES],
    /// What else was copied of memory, as [`rz_format::data_pieces`] reads it; mostly
    /// nothing.
    pub data: &'a [u8],
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this; errors are negative.
    Returned(i64),
    /// It had not returned when the recording ended, or it never does.
    Unfinished,
}

/// Bytes copied from the memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob<'a> {
    /// The bytes, of a text without its NUL.
    pub bytes: &'a [u8],
    /// Whether there was more.
    pub cut: bool,
}

impl<'a> Blob<'a> {
    /// All there was.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Blob { bytes, cut: false }
    }

    /// The beginning of something longer.
    pub fn cut(bytes: &'a [u8]) -> Self {
        Blob { bytes, cut: true }
    }
}

impl<'a> Invocation<'a> {
    /// What was copied of argument `arg`.
    fn blob(&self, arg: usize) -> Option<Blob<'a>> {
        let captures = rz_syscalls::by_number(self.number)?.captures();
        captures.zip(self.blobs).find(|(capture, _)| capture.arg == arg)?.1
    }

    /// A piece of what argument `arg` leads to.
    fn piece(&self, arg: u8, element: u8) -> Option<&'a [u8]> {
        let mut pieces = rz_format::data_pieces(self.data);
        let found = pieces.find(|piece| (piece.arg, piece.element) == (arg, element));
        found.map(|piece| piece.bytes)
    }

    /// What it returned if it did and is no error.
    fn success(&self) -> Option<i64> {
        match self.outcome {
            Outcome::Returned(value) if !is_error(value) => Some(value),
            _ => None,
        }
    }
}
