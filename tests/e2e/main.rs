//! End-to-end tests, one module per theme.

mod attach;
mod bad_input;
mod consumers;
mod launch;
mod stacks;
mod workspace;
