//! Makes other traces of traces.

pub mod embed;
pub mod merge;
pub mod redact;
mod rewrite;
