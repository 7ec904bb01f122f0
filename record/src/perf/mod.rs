//! The perf tier: events on each thread and CPU, inherited by new threads.

mod attach;
mod attr;
mod drain;
mod record;
mod ring;
mod sys;

pub use attach::AttachError;
pub(crate) use attach::{Attachment, Targets, attach};
pub(crate) use drain::drain;
pub(crate) use record::parse;
