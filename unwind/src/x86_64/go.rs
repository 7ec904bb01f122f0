//! How Go's runtime goes over from one stack to another, as its assembly for this
//! processor does it.

use object::elf::{R_X86_64_RELATIVE, RelocationType};

use super::registers::DWARF;

/// What the dynamic linker turns into an address of the file itself.
pub const RELATIVE_RELOCATION: RelocationType = R_X86_64_RELATIVE;

/// An instruction that has to do with which stack is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackMove {
    /// Offset in the function of what comes behind it.
    pub end: u64,
    /// What it does.
    pub kind: MoveKind,
}

impl StackMove {
    /// Whether the stack stays the same.
    pub fn is_keeping(&self) -> bool {
        matches!(self.kind, MoveKind::Keep(_))
    }
}

/// What a [`StackMove`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveKind {
    /// Keeps the stack pointer in a register that C functions preserve.
    Keep(u16),
    /// Takes it from a register.
    FromRegister(u16),
    /// Takes it from memory.
    FromMemory,
}

/// All such instructions of a function. They are told by their bytes alone, which
/// is right for functions that are known to have them.
pub fn stack_moves(code: &[u8]) -> Vec<StackMove> {
    let mut moves = Vec::new();
    for at in 0..code.len() {
        let Some([rex @ 0x48..=0x4f, opcode, modrm]) = code.get(at..at + 3) else { continue };
        let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
        let number = |low: u8, high: u8| DWARF[usize::from(low + (high << 3))];
        let (to_reg, to_rm) = (rex >> 2 & 1, rex & 1);
        let (length, kind) = match (opcode, mode) {
            // mov %rsp,%r12
            (0x89, 3) if reg == 4 && to_reg == 0 => {
                let register = number(rm, to_rm);
                let is_kept = matches!(register, 3 | 12..=15);
                if !is_kept {
                    continue;
                }
                (3, MoveKind::Keep(register))
            }
            // mov %r12,%rsp
            (0x89, 3) if rm == 4 && to_rm == 0 => (3, MoveKind::FromRegister(number(reg, to_reg))),
            // mov 0x38(%rdx),%rsp
            (0x8b, 0..=2) if reg == 4 && to_reg == 0 => {
                let displacement = [0, 1, 4][usize::from(mode)];
                (3 + u64::from(rm == 4) + displacement, MoveKind::FromMemory)
            }
            _ => continue,
        };
        moves.push(StackMove { end: at as u64 + length, kind });
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_of_the_stack_pointer() {
        let check = |code: &[u8], expected: &[(u64, MoveKind)]| {
            let moves: Vec<(u64, MoveKind)> =
                stack_moves(code).iter().map(|m| (m.end, m.kind)).collect();
            assert_eq!(moves, expected, "{code:x?}");
        };
        check(&[0x90, 0x49, 0x89, 0xe4], &[(4, MoveKind::Keep(12))]);
        check(&[0x48, 0x89, 0xe3], &[(3, MoveKind::Keep(3))]);
        check(&[0x4c, 0x89, 0xe4], &[(3, MoveKind::FromRegister(12))]);
        check(&[0x48, 0x89, 0xfc], &[(3, MoveKind::FromRegister(5))]);
        check(&[0x48, 0x8b, 0x62, 0x38], &[(4, MoveKind::FromMemory)]);
        check(&[0x49, 0x8b, 0x66, 0x38, 0x50], &[(4, MoveKind::FromMemory)]);
        check(&[0x48, 0x8b, 0x24, 0x24], &[(4, MoveKind::FromMemory)]);
        // Keeping it in a register that calls change, or as the frame pointer; using it.
        check(&[0x48, 0x89, 0xe2, 0x48, 0x89, 0xe5], &[]);
        check(&[0x48, 0x8b, 0x44, 0x24, 8, 0x48, 0x89, 0x0c, 0x24], &[]);
    }
}
