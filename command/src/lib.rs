//! What the command lines of `conv` and `report` have in common: options of
//! filters and names, the standard input as a file, output that is whole or
//! not there.
#![forbid(unsafe_code)]

pub mod filters;
pub mod output;
pub mod stdin;
pub mod symbols;
