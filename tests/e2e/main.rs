//! End-to-end tests, one module per theme.

mod alloc_attach;
mod annotate;
mod attach;
mod bad_input;
mod calls;
mod consumers;
mod diff;
mod endings;
mod facts;
mod fail_if;
mod files;
mod filters;
mod heap;
mod info;
mod launch;
mod merge;
mod pipes;
mod quickstart;
mod real;
mod rebuilt;
mod source_maps;
mod stacks;
mod tracking;
mod unprivileged;
mod waits;
mod workspace;
