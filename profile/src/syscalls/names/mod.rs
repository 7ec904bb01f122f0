//! Names of flags and of other constants, by kind of argument.

// Tables are denser than rustfmt would have them.
#[rustfmt::skip]
pub mod file;
#[rustfmt::skip]
pub mod memory;
#[rustfmt::skip]
pub mod network;
#[rustfmt::skip]
pub mod process;
pub mod signal;
#[rustfmt::skip]
pub mod sync;

use std::fmt::Write as _;

use rz_syscalls::Kind;

/// The names of a set of constants: flags, numbers, or both in one word.
#[derive(Debug)]
pub struct Names {
    /// The bits that hold a number; the others are flags.
    number: u32,
    /// Names of numbers. Without bits that hold one, what to call it if no
    /// flag is set.
    numbers: &'static [(u32, &'static str)],
    /// Names of flags; those made of several bits come before these bits.
    flags: &'static [(u32, &'static str)],
}

/// A table of constants: those of libc by name, others with a value.
macro_rules! table {
    ($($name:ident $(= $value:expr)?),* $(,)?) => {
        &[$(($crate::syscalls::names::value!($name $(= $value)?), stringify!($name))),*]
    };
}

/// The value of one constant.
macro_rules! value {
    ($name:ident) => {
        libc::$name as u32
    };
    ($name:ident = $value:expr) => {
        $value
    };
}

pub(crate) use {table, value};

impl Names {
    /// Each name stands for a number.
    const fn numbers(numbers: &'static [(u32, &'static str)]) -> Self {
        Names { number: u32::MAX, numbers, flags: &[] }
    }

    /// Each name stands for a bit or several.
    const fn flags(flags: &'static [(u32, &'static str)]) -> Self {
        Names { number: 0, numbers: &[], flags }
    }

    /// Flags, and how it is called if there is none.
    const fn flags_or(
        none: &'static [(u32, &'static str)],
        flags: &'static [(u32, &'static str)],
    ) -> Self {
        Names { number: 0, numbers: none, flags }
    }

    /// A number in the bits `number`, flags in the others.
    const fn mixed(
        number: u32,
        numbers: &'static [(u32, &'static str)],
        flags: &'static [(u32, &'static str)],
    ) -> Self {
        Names { number, numbers, flags }
    }

    /// The name of a number.
    pub fn name_of(&self, number: u32) -> Option<&'static str> {
        Some(self.numbers.iter().find(|(value, _)| *value == number)?.1)
    }

    /// The bits of names as [`Names::write`] joins them, and of numbers among them; `None` if a
    /// name is not one of these.
    pub fn parse(&self, text: &str) -> Option<u32> {
        text.split('|').try_fold(0, |bits, name| {
            let named = self.numbers.iter().chain(self.flags).find(|(_, known)| *known == name);
            Some(bits | named.map(|(value, _)| *value).or_else(|| number(name))?)
        })
    }

    /// Writes names for `bits`, joined by `|`. What has no name is written as
    /// a number.
    pub fn write(&self, out: &mut String, bits: u32) {
        let mut separator = "";
        let mut part = |out: &mut String, text: std::fmt::Arguments| {
            let _ = write!(out, "{separator}{text}");
            separator = "|";
        };
        let number = bits & self.number;
        let mut rest = bits & !self.number;
        let has_number = self.number != 0 || bits == 0;
        match self.name_of(number).filter(|_| has_number) {
            Some(name) => part(out, format_args!("{name}")),
            None if number != 0 => part(out, format_args!("{number:#x}")),
            None => {}
        }
        for (flag, name) in self.flags {
            if *flag != 0 && rest & flag == *flag {
                rest &= !flag;
                part(out, format_args!("{name}"));
            }
        }
        if rest != 0 {
            part(out, format_args!("{rest:#x}"));
        }
        if separator.is_empty() {
            out.push('0');
        }
    }
}

/// A number as C writes it.
fn number(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    match text.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        Some(digits) => u32::from_str_radix(digits, 8).ok(),
        None => text.parse().ok(),
    }
}

