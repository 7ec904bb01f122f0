//! Lists system calls in lines like those of `strace -f -tt -T -y`.
//!
//! Calls come in order of their beginnings, but what file descriptors are
//! changes when calls end. A line whose result is a new descriptor therefore
//! waits for the end of its call, and those after it wait with it:
//!
//! ```text
//! 1 accept(4) ──────────────────► = 7<TCP:…>     written last, shown first
//! 2   read(5</a>) ─► = 3                         waits for line 1
//! 3          close(5</a>) ─► = 0                 waits for line 1
//! ```

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::{self, Write};

use rz_profile::calls::{Call, CallList, FileEvent, call_errno, makes_fd, may_change_files};
use rz_profile::reason::{call_name, error_name, never_returns};
use rz_profile::syscalls::files::{FdTable, FdTables, Span};
use rz_profile::syscalls::{Blob, Invocation, Outcome, decode};
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

/// Lines that wait for a call's end, at most, and their bytes. Beyond that the
/// first one is written without the name of its new descriptor.
const MAX_WAITING: usize = 1 << 16;
const MAX_WAITING_BYTES: usize = 64 << 20;

/// Length at which paths are cut.
const CUT_AT: usize = 255;

/// The process of threads that are not known.
const NO_PID: u32 = u32::MAX;

/// What is listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Only the last so many calls.
    pub tail: Option<usize>,
    /// Only calls that failed.
    pub errors: bool,
}

/// Every call that is listed, in order of their beginnings. They are gone
/// through as they are written, as there may be very many.
#[derive(Debug)]
pub struct CallsPage<'l> {
    list: &'l CallList,
    options: ListOptions,
}

impl<'l> CallsPage<'l> {
    /// The calls of a list.
    pub fn new(list: &'l CallList, options: ListOptions) -> Self {
        CallsPage { list, options }
    }
}

/// What is written of a list of calls.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "CallsPage")]
#[allow(dead_code, reason = "says what `CallsPage` is written as")]
struct Written {
    /// In order of their beginnings.
    calls: Vec<ShownCall>,
    /// Calls that were recorded and are left out, as there are too many.
    left_out: u64,
}

#[cfg(test)]
impl schemars::JsonSchema for CallsPage<'_> {
    fn schema_name() -> Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

impl Serialize for CallsPage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Calls<'p>(&'p CallsPage<'p>);
        impl Serialize for Calls<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut calls = serializer.serialize_seq(None)?;
                for_each_call(self.0.list, self.0.options, |call| calls.serialize_element(call))?;
                calls.end()
            }
        }
        let mut page = serializer.serialize_struct("CallsPage", 2)?;
        page.serialize_field("calls", &Calls(self))?;
        page.serialize_field("left_out", &self.list.left_out)?;
        page.end()
    }
}

/// A call as it is shown.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownCall {
    /// The thread; `null` if it is not known.
    pub(crate) tid: Option<u32>,
    /// Its process.
    pub(crate) pid: Option<u32>,
    /// When it began, since the Unix epoch.
    start_unix_ns: u64,
    /// When it began, since the start of the recording, as `--from` counts;
    /// `null` if it had begun before.
    pub(crate) at_ns: Option<u64>,
    /// How long it took; `null` if it was not over at the end.
    pub(crate) duration_ns: Option<u64>,
    /// The call's name.
    pub(crate) syscall: Cow<'static, str>,
    /// With its arguments and its result, as `strace` has them.
    pub(crate) text: String,
    /// What it returned; `null` if it did not.
    result: Option<i64>,
    /// The error's name, if it failed.
    pub(crate) error: Option<Cow<'static, str>>,
    /// Calls that it stands for: more than 1 where only one in so many was
    /// recorded.
    stands_for: u64,
    /// Whether it had begun before it was seen.
    late: bool,
}

/// Writes a line per call. Times of day are those of UTC.
pub fn write_list(out: &mut dyn Write, list: &CallList, options: ListOptions) -> io::Result<()> {
    for_each_call(list, options, |call| {
        let tid = call.tid.map_or_else(|| "?".to_owned(), |tid| tid.to_string());
        let time = time_of_day(call.start_unix_ns);
        write!(out, "[pid {tid}] {time} {}", call.text)?;
        if let Some(ns) = call.duration_ns {
            write!(out, " <{}.{:09}>", ns / 1_000_000_000, ns % 1_000_000_000)?;
        }
        if call.stands_for > 1 {
            write!(out, " (1 of {})", call.stands_for)?;
        }
        writeln!(out)
    })
}

