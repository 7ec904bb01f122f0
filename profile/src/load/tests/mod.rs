//! Traces written for the purpose, loaded and described in text.

mod calls;
mod damage;
mod depth;
mod filters;
mod growing;
mod heap;
mod heap_estimates;
mod heap_views;
mod inventory;
mod jit;
mod names;
mod rows;
mod runtimes;
mod spans;
mod sums;
mod waits;
