//! A call as a line: its name, its arguments, its result.

mod argument;
mod data;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use rz_syscalls::{Returns, Syscall, errno};

use super::names::file;
use super::{Invocation, Outcome};
use crate::reason::{is_error, never_returns};
use argument::{clone_flags, fd, mode, pointer, with_flags};

/// Writes a whole call, such as `close(3</etc/passwd>) = 0`.
///
/// `name_of` says what a file descriptor is, escaped as in
/// [`FdTable::name`](super::files::FdTable::name). Where calls change that,
/// use [`arguments`] before and [`result`] after following the call.
pub fn line<'n>(call: &Invocation, name_of: impl Fn(i32) -> Option<&'n str>) -> String {
    let mut out = String::new();
    arguments(&mut out, call, &name_of);
    result(&mut out, call, &name_of);
    out
}

/// Writes name and arguments, such as `close(3</etc/passwd>)`.
pub fn arguments<'n>(
    out: &mut String,
    call: &Invocation,
    name_of: impl Fn(i32) -> Option<&'n str>,
) {
    let Some(syscall) = rz_syscalls::by_number(call.number) else {
        let _ = write!(out, "syscall_{:#x}(", call.number);
        for (index, argument) in call.args.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(out, "{comma}{argument:#x}");
        }
        out.push(')');
        return;
    };
    out.push_str(syscall.name);
    out.push('(');
    if syscall.name == "clone" {
        clone_arguments(out, &call.args);
        out.push(')');
        return;
    }
    for (position, &index) in used_arguments(call, syscall).iter().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        argument::write(out, call, syscall, index, &name_of);
    }
    out.push(')');
}

/// Writes what follows the arguments, such as ` = 0`.
pub fn result<'n>(out: &mut String, call: &Invocation, name_of: impl Fn(i32) -> Option<&'n str>) {
    let syscall = rz_syscalls::by_number(call.number);
    let value = match call.outcome {
        Outcome::Returned(value) => value,
        Outcome::Unfinished => {
            let exits = never_returns(call.number);
            out.push_str(if exits { " = ?" } else { " = ? <unfinished ...>" });
            return;
        }
    };
    if is_error(value) {
        let number = value.unsigned_abs() as u32;
        let code = if errno::is_restart(number) { "?" } else { "-1" };
        let _ = match (errno::name(number), errno::message(number)) {
            (Some(name), Some(message)) => write!(out, " = {code} {name} ({message})"),
            _ => write!(out, " = -1 (errno {number})"),
        };
        return;
    }
    out.push_str(" = ");
    let command = call.args[1] as u32 as i32;
    match syscall {
        Some(syscall) if syscall.returns == Returns::Fd => fd(out, value as i32, &name_of),
        Some(syscall) if syscall.returns == Returns::Pointer => {
            let _ = write!(out, "{value:#x}");
        }
        Some(syscall) if syscall.returns == Returns::Mode => mode(out, value as u32),
        Some(syscall) if syscall.name == "fcntl" => match command {
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => fd(out, value as i32, &name_of),
            libc::F_GETFL => with_flags(out, value, &file::OPEN),
            libc::F_GETFD if value != 0 => with_flags(out, value, &file::FD_FLAGS),
            libc::F_GET_SEALS if value != 0 => with_flags(out, value, &file::SEALS),
            _ => {
                let _ = write!(out, "{value}");
            }
        },
        Some(syscall) if matches!(syscall.name, "poll" | "ppoll") => {
            let _ = write!(out, "{value}");
            data::write_found(out, call, value, &name_of);
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}

/// Writes the arguments of `clone` by name, and only those that its flags make it look at,
/// as strace does.
fn clone_arguments(out: &mut String, args: &[u64; 6]) {
    let [flags, stack, parent, child, tls, _] = *args;
    let bits = flags as u32;
    let has = |flag: i32| bits & flag as u32 != 0;
    out.push_str("child_stack=");
    pointer(out, stack);
    out.push_str(", flags=");
    clone_flags(out, bits);
    let mut more = |name: &str, value: u64| {
        let _ = write!(out, ", {name}=");
        pointer(out, value);
    };
    if has(libc::CLONE_PARENT_SETTID) || has(libc::CLONE_PIDFD) {
        more("parent_tid", parent);
    }
    if has(libc::CLONE_SETTLS) {
        more("tls", tls);
    }
    if has(libc::CLONE_CHILD_SETTID) || has(libc::CLONE_CHILD_CLEARTID) {
        more("child_tidptr", child);
    }
}

/// Indices of the arguments that the kernel looks at: the others hold whatever
/// was in their registers.
fn used_arguments<'a>(call: &Invocation, syscall: &'a Syscall) -> &'a [usize] {
    const FIRST: &[usize] = &[0, 1, 2, 3, 4, 5];
    let all = syscall.args.len();
    let bits = |index: usize| call.args[index] as u32 as i32;
    let creates =
        |flags: i32| flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let count = match syscall.name {
        "open" if !creates(bits(1)) => 2,
        "openat" if !creates(bits(2)) => 3,
        "mq_open" if !creates(bits(1)) => 2,
        "mremap" if bits(3) & (libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP) == 0 => 4,
        "fcntl" => match bits(1) {
            libc::F_GETFD | libc::F_GETFL | libc::F_GETOWN | libc::F_GETLEASE => 2,
            libc::F_GETPIPE_SZ | libc::F_GET_SEALS => 2,
            _ => all,
        },
        "ioctl" => match bits(1) as u32 as libc::Ioctl {
            libc::FIOCLEX | libc::FIONCLEX | libc::TIOCEXCL | libc::TIOCNXCL => 2,
            libc::TIOCNOTTY => 2,
            _ => all,
        },
        "prctl" => match bits(0) {
            libc::PR_GET_DUMPABLE | libc::PR_GET_KEEPCAPS | libc::PR_GET_SECCOMP => 1,
            libc::PR_GET_TIMERSLACK | libc::PR_GET_SECUREBITS => 1,
            libc::PR_SET_NAME | libc::PR_GET_NAME | libc::PR_SET_PDEATHSIG => 2,
            libc::PR_GET_PDEATHSIG | libc::PR_SET_DUMPABLE | libc::PR_SET_TIMERSLACK => 2,
            libc::PR_CAPBSET_READ | libc::PR_CAPBSET_DROP | libc::PR_SET_KEEPCAPS => 2,
            _ => all,
        },
        "futex" => match bits(1) & 0x7f {
            libc::FUTEX_WAKE => 3,
            libc::FUTEX_WAIT => 4,
            libc::FUTEX_REQUEUE => 5,
            libc::FUTEX_WAIT_BITSET => return &[0, 1, 2, 3, 5],
            libc::FUTEX_WAKE_BITSET => return &[0, 1, 2, 5],
            libc::FUTEX_LOCK_PI | libc::FUTEX_LOCK_PI2 => return &[0, 1, 3],
            libc::FUTEX_UNLOCK_PI | libc::FUTEX_TRYLOCK_PI => 2,
            libc::FUTEX_WAIT_REQUEUE_PI => 5,
            _ => all,
        },
        _ => all,
    };
    FIRST.get(..count).unwrap_or(FIRST)
}
