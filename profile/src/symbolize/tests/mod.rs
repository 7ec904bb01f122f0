//! Tests on real programs, built with the compilers of this machine.

pub(crate) mod fixture;
mod hostile;
mod identity;
mod kept;
mod programs;
mod servers;
mod split;
