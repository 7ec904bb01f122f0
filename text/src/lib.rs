//! Text that others chose, made safe for a terminal: names and paths of a trace, of
//! what was recorded, and of the command line.
//!
//! What a program says on a terminal goes through [`clean::clean`] or
//! [`clean::one_line`], JSON with texts that are not through [`json::escaped`], and
//! errors of the command line through [`usage::clean_error`]; what else could have been meant
//! is found by [`alike::Alike`].
#![forbid(unsafe_code)]

pub mod alike;
pub mod clean;
pub mod json;
pub mod usage;
