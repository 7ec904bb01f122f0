//! V8, the engine of Node.js: whether a file holds one, and what frames of its code
//! mean.
//!
//! Its functions have their frames on the thread's own stack, whether they are
//! interpreted or compiled, and keep frame pointers. The copy of the stack says which
//! function each frame is of; what that is called and where it stands is read from the
//! process afterwards.
//!
//! ```text
//!                  ┌────────────────────────┐
//! frame pointer ─▶ │ caller's frame pointer │
//!                  │ context, or a number   │    the number is the kind of another frame
//!                  │ function               │ ─▶ JSFunction ─▶ SharedFunctionInfo ─▶ Script
//!                  │ …                      │
//!                  │ bytecode               │    if it is interpreted, or baseline code
//!                  │ offset in that         │    if it is interpreted
//!                  └────────────────────────┘
//! ```
//!
//! Where objects have what is told by the file: V8 exports it for debuggers.

mod binary;
mod code;
mod codes;
mod engine;
#[cfg(test)]
mod fixture;
mod frame_words;
mod function;
mod heap;
mod layout;
mod lines;
mod object;
mod types;

pub(crate) use binary::{Build, Found, find};
pub(crate) use engine::Engine;
pub(crate) use frame_words::FrameWords;
