//! The bpf tier: programs in the kernel that keep to the recorded processes,
//! and one event per CPU, whatever the number of threads.

mod attach;
mod drain;
mod events;
mod layout;
mod programs;

pub use attach::BpfError;
pub(crate) use attach::{Options, attach};
