//! Why a thread waited and which system call it made, and the words for it.

use std::borrow::Cow;
use std::fmt;

use rz_format::WaitState;

/// Added to the numbers of calls by the 32-bit interface.
const COMPAT: u32 = 1 << 30;

/// No kernel numbers its calls from here on. Larger numbers can only come from
/// a damaged file, and are one: what is made from a trace must not grow with
/// what was made up in it.
const MAX_NUMBER: u32 = 4096;

/// The number of all calls that cannot be.
pub const UNKNOWN_CALL: u32 = u32::MAX;

/// A call's number, which is [`UNKNOWN_CALL`] if there can be no such call.
pub fn checked_number(number: u32) -> u32 {
    if number & !COMPAT < MAX_NUMBER { number } else { UNKNOWN_CALL }
}

/// The name of a call, such as `futex`; `syscall_0x3e8` for one that has none
/// here.
pub fn call_name(number: u32) -> Cow<'static, str> {
    match (rz_syscalls::name(number), checked_number(number)) {
        (Some(name), _) => name.into(),
        (None, UNKNOWN_CALL) => "unknown".into(),
        (None, number) => format!("syscall_{number:#x}").into(),
    }
}

/// Whether a call never returns.
pub fn never_returns(number: u32) -> bool {
    matches!(rz_syscalls::name(number), Some("exit" | "exit_group"))
}

/// Whether a call returned an error: a result below those may be an address.
pub fn is_error(result: i64) -> bool {
    (-4095..0).contains(&result)
}

/// The name of an error that a call returned, such as `ENOENT`.
pub fn error_name(errno: u32) -> Cow<'static, str> {
    rz_syscalls::errno::name(errno).map_or_else(|| format!("errno {errno}").into(), Cow::from)
}

/// The name of what an io_uring was asked to do, such as `READV`.
pub fn uring_name(operation: u32) -> Cow<'static, str> {
    let name = u8::try_from(operation).ok().and_then(rz_syscalls::uring::name);
    name.map_or_else(|| format!("operation {operation}").into(), Cow::from)
}

/// Why a stack was taken other than by a clock of the CPU. Reasons that have
/// the same words are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The thread did not run.
    OffCpu(WaitReason),
    /// It made this system call.
    Syscall(u32),
}

/// Why a thread did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitReason {
    /// It had to make way for another one.
    Preempted,
    /// It was stopped, as by a signal or a debugger.
    Stopped,
    /// The quota of its control group was used up.
    Throttled,
    /// Another thread had the lock of the interpreter.
    Gil,
    /// It waited for memory.
    Memory(Option<Place>),
    /// It waited for a disk.
    Disk(Option<Place>),
    /// It waited for what it had asked for there.
    In(Place),
    /// It slept, in a thread of the kernel's.
    Sleeping,
    /// It could not be woken by signals, in a thread of the kernel's.
    Blocked,
    /// Nothing tells.
    Unknown,
}

/// Where a thread had entered the kernel when it waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A system call.
    Syscall(u32),
    /// A page that was not there.
    PageFault,
}

