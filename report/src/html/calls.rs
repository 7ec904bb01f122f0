//! The last system calls, as columns: times as distances take much less room than rows as
//! `--json` has them.

use std::convert::Infallible;

use rz_profile::calls::CallList;
use serde::Serialize;

use super::LAST_CALLS;
use crate::views::list::{ListOptions, for_each_call};

/// What is known of each call, in order of their beginnings; what each is, is said where
/// `--json` has it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Calls {
    pid: Vec<Option<u32>>,
    tid: Vec<Option<u32>>,
    /// How long it began after the last one before of which that is known; the first one:
    /// since the start of the recording.
    after_ns: Vec<Option<i64>>,
    duration_ns: Vec<Option<u64>>,
    syscall: Vec<String>,
    text: Vec<String>,
    error: Vec<Option<String>>,
    /// Calls before these.
    left_out: u64,
}

impl Calls {
    /// The last ones of a list.
    pub(super) fn of(list: &CallList) -> Self {
        let mut calls = Calls { left_out: list.left_out, ..Calls::default() };
        let options = ListOptions { tail: Some(LAST_CALLS), ..ListOptions::default() };
        let mut before = 0;
        let Ok(()) = for_each_call(list, options, |call| {
            calls.pid.push(call.pid);
            calls.tid.push(call.tid);
            calls.after_ns.push(call.at_ns.map(|at| at.wrapping_sub(before) as i64));
            before = call.at_ns.unwrap_or(before);
            calls.duration_ns.push(call.duration_ns);
            calls.syscall.push(call.syscall.clone().into_owned());
            calls.text.push(call.text.clone());
            calls.error.push(call.error.clone().map(Into::into));
            Ok::<(), Infallible>(())
        });
        calls
    }
}
