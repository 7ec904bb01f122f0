//! The rz trace format.
#![forbid(unsafe_code)]
