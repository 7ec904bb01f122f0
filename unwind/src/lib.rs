//! From registers and a piece of stack to the addresses of all callers, for
//! recording and for reading recordings of other tools.
//!
//! Frames are found by call frame information, and those of Go by the tables that
//! its linker writes instead. Other code of files is followed from the beginnings of its
//! functions. Generated code is followed by frame pointers, as long as every return
//! address found that way comes after a call instruction. Where generated code is about
//! to return, that is done as it would be done there. Where neither helps, the stack is
//! marked as truncated: no frame is ever guessed.
//!
//! [`unwind`] asks a [`Code`] what is where: an [`AddressSpace`] tells which
//! file holds an address, and [`Cfi`] how to unwind there.
//!
//! What depends on the processor stands in a folder of its own, with the same
//! names in each; the rest calls the one that this is built for `arch`.
//!
//! Beside it is what the same sources say of an address: which functions and lines
//! of [`go`] are there, and which of the kernel's and the vDSO's functions, whose
//! [`names`] can be known only on the machine that runs the code. CPython's tables of
//! lines are read by [`python_lines`].
#![forbid(unsafe_code)]

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "stacks are unwound on x86-64 only: another processor takes a folder like src/x86_64"
);

mod bounded;
mod cfi;
pub mod go;
mod identity;
mod image;
mod kept;
mod memory;
pub mod names;
pub mod python_lines;
mod search_table;
mod segments;
mod space;
mod step;
mod vdso;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use rz_format::TruncatedReason;

#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

pub use arch::{
    CodeBytes, Epilogue, FP, MAX_CALL_LEN, MAX_EPILOGUE_LEN, REGISTER_COUNT, REGISTER_MASK,
    Registers, SP, STACK_POINTER_SLOT, ends_with_call,
};
pub use bounded::Bounded;
pub use cfi::Cfi;
pub use identity::{identity, is_build_id, is_checksum};
pub use image::Image;
pub use kept::{Caller, KeptStack, Simple};
pub use memory::StackMemory;
pub use search_table::SearchTable;
pub use segments::{file_offset_of, loaded_segments};
pub use space::{AddressSpace, Extent, Mapping};
pub use step::{NO_END, Step};
pub use vdso::own_vdso;

use arch::{CHAINED_END, CHAINED_RETURN_ADDRESS, leaves_signal_stack};

/// Frames followed per stack; deeper ones are cut at the root.
const MAX_FRAMES: usize = 1024;

/// What the unwinder asks about code addresses.
pub trait Code {
    /// A place in code, however the implementor names it.
    type Place;

    /// What is at `address`, which lies inside an instruction; `None` if that
    /// is not code.
    fn place(&mut self, address: u64) -> Option<Self::Place>;

    /// Unwinds the frame at a place.
    fn step(
        &mut self,
        place: &Self::Place,
        registers: &Registers,
        stack: &StackMemory<'_>,
    ) -> Result<Step, TruncatedReason>;

    /// Whether the instruction before `return_address` is a call.
    fn follows_call(&mut self, return_address: u64) -> bool;
}

/// How an unwinding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At the thread's first function. The stack from this address on is not
    /// needed to get there; see [`NO_END`].
    Root(u64),
    /// Before that.
    Truncated(TruncatedReason),
    /// At a frame of which it is known what called it.
    Known,
}

/// A frame that was found.
#[derive(Debug)]
pub struct Found<P> {
    /// Where it is.
    pub place: P,
    /// Its stack pointer: what it has on the stack begins there.
    pub sp: u64,
    /// Its frame pointer, if it is known and the code keeps one.
    pub fp: Option<u64>,
    /// If it has called the one before: how unwinding came to it, and from there
    /// to its caller, as far as that is simple.
    pub caller: Option<(Caller, Simple)>,
}

/// Follows a stack from its innermost frame; `frame` gets each place found.
pub fn unwind<C: Code>(
    code: &mut C,
    registers: Registers,
    stack: &StackMemory<'_>,
    mut frame: impl FnMut(C::Place),
) -> End {
    unwind_until(code, registers, stack, |_| false, |found| frame(found.place))
}

