//! What views are made of: call trees, functions, and sums.

pub mod calls;
pub mod calltree;
pub mod estimated;
pub mod frames;
pub mod heap_places;
pub mod hotpath;
pub mod merged;
pub(crate) mod open_files;
pub mod rows;
pub(crate) mod share;
pub mod sums;
pub mod symbols;
pub mod threads;
pub mod top;
pub mod trees;
pub mod truncated;
pub mod waits;

pub use rz_text::clean;
