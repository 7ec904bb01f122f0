//! The bpf tier: programs in the kernel that keep to the recorded processes,
//! and one event per CPU, whatever the number of threads.

mod attach;
mod drain;
mod error;
mod events;
mod functions;
mod guard;
mod heap;
mod layout;
mod maps;
mod probes;
mod programs;
mod rights;
mod rings;
mod scheduler;
mod targets;
mod totals;
mod waiting;
mod ways;

pub(crate) use attach::{Options, attach};
pub use error::BpfError;
