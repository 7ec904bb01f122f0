//! User stacks of threads that still wait in the end, read by the recorder
//! where programs cannot (before Linux 5.18).
//!
//! A stack counts only if its thread has not run between the record and the
//! end of reading, which the kernel's count of its runs tells.

use std::fs;
use std::io::IoSliceMut;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::layout::{Unread, add_stack, unread_stack};

/// The record with its user stack, if that is still to be read.
pub(super) fn with_stack(record: &[u8], limit: u64) -> Option<Vec<u8>> {
    let unread = unread_stack(record)?;
    let length = usize::try_from(limit).unwrap_or(usize::MAX).min(unread.length);
    let mut stack = vec![0; length];
    let read = read(&unread, &mut stack);
    let has_run = runs(unread.pid, unread.tid) != Some(unread.runs);
    stack.truncate(if has_run { 0 } else { read });
    Some(add_stack(record, &stack, has_run))
}

/// Reads as much as there is; returns how much.
fn read(unread: &Unread, stack: &mut [u8]) -> usize {
    let remote = RemoteIoVec { base: unread.from as usize, len: stack.len() };
    let pid = Pid::from_raw(unread.pid as i32);
    // What cannot be read is not there: the stack ends before.
    process_vm_readv(pid, &mut [IoSliceMut::new(stack)], &[remote]).unwrap_or(0)
}

/// How often a thread has run.
fn runs(pid: u32, tid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    text.split_ascii_whitespace().nth(2)?.parse().ok()
}
