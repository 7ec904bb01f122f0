//! What unwinding has to know of x86-64; the rest of this crate gets at it as
//! `crate::arch`.

mod calls;
mod epilogue;
mod flow;
mod frames;
mod go;
mod kernel;
mod registers;
mod rules;
mod signal;

pub use calls::{MAX_CALL_LEN, ends_with_call};
pub use epilogue::{Epilogue, MAX_EPILOGUE_LEN};
pub use flow::{CodeBytes, FramePointer, FrameState, KnownFrames};
pub use frames::{CHAINED_END, CHAINED_RETURN_ADDRESS, RETURN_ADDRESS_AT_CFA};
pub use go::{MoveKind, RELATIVE_RELOCATION, StackMove, stack_moves};
pub use kernel::KERNEL_IMAGE_END;
pub use registers::{
    FP, RA, REGISTER_COUNT, REGISTER_MASK, RESULT, Registers, SP, STACK_POINTER_SLOT,
};
#[cfg(test)]
pub use rules::COVERED_FILES;
pub use rules::{
    CLONE_BYTES, ENTRY_BYTES, NOT_TRACKED, RULE_REGISTERS, is_halted, is_outermost,
    is_signal_return,
};
pub use signal::{before_signal, leaves_signal_stack};
