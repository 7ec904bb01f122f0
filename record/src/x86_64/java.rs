//! Frames of HotSpot's code, and the instructions with which they begin and end.

use rz_unwind::{Epilogue, FP, Registers, SP, StackMemory};

/// DWARF number of the register in which a callee finds the stack pointer that its
/// caller had before it put arguments there, and which has the place in the bytecode
/// while that is interpreted: r13.
pub(crate) const SENDER_SP: u16 = 13;
pub(crate) const BYTECODE: u16 = 13;
/// That of the method that is entered: rbx.
pub(crate) const METHOD: u16 = 3;
/// That in which an entry of the interpreter holds the return address: rax.
pub(crate) const RETURN_ADDRESS: u16 = 0;

/// Where an interpreted frame has what, from its frame pointer.
pub(crate) const SENDER_SP_SLOT: i64 = -8;
pub(crate) const METHOD_SLOT: i64 = -24;
pub(crate) const BYTECODE_SLOT: i64 = -64;
/// Without a slot for the class.
pub(crate) const BYTECODE_SLOT_WITHOUT_MIRROR: i64 = -56;

/// How much of the code at an instruction is looked at.
pub(crate) const MAX_END: usize = 40;
/// How much of the beginning of a compiled method is looked at.
pub(crate) const MAX_BEGINNING: usize = 256;

/// What there is of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Built {
    /// Nothing: the stack pointer is at the return address.
    Nothing,
    /// The caller's frame pointer has been pushed.
    FramePointer,
    /// All but the frame pointer, which is still the caller's.
    AllButFramePointer,
    All,
}

const PUSH_FP: u8 = 0x55;
const FP_TO_SP: [u8; 3] = [0x48, 0x8b, 0xec];

/// What there is of a frame at an offset in code that builds one up to the end of this
/// code; `None` if it does so in some other way.
pub(crate) fn built(code: &[u8], at: usize, frame_bytes: u64) -> Option<Built> {
    // push rbp; mov rbp, rsp (in some); sub rsp, …
    let pushes = (0..code.len()).find_map(|start| {
        let behind = code[start..].strip_prefix(&[PUSH_FP])?;
        let rest = behind.strip_prefix(&FP_TO_SP).unwrap_or(behind);
        let sub = match subtracted(rest) {
            Some((by, length)) if by + 16 == frame_bytes => length,
            // The frame has nothing else in it.
            None if frame_bytes == 16 && is_first(&code[..start]) => 0,
            _ => return None,
        };
        Some((start, start + 1 + behind.len() - rest.len() + sub))
    });
    if let Some((start, end)) = pushes {
        return Some(match at {
            _ if at <= start => Built::Nothing,
            _ if at < end => Built::FramePointer,
            _ => Built::All,
        });
    }
    // sub rsp, …; mov [rsp + …], rbp
    let stores = (0..code.len()).find_map(|start| {
        let (by, length) = subtracted(&code[start..])?;
        let store = match code.get(start + length..)? {
            [0x48, 0x89, 0x6c, 0x24, ..] => 5,
            [0x48, 0x89, 0xac, 0x24, ..] => 8,
            _ => return None,
        };
        (by + 8 == frame_bytes).then_some((start, start + length + store))
    });
    let (start, end) = stores?;
    Some(match at {
        _ if at <= start => Built::Nothing,
        _ if at < end => Built::AllButFramePointer,
        _ => Built::All,
    })
}

/// Whether there is nothing before that but a look at whether the stack has room, at the
/// class, or room for other instructions.
fn is_first(before: &[u8]) -> bool {
    let looks_at_stack =
        before.len() >= 7 && before[before.len() - 7..].starts_with(&[0x89, 0x84, 0x24]);
    before.is_empty() || looks_at_stack || before.ends_with(&[0x0f, 0x1f, 0x44, 0, 0])
}

/// By how much an instruction lowers the stack pointer, and its length.
fn subtracted(code: &[u8]) -> Option<(u64, usize)> {
    match code {
        [0x48, 0x83, 0xec, by @ 0..=0x7f, ..] => Some(((*by).into(), 4)),
        [0x48, 0x81, 0xec, a, b, c, d, ..] => {
            Some((u32::from_le_bytes([*a, *b, *c, *d]).into(), 7))
        }
        _ => None,
    }
}

