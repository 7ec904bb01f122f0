//! The system calls of x86-64, by the numbers that they have there.

#[rustfmt::skip]
pub(crate) mod table;
