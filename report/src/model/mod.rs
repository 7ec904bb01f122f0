//! What views are made of: call trees, functions, and sums.

pub mod calls;
pub mod calltree;
pub mod estimated;
pub mod frames;
pub mod heap_places;
pub mod hotpath;
pub mod merged;
pub mod rows;
pub mod sums;
pub mod symbols;
pub mod threads;
pub mod top;
pub mod trees;
pub mod truncated;
pub mod waits;

pub use rz_command::clean;
