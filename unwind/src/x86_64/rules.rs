//! What call frame information, and code without it, means on this processor.

use std::ops::RangeInclusive;

use gimli::{ReaderOffset, RegisterRule};
use iced_x86::{FlowControl, Mnemonic};

use super::calls::{MAX_CALL_LEN, ends_with_call, ends_with_jump};
use super::flow::CodeBytes;
use super::registers::RA;

/// DWARF numbers of the registers that rules are read of.
pub const RULE_REGISTERS: RangeInclusive<u16> = 0..=RA;

/// Code without unwind information is a program's first function if it lies
/// at most so far behind the first instruction. That of glibc's loader, from
/// which libraries are relocated and their constructors called, has 61 bytes.
pub const ENTRY_BYTES: u64 = 64;

/// glibc leaves the system call that makes a thread out of its call frame
/// information, for behind it the stack is that of either thread. The 10 bytes
/// up to where the new one has its own way are without.
pub const CLONE_BYTES: u64 = 16;

/// DWARF numbers of the registers that a callee preserves and that are not followed
/// through its code: rbx and r12 to r15.
pub const NOT_TRACKED: [u16; 5] = [3, 12, 13, 14, 15];

/// Most instructions between a call and the end of everything.
const MAX_UNTIL_HALT: usize = 16;

/// `rt_sigreturn`, the system call that ends a signal handler, as C libraries make it
/// where a handler returns to: its number in either form, and the call.
const SIGNAL_RETURNS: [&[u8]; 2] =
    [&[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05], &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05]];

/// The dynamic linker, which has such code, and another file whose tables tell of nearly
/// all of its code.
#[cfg(test)]
pub const COVERED_FILES: [&str; 2] =
    ["/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"];

/// Whether a frame is a thread's first, by the rule for its return address. A
/// call leaves that on the stack, so whoever was called has a rule for it.
pub fn is_outermost<T: ReaderOffset>(return_address: Option<RegisterRule<T>>) -> bool {
    matches!(return_address, None | Some(RegisterRule::SameValue | RegisterRule::Undefined))
}

/// Whether code that is returned to at an address goes straight to an instruction that
/// only the kernel may run: it is the end of a thread, a coroutine or the program, and
/// has no caller.
pub fn is_halted(code: &CodeBytes, returned_to: u64) -> bool {
    let before = code.bytes_before(returned_to, MAX_CALL_LEN).unwrap_or_default();
    // Boost's contexts begin as if the end had called them, behind a jump.
    if !ends_with_call(before) && !ends_with_jump(before) {
        return false;
    }
    let mut at = returned_to;
    for _ in 0..MAX_UNTIL_HALT {
        let Some(instruction) = code.instruction(at) else { return false };
        if instruction.mnemonic() == Mnemonic::Hlt {
            return true;
        }
        let goes_on = [FlowControl::Next, FlowControl::Call, FlowControl::IndirectCall];
        if !goes_on.contains(&instruction.flow_control()) {
            return false;
        }
        at = instruction.next_ip();
    }
    false
}

/// Whether an address is in the code that a signal handler returns to, or one byte before
/// that, where it is looked for when it is returned to.
pub fn is_signal_return(code: &CodeBytes, svma: u64) -> bool {
    SIGNAL_RETURNS.iter().any(|end| {
        (0..=end.len() as u64).any(|before| {
            let start = (svma + 1).checked_sub(before).and_then(|at| code.bytes_from(at));
            start.is_some_and(|bytes| bytes.starts_with(end))
        })
    })
}
