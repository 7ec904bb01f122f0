//! What file descriptors are, while the calls of a list are gone through in order of
//! their beginnings. What descriptors are changes when calls end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rz_profile::calls::{Call, CallList, FileEvent, may_change_files};
use rz_profile::reason::never_returns;
use rz_profile::syscalls::files::{FdTable, FdTables, Span};
use rz_profile::syscalls::{Blob, Invocation, Outcome};

/// Length at which paths are cut.
const CUT_AT: usize = 255;

/// The process of threads that are not known.
const NO_PID: u32 = u32::MAX;

/// A call that has begun and not ended, and what is to be known when it does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entered<T> {
    left_ns: u64,
    /// Index into the list.
    index: usize,
    tag: T,
}

/// Follows file descriptors through a list of calls, each of which may have a tag.
pub(crate) struct OpenFiles<'l, T> {
    list: &'l CallList,
    /// Index of the next call.
    next: usize,
    /// Index of the next change.
    next_change: usize,
    entered: BinaryHeap<Reverse<Entered<T>>>,
    tables: FdTables,
}

impl<'l, T: Copy + Ord> OpenFiles<'l, T> {
    /// What was open at the start.
    pub(crate) fn new(list: &'l CallList) -> Self {
        let mut tables = FdTables::default();
        if list.files_are_complete {
            let mut of_process: BTreeMap<u32, FdTable> = BTreeMap::new();
            for (pid, path) in &list.directories {
                of_process.insert(*pid, FdTable::new(Some(path.as_bytes())));
            }
            for (pid, file) in &list.open_files {
                if let Ok(fd) = i32::try_from(file.fd) {
                    let closes = match file.close_on_exec {
                        1 => Some(true),
                        2 => Some(false),
                        _ => None,
                    };
                    of_process.entry(*pid).or_default().add(fd, file.target.as_bytes(), closes);
                }
            }
            of_process.into_iter().for_each(|(pid, table)| tables.start(pid, table));
        }
        OpenFiles { list, next: 0, next_change: 0, entered: BinaryHeap::new(), tables }
    }

    /// Takes in what happened up to a time; of each call that ended, what it did is known
    /// when `left` gets it.
    pub(crate) fn advance(&mut self, until_ns: u64, mut left: impl FnMut(&Self, &Call, T)) {
        loop {
            let ended = self.entered.peek().map(|Reverse(call)| call.left_ns);
            let change = self.list.changes.get(self.next_change);
            match (ended, change) {
                (ended, Some(change))
                    if change.time_ns <= until_ns
                        && ended.is_none_or(|at| change.time_ns <= at) =>
                {
                    self.next_change += 1;
                    match change.what {
                        FileEvent::Lost => self.tables.forget(),
                        FileEvent::Forked { parent, child, shares } => {
                            self.tables.fork(parent, child, shares);
                        }
                        FileEvent::Exited { pid } => self.tables.exit(pid),
                    }
                }
                (Some(left_ns), _) if left_ns <= until_ns => {
                    let Some(Reverse(entered)) = self.entered.pop() else { return };
                    let call = &self.list.calls[entered.index];
                    self.apply(call, entered.left_ns);
                    left(self, call, entered.tag);
                }
                _ => return,
            }
        }
    }

    /// The next call begins.
    pub(crate) fn enter(&mut self, tag: T) {
        let index = self.next;
        self.next += 1;
        let call = &self.list.calls[index];
        if !call.seen.unfinished {
            let left_ns = call.start_ns.saturating_add(call.duration_ns);
            self.entered.push(Reverse(Entered { left_ns, index, tag }));
        } else if never_returns(call.number) {
            self.apply(call, call.start_ns);
        }
    }

    /// Takes in what a call did to file descriptors.
    fn apply(&mut self, call: &Call, left_ns: u64) {
        if !self.list.files_are_complete {
        } else if call.count > 1 && may_change_files(call.number) {
            // Others like it were not recorded.
            self.tables.forget();
        } else {
            let span = Span { entered_ns: call.start_ns, left_ns };
            self.tables.apply(self.pid(call), &self.invocation(call), span);
        }
    }

    /// What a descriptor of the process that makes a call is.
    pub(crate) fn name_of(&self, call: &Call, fd: i32) -> Option<&str> {
        self.tables.table(self.pid(call))?.name(fd)
    }

    fn pid(&self, call: &Call) -> u32 {
        self.list.thread(call).map_or(NO_PID, |thread| thread.pid)
    }

    /// The call as the decoder takes it.
    pub(crate) fn invocation(&self, call: &Call) -> Invocation<'l> {
        let list = self.list;
        let blob = |id: Option<u32>| {
            let bytes = list.text(id?)?;
            Some(if bytes.len() == CUT_AT { Blob::cut(bytes) } else { Blob::whole(bytes) })
        };
        Invocation {
            number: call.number,
            args: call.args,
            outcome: match call.seen.unfinished {
                true => Outcome::Unfinished,
                false => Outcome::Returned(call.result),
            },
            blobs: call.texts.map(blob),
            data: list.data(call),
        }
    }
}
