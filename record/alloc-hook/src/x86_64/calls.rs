//! Whether an instruction is a call.

/// Longest call instruction.
const LONGEST: usize = 7;

/// Whether the last instruction of `code` is a call: `E8 rel32`, or `FF /2`
/// with any addressing form.
pub(crate) fn is_call(code: &[u8; 8]) -> bool {
    let modrm = |length: usize| {
        let at = 8 - length;
        (code.get(at) == Some(&0xff)).then_some(())?;
        code.get(at + 1).filter(|byte| **byte >> 3 & 7 == 2)
    };
    code[3] == 0xe8 || (2..=LONGEST).any(|length| modrm(length).is_some())
}
