//! What arguments point to as text, as far as it was copied.

use std::fmt::Write as _;

use rz_syscalls::{Count, Data, Pointee};

use super::argument::{fd, hex, mode, pointer};
use crate::syscalls::address::Address;
use crate::syscalls::names::{file, network, signal, sync};
use crate::syscalls::{Blob, Invocation, text};

/// Elements that are shown, at most, of words and of arrays: as strace does.
const MAX_ELEMENTS: usize = 32;
/// Buffers that are copied of one call, at most.
const MAX_BUFFERS: usize = 16;

/// The flag with which a C library says where handlers return to.
const SA_RESTORER: u32 = 0x0400_0000;

/// Writes what argument `index` points to. Returns whether that was copied.
pub(super) fn write<'n>(
    out: &mut String,
    call: &Invocation,
    index: usize,
    name_of: &impl Fn(i32) -> Option<&'n str>,
) -> bool {
    let before = out.len();
    let written = data_of(call, index).and_then(|data| write_data(out, call, data, name_of));
    if written.is_none() {
        out.truncate(before);
    }
    written.is_some()
}

/// Writes what `poll` has found, or that it was nothing, behind its result.
pub(super) fn write_found<'n>(
    out: &mut String,
    call: &Invocation,
    result: i64,
    name_of: &impl Fn(i32) -> Option<&'n str>,
) {
    if result == 0 {
        out.push_str(" (Timeout)");
        return;
    }
    let Some(polled) = call.piece(0, 0) else { return };
    let found = elements(polled, Pointee::PollFd).filter(|polled| revents(polled) != Some(0));
    out.push_str(" (");
    list(out, found, |out, polled| {
        out.push_str("{fd=");
        fd(out, i32_at(polled, 0)?, name_of);
        out.push_str(", revents=");
        sync::POLL_EVENTS.write(out, revents(polled)?);
        out.push('}');
        Some(())
    });
    out.push(')');
}

fn data_of(call: &Invocation, index: usize) -> Option<&'static Data> {
    let syscall = rz_syscalls::by_number(call.number)?;
    syscall.data().iter().find(|data| data.arg == index)
}

fn write_data<'n>(
    out: &mut String,
    call: &Invocation,
    data: &Data,
    name_of: &impl Fn(i32) -> Option<&'n str>,
) -> Option<()> {
    let arg = data.arg as u8;
    let count = match data.count {
        Count::One => 1,
        Count::Argument(index) if data.what == Pointee::Bytes => call.args[index],
        Count::Argument(index) => u64::from(call.args[index] as u32),
        Count::Result => u64::try_from(call.success()?).ok()?,
    };
    let bytes = call.piece(arg, 0);
    match data.what {
        Pointee::Words => return words(out, call, arg),
        Pointee::Environment => {
            let count = u32_at(bytes?, 0)?;
            pointer(out, call.args[data.arg]);
            let _ = write!(out, " /* {count} var{} */", if count == 1 { "" } else { "s" });
        }
        Pointee::Bytes => write_bytes(out, call, bytes?, count),
        Pointee::Iovec => buffers(out, call, arg, bytes?, 1, count),
        Pointee::Message => return message(out, call, arg, bytes?),
        Pointee::PollFd | Pointee::EpollEvent => {
            let all = elements(bytes?, data.what);
            let is_whole = all.clone().count() as u64 >= count;
            let is_list = data.count != Count::One;
            let write = |out: &mut String, bytes: &[u8]| structure(out, data.what, bytes, name_of);
            match all.clone().next() {
                Some(only) if !is_list => return write(out, only),
                _ => list(out, all, write),
            }
            if !is_whole && is_list {
                out.truncate(out.len() - 1);
                out.push_str(", ...]");
            }
        }
        Pointee::WaitStatus if call.success() == Some(0) => return None,
        Pointee::Int
        | Pointee::FdPair
        | Pointee::WaitStatus
        | Pointee::Stat
        | Pointee::Statx
        | Pointee::SignalSet
        | Pointee::SignalAction
        | Pointee::Timespec
        | Pointee::Rlimit => return structure(out, data.what, bytes?, name_of),
    }
    Some(())
}

