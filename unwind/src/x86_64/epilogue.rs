//! The last instructions of a function, carried out on a copy of its stack.
//!
//! Code that was generated has no unwind information. But where all that is
//! left of a function is to give back its stack and to return, its instructions
//! say for sure where it returns to. Python's trampolines are so wherever a
//! call returns into them, and have no frame pointer.

use super::registers::{DWARF, Registers, SP};
use crate::memory::StackMemory;

/// Longest code that is looked at, in bytes.
pub const MAX_EPILOGUE_LEN: usize = 24;

/// One of the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instruction {
    /// Adds to the stack pointer.
    Add(u64),
    /// Takes a register, by its DWARF number, off the stack.
    Pop(u16),
}

/// What is left of a function, without the return at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epilogue(Vec<Instruction>);

impl Epilogue {
    /// Reads code; `None` if it does something else.
    pub fn parse(mut code: &[u8]) -> Option<Self> {
        let mut instructions = Vec::new();
        loop {
            let (instruction, rest) = match code {
                [0xc3, ..] => return Some(Epilogue(instructions)),
                [0x48, 0x83, 0xc4, by, rest @ ..] => {
                    (Instruction::Add(i64::from(*by as i8) as u64), rest)
                }
                [0x48, 0x81, 0xc4, a, b, c, d, rest @ ..] => {
                    let by = i32::from_le_bytes([*a, *b, *c, *d]);
                    (Instruction::Add(i64::from(by) as u64), rest)
                }
                [0x41, register @ 0x58..=0x5f, rest @ ..] => {
                    (Instruction::Pop(DWARF[usize::from(register - 0x50)]), rest)
                }
                // All but the stack pointer itself.
                [register @ (0x58..=0x5b | 0x5d..=0x5f), rest @ ..] => {
                    (Instruction::Pop(DWARF[usize::from(register - 0x58)]), rest)
                }
                _ => return None,
            };
            instructions.push(instruction);
            code = rest;
        }
    }

    /// The registers after the return; `None` if the stack was not copied.
    pub fn run(&self, registers: &Registers, stack: &StackMemory<'_>) -> Option<Registers> {
        let mut caller = registers.preserved_by_callee();
        let mut sp = registers.sp();
        for instruction in &self.0 {
            match *instruction {
                Instruction::Add(bytes) => sp = sp.wrapping_add(bytes),
                Instruction::Pop(register) => {
                    caller.set(register, Some(stack.read(sp)?));
                    sp = sp.wrapping_add(8);
                }
            }
        }
        caller.ip = stack.read(sp)?;
        caller.set(SP, Some(sp.wrapping_add(8)));
        Some(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::FP;

    #[test]
    fn functions_that_end() {
        let words: Vec<u8> = (0x10..0x20u64).flat_map(u64::to_le_bytes).collect();
        let stack = StackMemory::new(0x1000, &words);
        let check = |code: &[u8], expected: Option<(u64, u64, Option<u64>)>| {
            let registers = Registers::of_caller(0x7001, 0x1008, 0x99);
            let caller = Epilogue::parse(code).and_then(|e| e.run(&registers, &stack));
            let found = caller.map(|caller| (caller.ip, caller.sp(), caller.get(FP)));
            assert_eq!(found, expected, "{code:x?}");
        };
        check(&[0xc3], Some((0x11, 0x1010, Some(0x99))));
        check(&[0x48, 0x83, 0xc4, 8, 0xc3, 0x55], Some((0x12, 0x1018, Some(0x99))));
        check(&[0x48, 0x81, 0xc4, 0x10, 0, 0, 0, 0xc3], Some((0x13, 0x1020, Some(0x99))));
        check(&[0x48, 0x83, 0xc4, 0xf8, 0xc3], Some((0x10, 0x1008, Some(0x99))));
        check(&[0x5b, 0x5d, 0x41, 0x5c, 0xc3], Some((0x14, 0x1028, Some(0x12))));
        // Beyond what was copied, another instruction, no end.
        check(&[0x48, 0x81, 0xc4, 0, 1, 0, 0, 0xc3], None);
        check(&[0x90, 0xc3], None);
        check(&[0x5c, 0xc3], None);
        check(&[0x5d], None);
        check(&[0xc2, 8, 0], None);
    }
}