impl Reason {
    /// The reason as a frame is called by it, such as `[off-CPU: futex]`.
    pub fn frame_name(self) -> String {
        match self {
            Reason::OffCpu(_) => format!("[off-CPU: {self}]"),
            Reason::Syscall(_) => format!("[syscall: {self}]"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reason::OffCpu(why) => why.fmt(f),
            Reason::Syscall(number) => f.write_str(&call_name(number)),
        }
    }
}

impl WaitReason {
    /// The reason for a wait that began in this state, in this system call.
    ///
    /// What has no user mode has no page faults: `kernel_thread` tells.
    pub fn new(state: WaitState, call: Option<u32>, kernel_thread: bool) -> Self {
        let place = match call.map(checked_number) {
            Some(number) => Some(Place::Syscall(number)),
            None if kernel_thread => None,
            None => Some(Place::PageFault),
        };
        match (state, place) {
            (WaitState::Preempted, _) => WaitReason::Preempted,
            (WaitState::Stopped, _) => WaitReason::Stopped,
            (WaitState::Throttled, _) => WaitReason::Throttled,
            (WaitState::Gil, _) => WaitReason::Gil,
            (WaitState::Memory, place) => WaitReason::Memory(place),
            (WaitState::Io, place) => WaitReason::Disk(place),
            (_, Some(Place::Syscall(UNKNOWN_CALL))) => WaitReason::Unknown,
            (_, Some(place @ Place::Syscall(_))) => WaitReason::In(place),
            (WaitState::Sleeping | WaitState::Blocked, Some(place)) => WaitReason::In(place),
            (WaitState::Sleeping, None) => WaitReason::Sleeping,
            (WaitState::Blocked, None) => WaitReason::Blocked,
            (WaitState::Unknown, _) => WaitReason::Unknown,
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitReason::Preempted => f.write_str("preempted"),
            WaitReason::Stopped => f.write_str("stopped"),
            WaitReason::Throttled => f.write_str("throttled"),
            WaitReason::Gil => f.write_str("GIL"),
            WaitReason::Memory(None) => f.write_str("memory"),
            WaitReason::Memory(Some(place)) => write!(f, "memory in {place}"),
            WaitReason::Disk(None) => f.write_str("disk"),
            WaitReason::Disk(Some(place)) => write!(f, "disk in {place}"),
            WaitReason::In(place) => place.fmt(f),
            WaitReason::Sleeping => f.write_str("sleeping"),
            WaitReason::Blocked => f.write_str("blocked"),
            WaitReason::Unknown => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Syscall(number) => f.write_str(&call_name(*number)),
            Place::PageFault => f.write_str("page fault"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn reasons() {
        use WaitState::*;
        let check = |state, call, kernel, expected: &str| {
            assert_eq!(WaitReason::new(state, call, kernel).to_string(), expected);
        };
        check(Preempted, Some(202), false, "preempted");
        check(Sleeping, Some(202), false, "futex");
        check(Io, Some(0), false, "disk in read");
        check(Io, None, false, "disk in page fault");
        check(Blocked, None, false, "page fault");
        check(Blocked, None, true, "blocked");
        check(Io, None, true, "disk");
        check(Stopped, Some(0), false, "stopped");
        check(Throttled, Some(202), false, "throttled");
        check(Gil, Some(202), false, "GIL");
        check(Memory, Some(0), false, "memory in read");
        check(Memory, None, false, "memory in page fault");
        check(Memory, None, true, "memory");
        check(Unknown, Some(0), false, "read");
        check(Unknown, None, false, "unknown");
        check(Sleeping, Some(4000), false, "syscall_0xfa0");
        check(Sleeping, Some(COMPAT + 3), false, "syscall_0x40000003");
        check(Sleeping, Some(u32::MAX), false, "unknown");
    }

    #[test]
    fn what_has_the_same_words_is_the_same() {
        use WaitState::*;
        let states = [Preempted, Sleeping, Io, Blocked, Stopped, Throttled, Memory, Gil, Unknown];
        // More than all numbers of calls, some of which are none.
        let calls = (0..MAX_NUMBER + 2).chain([COMPAT + 3, u32::MAX]).map(Some).chain([None]);
        let mut by_words = BTreeMap::new();
        for call in calls {
            for (state, kernel) in states.into_iter().flat_map(|s| [(s, false), (s, true)]) {
                let reason = WaitReason::new(state, call, kernel);
                assert_eq!(*by_words.entry(reason.to_string()).or_insert(reason), reason);
            }
        }
        assert!(by_words.len() > MAX_NUMBER as usize);
    }

    #[test]
    fn frames_are_called_by_reasons() {
        let futex = WaitReason::new(WaitState::Sleeping, Some(202), false);
        assert_eq!(Reason::OffCpu(futex).frame_name(), "[off-CPU: futex]");
        assert_eq!(Reason::Syscall(0).frame_name(), "[syscall: read]");
    }

    #[test]
    fn names_of_errors_and_operations() {
        assert_eq!((error_name(2), error_name(4000)), ("ENOENT".into(), "errno 4000".into()));
        assert_eq!((uring_name(1), uring_name(999)), ("READV".into(), "operation 999".into()));
    }
}