/// Writes one structure.
fn structure<'n>(
    out: &mut String,
    what: Pointee,
    bytes: &[u8],
    name_of: &impl Fn(i32) -> Option<&'n str>,
) -> Option<()> {
    let _ = match what {
        Pointee::Int => write!(out, "[{}]", i32_at(bytes, 0)?),
        Pointee::FdPair => write!(out, "[{}, {}]", i32_at(bytes, 0)?, i32_at(bytes, 4)?),
        Pointee::Timespec => {
            let (seconds, ns) = (u64_at(bytes, 0)? as i64, u64_at(bytes, 8)? as i64);
            write!(out, "{{tv_sec={seconds}, tv_nsec={ns}}}")
        }
        Pointee::Rlimit => {
            out.push_str("{rlim_cur=");
            limit(out, u64_at(bytes, 0)?);
            out.push_str(", rlim_max=");
            limit(out, u64_at(bytes, 8)?);
            out.push('}');
            Ok(())
        }
        Pointee::PollFd => {
            out.push_str("{fd=");
            fd(out, i32_at(bytes, 0)?, name_of);
            out.push_str(", events=");
            sync::POLL_EVENTS.write(out, u16_at(bytes, 4)?.into());
            out.push('}');
            Ok(())
        }
        Pointee::EpollEvent => {
            out.push_str("{events=");
            sync::EPOLL_EVENTS.write(out, u32_at(bytes, 0)?);
            let data = u64_at(bytes, 4)?;
            write!(out, ", data={{u32={}, u64={data}}}}}", data as u32)
        }
        Pointee::Stat => return stat(out, bytes),
        Pointee::Statx => return statx(out, bytes),
        Pointee::SignalSet => {
            signal::write_set(out, u64_at(bytes, 0)?);
            Ok(())
        }
        Pointee::SignalAction => return signal_action(out, bytes),
        Pointee::WaitStatus => {
            wait_status(out, u32_at(bytes, 0)?);
            Ok(())
        }
        Pointee::Bytes
        | Pointee::Iovec
        | Pointee::Message
        | Pointee::Words
        | Pointee::Environment => return None,
    };
    Some(())
}

/// Bytes that were read or written, of `total`.
fn write_bytes(out: &mut String, call: &Invocation, bytes: &[u8], total: u64) {
    let shown = &bytes[..bytes.len().min(usize::try_from(total).unwrap_or(usize::MAX))];
    let cut = (shown.len() as u64) < total;
    match rz_syscalls::name(call.number) {
        Some("getrandom") => {
            out.push('"');
            for byte in shown {
                let _ = write!(out, "\\x{byte:02x}");
            }
            out.push_str(if cut { "\"..." } else { "\"" });
        }
        // The zero behind the path counts.
        Some("getcwd") => match shown.split_last() {
            Some((0, path)) => text::quote(out, path, false),
            _ => text::quote(out, shown, cut),
        },
        _ => text::quote(out, shown, cut),
    }
}

/// Words, each of which ends with a zero if it was not cut, and has one byte too many if
/// it was.
fn words(out: &mut String, call: &Invocation, arg: u8) -> Option<()> {
    call.piece(arg, 1)?;
    let all = (1..).map_while(|element| call.piece(arg, element));
    let is_long = all.clone().nth(MAX_ELEMENTS).is_some();
    list(out, all.take(MAX_ELEMENTS), |out, word| {
        let (last, shown) = word.split_last()?;
        text::quote(out, shown, *last != 0);
        Some(())
    });
    if is_long {
        out.truncate(out.len() - 1);
        out.push_str(", ...]");
    }
    Some(())
}

/// An array of `struct iovec`; `first` is the element of the first buffer.
fn buffers(out: &mut String, call: &Invocation, arg: u8, array: &[u8], first: u8, count: u64) {
    let reads =
        matches!(rz_syscalls::name(call.number), Some("readv" | "preadv" | "preadv2" | "recvmsg"));
    let success = call.success().and_then(|result| u64::try_from(result).ok());
    let mut left = if reads { success.unwrap_or(0) } else { u64::MAX };
    let mut element = first;
    list(out, elements(array, Pointee::Iovec).take(MAX_BUFFERS), |out, vector| {
        let (base, length) = (u64_at(vector, 0)?, u64_at(vector, 8)?);
        let filled = length.min(left);
        left -= filled;
        out.push_str("{iov_base=");
        match call.piece(arg, element) {
            Some(bytes) => text::quote(out, bytes, (bytes.len() as u64) < filled),
            None if reads && filled == 0 && base != 0 => out.push_str("\"\""),
            None => pointer(out, base),
        }
        element += 1;
        let _ = write!(out, ", iov_len={length}}}");
        Some(())
    });
    if count > MAX_BUFFERS as u64 {
        out.truncate(out.len() - 1);
        out.push_str(", ...]");
    }
}

/// `struct msghdr`
fn message(out: &mut String, call: &Invocation, arg: u8, bytes: &[u8]) -> Option<()> {
    let (name, control) = (u64_at(bytes, 0)?, u64_at(bytes, 32)?);
    out.push_str("{msg_name=");
    match call.piece(arg, 1).filter(|name| !name.is_empty()) {
        Some(name) => Address::parse(Blob::whole(name))?.write_fields(out),
        None => pointer(out, name),
    }
    let _ = write!(out, ", msg_namelen={}, msg_iov=", u32_at(bytes, 8)?);
    let count = u64_at(bytes, 24)?;
    match call.piece(arg, 2) {
        Some(array) => buffers(out, call, arg, array, 3, count),
        None => pointer(out, u64_at(bytes, 16)?),
    }
    let _ = write!(out, ", msg_iovlen={count}");
    let control_bytes = u64_at(bytes, 40)?;
    if control_bytes > 0 {
        out.push_str(", msg_control=");
        pointer(out, control);
    }
    let _ = write!(out, ", msg_controllen={control_bytes}, msg_flags=");
    network::MESSAGE.write(out, u32_at(bytes, 48)?);
    out.push('}');
    Some(())
}

