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
use std::collections::VecDeque;
use std::io::{self, Write};

use rz_profile::calls::{Call, CallList, call_errno, makes_fd};
use rz_profile::reason::{call_name, error_name};
use rz_profile::syscalls::decode;
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::model::open_files::OpenFiles;
use crate::render::format::time_of_day;

/// Lines that wait for a call's end, at most, and their bytes. Beyond that the
/// first one is written without the name of its new descriptor.
const MAX_WAITING: usize = 1 << 16;
const MAX_WAITING_BYTES: usize = 64 << 20;

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
    let mut files = OpenFiles::new(list);
    let mut lines = Lines::default();
    for call in &list.calls {
        files.advance(call.start_ns, |files, call, line| finish(files, call, line, &mut lines));
        let mut shown = is_shown(&call);
        if shown && skipped > 0 {
            skipped -= 1;
            shown = false;
        }
        let line = shown.then(|| lines.push(begun(list, &files, call)));
        files.enter(line);
        lines.take_finished(&mut take)?;
    }
    files.advance(u64::MAX, |files, call, line| finish(files, call, line, &mut lines));
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

/// A finished call gives its line the result that it waits for.
fn finish(files: &OpenFiles<'_, Option<u64>>, call: &Call, line: Option<u64>, lines: &mut Lines) {
    let Some(line) = line else { return };
    let invocation = files.invocation(call);
    lines.finish(line, |text| decode::result(text, &invocation, |fd| files.name_of(call, fd)));
}

/// The line of a call that begins.
fn begun(list: &CallList, files: &OpenFiles<'_, Option<u64>>, recorded: &Call) -> Line {
    let call = files.invocation(recorded);
    let waits =
        !recorded.seen.unfinished && call_errno(recorded).is_none() && makes_fd(call.number);
    let mut shown = shown(list, files, recorded);
    let mut result = String::new();
    // Only a new descriptor has a name, which it has not yet.
    decode::result(&mut result, &call, |_| None);
    let bare_result = if waits {
        Some(result)
    } else {
        shown.text += &result;
        None
    };
    Line { call: shown, bare_result }
}

/// A call with its arguments, without its result.
fn shown(list: &CallList, files: &OpenFiles<'_, Option<u64>>, recorded: &Call) -> ShownCall {
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
        let call = files.invocation(recorded);
        decode::arguments(&mut text, &call, |fd| files.name_of(recorded, fd));
    }
    match (late, unfinished) {
        (true, true) => text.push('>'),
        (true, false) => text += " resumed>",
        (false, _) => {}
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
