//! Traces written for the purpose, loaded and described in text.

mod calls;
mod damage;
mod fixture;
mod heap;
mod names;
mod sums;
mod waits;
