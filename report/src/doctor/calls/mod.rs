//! What single system calls tell, gathered in one pass over all of them.

pub(super) mod connections;
pub(super) mod event_loop;
pub(super) mod files;
pub(super) mod lookups;
pub(super) mod polling;

use std::collections::BTreeMap;

use rz_profile::calls::Call;
use rz_profile::model::{EventKind, FrameKind, FunctionId};
use rz_profile::reason::{Reason, call_name};

use super::observed::{ByFunction, Observed};
use crate::model::open_files::OpenFiles;

use connections::Connections;
use event_loop::Rounds;
use files::FileUse;
use lookups::Lookups;
use polling::Polls;

/// Files, addresses and threads that are followed, at most: a program that has more of
/// them does nothing often with one.
const MOST: usize = 1 << 16;

/// What was gathered.
#[derive(Debug, Default)]
pub(super) struct SeenCalls {
    /// By process and path.
    files: BTreeMap<(u32, String), FileUse>,
    /// By process and address.
    connections: BTreeMap<(u32, String), Connections>,
    /// Sockets that are connected, by process and descriptor: where to and since when.
    open: BTreeMap<(u32, i32), (String, u64)>,
    /// By thread, with its process, and call.
    polls: BTreeMap<(u32, u32, u32), Polls>,
    /// By process.
    lookups: BTreeMap<u32, Lookups>,
    /// By process and thread.
    rounds: BTreeMap<(u32, u32), Rounds>,
    /// Whether not all calls are there.
    is_sampled: bool,
}

/// Calls, added up.
#[derive(Debug, Clone, Copy, Default)]
struct Io {
    calls: u64,
    bytes: u64,
    ns: u64,
}

impl Io {
    fn add(&mut self, call: &Call) {
        // A call may stand for others.
        let times = call.count.max(1);
        self.calls = self.calls.saturating_add(times);
        self.ns = self.ns.saturating_add(call.duration_ns.saturating_mul(times));
        let bytes = u64::try_from(call.result).unwrap_or(0);
        self.bytes = self.bytes.saturating_add(bytes.saturating_mul(times));
    }

    fn mean_bytes(&self) -> u64 {
        self.bytes.checked_div(self.calls).unwrap_or(0)
    }
}

impl SeenCalls {
    /// Goes through the calls of a recording, if it has any.
    pub(super) fn of(observed: &Observed<'_>) -> Self {
        let mut seen = SeenCalls::default();
        let Some(list) = observed.calls else { return seen };
        seen.is_sampled = list.left_out > 0;
        let mut files = OpenFiles::new(list);
        for call in &list.calls {
            files.advance(call.start_ns, |_, _, ()| {});
            if list.is_selected(call)
                && !call.seen.unfinished
                && let Some(thread) = list.thread(call)
            {
                seen.is_sampled |= call.count > 1;
                seen.take(&files, call, (thread.pid, thread.tid), &call_name(call.number));
            }
            files.enter(());
        }
        seen.end_rounds();
        seen
    }

    fn take(&mut self, files: &OpenFiles<'_, ()>, call: &Call, of: (u32, u32), name: &str) {
        self.take_file(files, call, of.0, name);
        self.take_connection(files, call, of.0, name);
        self.take_poll(call, of, name);
        self.take_lookup(files, call, of.0, name);
        self.take_round(call, of, name);
    }

    /// Why what was gathered is not all that happened; `None` if it is.
    fn but(&self) -> Option<String> {
        self.is_sampled.then(|| {
            "not every call was recorded one by one: each stands for several of its thread"
                .to_owned()
        })
    }
}

/// The function from which a process made calls of these names for most of their time.
fn caller(observed: &Observed<'_>, pid: u32, names: &[&str]) -> Option<(FunctionId, u32)> {
    let mut callers = ByFunction::default();
    for sample in observed.samples(EventKind::Syscalls) {
        let reason = observed.profile.locations_of(sample.stack).next().map(|at| at.kind);
        let Some(FrameKind::Reason(Reason::Syscall(number))) = reason else { continue };
        if !names.contains(&&*call_name(number))
            || observed.profile.thread(sample.thread).1.pid != pid
        {
            continue;
        }
        if let Some(frame) = observed.own(observed.user_frames(sample.stack)) {
            callers.add(frame, sample.weight);
        }
    }
    callers.heaviest().map(|(function, line, _)| (function, line))
}

/// `, in save (store.c:31)`, or nothing if it is not known.
fn in_caller(observed: &Observed<'_>, caller: Option<(FunctionId, u32)>) -> String {
    caller.map_or_else(String::new, |(function, line)| {
        format!(", in {}", observed.place(function, line))
    })
}

/// Commands about such calls of a process.
fn next(observed: &Observed<'_>, pid: u32, caller: Option<(FunctionId, u32)>) -> Vec<String> {
    let list = ["--syscalls", "--list", "--tail", "50", "--process", &pid.to_string()];
    let mut commands = vec![observed.command(&list)];
    if let Some((function, _)) = caller {
        let focus = observed.focus(function);
        commands.push(observed.command(&["--syscalls", "--focus", &focus]));
    }
    commands
}
