//! Selects, compares and renders rz traces.
#![forbid(unsafe_code)]
