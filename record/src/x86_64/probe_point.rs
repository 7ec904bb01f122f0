//! Where in a function a probe costs least.
//!
//! The kernel puts a breakpoint over the probed instruction. Some instructions
//! it carries out by itself afterwards: pushes, jumps, calls, nops. Others it
//! has the processor execute as a copy, in a single step, which takes longer;
//! in virtual machines much longer (here 28 us instead of 0.5). So the probe is
//! better put on the first instruction of the former kind, if those before it
//! leave alone what a program wants to see: the arguments, and the return
//! address on the top of the stack.

/// Bytes of a function that are looked at.
pub(crate) const LOOK_AT: usize = 96;

/// The registers in which functions are given their first arguments.
pub(crate) const ARGUMENT_0: u8 = RDI;
pub(crate) const ARGUMENT_1: u8 = RSI;
pub(crate) const ARGUMENT_2: u8 = RDX;
/// All in which arguments are given.
pub(crate) const ARGUMENTS: [u8; 6] = [RDI, RSI, RDX, RCX, R8, R9];

/// Numbers of registers.
const RCX: u8 = 1;
const RDX: u8 = 2;
const RSP: u8 = 4;
const RSI: u8 = 6;
const RDI: u8 = 7;
const R8: u8 = 8;
const R9: u8 = 9;

/// Offset of the instruction to probe in a function that begins with `code`, if
/// one can be reached without writing to the registers in `keep`.
pub(crate) fn find(code: &[u8], keep: &[u8]) -> Option<usize> {
    let mut at = 0;
    while !is_emulated(code.get(at..)?) {
        let (length, written) = step(code.get(at..)?)?;
        if written.iter().flatten().any(|register| *register == RSP || keep.contains(register)) {
            return None;
        }
        at += length;
    }
    Some(at)
}

/// Whether the kernel carries out the instruction by itself.
fn is_emulated(code: &[u8]) -> bool {
    match code {
        // push, jump, call, nop.
        [0x41, 0x50..=0x57, ..] | [0x50..=0x57, ..] => true,
        [0x70..=0x7f | 0xe8 | 0xe9 | 0xeb | 0x90, ..] => true,
        [0x0f, 0x1f | 0x80..=0x8f, ..] => true,
        _ => false,
    }
}

