//! Which of our system calls the program's own filters would punish.
//!
//! A seccomp filter is a classic BPF program, which the kernel asks about every
//! system call of the process, ours included. So each filter is run here before it is
//! installed, over the calls that we make, and those that it does not let pass are not
//! made any more.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_LOG, SECCOMP_RET_TRACE, sock_filter};

use crate::{arch, process, sampled_set, sys};

/// Instructions of a filter, at most.
const MAX_LENGTH: usize = 4096;
/// Where a call's arguments are, by word: number, architecture, address, arguments.
const FIRST_ARGUMENT: usize = 4;
/// Words that a filter can read.
const WORDS: usize = 16;
/// Stands for addresses.
const ADDRESS: usize = 0x7f00_0000_0000;

/// Our calls once the program runs, with the arguments that filters look at.
const CALLS: [(libc::c_long, [usize; 6]); 11] = {
    let current = libc::AT_FDCWD as usize;
    let open = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
    let memory = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let own = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    [
        (libc::SYS_gettid, [0; 6]),
        (libc::SYS_getpid, [0; 6]),
        (libc::SYS_newfstatat, [current, ADDRESS, ADDRESS, 0, 0, 0]),
        (libc::SYS_kill, [2, 0, 0, 0, 0, 0]),
        (libc::SYS_openat, [current, ADDRESS, open, 0, 0, 0]),
        (libc::SYS_mmap, [0, 4096, memory, libc::MAP_SHARED as usize, 3, 4096]),
        (libc::SYS_mmap, [0, 4096, memory, own, usize::MAX, 0]),
        (libc::SYS_close, [3, 0, 0, 0, 0, 0]),
        (libc::SYS_munmap, [ADDRESS, 4096, 0, 0, 0, 0]),
        (libc::SYS_rt_sigprocmask, [usize::MAX, ADDRESS, 0, 8, 0, 0]),
        (libc::SYS_sigaltstack, [0, ADDRESS, 0, 0, 0, 0]),
    ]
};

/// A bit for each of `CALLS` that must not be made any more. The child of a fork inherits
/// it with the filters.
static FORBIDDEN: AtomicU32 = AtomicU32::new(0);

/// Whether a call may be made.
pub(crate) fn allows(number: libc::c_long) -> bool {
    // Relaxed: who installs a filter does so after it has changed this.
    let forbidden = FORBIDDEN.load(Relaxed);
    forbidden == 0
        || !CALLS
            .iter()
            .enumerate()
            .any(|(index, (other, _))| forbidden & 1 << index != 0 && *other == number)
}

/// Looks at a filter that is about to be installed, at its address in the program.
pub(crate) fn note_filter(program: usize) {
    if process::control().is_none() {
        return;
    }
    let forbidden = code(program).map_or(0, punished);
    if forbidden != 0 {
        sampled_set::reserve();
        FORBIDDEN.fetch_or(forbidden, Relaxed);
    }
}

/// A bit for each of `CALLS` that a filter does not let pass.
fn punished(code: &[sock_filter]) -> u32 {
    let lets_pass = |(number, arguments): &(libc::c_long, [usize; 6])| {
        verdict(code, &data(*number, arguments)).is_some_and(lets_pass)
    };
    let calls = CALLS.iter().enumerate().filter(|(_, call)| !lets_pass(call));
    calls.fold(0, |bits, (index, _)| bits | 1 << index)
}

/// The instructions of a filter: what `struct sock_fprog` leads to, if it can be read.
fn code(program: usize) -> Option<&'static [sock_filter]> {
    let is_readable = |address: usize| sys::is_readable(address & !7);
    if !program.is_multiple_of(8) || !is_readable(program) || !is_readable(program + 8) {
        return None;
    }
    // SAFETY: it can be read, as was asked just now.
    let program = unsafe { &*(program as *const libc::sock_fprog) };
    let (start, length) = (program.filter as usize, usize::from(program.len));
    let end = start.checked_add(length * size_of::<sock_filter>())?;
    let is_there = (start..end).step_by(1024).chain([end - 1]).all(is_readable);
    if length == 0 || length > MAX_LENGTH || !program.filter.is_aligned() || !is_there {
        return None;
    }
    // SAFETY: it can be read, and the program leaves it alone during the call.
    Some(unsafe { core::slice::from_raw_parts(program.filter, length) })
}

/// What a filter is told of a call: `struct seccomp_data`.
fn data(number: libc::c_long, arguments: &[usize; 6]) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    words[0] = number as u32;
    words[1] = arch::AUDIT_ARCH;
    words[2] = ADDRESS as u32;
    words[3] = (ADDRESS >> 32) as u32;
    for (index, argument) in arguments.iter().enumerate() {
        words[FIRST_ARGUMENT + 2 * index] = *argument as u32;
        words[FIRST_ARGUMENT + 2 * index + 1] = (*argument >> 32) as u32;
    }
    words
}

/// Whether a call goes on as if there were no filter, or fails.
fn lets_pass(verdict: u32) -> bool {
    let action = verdict & libc::SECCOMP_RET_ACTION_FULL;
    [SECCOMP_RET_ALLOW, SECCOMP_RET_LOG, SECCOMP_RET_ERRNO, SECCOMP_RET_TRACE].contains(&action)
}

