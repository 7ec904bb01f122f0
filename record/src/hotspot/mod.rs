//! HotSpot, the virtual machine of OpenJDK: whether a file holds one, how stacks go on
//! through its code, and what frames of that mean.
//!
//! Java methods have their frames on the thread's own stack. The virtual machine
//! exports tables for debuggers that say where it keeps what; by these, an address
//! leads to a piece of code (a *blob*), which says how long its frames are, and to the
//! methods and lines that it was compiled from. Interpreted methods have frames with
//! frame pointers:
//!
//! ```text
//!                  ┌────────────────────────┐
//!                  │ return address         │
//! frame pointer ─▶ │ caller's frame pointer │
//!                  │ caller's stack pointer │    before the arguments were put there
//!                  │ last stack pointer     │
//!                  │ method                 │ ─▶ ConstMethod ─▶ ConstantPool ─▶ class
//!                  │ …                      │
//!                  │ bytecode               │    where it is in that
//!                  └────────────────────────┘
//! ```
//!
//! What the virtual machine knows of methods and of code stays where it is until it is
//! freed, and is compared with what it was before it is believed again.

mod binary;
mod bytes;
mod code_cache;
mod engine;
#[cfg(test)]
mod fixture;
mod frames;
mod inlined;
mod interpreter;
mod layout;
mod method;
mod numbers;
mod objects;
mod tables;
mod threads;

pub(crate) use binary::{Build, find};
pub(crate) use engine::{At, Engine};
