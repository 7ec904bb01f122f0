//! Whether an instruction is a call.

/// Longest call instruction.
pub const MAX_CALL_LEN: usize = 7;

/// Whether the bytes before a return address are a call instruction.
///
/// `code` ends where the return address points. Calls are `E8 rel32`, or
/// `FF /2` with any addressing form, which is 2 to 7 bytes long.
pub fn ends_with_call(code: &[u8]) -> bool {
    let is_direct = code.len() >= 5 && code[code.len() - 5] == 0xe8;
    let is_indirect = |length: usize| {
        let Some(at) = code.len().checked_sub(length) else { return false };
        code[at] == 0xff
            && code[at + 1] >> 3 & 7 == 2
            && modrm_length(&code[at + 1..]) == length - 1
    };
    is_direct || (2..=MAX_CALL_LEN).any(is_indirect)
}

/// Whether the bytes before an address are a jump to where a register says.
pub fn ends_with_jump(code: &[u8]) -> bool {
    matches!(code, [.., 0xff, 0xe0..=0xe7])
}

/// Length of a ModRM byte with what belongs to it: SIB and displacement.
fn modrm_length(code: &[u8]) -> usize {
    let (mode, rm) = (code[0] >> 6, code[0] & 7);
    if mode == 3 {
        return 1;
    }
    let has_sib = rm == 4;
    let sib_base = code.get(1).map_or(0, |sib| sib & 7);
    let displacement = match mode {
        0 if rm == 5 || (has_sib && sib_base == 5) => 4,
        0 => 0,
        1 => 1,
        _ => 4,
    };
    1 + usize::from(has_sib) + displacement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls() {
        assert!(ends_with_call(&[0x90, 0xe8, 1, 2, 3, 4]), "call rel32");
        assert!(ends_with_call(&[0xff, 0xd0]), "call rax");
        assert!(ends_with_call(&[0x41, 0xff, 0xd3]), "call r11");
        assert!(ends_with_call(&[0xff, 0x50, 0x18]), "call [rax+0x18]");
        assert!(ends_with_call(&[0xff, 0x15, 1, 2, 3, 4]), "call [rip+x]");
        assert!(ends_with_call(&[0xff, 0x94, 0xc8, 1, 2, 3, 4]), "call [rax+rcx*8+x]");
        assert!(!ends_with_call(&[0x48, 0x89, 0xe5]), "mov rbp,rsp");
        assert!(!ends_with_call(&[0xff, 0xe0]), "jmp rax");
        assert!(!ends_with_call(&[]));
        assert!(ends_with_jump(&[0x90, 0xff, 0xe3]), "jmp rbx");
        assert!(ends_with_jump(&[0x41, 0xff, 0xe3]), "jmp r11");
        assert!(!ends_with_jump(&[0xff, 0xd0]), "call rax");
    }
}