/// What is left of a compiled method that is about to return, or to leave for where an
/// exception is handled.
pub(crate) fn returning(code: &[u8]) -> Option<Epilogue> {
    let mut kept = Vec::new();
    let mut left = code;
    loop {
        let length = match left {
            // Looks at whether the thread is to stop; that leaves the frame as it is.
            [0x49, 0x3b, 0x67, _, ..] => 4,
            [0x49, 0x3b, 0xa7, _, _, _, _, ..] => 7,
            [0x0f, 0x87, _, _, _, _, ..] => 6,
            [0x85, 0x05, _, _, _, _, ..] => 6,
            [0x4d, 0x8b, 0x57, _, ..] => 4,
            [0x4d, 0x8b, 0x97, _, _, _, _, ..] => 7,
            [0x41, 0x85, 0x02, ..] => 3,
            // Where that is said: lea r10, …; mov [r15 + …], r10; jmp.
            [0x4c, 0x8d, 0x15, _, _, _, _, 0x4d, 0x89, ..] => 7,
            [0x4d, 0x89, 0x57, _, 0xe9, ..] => return Epilogue::parse(&[0xc3]),
            [0x4d, 0x89, 0x97, _, _, _, _, 0xe9, ..] => return Epilogue::parse(&[0xc3]),
            _ => 0,
        };
        if length > 0 {
            left = &left[length..];
            continue;
        }
        let length = match left {
            [0x48, 0x83, 0xc4, ..] => 4,
            [0x48, 0x81, 0xc4, ..] => 7,
            [0x5d, ..] => 1,
            [0xc3, ..] => {
                kept.push(0xc3);
                return Epilogue::parse(&kept);
            }
            // Only a frame that is given back is left by a jump.
            [0xe9, ..] if kept.ends_with(&[0x5d]) => {
                kept.push(0xc3);
                return Epilogue::parse(&kept);
            }
            _ => return None,
        };
        kept.extend(left.get(..length)?);
        left = &left[length..];
    }
}

/// The caller of an interpreted method whose frame pointer is the caller's already, by
/// the instructions with which the interpreter goes on; `None` if these are others.
pub(crate) fn left_interpreter(
    mut code: &[u8],
    registers: &Registers,
    stack: &StackMemory<'_>,
) -> Option<Registers> {
    const SENDER: u16 = METHOD;
    // movb [r15 + …], 0: nothing is called any more that the frame would have to be
    // kept for.
    if let [0x41, 0xc6, 0x87, _, _, _, _, 0, rest @ ..] = code {
        code = rest;
    }
    let (on_stack, code) = match code {
        [0x5e, rest @ ..] | [0x41, 0x5d, rest @ ..] => (true, rest),
        _ => (false, code),
    };
    // mov rsp, rbx
    let (restores, code) = match code {
        [0x48, 0x8b, 0xe3, rest @ ..] => (true, rest),
        _ => (false, code),
    };
    let register = match code {
        _ if on_stack && !restores => return None,
        [0xff, 0xe6, ..] => Some(4),
        [0x41, 0xff, 0xe5, ..] => Some(13),
        // What follows has to do with the result.
        _ if on_stack && restores => None,
        _ => return None,
    };
    let mut caller = registers.with_nothing_known();
    caller.ip = match (on_stack, register) {
        (true, _) => stack.read(registers.sp())?,
        (false, register) => registers.get(register?)?,
    };
    caller.set(SP, if restores { registers.get(SENDER) } else { Some(registers.sp()) });
    caller.set(FP, registers.get(FP));
    Some(caller)
}

/// Where an entry of the interpreter makes a frame: it takes the return address off the
/// stack, and pushes it again with the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryPoints {
    pub(crate) takes_return_address: usize,
    pub(crate) pushes_return_address: usize,
}

/// How much is pushed between the return address and the method, in bytes of code.
const UP_TO_METHOD: usize = 20;

