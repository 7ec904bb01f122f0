//! Placeholder until the command line exists.
fn main() {}
