//! Makes other traces of traces.

pub mod embed;
pub mod merge;
pub mod missing;
pub mod redact;
pub mod repair;
mod rewrite;
pub mod verify;