impl EntryPoints {
    /// Finds them in an entry's code.
    pub(crate) fn find(code: &[u8]) -> Option<Self> {
        // pop rax; lea r14, [rsp + rcx * 8 - 8]
        const TAKES: [u8; 6] = [0x58, 0x4c, 0x8d, 0x74, 0xcc, 0xf8];
        // push rax; push rbp; mov rbp, rsp; push r13
        const PUSHES: [u8; 7] = [0x50, 0x55, 0x48, 0x8b, 0xec, 0x41, 0x55];
        let at = |pattern: &[u8]| code.windows(pattern.len()).position(|part| part == pattern);
        let (takes, pushes) = (at(&TAKES)?, at(&PUSHES)?);
        (takes < pushes)
            .then_some(EntryPoints { takes_return_address: takes, pushes_return_address: pushes })
    }

    /// Where the frame is while it is being made: where the return address is, and
    /// whether the method is on the stack.
    pub(crate) fn at(self, at: usize) -> EntryState {
        let behind = at.checked_sub(self.pushes_return_address);
        match behind {
            None if at <= self.takes_return_address => EntryState::ReturnOnStack(0),
            None | Some(0) => EntryState::ReturnInRegister,
            Some(1) => EntryState::ReturnOnStack(0),
            Some(2..5) => EntryState::ReturnOnStack(8),
            Some(behind) if behind < UP_TO_METHOD + 8 => EntryState::WithoutMethod,
            Some(_) => EntryState::Built,
        }
    }
}

/// What there is of an interpreted frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryState {
    /// The return address is so far above the stack pointer.
    ReturnOnStack(u64),
    ReturnInRegister,
    /// The frame, but perhaps not yet the method in it.
    WithoutMethod,
    Built,
}

/// Whether code begins with a frame that has a frame pointer.
pub(crate) fn begins_with_frame(code: &[u8]) -> bool {
    code.strip_prefix(&[PUSH_FP]).is_some_and(|rest| rest.starts_with(&FP_TO_SP))
}

/// How much of code that is to [`begin_with_frame`](begins_with_frame).
pub(crate) const FRAME_BEGINNING: usize = 4;

