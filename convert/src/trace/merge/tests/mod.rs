//! Traces written for the purpose, merged, and loaded again.

mod clocks;
mod damage;
mod fixture;
mod runtimes;
mod sums;
