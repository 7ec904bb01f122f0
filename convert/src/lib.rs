//! Loads rz traces, symbolizes them, and writes them in other formats.
#![deny(unsafe_code)]

pub use load::call_list as calls;
pub use load::inventory;

pub mod embed;
pub mod export;
mod file_url;
pub mod filter;
pub mod heap;
pub mod import;
pub mod load;
pub mod mapped_file;
pub mod merge;
pub mod output;
pub mod profile;
pub mod reason;
pub mod redact;
mod rewrite;
pub mod select;
pub mod source_map;
pub mod stdin;
pub mod symbolize;
pub mod syscalls;
