//! The last system calls, as columns: times as distances take much less room than rows as
//! `--json` has them.

use std::convert::Infallible;

use rustc_hash::FxHashMap;
use rz_profile::calls::CallList;
use rz_profile::model::{EventKind, Nanos, Profile};
use serde::Serialize;

use super::LAST_CALLS;
use super::ends::Ends;
use super::series::Series;
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
    /// The number of the node that its stack ends in; none of calls whose stack was not
    /// recorded, or that are added up in slices of time.
    end: Vec<Option<usize>>,
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
        calls.end = vec![None; calls.text.len()];
        calls
    }

    /// Looks among the rows of the page for each call.
    pub(super) fn find_ends(&mut self, profile: &Profile, series: &[Series], ends: &Ends) {
        let mut at_ns: Nanos = 0;
        let mut index_of = FxHashMap::default();
        for (index, after) in self.after_ns.iter().enumerate() {
            let Some(after) = after else { continue };
            at_ns = at_ns.wrapping_add(*after as u64);
            if let (Some(pid), Some(tid)) = (self.pid[index], self.tid[index]) {
                index_of.insert((pid, tid, at_ns), index);
            }
        }
        let window_start_ns = profile.info.filter.window.map_or(0, |(from_ns, _)| from_ns);
        let recording_start_ns = profile.info.start_ns.saturating_sub(window_start_ns);
        let is_of_calls = |one: &&Series| profile.events[one.counted.0].kind == EventKind::Syscalls;
        for (thread, time_ns, end) in series.iter().filter(is_of_calls).flat_map(Series::moments) {
            let (thread, process) = profile.thread(thread);
            let at_ns = time_ns.wrapping_sub(recording_start_ns);
            if let Some(&index) = index_of.get(&(process.pid, thread.tid, at_ns)) {
                self.end[index] = Some(ends.number(end));
            }
        }
    }
}
