//! What a frame of V8 has on the stack.

use rz_unwind::StackMemory;

use super::heap::is_object;
use super::layout::FrameLayout;

/// What a frame of the thread's stack has where those of V8 have what they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameWords {
    pub(super) function: u64,
    pub(super) bytecode: u64,
    pub(super) offset: u64,
    /// The instruction that it is at, in code that was generated; `None` in code that
    /// comes with the engine, which is no function's own.
    pub(super) generated: Option<u64>,
}

impl FrameWords {
    /// Those of the frame that a frame pointer points to; `None` if it is none of a
    /// function.
    pub(crate) fn read(
        layout: &FrameLayout,
        frame_pointer: u64,
        generated: Option<u64>,
        stack: &StackMemory<'_>,
    ) -> Option<Self> {
        let word = |at: i64| stack.read(frame_pointer.wrapping_add_signed(at));
        let function = word(layout.function)?;
        // Others have a number there.
        if !is_object(word(layout.context)?) || !is_object(function) {
            return None;
        }
        let [bytecode, offset] = [layout.bytecode, layout.offset].map(|at| word(at).unwrap_or(0));
        Some(FrameWords { function, bytecode, offset, generated })
    }
}
