//! Loads calls of functions one by one, in order of time. Of very many, only the first or
//! the last ones are kept.

use std::collections::BTreeMap;
use std::path::Path;

use rustc_hash::FxHashMap;
use rz_format::{BlockHeader, BlockKind, Call, TextId};

use super::call_list::{CallOptions, CallThread, most_kept, threads};
use super::pass::{CallRows, Defined, Pass, Sink};
use super::prelude::Prelude;
use super::selection::Selection;
use super::texts::Texts;
use super::{LoadError, info};
use crate::filter::Filter;
use crate::model::ProbedFunction;

/// The calls of functions of a trace.
#[derive(Debug, Default)]
pub struct FunctionCallList {
    /// The calls in order of their beginnings; of calls that begin at once, those come first
    /// that end last.
    pub calls: Vec<Call>,
    /// The functions, by number.
    pub functions: BTreeMap<u32, ProbedFunction>,
    /// Calls that were recorded and are not kept, as there are too many.
    pub left_out: u64,
    /// Things a reader should know, one sentence each.
    pub notes: Vec<String>,
    threads: FxHashMap<u32, CallThread>,
    texts: Texts,
    start_ns: u64,
    start_unix_ns: u64,
}

impl FunctionCallList {
    /// The thread that made a call; `None` if its definition is missing.
    pub fn thread(&self, call: &Call) -> Option<CallThread> {
        self.threads.get(&call.thread).copied()
    }

    /// A text that a call refers to; `None` if its definition is missing.
    pub fn text(&self, id: TextId) -> Option<&[u8]> {
        self.texts.get(id)
    }

    /// A time of the trace's clock in nanoseconds since the Unix epoch.
    pub fn unix_ns(&self, time_ns: u64) -> u64 {
        self.start_unix_ns.saturating_add(self.since_start(time_ns))
    }

    /// A time of the trace's clock since the start of the recording; 0 before that.
    pub fn since_start(&self, time_ns: u64) -> u64 {
        time_ns.saturating_sub(self.start_ns)
    }
}

/// Reads the calls of functions of the trace at `path`. Of the filter, only time and threads
/// matter; calls that reach into the window are whole.
///
/// # Errors
/// As [`load`](super::load): only if the file cannot be read, is no trace, or has nothing in
/// the window of time.
pub fn load_function_calls(
    path: &Path,
    options: &CallOptions,
    filter: &Filter,
) -> Result<FunctionCallList, LoadError> {
    let selection = Selection::of(path, &Prelude::of(path)?, filter)?;
    let limit = most_kept(path, options);
    let limit = options.tail.map_or(limit, |tail| tail.min(limit));
    let mut kept = Kept { selection, limit, is_tail: options.tail.is_some(), ..Kept::default() };
    let everything = Selection::default();
    let mut pass = Pass::open(path, &everything, None)?;
    let wanted = |block: &BlockHeader| {
        [BlockKind::RECORDS, BlockKind::TEXTS, BlockKind::FUNCTION_CALLS].contains(&block.kind)
    };
    pass.run(wanted, CallRows::Whole, &mut [&mut kept])
        .map_err(|cause| LoadError::of(path, cause))?;
    let Pass { reader, defined: Defined { facts, names, .. }, .. } = pass;
    kept.shrink();
    let Kept { mut calls, seen, .. } = kept;
    calls.sort_by_key(|call| (call.start_ns, u64::MAX - call.duration_ns, call.thread));
    let mut notes = info::file_notes(&facts, reader.damage(), reader.unknown());
    notes.extend(facts.sources.notes());
    notes.extend(info::lost_function_calls_note(&facts));
    let left_out = seen - calls.len() as u64;
    if left_out > 0 && options.tail.is_none() {
        notes.push(format!(
            "of {seen} calls of functions only the first {} are kept in memory",
            calls.len()
        ));
    }
    let (start_ns, start_unix_ns) = info::start(&facts, reader.header());
    Ok(FunctionCallList {
        calls,
        functions: facts.probed.iter().map(|(number, one)| (*number, one.into())).collect(),
        left_out,
        notes,
        threads: threads(&facts),
        texts: names.texts,
        start_ns,
        start_unix_ns,
    })
}

/// The calls that are kept.
#[derive(Default)]
struct Kept {
    selection: Selection,
    limit: usize,
    /// The last ones, not the first.
    is_tail: bool,
    calls: Vec<Call>,
    seen: u64,
}

impl Sink for Kept {
    fn function_calls(&mut self, rows: &[Call]) {
        for call in rows.iter().filter(|call| self.selection.has_call(call)) {
            self.seen += 1;
            self.calls.push(*call);
        }
        if self.calls.len() > self.limit.saturating_add(self.limit / 4 + 1024) {
            self.shrink();
        }
    }
}

impl Kept {
    /// Sorts out what is too much.
    fn shrink(&mut self) {
        let more = self.calls.len().saturating_sub(self.limit);
        if more == 0 {
            return;
        }
        let at = if self.is_tail { more } else { self.limit };
        if at < self.calls.len() {
            self.calls.select_nth_unstable_by_key(at, |call| call.start_ns);
        }
        match self.is_tail {
            true => drop(self.calls.drain(..more)),
            false => self.calls.truncate(self.limit),
        }
    }
}
