//! What unwinding a frame leads to, by whatever rule.

use crate::arch::Registers;
use crate::kept::Simple;

/// Instead of the end of a stack, for threads that run on one stack after the other: a
/// larger one may have come in the place of this.
pub const NO_END: u64 = u64::MAX;

/// What unwinding one frame led to.
#[derive(Debug)]
pub enum Step {
    /// The caller.
    Caller {
        /// Its registers; `ip` is where it goes on.
        registers: Registers,
        /// Whether it was interrupted by a signal and did not call anything.
        interrupted: bool,
        /// What had to be known for that, if it is simple.
        simple: Option<Simple>,
    },
    /// There is no caller: this is where the thread began. Nothing at or
    /// above the address is needed to find that out. It is [`NO_END`] where
    /// that says nothing of the thread's next stack.
    Root(u64),
    /// The code is to be unwound by frame pointer.
    UseFramePointer,
}