/// The names for a kind of argument, if it alone decides.
pub fn of(kind: Kind) -> Option<&'static Names> {
    Some(match kind {
        Kind::AccessFlags => &file::ACCESS_FLAGS,
        Kind::AccessMode => &file::ACCESS_MODE,
        Kind::ArchPrctlOption => &process::ARCH_PRCTL,
        Kind::AtFlags => &file::AT_FLAGS,
        Kind::BpfCommand => &process::BPF,
        Kind::ClockFlags => &sync::CLOCK_FLAGS,
        Kind::ClockId => &sync::CLOCK,
        Kind::CloseRangeFlags => &file::CLOSE_RANGE,
        Kind::EpollFlags => &sync::EPOLL_FLAGS,
        Kind::EpollOperation => &sync::EPOLL_OPERATION,
        Kind::EventfdFlags => &sync::EVENTFD,
        Kind::FadviseAdvice => &file::FADVISE,
        Kind::FallocateMode => &file::FALLOCATE,
        Kind::FcntlCommand => &file::FCNTL,
        Kind::FdFlags | Kind::PipeFlags => &file::PIPE,
        Kind::FlockOperation => &file::FLOCK,
        Kind::GetrandomFlags => &file::GETRANDOM,
        Kind::InotifyFlags => &file::INOTIFY_FLAGS,
        Kind::InotifyMask => &file::INOTIFY_MASK,
        Kind::IpcCommand => &process::IPC_COMMAND,
        Kind::ItimerWhich => &sync::ITIMER,
        Kind::MadviseAdvice => &memory::MADVISE,
        Kind::MapFlags => &memory::MAP,
        Kind::MembarrierCommand => &memory::MEMBARRIER,
        Kind::MemfdFlags => &memory::MEMFD,
        Kind::MessageFlags => &network::MESSAGE,
        Kind::MlockallFlags => &memory::MLOCKALL,
        Kind::MountFlags => &file::MOUNT,
        Kind::MremapFlags => &memory::MREMAP,
        Kind::MsyncFlags => &memory::MSYNC,
        Kind::OpenFlags => &file::OPEN,
        Kind::PerfFlags => &process::PERF,
        Kind::PidfdFlags => &process::PIDFD,
        Kind::PrctlOption => &process::PRCTL,
        Kind::PriorityWhich => &process::PRIORITY,
        Kind::Protection => &memory::PROTECTION,
        Kind::PtraceRequest => &process::PTRACE,
        Kind::RenameFlags => &file::RENAME,
        Kind::Resource => &process::RESOURCE,
        Kind::RusageWho => &process::RUSAGE,
        Kind::RwFlags => &file::RW,
        Kind::SchedulingPolicy => &process::SCHEDULING,
        Kind::SeccompOperation => &process::SECCOMP,
        Kind::ShutdownHow => &network::SHUTDOWN,
        Kind::SigmaskHow => &signal::MASK_HOW,
        Kind::SignalfdFlags => &sync::SIGNALFD,
        Kind::SocketFamily => &network::FAMILY,
        Kind::SocketFlags => &network::SOCKET_FLAGS,
        Kind::SocketLevel => &network::LEVEL,
        Kind::SocketType => &network::SOCKET_TYPE,
        Kind::SpliceFlags => &file::SPLICE,
        Kind::StatxFlags => &file::STATX_FLAGS,
        Kind::StatxMask => &file::STATX_MASK,
        Kind::TimerfdFlags => &sync::TIMERFD,
        Kind::UmountFlags => &file::UMOUNT,
        Kind::UnlinkFlags => &file::UNLINK,
        Kind::UringEnterFlags => &sync::URING_ENTER,
        Kind::UringRegisterOperation => &sync::URING_REGISTER,
        Kind::WaitIdType => &process::WAIT_ID,
        Kind::WaitOptions => &process::WAIT,
        Kind::Whence => &file::WHENCE,
        Kind::XattrFlags => &file::XATTR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_bits() {
        let check =
            |text, bits| assert_eq!(of(Kind::OpenFlags).unwrap().parse(text), bits, "{text}");
        check("O_RDWR|O_CLOEXEC", Some(0o2000002));
        check("O_WRONLY|0x80000000|010", Some(0x8000_0009));
        check("0", Some(0));
        check("O_NONSENSE", None);
        check("", None);
    }

    #[test]
    fn bits_have_names_or_stay_numbers() {
        fn check(kind: Kind, bits: u32, expect: &str) {
            let mut out = String::new();
            let names = of(kind).unwrap();
            names.write(&mut out, bits);
            assert_eq!(out, expect, "{kind:?} {bits:#x}");
            assert_eq!(names.parse(expect), Some(bits), "{expect}");
        }
        check(Kind::OpenFlags, 0, "O_RDONLY");
        check(Kind::OpenFlags, 0o2000002, "O_RDWR|O_CLOEXEC");
        check(Kind::OpenFlags, 0o4010000, "O_RDONLY|O_SYNC");
        check(Kind::OpenFlags, 0o20200003, "O_ACCMODE|O_TMPFILE");
        check(Kind::OpenFlags, 0x8000_0001, "O_WRONLY|0x80000000");
        check(Kind::Protection, 0, "PROT_NONE");
        check(Kind::Protection, 0x13, "PROT_READ|PROT_WRITE|0x10");
        check(Kind::MapFlags, 0x22, "MAP_PRIVATE|MAP_ANONYMOUS");
        check(Kind::MapFlags, 0x20, "MAP_ANONYMOUS");
        check(Kind::AccessMode, 0, "F_OK");
        check(Kind::AccessMode, 5, "R_OK|X_OK");
        check(Kind::SocketType, 0x80801, "SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK");
        check(Kind::SocketType, 9, "0x9");
        check(Kind::MessageFlags, 0x4040, "MSG_DONTWAIT|MSG_NOSIGNAL");
        check(Kind::MessageFlags, 0, "0");
        check(Kind::Whence, 99, "0x63");
        check(Kind::Whence, 0, "SEEK_SET");
        check(Kind::PrctlOption, 0x53564d41, "PR_SET_VMA");
        check(Kind::UnlinkFlags, 0x200, "AT_REMOVEDIR");
        check(Kind::AccessFlags, 0x200, "AT_EACCESS");
        check(Kind::RusageWho, u32::MAX, "RUSAGE_CHILDREN");
        check(
            Kind::UringRegisterOperation,
            0x8000_0002,
            "IORING_REGISTER_FILES|IORING_REGISTER_USE_REGISTERED_RING",
        );
    }
}
