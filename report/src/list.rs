//! Lists system calls in lines like those of strace.

/// What is listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Only the last so many calls.
    pub tail: Option<usize>,
    /// Only calls that failed.
    pub errors: bool,
}