/// Where a call goes that is before a return address, if the instruction says it.
pub(crate) fn called(before: &[u8], return_address: u64) -> Option<u64> {
    let [0xe8, by @ ..] = before.last_chunk::<5>()? else { return None };
    Some(return_address.wrapping_add_signed(i32::from_le_bytes(*by).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 17 begins a method that may be called by its class.
    const BANG: [u8; 7] = [0x89, 0x84, 0x24, 0, 0xc0, 0xfe, 0xff];

    #[test]
    fn frames_are_built_step_by_step() {
        let check = |code: &[&[u8]], frame_bytes, expected: &[(usize, Built)]| {
            let code = code.concat();
            for (at, built) in expected {
                assert_eq!(super::built(&code, *at, frame_bytes), Some(*built), "{at}");
            }
        };
        use Built::{All, AllButFramePointer, FramePointer, Nothing};
        let sub = [0x48, 0x83, 0xec, 0x30];
        check(
            &[&BANG, &[0x55], &sub],
            0x40,
            &[(0, Nothing), (7, Nothing), (8, FramePointer), (12, All)],
        );
        check(
            &[&[0x55, 0x48, 0x8b, 0xec], &sub],
            0x40,
            &[(0, Nothing), (1, FramePointer), (4, FramePointer), (8, All)],
        );
        check(
            &[&[0x48, 0x81, 0xec, 0x38, 0, 0, 0, 0x48, 0x89, 0x6c, 0x24, 0x30, 0x90]],
            0x40,
            &[(0, Nothing), (7, AllButFramePointer), (12, All)],
        );
        check(&[&BANG, &[0x55], &[0x90]], 16, &[(7, Nothing), (8, All)]);
        // A frame of another size; no frame.
        assert_eq!(built(&[&[0x55][..], &sub].concat(), 0, 0x50), None);
        assert_eq!(built(&[0x90, 0xc3], 0, 0x40), None);
    }

    #[test]
    fn methods_that_return() {
        let words: Vec<u8> = (0x10..0x20u64).flat_map(u64::to_le_bytes).collect();
        let stack = StackMemory::new(0x1000, &words);
        let check = |code: &[u8], expected: Option<(u64, u64)>| {
            let registers = Registers::of_caller(0x7001, 0x1008, 0x99);
            let caller = returning(code).and_then(|end| end.run(&registers, &stack));
            assert_eq!(caller.map(|caller| (caller.ip, caller.sp())), expected, "{code:x?}");
        };
        let poll = [0x49, 0x3b, 0xa7, 0x40, 3, 0, 0, 0x0f, 0x87, 1, 0, 0, 0, 0xc3];
        let poll_of_25 = [0x49, 0x3b, 0x67, 0x28, 0x0f, 0x87, 1, 0, 0, 0, 0xc3];
        let poll_of_8 = [0x85, 0x05, 1, 2, 3, 4, 0xc3];
        for poll in [&poll[..], &poll_of_25, &poll_of_8, &[0xc3], &[0xe9]] {
            let is_jump = *poll == [0xe9];
            check(&[&[0x48, 0x83, 0xc4, 0x10, 0x5d], poll].concat(), Some((0x14, 0x1028)));
            check(&[&[0x5d], poll].concat(), Some((0x12, 0x1018)));
            check(poll, (!is_jump).then_some((0x11, 0x1010)));
        }
        let stub = [0x4c, 0x8d, 0x15, 0, 0, 0, 0, 0x4d, 0x89, 0x97, 0, 0, 0, 0, 0xe9];
        check(&stub, Some((0x11, 0x1010)));
        check(&stub[7..], Some((0x11, 0x1010)));
        check(&[0x48, 0x8b, 0xc7, 0x5d, 0xc3], None);
        check(&[0x5d], None);
    }

    #[test]
    fn interpreted_methods_that_return() {
        let words: Vec<u8> = (0x10..0x20u64).flat_map(u64::to_le_bytes).collect();
        let stack = StackMemory::new(0x1000, &words);
        let mut registers = Registers::of_caller(0x7001, 0x1008, 0x99);
        registers.set(METHOD, Some(0x1040));
        registers.set(4, Some(0x77));
        let check = |code: &[u8], expected: Option<(u64, u64)>| {
            let caller = left_interpreter(code, &registers, &stack);
            assert_eq!(caller.map(|caller| (caller.ip, caller.sp())), expected, "{code:x?}");
        };
        let end = [0x5e, 0x48, 0x8b, 0xe3, 0xff, 0xe6];
        check(&[&[0x41, 0xc6, 0x87, 1, 2, 0, 0, 0][..], &end].concat(), Some((0x11, 0x1040)));
        check(&end, Some((0x11, 0x1040)));
        check(&end[1..], Some((0x77, 0x1040)));
        check(&end[4..], Some((0x77, 0x1008)));
        check(&[0x41, 0x5d, 0x48, 0x8b, 0xe3, 0x8b, 0xc0], Some((0x11, 0x1040)));
        check(&[0x5e, 0x90], None);
        check(&[0xc9, 0x5e], None);
    }

    #[test]
    fn entries_of_the_interpreter() {
        let pops = [0x90, 0x58, 0x4c, 0x8d, 0x74, 0xcc, 0xf8, 0x90];
        let pushes = [0x50, 0x55, 0x48, 0x8b, 0xec, 0x41, 0x55, 0x68];
        let points = EntryPoints::find(&[pops, pushes].concat()).unwrap();
        let states = [0, 1, 2, 8, 9, 10, 12, 13, 99].map(|at| points.at(at));
        use EntryState::{Built, ReturnInRegister, ReturnOnStack, WithoutMethod};
        let expected = [
            ReturnOnStack(0),
            ReturnOnStack(0),
            ReturnInRegister,
            ReturnInRegister,
            ReturnOnStack(0),
            ReturnOnStack(8),
            ReturnOnStack(8),
            WithoutMethod,
            Built,
        ];
        assert_eq!(states, expected);
        assert_eq!(EntryPoints::find(&pushes), None);
    }

    #[test]
    fn calls_say_where_they_go() {
        assert_eq!(called(&[0x90, 0xe8, 0x10, 0, 0, 0], 0x1000), Some(0x1010));
        assert_eq!(called(&[0xe8, 0xf0, 0xff, 0xff, 0xff], 0x1000), Some(0xff0));
        assert_eq!(called(&[0x41, 0xff, 0xd2], 0x1000), None);
    }
}