/// Goes through the calls that are listed.
pub(crate) fn for_each_call<E>(
    list: &CallList,
    options: ListOptions,
    mut take: impl FnMut(&ShownCall) -> Result<(), E>,
) -> Result<(), E> {
    let is_shown =
        |call: &&Call| list.is_selected(call) && (!options.errors || call_errno(call).is_some());
    let mut skipped = match options.tail {
        Some(tail) => list.calls.iter().filter(is_shown).count().saturating_sub(tail),
        None => 0,
    };
    let mut replay = Replay::new(list);
    let mut lines = Lines::default();
    for call in &list.calls {
        replay.advance(call.start_ns, &mut lines);
        let mut shown = is_shown(&call);
        if shown && skipped > 0 {
            skipped -= 1;
            shown = false;
        }
        replay.enter(call, shown.then_some(&mut lines));
        lines.take_finished(&mut take)?;
    }
    replay.advance(u64::MAX, &mut lines);
    lines.take_finished(&mut take)
}

/// Lines in order, some of which are not finished.
#[derive(Default)]
struct Lines {
    queue: VecDeque<Line>,
    /// Number of the first line of the queue.
    first: u64,
    /// What the queue holds, in bytes.
    bytes: usize,
}

struct Line {
    call: ShownCall,
    /// The result without the name of the descriptor that it waits for.
    bare_result: Option<String>,
}

impl Line {
    fn bytes(&self) -> usize {
        let bare_result = self.bare_result.as_ref().map_or(0, String::len);
        size_of::<Line>() + self.call.text.len() + bare_result
    }
}

impl Lines {
    /// Adds a line, and returns its number.
    fn push(&mut self, line: Line) -> u64 {
        self.bytes += line.bytes();
        self.queue.push_back(line);
        self.first + self.queue.len() as u64 - 1
    }

    /// Writes the result of a line that waits for it.
    fn finish(&mut self, number: u64, write_result: impl FnOnce(&mut String)) {
        let index = number.checked_sub(self.first);
        let Some(line) = index.and_then(|index| self.queue.get_mut(index as usize)) else { return };
        self.bytes -= line.bytes();
        if line.bare_result.take().is_some() {
            write_result(&mut line.call.text);
        }
        self.bytes += line.bytes();
    }

    /// Hands over the lines up to the first one that is not finished.
    fn take_finished<E>(
        &mut self,
        take: &mut impl FnMut(&ShownCall) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let fits = self.queue.len() <= MAX_WAITING && self.bytes <= MAX_WAITING_BYTES;
            let is_next = |line: &mut Line| !fits || line.bare_result.is_none();
            let Some(mut line) = self.queue.pop_front_if(is_next) else { return Ok(()) };
            self.bytes -= line.bytes();
            self.first += 1;
            line.call.text += line.bare_result.take().as_deref().unwrap_or_default();
            take(&line.call)?;
        }
    }
}

/// A call that has begun and not ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entered {
    left_ns: u64,
    /// Index into the list.
    index: usize,
    /// The line that waits for it.
    line: Option<u64>,
}

/// Follows file descriptors through a list of calls.
struct Replay<'l> {
    list: &'l CallList,
    /// Index of the next call.
    next: usize,
    /// Index of the next change.
    next_change: usize,
    entered: BinaryHeap<Reverse<Entered>>,
    tables: FdTables,
}

impl<'l> Replay<'l> {
    fn new(list: &'l CallList) -> Self {
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
        Replay { list, next: 0, next_change: 0, entered: BinaryHeap::new(), tables }
    }

