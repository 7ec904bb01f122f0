//! End-to-end tests, one module per theme.

mod attach;
mod bad_input;
mod consumers;
mod diff;
mod endings;
mod files;
mod launch;
mod pipes;
mod quickstart;
mod real;
mod stacks;
mod unprivileged;
mod workspace;