/// What a filter returns; `None` for what the kernel would refuse.
fn verdict(code: &[sock_filter], data: &[u32; WORDS]) -> Option<u32> {
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; 16]);
    let mut at = 0;
    // Jumps only lead on, so it ends.
    loop {
        let sock_filter { code: operation, jt, jf, k } = *code.get(at)?;
        let operation = u32::from(operation);
        let mode = operation & 0xe0;
        let operand = if operation & libc::BPF_X != 0 { x } else { k };
        at += 1;
        match operation & 7 {
            libc::BPF_RET if operation & 0x18 == libc::BPF_A => return Some(a),
            libc::BPF_RET => return Some(k),
            libc::BPF_LD if mode == libc::BPF_ABS => a = *data.get(k as usize / 4)?,
            load @ (libc::BPF_LD | libc::BPF_LDX) => {
                let value = match mode {
                    libc::BPF_IMM => k,
                    libc::BPF_MEM => *memory.get(k as usize)?,
                    libc::BPF_LEN => 4 * WORDS as u32,
                    _ => return None,
                };
                *(if load == libc::BPF_LD { &mut a } else { &mut x }) = value;
            }
            libc::BPF_ST => *memory.get_mut(k as usize)? = a,
            libc::BPF_STX => *memory.get_mut(k as usize)? = x,
            libc::BPF_ALU => a = calculate(operation & 0xf0, a, operand)?,
            libc::BPF_JMP => {
                let is_so = match operation & 0xf0 {
                    libc::BPF_JA => {
                        at += k as usize;
                        continue;
                    }
                    libc::BPF_JEQ => a == operand,
                    libc::BPF_JGT => a > operand,
                    libc::BPF_JGE => a >= operand,
                    libc::BPF_JSET => a & operand != 0,
                    _ => return None,
                };
                at += usize::from(if is_so { jt } else { jf });
            }
            // The last of eight classes: BPF_MISC.
            _ if operation & 0xf8 == libc::BPF_TXA => a = x,
            _ => x = a,
        }
    }
}

fn calculate(operation: u32, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        libc::BPF_ADD => a.wrapping_add(operand),
        libc::BPF_SUB => a.wrapping_sub(operand),
        libc::BPF_MUL => a.wrapping_mul(operand),
        libc::BPF_DIV => a.checked_div(operand)?,
        libc::BPF_OR => a | operand,
        libc::BPF_AND => a & operand,
        libc::BPF_XOR => a ^ operand,
        libc::BPF_LSH => a.checked_shl(operand)?,
        libc::BPF_RSH => a.checked_shr(operand)?,
        libc::BPF_NEG => a.wrapping_neg(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ;
    const RETURN: u32 = libc::BPF_RET;

    fn step(operation: u32, k: u32) -> sock_filter {
        sock_filter { code: operation as u16, jt: 0, jf: 0, k }
    }

    fn jump(operation: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
        sock_filter { code: operation as u16, jt, jf, k }
    }

    #[test]
    fn filters_are_run_as_the_kernel_does() {
        let check = |code: &[sock_filter], expected: Option<u32>| {
            let data = data(libc::SYS_mmap, &[1, 2, 3, 0x22, 5, 6 << 32]);
            assert_eq!(verdict(code, &data), expected);
        };
        let number = libc::SYS_mmap as u32;
        check(&[step(RETURN, 7)], Some(7));
        check(&[step(LOAD, 0), step(RETURN | libc::BPF_A, 0)], Some(number));
        check(&[step(LOAD, 4), step(RETURN | libc::BPF_A, 0)], Some(arch::AUDIT_ARCH));
        // The fourth argument's lower half, and the sixth's upper one.
        check(&[step(LOAD, 40), step(RETURN | libc::BPF_A, 0)], Some(0x22));
        check(&[step(LOAD, 60), step(RETURN | libc::BPF_A, 0)], Some(6));
        let is_mmap = |is: u32, other: u32| {
            [step(LOAD, 0), jump(EQUAL, number, 1, 0), step(RETURN, other), step(RETURN, is)]
        };
        check(&is_mmap(1, 2), Some(1));
        check(&[&is_mmap(1, 2)[1..]].concat(), Some(2));
        let ja = step(libc::BPF_JMP | libc::BPF_JA, 1);
        check(&[ja, step(RETURN, 1), step(RETURN, 2)], Some(2));
        // By way of memory and the other register: (0x22 & 0x20) >> 4 = 2.
        check(
            &[
                step(LOAD, 40),
                step(libc::BPF_ST, 3),
                step(libc::BPF_LDX | libc::BPF_MEM, 3),
                step(libc::BPF_LD | libc::BPF_IMM, 0x20),
                step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_X, 0),
                step(libc::BPF_MISC | libc::BPF_TAX, 0),
                step(libc::BPF_MISC | libc::BPF_TXA, 0),
                step(libc::BPF_ALU | libc::BPF_RSH, 4),
                step(RETURN | libc::BPF_A, 0),
            ],
            Some(2),
        );
        // Without an end, out of bounds, by zero.
        check(&[step(LOAD, 0)], None);
        check(&[step(LOAD, 64), step(RETURN, 1)], None);
        check(&[step(libc::BPF_ALU | libc::BPF_DIV, 0), step(RETURN, 1)], None);
    }

    #[test]
    fn what_a_filter_kills_for_is_not_called() {
        let number = libc::SYS_rt_sigprocmask as u32;
        let mut code = [
            step(LOAD, 0),
            jump(EQUAL, number, 0, 1),
            step(RETURN, SECCOMP_RET_ERRNO),
            step(RETURN, SECCOMP_RET_ALLOW),
        ];
        assert_eq!(punished(&code), 0);
        code[2].k = libc::SECCOMP_RET_KILL_PROCESS;
        let only = punished(&code);
        assert_eq!(only.count_ones(), 1);
        assert_eq!(CALLS[only.trailing_zeros() as usize].0, libc::SYS_rt_sigprocmask);
        assert_eq!(punished(&[]).count_ones() as usize, CALLS.len());
    }
}