/// The fields of `struct stat`, as x86-64 lays them out, that strace shows.
fn stat(out: &mut String, bytes: &[u8]) -> Option<()> {
    let bits = u32_at(bytes, 24)?;
    out.push_str("{st_mode=");
    mode(out, bits);
    if matches!(bits & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) {
        let device = u64_at(bytes, 40)?;
        out.push_str(", st_rdev=makedev(");
        hex(out, libc::major(device).into());
        out.push_str(", ");
        hex(out, libc::minor(device).into());
        out.push(')');
    } else {
        let _ = write!(out, ", st_size={}", u64_at(bytes, 48)? as i64);
    }
    out.push_str(", ...}");
    Some(())
}

/// The fields of `struct statx` that strace shows.
fn statx(out: &mut String, bytes: &[u8]) -> Option<()> {
    out.push_str("{stx_mask=");
    file::STATX_MASK.write(out, u32_at(bytes, 0)?);
    out.push_str(", stx_attributes=");
    file::STATX_ATTRIBUTES.write(out, u64_at(bytes, 8)? as u32);
    out.push_str(", stx_mode=");
    mode(out, u16_at(bytes, 28)?.into());
    let _ = write!(out, ", stx_size={}, ...}}", u64_at(bytes, 40)?);
    Some(())
}

/// `struct sigaction`, as the kernel takes it.
fn signal_action(out: &mut String, bytes: &[u8]) -> Option<()> {
    let (handler, flags) = (u64_at(bytes, 0)? as usize, u64_at(bytes, 8)?);
    out.push_str("{sa_handler=");
    match handler {
        libc::SIG_DFL => out.push_str("SIG_DFL"),
        libc::SIG_IGN => out.push_str("SIG_IGN"),
        _ => pointer(out, handler as u64),
    }
    out.push_str(", sa_mask=");
    signal::write_set(out, u64_at(bytes, 24)?);
    out.push_str(", sa_flags=");
    signal::ACTION.write(out, flags as u32);
    // Of the sign, which C libraries let grow.
    let high = flags & !u64::from(u32::MAX);
    if high != 0 {
        let _ = write!(out, "|{high:#x}");
    }
    if flags as u32 & SA_RESTORER != 0 {
        out.push_str(", sa_restorer=");
        pointer(out, u64_at(bytes, 16)?);
    }
    out.push('}');
    Some(())
}

fn limit(out: &mut String, value: u64) {
    let _ = match value {
        u64::MAX => write!(out, "RLIM64_INFINITY"),
        value if value > 1024 && value.is_multiple_of(1024) => write!(out, "{}*1024", value / 1024),
        value => write!(out, "{value}"),
    };
}

/// How a process has ended or stopped.
fn wait_status(out: &mut String, status: u32) {
    let (low, high) = (status & 0x7f, status >> 8 & 0xff);
    let _ = match (status & 0xff, low) {
        (_, 0) => write!(out, "[{{WIFEXITED(s) && WEXITSTATUS(s) == {high}}}]"),
        _ if status == 0xffff => write!(out, "[{{WIFCONTINUED(s)}}]"),
        (0x7f, _) => {
            out.push_str("[{WIFSTOPPED(s) && WSTOPSIG(s) == ");
            signal::write(out, high);
            write!(out, "}}]")
        }
        _ => {
            out.push_str("[{WIFSIGNALED(s) && WTERMSIG(s) == ");
            signal::write(out, low);
            let core = if status & 0x80 != 0 { " && WCOREDUMP(s)" } else { "" };
            write!(out, "{core}}}]")
        }
    };
}

/// Writes a list, up to the first element that makes no sense.
fn list<'d>(
    out: &mut String,
    all: impl Iterator<Item = &'d [u8]>,
    mut write: impl FnMut(&mut String, &'d [u8]) -> Option<()>,
) {
    out.push('[');
    for (index, bytes) in all.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        if write(out, bytes).is_none() {
            break;
        }
    }
    out.push(']');
}

fn elements(bytes: &[u8], what: Pointee) -> std::slice::ChunksExact<'_, u8> {
    bytes.chunks_exact(what.size())
}

fn revents(polled: &[u8]) -> Option<u32> {
    Some(u16_at(polled, 6)?.into())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(u32_at(bytes, at)? as i32)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
