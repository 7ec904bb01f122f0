//! Says in words why a thread waited and which system call it made.

use std::borrow::Cow;

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

/// Why a thread did not run: the name of the call it was in, or such as
/// `preempted`, `page fault` and `disk in read`.
///
/// `throttled` is what a control group's quota took, `memory` what was spent
/// until there was some.
///
/// What has no user mode has no page faults: `kernel_thread` tells.
pub fn wait_reason(state: WaitState, call: Option<u32>, kernel_thread: bool) -> Cow<'static, str> {
    let place = match call {
        Some(number) => Some(call_name(number)),
        None if kernel_thread => None,
        None => Some("page fault".into()),
    };
    match (state, place) {
        (WaitState::Preempted, _) => "preempted".into(),
        (WaitState::Stopped, _) => "stopped".into(),
        (WaitState::Throttled, _) => "throttled".into(),
        (WaitState::Memory, Some(place)) => format!("memory in {place}").into(),
        (WaitState::Memory, None) => "memory".into(),
        (WaitState::Io, Some(place)) => format!("disk in {place}").into(),
        (WaitState::Io, None) => "disk".into(),
        (WaitState::Sleeping | WaitState::Blocked, Some(place)) => place,
        (WaitState::Sleeping, None) => "sleeping".into(),
        (WaitState::Blocked, None) => "blocked".into(),
        (_, Some(place)) if call.is_some() => place,
        _ => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        use WaitState::*;
        let check = |state, call, kernel, expected: &str| {
            assert_eq!(wait_reason(state, call, kernel), expected);
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
    fn names_of_errors_and_operations() {
        assert_eq!((error_name(2), error_name(4000)), ("ENOENT".into(), "errno 4000".into()));
        assert_eq!((uring_name(1), uring_name(999)), ("READV".into(), "operation 999".into()));
    }
}