/// The same, until `is_known` says that it knows a frame and what called it.
pub fn unwind_until<C: Code>(
    code: &mut C,
    mut registers: Registers,
    stack: &StackMemory<'_>,
    mut is_known: impl FnMut(&Caller) -> bool,
    mut frame: impl FnMut(Found<C::Place>),
) -> End {
    let mut has_called = false;
    // Whether a handler was left that ran on a stack for signals.
    let mut is_elsewhere = false;
    for _ in 0..MAX_FRAMES {
        // A return address may be the first byte of the next function if the
        // call does not return; one byte before it is inside the call for
        // sure. So it is after a system call, such as the one at the end of a
        // signal trampoline.
        let caller = has_called.then(|| Caller::new(&registers));
        if caller.as_ref().is_some_and(&mut is_known) {
            return End::Known;
        }
        let is_behind = has_called || registers.follow_system_call();
        let lookup = registers.ip.wrapping_sub(u64::from(is_behind));
        let Some(place) = code.place(lookup) else {
            return End::Truncated(TruncatedReason::BadReturnAddress);
        };
        let step = code.step(&place, &registers, stack);
        let simple = match &step {
            Ok(Step::Caller { simple, .. }) => *simple,
            // By its code alone, as long as nothing above it was read.
            Ok(Step::Root(end)) if [registers.sp(), NO_END].contains(end) => {
                Some(Simple { saved_fp: 0 })
            }
            Ok(Step::Root(_) | Step::UseFramePointer) | Err(_) => None,
        };
        let place = match &step {
            // A trampoline is returned to, but did not call: its address is
            // exact, and only its unwind entry begins one byte early.
            Ok(Step::Caller { interrupted: true, .. }) if has_called => {
                code.place(registers.ip).unwrap_or(place)
            }
            _ => place,
        };
        let (sp, fp) = (registers.sp(), registers.get(FP));
        frame(Found { place, sp, fp, caller: caller.zip(simple) });
        let (caller, interrupted) = match step {
            Err(_) if is_elsewhere && stack.read(registers.sp()).is_none() => {
                return End::Truncated(TruncatedReason::OtherStack);
            }
            Err(reason) => return End::Truncated(reason),
            // Where a thread just is, a zero in the place of its return address proves
            // nothing: the kernel may be writing there, as when it sets up a signal
            // handler.
            Ok(Step::Root(stack_end))
                if !has_called && ![registers.sp(), NO_END].contains(&stack_end) =>
            {
                return End::Truncated(TruncatedReason::NoUnwindInfo);
            }
            Ok(Step::Root(stack_end)) => return End::Root(stack_end),
            Ok(Step::Caller { registers, interrupted, .. }) => (registers, interrupted),
            Ok(Step::UseFramePointer) => {
                match frame_pointer_step(code, &registers, stack, has_called) {
                    Ok(caller) => (caller, false),
                    Err(end) => return end,
                }
            }
        };
        // A signal handler may run on another stack; otherwise callers are
        // always further up, unless a function that calls nothing took its
        // return address off the stack, as vfork does.
        let is_in_order = match has_called {
            true => caller.sp() > registers.sp(),
            false => caller.sp() >= registers.sp(),
        };
        if !interrupted && !is_in_order {
            return End::Truncated(TruncatedReason::NoUnwindInfo);
        }
        is_elsewhere |= interrupted && leaves_signal_stack(&registers, &caller, stack);
        registers = caller;
        has_called = !interrupted;
    }
    End::Truncated(TruncatedReason::TooManyFrames)
}

