//! Writes rz traces in other formats, makes other traces of them, and makes
//! traces of what other tools recorded.
#![forbid(unsafe_code)]

pub mod export;
pub mod fleet;
pub mod import;
pub mod trace;
mod x86_64;
