//! What an rz trace means: reads it, finds names, and sums up what happened.
//!
//! ```text
//! trace.rz ─► load ─► Profile ─► filter, select ─► views, exports
//!              ▲ symbolize, source_map
//! ```
#![deny(unsafe_code)]

pub use load::call_list as calls;
pub use load::inventory;
pub use load::span_list;
pub use model::heap;
pub use rz_unwind::is_checksum;

mod file_url;
pub mod filter;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod foreign;
mod glob;
pub mod load;
pub mod mapped_file;
pub mod model;
pub mod notes;
pub mod published;
pub mod reason;
pub mod select;
pub mod slices;
pub mod source_map;
pub mod spans;
pub mod symbolize;
pub mod syscalls;
