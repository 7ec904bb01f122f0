//! Which arguments of calls lead to buffers and structures, for `rec --syscall-data`.

use crate::call::Syscall;

/// Most arguments of one call of which there is data.
pub const MAX_DATA: usize = 3;

/// An argument that leads to a buffer or a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// Index of the argument.
    pub arg: usize,
    /// What it points to.
    pub what: Pointee,
    /// How many of these there are.
    pub count: Count,
    /// When it is worth a look.
    pub when: When,
}

/// What an argument points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pointee {
    /// Bytes.
    Bytes,
    /// An `int`.
    Int,
    /// Two `int`s: new file descriptors.
    FdPair,
    /// The state of a process that has ended.
    WaitStatus,
    /// `struct stat`
    Stat,
    /// `struct statx`
    Statx,
    /// A set of signals, as the kernel takes it.
    SignalSet,
    /// `struct sigaction`, as the kernel takes it.
    SignalAction,
    /// `struct timespec`
    Timespec,
    /// `struct rlimit64`
    Rlimit,
    /// `struct pollfd`
    PollFd,
    /// `struct epoll_event`
    EpollEvent,
    /// `struct iovec`, and what each points to.
    Iovec,
    /// `struct msghdr`, its address and its buffers.
    Message,
    /// Words of a command line.
    Words,
    /// Words of an environment, of which there is only their number.
    Environment,
}

impl Pointee {
    /// Bytes of one.
    pub fn size(self) -> usize {
        match self {
            Pointee::Bytes => 1,
            Pointee::Int | Pointee::WaitStatus => 4,
            Pointee::FdPair | Pointee::PollFd | Pointee::Words | Pointee::Environment => 8,
            Pointee::SignalSet => 8,
            Pointee::EpollEvent => 12,
            Pointee::Timespec | Pointee::Rlimit | Pointee::Iovec => 16,
            Pointee::SignalAction => 32,
            Pointee::Message => 56,
            Pointee::Stat => 144,
            Pointee::Statx => 256,
        }
    }
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// One.
    One,
    /// As many as an argument says.
    Argument(usize),
    /// As many as the call returns.
    Result,
}

/// When what an argument points to is worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always: the caller has put it there.
    Always,
    /// If the call succeeded, and has put it there.
    Succeeded,
    /// If it failed: what is left of a time.
    Failed,
}

impl Syscall {
    /// The arguments of which there is data, in order, at most [`MAX_DATA`].
    pub fn data(&self) -> &'static [Data] {
        data_of(self.name)
    }
}

const fn data(arg: usize, what: Pointee, count: Count, when: When) -> Data {
    Data { arg, what, count, when }
}

/// A structure that the caller has filled in.
const fn given(arg: usize, what: Pointee) -> Data {
    data(arg, what, Count::One, When::Always)
}

/// A structure that the kernel has filled in.
const fn filled(arg: usize, what: Pointee) -> Data {
    data(arg, what, Count::One, When::Succeeded)
}

/// Bytes that the kernel has filled in, as many as it returns.
const fn received(arg: usize) -> Data {
    data(arg, Pointee::Bytes, Count::Result, When::Succeeded)
}

/// Bytes, as many as the argument behind them says.
const fn sent(arg: usize) -> Data {
    data(arg, Pointee::Bytes, Count::Argument(arg + 1), When::Always)
}

fn data_of(name: &str) -> &'static [Data] {
    use Count::{Argument, Result};
    use Pointee::*;
    use When::{Always, Failed, Succeeded};
    match name {
        "read" | "pread64" | "readlink" => const { &[received(1)] },
        "getrandom" | "getcwd" => const { &[received(0)] },
        "readlinkat" => const { &[received(2)] },
        "write" | "pwrite64" | "sendto" => const { &[sent(1)] },
        "recvfrom" => const { &[received(1), filled(5, Int)] },
        "readv" | "preadv" | "preadv2" => const { &[data(1, Iovec, Argument(2), Succeeded)] },
        "writev" | "pwritev" | "pwritev2" => const { &[data(1, Iovec, Argument(2), Always)] },
        "sendmsg" => const { &[given(1, Message)] },
        "recvmsg" => const { &[filled(1, Message)] },
        "accept" | "accept4" | "getsockname" | "getpeername" => const { &[filled(2, Int)] },
        "pipe" | "pipe2" => const { &[filled(0, FdPair)] },
        "socketpair" => const { &[filled(3, FdPair)] },
        "stat" | "fstat" | "lstat" => const { &[filled(1, Stat)] },
        "newfstatat" => const { &[filled(2, Stat)] },
        "statx" => const { &[filled(4, Statx)] },
        "rt_sigprocmask" => const { &[given(1, SignalSet), filled(2, SignalSet)] },
        "rt_sigaction" => const { &[given(1, SignalAction), filled(2, SignalAction)] },
        "rt_sigpending" => const { &[filled(0, SignalSet)] },
        "nanosleep" => const { &[given(0, Timespec), data(1, Timespec, Count::One, Failed)] },
        "clock_nanosleep" => const { &[given(2, Timespec), data(3, Timespec, Count::One, Failed)] },
        "clock_gettime" | "clock_getres" => const { &[filled(1, Timespec)] },
        "clock_settime" => const { &[given(1, Timespec)] },
        "futex" => const { &[given(3, Timespec)] },
        "poll" => const { &[data(0, PollFd, Argument(1), Always)] },
        "ppoll" => const { &[data(0, PollFd, Argument(1), Always), given(2, Timespec)] },
        "epoll_ctl" => const { &[given(3, EpollEvent)] },
        "epoll_wait" | "epoll_pwait" => const { &[data(1, EpollEvent, Result, Succeeded)] },
        "epoll_pwait2" => const { &[data(1, EpollEvent, Result, Succeeded), given(3, Timespec)] },
        "execve" => const { &[given(1, Words), given(2, Environment)] },
        "execveat" => const { &[given(2, Words), given(3, Environment)] },
        "wait4" => const { &[filled(1, WaitStatus)] },
        "getrlimit" => const { &[filled(1, Rlimit)] },
        "setrlimit" => const { &[given(1, Rlimit)] },
        "prlimit64" => const { &[given(2, Rlimit), filled(3, Rlimit)] },
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, all};

    #[test]
    fn data_is_behind_pointers_and_counts_are_numbers() {
        let mut found = 0;
        for call in all() {
            assert!(call.data().len() <= MAX_DATA, "{}", call.name);
            for data in call.data() {
                found += 1;
                assert_eq!(call.args[data.arg].kind, Kind::Pointer, "{} {data:?}", call.name);
                if let Count::Argument(count) = data.count {
                    let kind = call.args[count].kind;
                    let is_count = matches!(kind, Kind::Size | Kind::Uint | Kind::Int | Kind::Hex);
                    assert!(is_count, "{} {data:?}: {kind:?}", call.name);
                }
            }
        }
        assert!(found > 50, "{found}");
    }
}
