//! CPython: whether a file holds one, where in it a version keeps what, and what
//! frames mean.
//!
//! Frames are taken down by a program in the kernel, when a sample is taken: it is
//! told by [`Walk`] where they are. Here they are put in their places among the
//! native ones, and code objects are read, each when it is first met.
//!
//! | version | frames | who evaluates them |
//! |---|---|---|
//! | up to 3.9 | objects | a native frame each |
//! | 3.10 | objects | a native frame each, with a *cframe* on its stack |
//! | 3.11 | in the thread's own stack | several by one native frame, up to the one that was entered; with a cframe |
//! | from 3.12 | there | likewise; behind them comes a frame on the native stack, a *shim* |

mod binary;
mod code;
mod interpreter;
mod offsets;
mod order;

pub(crate) use binary::{Build, Found, Version, find};
pub(crate) use interpreter::{CODE_STAYS_NS, Interpreter};
pub(crate) use offsets::Walk;
pub(crate) use order::{Frames, RawFrame};