    /// Takes in what happened up to a time, and finishes lines.
    fn advance(&mut self, until_ns: u64, lines: &mut Lines) {
        loop {
            let left = self.entered.peek().map(|Reverse(call)| call.left_ns);
            let change = self.list.changes.get(self.next_change);
            match (left, change) {
                (left, Some(change))
                    if change.time_ns <= until_ns && left.is_none_or(|l| change.time_ns <= l) =>
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
                    self.leave(entered, lines);
                }
                _ => return,
            }
        }
    }

    /// A call ends.
    fn leave(&mut self, entered: Entered, lines: &mut Lines) {
        let recorded = &self.list.calls[entered.index];
        let (call, pid) = (self.call(recorded), self.pid(recorded));
        self.apply(recorded, &call, entered.left_ns);
        if let Some(line) = entered.line {
            lines.finish(line, |text| decode::result(text, &call, |fd| self.name_of(pid, fd)));
        }
    }

    /// The next call begins; gets a line in `lines`.
    fn enter(&mut self, recorded: &Call, lines: Option<&mut Lines>) {
        let index = self.next;
        self.next += 1;
        let call = self.call(recorded);
        let waits =
            !recorded.seen.unfinished && call_errno(recorded).is_none() && makes_fd(call.number);
        let line = lines.map(|lines| {
            let mut shown = self.shown(recorded, &call);
            let mut result = String::new();
            // Only a new descriptor has a name, which it has not yet.
            decode::result(&mut result, &call, |_| None);
            let bare_result = if waits {
                Some(result)
            } else {
                shown.text += &result;
                None
            };
            lines.push(Line { call: shown, bare_result })
        });
        if !recorded.seen.unfinished {
            let left_ns = recorded.start_ns.saturating_add(recorded.duration_ns);
            self.entered.push(Reverse(Entered { left_ns, index, line }));
        } else if never_returns(call.number) {
            self.apply(recorded, &call, recorded.start_ns);
        }
    }

    /// Takes in what a call did to file descriptors.
    fn apply(&mut self, recorded: &Call, call: &Invocation, left_ns: u64) {
        if !self.list.files_are_complete {
        } else if recorded.count > 1 && may_change_files(recorded.number) {
            // Others like it were not recorded.
            self.tables.forget();
        } else {
            let span = Span { entered_ns: recorded.start_ns, left_ns };
            self.tables.apply(self.pid(recorded), call, span);
        }
    }

    fn pid(&self, recorded: &Call) -> u32 {
        self.list.thread(recorded).map_or(NO_PID, |thread| thread.pid)
    }

    fn name_of(&self, pid: u32, fd: i32) -> Option<&str> {
        self.tables.table(pid)?.name(fd)
    }

    /// The call as the decoder takes it.
    fn call(&self, recorded: &Call) -> Invocation<'l> {
        let list = self.list;
        let blob = |id: Option<u32>| {
            let bytes = list.text(id?)?;
            Some(if bytes.len() == CUT_AT { Blob::cut(bytes) } else { Blob::whole(bytes) })
        };
        Invocation {
            number: recorded.number,
            args: recorded.args,
            outcome: match recorded.seen.unfinished {
                true => Outcome::Unfinished,
                false => Outcome::Returned(recorded.result),
            },
            blobs: recorded.texts.map(blob),
        }
    }

    /// A call with its arguments, without its result.
    fn shown(&self, recorded: &Call, call: &Invocation) -> ShownCall {
        let list = self.list;
        let thread = list.thread(recorded);
        let (late, unfinished) = (recorded.seen.late, recorded.seen.unfinished);
        let mut text = String::new();
        if late {
            text += "<... ";
        }
        // What began before the recording may have been seen only at its end.
        if late && recorded.args == [0; 6] {
            text += &call_name(recorded.number);
        } else {
            let pid = self.pid(recorded);
            decode::arguments(&mut text, call, |fd| self.name_of(pid, fd));
        }
        match (late, unfinished) {
            (true, true) => text.push('>'),
            (true, false) => text += " resumed>",
            _ => {}
        }
        ShownCall {
            tid: thread.map(|thread| thread.tid),
            pid: thread.map(|thread| thread.pid).filter(|&pid| pid > 0),
            start_unix_ns: list.unix_ns(recorded.start_ns),
            at_ns: (!late).then(|| list.since_start(recorded.start_ns)),
            duration_ns: (!unfinished).then_some(recorded.duration_ns),
            syscall: call_name(recorded.number),
            text,
            result: (!unfinished).then_some(recorded.result),
            error: call_errno(recorded).map(error_name),
            stands_for: recorded.count.max(1),
            late,
        }
    }
}

/// Hours, minutes, seconds and microseconds.
fn time_of_day(unix_ns: u64) -> String {
    let us = unix_ns / 1_000;
    let seconds = us / 1_000_000;
    let (hours, minutes) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, us % 1_000_000)
}
