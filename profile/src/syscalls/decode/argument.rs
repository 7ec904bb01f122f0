//! One argument as text, by its kind.

use std::fmt::Write as _;

use rz_syscalls::{Kind, Syscall};

use super::data;
use crate::syscalls::address::Address;
use crate::syscalls::names::{self, file, network, process, signal, sync};
use crate::syscalls::{Invocation, text};

/// Writes argument `index`.
pub fn write<'n>(
    out: &mut String,
    call: &Invocation,
    syscall: &Syscall,
    index: usize,
    name_of: &impl Fn(i32) -> Option<&'n str>,
) {
    let value = call.args[index];
    let bits = value as u32;
    // An `int` before this one that says what this one means.
    let before = |back: usize| index.checked_sub(back).map_or(0, |at| call.args[at] as u32);
    let number = |out: &mut String, number: i128| {
        let _ = write!(out, "{number}");
    };
    match syscall.args[index].kind {
        Kind::Fd => fd(out, bits as i32, name_of),
        Kind::DirFd if bits as i32 == libc::AT_FDCWD => out.push_str("AT_FDCWD"),
        Kind::DirFd => fd(out, bits as i32, name_of),
        Kind::Path | Kind::Text => match call.blob(index) {
            Some(blob) => text::quote(out, blob.bytes, blob.cut),
            None => pointer(out, value),
        },
        Kind::SockaddrIn => address(out, call, index),
        Kind::SockaddrOut if call.success().is_some() => address(out, call, index),
        Kind::SockaddrOut => pointer(out, value),
        Kind::Pointer if data::write(out, call, index, name_of) => {}
        Kind::Pointer => pointer(out, value),
        Kind::Int => number(out, (bits as i32).into()),
        Kind::Id if bits == u32::MAX => out.push_str("-1"),
        // The mask of the operations with a bitset.
        Kind::Uint if syscall.name == "futex" && index == 5 && bits == u32::MAX => {
            out.push_str("FUTEX_BITSET_MATCH_ANY");
        }
        Kind::Uint if syscall.name == "rseq" && index == 1 => hex(out, bits.into()),
        Kind::Uint | Kind::Id => number(out, bits.into()),
        Kind::Long => number(out, (value as i64).into()),
        Kind::Size => number(out, value.into()),
        Kind::Hex => hex(out, value),
        Kind::HexInt => hex(out, bits.into()),
        Kind::Mode => mode(out, bits),
        Kind::Signal => signal::write(out, bits),
        Kind::CloneFlags => process::CLONE.write(out, bits),
        Kind::FcntlArgument => fcntl_argument(out, before(1) as i32, value),
        Kind::FutexOperation => futex_operation(out, bits),
        Kind::IoctlCommand => ioctl_command(out, bits),
        Kind::IpcFlags => {
            if bits & !0o777 != 0 {
                process::IPC_FLAGS.write(out, bits & !0o777);
                out.push('|');
            }
            mode(out, bits & 0o777);
        }
        Kind::IpcKey if bits == libc::IPC_PRIVATE as u32 => out.push_str("IPC_PRIVATE"),
        Kind::IpcKey => hex(out, bits.into()),
        Kind::SocketOption => match network::options(before(1)) {
            Some(names) => names.write(out, bits),
            None => number(out, (bits as i32).into()),
        },
        Kind::SocketProtocol => match network::protocols(before(2)) {
            Some(names) => names.write(out, bits),
            None => number(out, (bits as i32).into()),
        },
        Kind::FdFlags => file::PIPE.write(out, bits),
        kind => match names::of(kind) {
            Some(names) => names.write(out, bits),
            None => hex(out, value),
        },
    }
}

/// Writes a file descriptor and what it is, such as `3</etc/passwd>`.
pub fn fd<'n>(out: &mut String, number: i32, name_of: &impl Fn(i32) -> Option<&'n str>) {
    let _ = write!(out, "{number}");
    if let Some(name) = name_of(number) {
        let _ = write!(out, "<{name}>");
    }
}

fn address(out: &mut String, call: &Invocation, index: usize) {
    match call.blob(index).and_then(Address::parse) {
        Some(address) => address.write_fields(out),
        None => pointer(out, call.args[index]),
    }
}

pub fn pointer(out: &mut String, value: u64) {
    if value == 0 {
        out.push_str("NULL");
    } else {
        hex(out, value);
    }
}

pub fn hex(out: &mut String, value: u64) {
    let _ = if value == 0 { write!(out, "0") } else { write!(out, "{value:#x}") };
}

/// Writes the flags of `clone`, and the signal in their lowest byte.
pub fn clone_flags(out: &mut String, bits: u32) {
    let signal_number = bits & 0xff;
    if bits != signal_number || bits == 0 {
        process::CLONE.write(out, bits & !0xff);
    }
    if signal_number != 0 {
        if bits != signal_number {
            out.push('|');
        }
        signal::write(out, signal_number);
    }
}

/// Writes permissions, at least three digits, after the type if there is one.
pub fn mode(out: &mut String, bits: u32) {
    let file_type = bits & libc::S_IFMT;
    if file_type != 0 {
        file::FILE_TYPE.write(out, file_type);
        out.push('|');
    }
    let special = bits & (libc::S_ISUID | libc::S_ISGID | libc::S_ISVTX);
    if file_type != 0 && special != 0 {
        file::SET_ID.write(out, special);
        out.push('|');
    }
    let shown = if file_type == 0 { bits } else { bits & 0o777 };
    let _ = match shown {
        small @ ..0o100 => write!(out, "{small:03o}"),
        permissions => write!(out, "0{permissions:o}"),
    };
}

/// Writes what is made of flags as a number and by name.
pub fn with_flags(out: &mut String, value: i64, names: &names::Names) {
    let _ = write!(out, "{value:#x} (flags ");
    names.write(out, value as u32);
    out.push(')');
}

fn fcntl_argument(out: &mut String, command: i32, value: u64) {
    let bits = value as u32;
    match command {
        libc::F_SETFD => file::FD_FLAGS.write(out, bits),
        libc::F_SETFL => file::OPEN.write(out, bits),
        libc::F_ADD_SEALS => file::SEALS.write(out, bits),
        libc::F_SETLEASE => file::LEASE.write(out, bits),
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC | libc::F_SETPIPE_SZ | libc::F_SETOWN => {
            let _ = write!(out, "{}", bits as i32);
        }
        _ => pointer(out, value),
    }
}

fn futex_operation(out: &mut String, bits: u32) {
    let operation = bits & 0x7f;
    match sync::FUTEX.name_of(operation) {
        Some(name) => out.push_str(name),
        None => hex(out, operation.into()),
    }
    if bits & sync::FUTEX_PRIVATE != 0 {
        out.push_str("_PRIVATE");
    }
    let rest = bits & !(0x7f | sync::FUTEX_PRIVATE);
    if rest != 0 {
        out.push('|');
        sync::FUTEX_FLAGS.write(out, rest);
    }
}

/// Writes a command by name, or the parts that most commands are made of.
fn ioctl_command(out: &mut String, bits: u32) {
    if let Some(name) = file::IOCTL.name_of(bits) {
        out.push_str(name);
        return;
    }
    let direction = match bits >> 30 {
        0 => "_IOC_NONE",
        1 => "_IOC_WRITE",
        2 => "_IOC_READ",
        _ => "_IOC_READ|_IOC_WRITE",
    };
    let (size, group, number) = (bits >> 16 & 0x3fff, bits >> 8 & 0xff, bits & 0xff);
    let _ = write!(out, "_IOC({direction}, {group:#x}, {number:#x}, {size:#x})");
}
