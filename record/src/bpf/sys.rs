//! Safe wrappers of the system calls for probes that aya has none for.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::Function;
use aya_obj::generated::{bpf_cmd, bpf_prog_type};

/// A probe at the beginning of a function, and at its end if the program wants
/// it to be: `BPF_TRACE_UPROBE_SESSION`, which aya's bindings do not know.
const UPROBE_SESSION: u32 = 57;
/// Enough of the verifier's words to end in what it refuses.
const LOG_LEN: usize = 1 << 20;

/// The part of `bpf_attr` that brings in types.
#[repr(C)]
#[derive(Default)]
struct LoadTypes {
    types: u64,
    log: u64,
    length: u32,
    log_length: u32,
    log_level: u32,
    unused: u32,
}

/// The part of `bpf_attr` that brings in a program.
#[repr(C)]
#[derive(Default)]
struct LoadProgram {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_length: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    types: u32,
    function_length: u32,
    functions: u64,
    function_count: u32,
    unused: u32,
}

/// The part of `bpf_attr` that makes a link of many probes.
#[repr(C)]
#[derive(Default)]
struct UprobeLink {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    reference_counters: u64,
    cookies: u64,
    count: u32,
    uprobe_flags: u32,
    pid: u32,
    unused: u32,
}

/// Places for probes in a file.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Offsets in the file.
    pub(super) offsets: Vec<u64>,
    /// What the program gets to know of each.
    pub(super) cookies: Vec<u64>,
}

/// Gives the kernel the types that a program uses.
pub(super) fn load_types(types: &[u8]) -> io::Result<OwnedFd> {
    let mut attr =
        LoadTypes { types: types.as_ptr() as u64, length: len(types)?, ..LoadTypes::default() };
    // SAFETY: `types` outlives the call, and its length is said.
    unsafe { bpf(bpf_cmd::BPF_BTF_LOAD, &mut attr) }
}

/// Has the kernel check a program for sessions of probes and take it in.
pub(super) fn load_session_program(
    function: &Function,
    license: &CStr,
    types: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    let load = |log: &mut [u8]| {
        let functions = function.func_info.func_info_bytes();
        let mut attr = LoadProgram {
            kind: bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32,
            instruction_count: len(&function.instructions)?,
            instructions: function.instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            attach_type: UPROBE_SESSION,
            types: types.as_raw_fd() as u32,
            function_length: function.func_info_rec_size as u32,
            functions: functions.as_ptr() as u64,
            function_count: (functions.len() / function.func_info_rec_size.max(1)) as u32,
            ..LoadProgram::default()
        };
        if !log.is_empty() {
            attr.log_level = 1;
            attr.log = log.as_mut_ptr() as u64;
            attr.log_length = len(log)?;
        }
        // SAFETY: all that is pointed to outlives the call and is as long as
        // it is said to be; the kernel writes to `log` only.
        unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
    };
    load(&mut []).map_err(|error| {
        let mut log = vec![0; LOG_LEN];
        let _ = load(&mut log);
        let text = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
        log::debug!("{text}");
        match text.lines().rfind(|line| !line.starts_with("processed ")) {
            Some(reason) => io::Error::new(error.kind(), format!("{error}: {reason}")),
            None => error,
        }
    })
}

/// Sets probes in all processes that map the file at `path`, or in one of
/// them. They are taken away when what is returned is closed.
pub(super) fn attach_session(
    program: BorrowedFd<'_>,
    path: &CStr,
    places: &Places,
    pid: Option<u32>,
) -> io::Result<OwnedFd> {
    if places.offsets.len() != places.cookies.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut link = UprobeLink {
        program: program.as_raw_fd() as u32,
        attach_type: UPROBE_SESSION,
        path: path.as_ptr() as u64,
        offsets: places.offsets.as_ptr() as u64,
        cookies: places.cookies.as_ptr() as u64,
        count: len(&places.offsets)?,
        pid: pid.unwrap_or(0),
        ..UprobeLink::default()
    };
    // SAFETY: the path ends in a zero, both lists have `count` numbers, and all
    // of them outlive the call.
    unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut link) }
}

fn len<T>(items: &[T]) -> io::Result<u32> {
    items.len().try_into().map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Makes a call that returns a new descriptor.
///
/// # Safety
///
/// `attr` must begin as `bpf_attr` does for `command`, and all that it points
/// to must live and be as long as it says.
unsafe fn bpf<T>(command: bpf_cmd, attr: &mut T) -> io::Result<OwnedFd> {
    let command = command as libc::c_long;
    // SAFETY: by this function's contract; the kernel is told how long it is.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, so it is open and
    // nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
