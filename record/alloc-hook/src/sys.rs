//! System calls, made without libc: they do not touch `errno`, nor anything
//! that a program may have put in libc's place.

use crate::{arch, seccomp};

/// The kernel's answer if it is an error: the errno.
pub(crate) type Errno = u32;

/// Makes a system call, unless the program's own filters would punish it.
///
/// # Safety
///
/// As the call says; it must not unmap or change memory that Rust relies on.
#[inline]
unsafe fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    if !seccomp::allows(number) {
        return Err(libc::EPERM as Errno);
    }
    // SAFETY: as the caller vouches for.
    let result = unsafe { arch::system_call(number, arguments) };
    if (-4095..0).contains(&result) { Err(-result as Errno) } else { Ok(result as usize) }
}

/// The thread's id; 0 if it cannot be asked for.
pub(crate) fn gettid() -> u32 {
    // SAFETY: touches no memory.
    unsafe { call(libc::SYS_gettid, [0; 6]) }.unwrap_or(0) as u32
}

/// The process's id; 0 if it cannot be asked for.
pub(crate) fn getpid() -> u32 {
    // SAFETY: touches no memory.
    unsafe { call(libc::SYS_getpid, [0; 6]) }.unwrap_or(0) as u32
}

/// Inode of the process's pid namespace; `None` where there is no `/proc`.
pub(crate) fn pid_namespace() -> Option<u64> {
    let path = c"/proc/self/ns/pid".as_ptr() as usize;
    // Device and inode are the first two of its 18 words.
    let mut status = [0_u64; size_of::<libc::stat>() / 8];
    let arguments = [libc::AT_FDCWD as usize, path, status.as_mut_ptr() as usize, 0, 0, 0];
    // SAFETY: the path ends with 0, and the kernel writes a struct stat.
    unsafe { call(libc::SYS_newfstatat, arguments) }.ok().map(|_| status[1])
}

/// Whether there is no process of that id.
pub(crate) fn is_gone(pid: u32) -> bool {
    // SAFETY: signal 0 is not sent.
    let sent = unsafe { call(libc::SYS_kill, [pid as usize, 0, 0, 0, 0, 0]) };
    sent == Err(libc::ESRCH as Errno)
}

/// Maps `length` bytes of a file from `offset` on, shared with others.
/// `path` ends with 0.
pub(crate) fn map_file(path: &[u8], offset: usize, length: usize) -> Result<*mut u8, Errno> {
    if path.last() != Some(&0) {
        return Err(libc::EINVAL as Errno);
    }
    // What is opened must be closed as well.
    if ![libc::SYS_mmap, libc::SYS_close].into_iter().all(seccomp::allows) {
        return Err(libc::EPERM as Errno);
    }
    let flags = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
    let open = [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags, 0, 0, 0];
    // SAFETY: the path ends with 0.
    let file = unsafe { call(libc::SYS_openat, open) }?;
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let map = [0, length, protection, libc::MAP_SHARED as usize, file, offset];
    // SAFETY: new memory, at an address that the kernel chooses.
    let address = unsafe { call(libc::SYS_mmap, map) };
    // SAFETY: the file was opened above.
    let _ = unsafe { call(libc::SYS_close, [file, 0, 0, 0, 0, 0]) };
    address.map(|address| address as *mut u8)
}

/// Maps `length` bytes of new memory, all zero.
pub(crate) fn map_memory(length: usize) -> Result<*mut u8, Errno> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    let map = [0, length, protection, flags, usize::MAX, 0];
    // SAFETY: new memory, at an address that the kernel chooses.
    unsafe { call(libc::SYS_mmap, map) }.map(|address| address as *mut u8)
}

/// Unmaps memory.
///
/// # Safety
///
/// Nothing refers to it any more.
pub(crate) unsafe fn unmap(address: *mut u8, length: usize) {
    // SAFETY: as the caller vouches for.
    let _ = unsafe { call(libc::SYS_munmap, [address as usize, length, 0, 0, 0, 0]) };
}

/// Has a child find memory all zero after a fork.
///
/// # Safety
///
/// The pages are private memory, and may be all zero at any time.
pub(crate) unsafe fn wipe_on_fork(address: *const u8, length: usize) -> Result<(), Errno> {
    let advice = libc::MADV_WIPEONFORK as usize;
    // SAFETY: as the caller vouches for.
    unsafe { call(libc::SYS_madvise, [address as usize, length, advice, 0, 0, 0]) }.map(|_| ())
}

/// Whether the 8 bytes at `address`, and so all of their page, can be read.
///
/// The kernel reads a signal set before it looks at what to do with it, and
/// knows of no such thing as this asks for.
pub(crate) fn is_readable(address: usize) -> bool {
    ask_to_read(address) == libc::EINVAL as Errno
}

/// Whether it is sure that the 8 bytes at `address` cannot be read.
pub(crate) fn is_missing(address: usize) -> bool {
    ask_to_read(address) == libc::EFAULT as Errno
}

/// How the kernel fails to do something with the 8 bytes at `address`.
fn ask_to_read(address: usize) -> Errno {
    let arguments = [usize::MAX, address, 0, 8, 0, 0];
    // SAFETY: reads memory if it can, and changes nothing.
    unsafe { call(libc::SYS_rt_sigprocmask, arguments) }.err().unwrap_or(0)
}

/// Whether the thread may run on the stack for signal handlers.
pub(crate) fn is_on_signal_stack() -> bool {
    let mut stack = [0_usize; 3];
    let arguments = [0, stack.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes a stack_t, which is of three words.
    let result = unsafe { call(libc::SYS_sigaltstack, arguments) };
    // The flags are the lower half of the second word.
    result.is_err() || stack[1] as i32 & libc::SS_ONSTACK != 0
}

/// Ends the process; for what cannot happen.
#[cfg(not(test))]
pub(crate) fn stop() -> ! {
    loop {
        // SAFETY: does not return.
        let _ = unsafe { call(libc::SYS_exit_group, [127, 0, 0, 0, 0, 0]) };
    }
}
