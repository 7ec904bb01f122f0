//! Safe wrappers of the system calls on perf events.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use perf_event_open_sys::bindings::{PERF_FLAG_FD_CLOEXEC, perf_event_attr};
use perf_event_open_sys::ioctls;

/// Whose events to count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose {
    /// One thread's.
    Thread(u32),
    /// Everybody's.
    All,
}

/// Opens an event of one thread or of all, on one CPU.
pub(crate) fn open_event(attr: &perf_event_attr, whose: Whose, cpu: u32) -> io::Result<OwnedFd> {
    let pid = match whose {
        Whose::Thread(tid) => tid as i32,
        Whose::All => -1,
    };
    let mut attr = *attr;
    attr.size = size_of::<perf_event_attr>() as u32;
    // SAFETY: `attr` is a live, initialized perf_event_attr that says its own
    // size. The kernel writes at most the `size` field.
    let fd = unsafe {
        perf_event_open_sys::perf_event_open(
            &mut attr,
            pid,
            cpu as i32,
            -1,
            PERF_FLAG_FD_CLOEXEC.into(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, so it is open and
    // nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The number that samples of this event and its inherited copies carry.
pub(crate) fn event_id(event: &OwnedFd) -> io::Result<u64> {
    let mut id = 0;
    // SAFETY: the descriptor is open, and the kernel writes one u64 to `id`.
    check(unsafe { ioctls::ID(event.as_raw_fd(), &mut id) })?;
    Ok(id)
}

/// Lets the event write to the ring of `ring_owner`, which is on the same CPU.
pub(crate) fn redirect_output(event: &OwnedFd, ring_owner: &OwnedFd) -> io::Result<()> {
    // SAFETY: both descriptors are open; no memory is passed.
    check(unsafe { ioctls::SET_OUTPUT(event.as_raw_fd(), ring_owner.as_raw_fd()) })
}

/// Runs a program in the kernel each time the event is due.
pub(crate) fn set_program(event: &OwnedFd, program: &impl AsFd) -> io::Result<()> {
    // SAFETY: both descriptors are open; no memory is passed.
    check(unsafe { ioctls::SET_BPF(event.as_raw_fd(), program.as_fd().as_raw_fd() as u32) })
}

/// Starts counting, in inherited copies too.
pub(crate) fn enable(event: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is open; no memory is passed.
    check(unsafe { ioctls::ENABLE(event.as_raw_fd(), 0) })
}

/// Stops counting, in inherited copies too.
pub(crate) fn disable(event: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is open; no memory is passed.
    check(unsafe { ioctls::DISABLE(event.as_raw_fd(), 0) })
}

/// What the event and its inherited copies have counted.
pub(crate) fn read_count(event: &OwnedFd) -> io::Result<u64> {
    let mut bytes = [0; 8];
    match nix::unistd::read(event, &mut bytes)? {
        8 => Ok(u64::from_ne_bytes(bytes)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