/// Length of an instruction that goes on to the next one, and the registers it
/// writes to; `None` for all that are not known well enough.
fn step(code: &[u8]) -> Option<(usize, [Option<u8>; 2])> {
    const RAX: u8 = 0;
    // endbr64.
    if code.starts_with(&[0xf3, 0x0f, 0x1e, 0xfa]) {
        return Some((4, [None; 2]));
    }
    let mut at = 0;
    // The thread's own memory.
    if code.first() == Some(&0x64) {
        at += 1;
    }
    let rex = code.get(at).copied().filter(|byte| byte & 0xf0 == 0x40).unwrap_or(0);
    at += usize::from(rex != 0);
    let wide = rex & 8 != 0;
    let opcode = *code.get(at)?;
    at += 1;
    let two_bytes = opcode == 0x0f;
    let opcode = if two_bytes { *code.get(at)? } else { opcode };
    at += usize::from(two_bytes);
    if !two_bytes {
        match opcode {
            0x05 | 0x0d | 0x25 | 0x2d | 0x35 => return Some((at + 4, [Some(RAX), None])),
            0x3d | 0xa9 => return Some((at + 4, [None; 2])),
            0xb8..=0xbf => {
                let register = opcode & 7 | (rex & 1) << 3;
                return Some((at + if wide { 8 } else { 4 }, [Some(register), None]));
            }
            _ => {}
        }
    }
    let operands = *code.get(at)?;
    let (mode, extension, base) = (operands >> 6, operands >> 3 & 7, operands & 7);
    at += 1;
    let mut displacement = [0, 1, 4, 0][usize::from(mode)];
    if mode != 3 && base == 4 {
        let scaled = *code.get(at)?;
        at += 1;
        if mode == 0 && scaled & 7 == 5 {
            displacement = 4;
        }
    } else if mode == 0 && base == 5 {
        displacement = 4;
    }
    at += displacement;
    let register = extension | (rex & 4) << 1;
    // Memory, which may be written to, is none of ours.
    let other = (mode == 3).then_some(base | (rex & 1) << 3);
    let (immediate, written) = match (two_bytes, opcode, extension) {
        (false, 0x38..=0x3b | 0x84 | 0x85, _) => (0, [None; 2]),
        (false, 0x01 | 0x09 | 0x21 | 0x29 | 0x31 | 0x89, _) => (0, [other, None]),
        (false, 0x03 | 0x0b | 0x23 | 0x2b | 0x33 | 0x63 | 0x8b | 0x8d, _) => {
            (0, [Some(register), None])
        }
        (false, 0x80 | 0x83, 7) => (1, [None; 2]),
        (false, 0x81, 7) => (4, [None; 2]),
        (false, 0x83 | 0xc1, _) => (1, [other, None]),
        (false, 0x81, _) => (4, [other, None]),
        (false, 0xc7, 0) => (4, [other, None]),
        (false, 0xd1, _) => (0, [other, None]),
        (false, 0xf6, 0) => (1, [None; 2]),
        (false, 0xf7, 0) => (4, [None; 2]),
        (false, 0xf7, 2 | 3) => (0, [other, None]),
        (false, 0xf7, 4) => (0, [Some(RAX), Some(RDX)]),
        (true, 0x40..=0x4f | 0xaf | 0xb6 | 0xb7 | 0xbe | 0xbf, _) => (0, [Some(register), None]),
        _ => return None,
    };
    Some((at + immediate, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_real_functions() {
        let check = |code: &[u8], keep: &[u8], expected: Option<usize>| {
            assert_eq!(find(code, keep), expected, "{code:02x?}");
        };
        // glibc's malloc: push %r12.
        check(&[0x41, 0x54, 0x55, 0x53], &[RDI], Some(0));
        // Its free: test %rdi,%rdi; je.
        check(&[0x48, 0x85, 0xff, 0x0f, 0x84, 0xbf, 0, 0, 0], &[RDI], Some(3));
        // Its memalign: cmpb $0,...(%rip); je.
        check(&[0x80, 0x3d, 0x71, 0x0e, 0x14, 0, 0, 0x74, 7], &[RDI, RSI], Some(7));
        // Its reallocarray: mov %rsi,%rax; mul %rdx.
        check(&[0x48, 0x89, 0xf0, 0x48, 0xf7, 0xe2], &[RDI, RSI, RDX], None);
        // jemalloc's malloc: cmp $0x1000,%rdi; ja.
        check(&[0x48, 0x81, 0xff, 0, 0x10, 0, 0, 0x0f, 0x87, 1, 0, 0, 0], &[RDI], Some(7));
        // endbr64; push %rbp.
        check(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55], &[RDI], Some(4));
        // sub $8,%rsp; push: the return address is not on top.
        check(&[0x48, 0x83, 0xec, 8, 0x55], &[RDI], None);
        // mov %rsi,%rdi; jmp: one argument is lost, unless nobody needs it.
        check(&[0x48, 0x89, 0xf7, 0xeb, 5], &[RDI], None);
        check(&[0x48, 0x89, 0xf7, 0xeb, 5], &[RSI], Some(3));
        // mov %fs:0x28,%rax; mov 8(%rdi,%rax,4),%ecx; jmp.
        let memory = [0x64, 0x48, 0x8b, 4, 0x25, 0x28, 0, 0, 0, 0x8b, 0x4c, 0x87, 8, 0xeb, 5];
        check(&memory, &[RDI], Some(13));
        // movabs into %r10; push %r15.
        check(&[0x49, 0xba, 1, 2, 3, 4, 5, 6, 7, 8, 0x41, 0x57], &[RDI], Some(10));
    }

    #[test]
    fn what_is_cut_or_unknown_is_none() {
        for code in [&[][..], &[0x48], &[0x48, 0x85], &[0x48, 0x85, 0xff], &[0xc3], &[0x06]] {
            assert_eq!(find(code, &[RDI]), None, "{code:02x?}");
        }
    }
}