/// Follows the chain of frame pointers by one.
fn frame_pointer_step(
    code: &mut impl Code,
    registers: &Registers,
    stack: &StackMemory<'_>,
    has_called: bool,
) -> Result<Registers, End> {
    let unusable = End::Truncated(TruncatedReason::NoUnwindInfo);
    let frame = registers.get(FP).ok_or(unusable)?;
    if frame == 0 && has_called {
        // By convention, the outermost frame. In an innermost one, the register may
        // have any number, here and below.
        return Err(End::Root(registers.sp()));
    }
    if frame == 0 || frame % 8 != 0 || frame < registers.sp() {
        return Err(unusable);
    }
    let return_address_at = frame.wrapping_add(CHAINED_RETURN_ADDRESS);
    if let Some(reason) = stack.missing(return_address_at).or(stack.missing(frame)) {
        return Err(End::Truncated(reason));
    }
    let previous = stack.read(frame).ok_or(unusable)?;
    let return_address = stack.read(return_address_at).ok_or(unusable)?;
    if return_address == 0 {
        return Err(if has_called { End::Root(frame + CHAINED_END) } else { unusable });
    }
    if !code.follows_call(return_address) {
        return Err(End::Truncated(TruncatedReason::BadReturnAddress));
    }
    // What else the code may have put away is not known.
    let mut caller = registers.with_nothing_known();
    caller.ip = return_address;
    caller.set(SP, Some(frame + CHAINED_END));
    caller.set(FP, Some(previous));
    Ok(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions of 16 bytes each, numbered by address. What a step does
    /// depends on the number.
    struct Functions {
        step: fn(u64, &Registers) -> Result<Step, TruncatedReason>,
    }

    impl Code for Functions {
        type Place = u64;

        fn place(&mut self, address: u64) -> Option<u64> {
            (address < 0x1000).then_some(address)
        }

        fn step(
            &mut self,
            place: &u64,
            registers: &Registers,
            _stack: &StackMemory<'_>,
        ) -> Result<Step, TruncatedReason> {
            (self.step)(place / 16, registers)
        }

        fn follows_call(&mut self, _return_address: u64) -> bool {
            false
        }
    }

    fn at(ip: u64, sp: u64) -> Registers {
        Registers::with_pointers(ip, sp, false)
    }

    fn behind_system_call(ip: u64, sp: u64) -> Registers {
        Registers::with_pointers(ip, sp, true)
    }

    fn caller(ip: u64, sp: u64, interrupted: bool) -> Result<Step, TruncatedReason> {
        Ok(Step::Caller { registers: at(ip, sp), interrupted, simple: None })
    }

    fn check(
        start: Registers,
        step: fn(u64, &Registers) -> Result<Step, TruncatedReason>,
        expected: &[u64],
        end: End,
    ) {
        let mut places = Vec::new();
        let stack = StackMemory::new(start.sp(), &[]);
        let found = unwind(&mut Functions { step }, start, &stack, |place| places.push(place));
        assert_eq!((&places[..], found), (expected, end), "{places:x?}");
    }

    #[test]
    fn a_caller_is_looked_up_inside_its_call() {
        let step = |function, _: &Registers| match function {
            1 => caller(0x30, 8, false),
            _ => Ok(Step::Root(8)),
        };
        check(at(0x10, 0), step, &[0x10, 0x2f], End::Root(8));
    }

    #[test]
    fn a_system_call_at_the_end_of_a_function() {
        let step = |function, _: &Registers| match function {
            1 => Ok(Step::Root(0)),
            _ => Err(TruncatedReason::NoUnwindInfo),
        };
        check(behind_system_call(0x20, 0), step, &[0x1f], End::Root(0));
    }

    #[test]
    fn a_zero_in_the_innermost_frame_is_no_root() {
        let step = |function, _: &Registers| match function {
            1 => caller(0x30, 8, false),
            _ => Ok(Step::Root(0x40)),
        };
        let truncated = End::Truncated(TruncatedReason::NoUnwindInfo);
        check(behind_system_call(0x30, 0), step, &[0x2f], truncated);
        check(at(0x20, 0), step, &[0x20], truncated);
        check(at(0x10, 0), step, &[0x10, 0x2f], End::Root(0x40));
    }

    /// What the frame pointer leads to has no return address, which says something only of
    /// code that has called.
    #[test]
    fn a_frame_pointer_to_zeros() {
        let step = |function, registers: &Registers| match function {
            1 => Ok(Step::UseFramePointer),
            _ => {
                let mut registers = *registers;
                registers.ip = 0x1f;
                registers.set(SP, Some(registers.sp() + 8));
                Ok(Step::Caller { registers, interrupted: false, simple: None })
            }
        };
        let stack = StackMemory::new(0x500, &[0; 64]);
        for (ip, expected) in [
            (0x10, End::Truncated(TruncatedReason::NoUnwindInfo)),
            (0x20, End::Root(0x510 + CHAINED_END)),
        ] {
            let mut registers = at(ip, 0x500);
            registers.set(FP, Some(0x510));
            let end = unwind(&mut Functions { step }, registers, &stack, |_| {});
            assert_eq!(end, expected, "{ip:x}");
        }
    }

    #[test]
    fn a_signal_handler_on_a_lower_stack() {
        let step = |function, _: &Registers| match function {
            // The handler returns to the trampoline, whose unwind entry
            // starts a byte early.
            1 => caller(0x30, 0x508, false),
            2 => caller(0x50, 0x100, true),
            _ => Ok(Step::Root(0x100)),
        };
        check(at(0x10, 0x500), step, &[0x10, 0x30, 0x50], End::Root(0x100));
    }

    /// Of the stack for signals from 0x500 to 0x580, some is copied; what was
    /// interrupted is on another one, or on this one, but further up.
    #[test]
    fn a_signal_handler_on_a_stack_of_its_own() {
        let step = |function, registers: &Registers| match function {
            1 => caller(0x50, registers.sp() + 0x80, true),
            _ => Err(TruncatedReason::StackTooDeep),
        };
        for (size, reason) in
            [(0x70, TruncatedReason::OtherStack), (0x90, TruncatedReason::StackTooDeep)]
        {
            let words: Vec<u8> =
                [0, 0, 0x500, 0, size].iter().flat_map(|w: &u64| w.to_le_bytes()).collect();
            let stack = StackMemory::new(0x500, &words);
            let end = unwind(&mut Functions { step }, at(0x10, 0x500), &stack, |_| {});
            assert_eq!(end, End::Truncated(reason));
        }
    }

    #[test]
    fn a_return_address_in_a_register() {
        let step = |function, registers: &Registers| match function {
            1 => caller(0x28, registers.sp(), false),
            _ => Ok(Step::Root(0)),
        };
        check(at(0x10, 0), step, &[0x10, 0x27], End::Root(0));
    }

    #[test]
    fn a_stack_that_does_not_go_up() {
        let step = |_, _: &Registers| caller(0x28, 8, false);
        let truncated = End::Truncated(TruncatedReason::NoUnwindInfo);
        check(at(0x10, 0), step, &[0x10, 0x27], truncated);
    }
}
