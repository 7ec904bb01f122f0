//! Loads rz traces, symbolizes them, and writes them in other formats.
#![forbid(unsafe_code)]

pub mod load;
pub mod output;
pub mod profile;
