//! What file descriptors are, found by following the calls that make them.
//!
//! Nothing is guessed: where a descriptor came about unseen, as by `pipe`,
//! whose result is in memory, it has no name.

mod path;
mod processes;
mod socket;
mod table;

pub use processes::FdTables;
pub use table::FdTable;

/// When a call was entered and left, in ns of any clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it was entered.
    pub entered_ns: u64,
    /// When it was left.
    pub left_ns: u64,
}
