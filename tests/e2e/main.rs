//! End-to-end tests, one module per theme.

mod alloc_attach;
mod attach;
mod bad_input;
mod calls;
mod consumers;
mod diff;
mod endings;
mod fail_if;
mod files;
mod filters;
mod heap;
mod jit;
mod launch;
mod merge;
mod pipes;
mod quickstart;
mod real;
mod rebuilt;
mod stacks;
mod tracking;
mod unprivileged;
mod waits;
mod workspace;
