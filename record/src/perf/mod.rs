//! The perf tier: events on each thread and CPU, inherited by new threads.
//! Opening events and reading their buffers serves the bpf tier as well.

mod attach;
pub(crate) mod attr;
mod drain;
mod record;
mod ring;
pub(crate) mod sys;

pub use attach::AttachError;
pub(crate) use attach::{SEALED, Targets, attach};
pub(crate) use attr::{EventOptions, SampledEvent};
pub(crate) use drain::drain_ring;
pub(crate) use record::parse;
pub(crate) use ring::Ring;
pub(crate) use sys::Whose;
