//! The library that `rec --alloc` preloads into a program: it counts what the
//! program allocates, and reports allocations through shared memory.
//!
//! What it owes the program: it never aborts, blocks, logs, takes a lock,
//! allocates through itself, changes `errno`, or changes a pointer or a size.
//! When something in it fails, it turns itself off and the program goes on.
//!
//! ```text
//! entry     the functions that programs call ──▶ real, the ones behind them
//!   │
//!   ├─ thread, slot    whose memory to write to; taken at the first call
//!   ├─ event           one allocation or free, sampled or not
//!   │   ├─ sampler, sampled_set      which are sampled, which of them live
//!   │   ├─ unwind, stack, objects    who called
//!   │   └─ ring, clock               into the memory
//!   ├─ process         what holds for all threads; begins anew after a fork
//!   └─ seccomp, own_memory       rules that the program sets, and what it unmaps
//! ```
//!
//! What depends on the processor stands in a folder of its own, `arch` for the
//! rest. Only `sys` makes system calls. No thread waits for another: what threads
//! share is atomic, and each thread's slot is its own.
#![cfg_attr(not(test), no_std)]
// Tests look at parts: what uses them is not there.
#![cfg_attr(test, allow(dead_code))]

mod clock;
#[cfg(not(test))]
mod entry;
mod event;
mod objects;
mod own_memory;
mod process;
mod real;
mod ring;
mod sampled_set;
mod sampler;
mod seccomp;
mod slot;
mod stack;
mod symbols;
mod sys;
mod thread;
mod unwind;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
use x86_64 as arch;
#[cfg(not(target_arch = "x86_64"))]
compile_error!("the hook is for x86-64 only: another processor takes a folder like src/x86_64");

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::stop()
}
