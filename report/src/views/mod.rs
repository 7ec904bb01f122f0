//! What a report shows of one profile.

pub mod annotate;
pub mod doctor;
pub mod document;
pub mod dump;
pub mod flame;
pub mod functions;
pub mod header;
pub mod heap;
pub mod info;
pub mod list;
pub mod markdown;
pub mod off_cpu;
pub mod overview;
#[cfg(test)]
mod runtime_tests;
mod sources;
pub mod spans;
pub mod stacks;
pub mod summary;
pub mod syscalls;
pub mod tree;
pub mod whole_stack;
