//! End-to-end tests, one module per theme.

mod consumers;
mod stacks;
