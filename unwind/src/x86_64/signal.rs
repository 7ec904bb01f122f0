//! What the kernel leaves on the stack of a signal handler: `struct ucontext`, which
//! the stack pointer is at when the handler has returned.

use super::registers::{Registers, SP};
use crate::memory::StackMemory;

/// Where it has the stack that signals are handled on, if that is one of its own:
/// `uc_stack.ss_sp` and `ss_size`.
const SIGNAL_STACK_AT: u64 = 16;
const SIGNAL_STACK_SIZE_AT: u64 = 32;
/// Where it has the registers, in the order of `struct sigcontext` from r8 to rip.
const REGISTERS_AT: u64 = 40;
/// DWARF numbers of these.
const REGISTERS: [u16; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, SP];

/// The registers that a signal has interrupted, where its handler has returned.
pub fn before_signal(registers: &Registers, stack: &StackMemory<'_>) -> Option<Registers> {
    let mut interrupted = registers.with_nothing_known();
    let mut at = registers.sp().wrapping_add(REGISTERS_AT);
    for register in REGISTERS {
        interrupted.set(register, Some(stack.read(at)?));
        at = at.wrapping_add(8);
    }
    interrupted.ip = stack.read(at)?;
    Some(interrupted)
}

/// Whether a handler that has returned ran on a stack for signals, and what it has
/// interrupted on another one.
pub fn leaves_signal_stack(
    returned: &Registers,
    interrupted: &Registers,
    stack: &StackMemory<'_>,
) -> bool {
    let word = |at| stack.read(returned.sp().wrapping_add(at));
    let (Some(start), Some(size)) = (word(SIGNAL_STACK_AT), word(SIGNAL_STACK_SIZE_AT)) else {
        return false;
    };
    let holds = |sp: u64| sp.checked_sub(start).is_some_and(|at| at <= size);
    holds(returned.sp()) && !holds(interrupted.sp())
}
