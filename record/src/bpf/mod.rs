//! The bpf tier: programs in the kernel that keep to the recorded processes,
//! and one event per CPU, whatever the number of threads.

mod attach;
mod drain;
mod events;
mod heap;
mod layout;
mod probes;
mod programs;
mod sys;

pub use attach::BpfError;
pub(crate) use attach::{Options, attach};
