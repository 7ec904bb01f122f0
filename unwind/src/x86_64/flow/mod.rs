//! Where functions without unwind information have their frames, found by following
//! their instructions.
//!
//! A function begins with its return address on top of the stack, and returns only
//! where that is on top again. In between, each instruction says what it does to the
//! stack pointer and the frame pointer. So wherever control can be followed to, it is
//! known how far away the return address is, and where the caller's frame pointer is
//! kept: exactly, also where a frame is just being made. What cannot be followed, or
//! comes out differently on two ways, is not known; a function that would return to
//! something else than its return address was not understood, and none of it is used.
//!
//! Whatever runs is referred to by something: a symbol, a call, an address in code or
//! data. That is how functions are found in files without symbols, and it bounds what
//! lies behind calls that do not return.

mod code;
mod known;
mod state;
mod walk;

pub use code::CodeBytes;
pub use known::KnownFrames;
pub use state::{FramePointer, FrameState};
