//! Logs of strace, as system calls.
//!
//! With `-f` a log tells threads apart, `-ttt`, `-tt` or `-r` say when calls began, `-T` how
//! long they took, and `-k` where they were made. What a log does not say stays unknown. It is
//! gone through twice: what threads are called and whose they are may be said late.

mod line;
mod survey;

use std::collections::BTreeMap;
use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{
    Call, CallDetail, Captured, Frame, HISTOGRAM_BUCKETS, Record, Seen, Total, TotalClass,
};
use rz_profile::syscalls::parse::{parse_address, parse_argument, parse_quoted, split_arguments};
use rz_syscalls::{Captured as Copied, Syscall};

use self::line::{End, Line, What};
use self::survey::{MAX_BEGUN, Survey, beginning};
use super::clock::Clock;
use super::functions::{Function, Functions, MAX_FRAMES};
use super::lines::for_lines;
use super::output::Output;
use super::threads::Threads;
use super::{ImportError, Imported, Input};

/// Sums that are kept until they are written.
const MAX_SUMS: usize = 1 << 16;
/// Names of calls that are not known, at most.
const MAX_UNKNOWN: usize = 8;

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let survey = Survey::of(&input.file)?;
    let created_ns = survey.first_epoch_ns().unwrap_or(input.modified_ns);
    let mut out = Output::begun(input, "strace", created_ns, out)?;
    let calls = CallDetail::Calls.into();
    out.record(Record::Captured(Captured { calls, ..Captured::default() }))?;
    survey.notes().for_each(|note| out.note(note.to_owned()));
    let mut log = Log {
        out,
        clock: survey.clock(),
        survey,
        threads: Threads::default(),
        functions: Functions::default(),
        begun: FxHashMap::default(),
        last: None,
        sums: BTreeMap::new(),
        unknown: BTreeMap::new(),
        undecoded: 0,
        unreadable: 0,
    };
    for_lines(&input.file, |text| match text.map(line::parse) {
        Some(Some(line)) => log.take(line),
        Some(None) if text.is_some_and(|text| text.trim().is_empty()) => Ok(()),
        Some(None) | None => {
            log.unreadable += 1;
            Ok(())
        }
    })?;
    log.finish()
}

/// A log that is read.
struct Log<'o> {
    out: Output<'o>,
    survey: Survey,
    clock: Clock,
    threads: Threads,
    functions: Functions,
    /// Calls whose end has not come, by thread.
    begun: FxHashMap<Option<u32>, Begun>,
    /// The call before, whose stack may follow.
    last: Option<Last>,
    /// By thread and number.
    sums: BTreeMap<(u32, u32), Total>,
    /// Calls that the table of calls does not have.
    unknown: BTreeMap<String, u64>,
    /// Arguments whose bits the log does not tell.
    undecoded: u64,
    unreadable: u64,
}

struct Begun {
    name: String,
    args: String,
    start_ns: u64,
}

struct Last {
    call: Call,
    /// From the leaf on.
    frames: Vec<Frame>,
    is_cut: bool,
}

impl Log<'_> {
    fn take(&mut self, line: Line) -> Result<(), ImportError> {
        if let What::Frame(frame) = line.what {
            self.add_frame(frame);
            return Ok(());
        }
        self.write_last()?;
        let now_ns = self.clock.at(line.time);
        match line.what {
            What::Call { name, args, end } => self.add(line.tid, now_ns, name, args, Some(end)),
            What::Begun { name, args } => {
                let args = beginning(args).to_owned();
                let begun = Begun { name: name.to_owned(), args, start_ns: now_ns };
                if self.begun.len() >= MAX_BEGUN {
                    return Err(ImportError::TooMany("calls that have no end"));
                }
                match self.begun.insert(line.tid, begun) {
                    Some(before) => self.add_open(line.tid, &before, now_ns),
                    None => Ok(()),
                }
            }
            What::Resumed { name, args, end } => {
                let begun = self.begun.remove(&line.tid).filter(|begun| begun.name == name);
                // What the log does not have the beginning of began before it.
                let Some(Begun { args: first, start_ns, .. }) = begun else { return Ok(()) };
                let between = if first.is_empty() || args.is_empty() { "" } else { ", " };
                let args = format!("{first}{between}{args}");
                self.add(line.tid, start_ns, name, &args, Some(end))
            }
            What::Ended => match self.begun.remove(&line.tid) {
                Some(begun) => self.add_open(line.tid, &begun, now_ns),
                None => Ok(()),
            },
            What::Frame(_) | What::Other => Ok(()),
        }
    }

    /// Adds a call that was not over when its thread or the log ended.
    fn add_open(
        &mut self,
        tid: Option<u32>,
        begun: &Begun,
        end_ns: u64,
    ) -> Result<(), ImportError> {
        self.add(tid, begun.start_ns, &begun.name, &begun.args, None)?;
        if let Some(last) = &mut self.last {
            last.call.duration_ns = end_ns.saturating_sub(begun.start_ns);
        }
        self.write_last()
    }

    fn add(
        &mut self,
        tid: Option<u32>,
        start_ns: u64,
        name: &str,
        args: &str,
        end: Option<End>,
    ) -> Result<(), ImportError> {
        let Some(syscall) = rz_syscalls::by_name(name) else {
            if self.unknown.len() < MAX_UNKNOWN || self.unknown.contains_key(name) {
                *self.unknown.entry(name.to_owned()).or_default() += 1;
            }
            return Ok(());
        };
        let thread = self.threads.id(self.survey.thread(tid), None, &mut self.out)?;
        let result = end.and_then(|end| end.result);
        let duration_ns = end.and_then(|end| end.took_ns).unwrap_or(0);
        let mut call = Call {
            start_ns,
            thread,
            number: syscall.number,
            duration_ns,
            result: result.unwrap_or(0),
            stack_weight: duration_ns,
            count: 1,
            seen: Seen { late: false, unfinished: result.is_none() },
            ..Call::default()
        };
        self.add_arguments(syscall, args, &mut call);
        if result.is_some() {
            self.add_to_sum(&call)?;
        }
        self.last = Some(Last { call, frames: Vec::new(), is_cut: false });
        Ok(())
    }

    fn add_arguments(&mut self, syscall: &Syscall, args: &str, call: &mut Call) {
        let texts: Vec<&str> = split_arguments(args).take(call.args.len()).collect();
        let mut copied = [false; 6];
        for (at, capture) in syscall.captures().enumerate() {
            let bytes = texts.get(capture.arg).and_then(|text| match capture.what {
                Copied::Text => parse_quoted(text).map(|(bytes, _)| bytes),
                Copied::SockaddrIn { .. } | Copied::SockaddrOut { .. } => parse_address(text),
            });
            if let Some(bytes) = bytes {
                copied[capture.arg] = true;
                call.texts[at] = Some(self.out.path(&bytes));
            }
        }
        let is_copied = |at: usize| copied.get(at).copied().unwrap_or(false);
        for (at, (argument, text)) in syscall.args.iter().zip(texts).enumerate() {
            match parse_argument(argument.kind, text) {
                Some(bits) => call.args[at] = bits,
                None => self.undecoded += u64::from(!is_copied(at)),
            }
        }
    }

    fn add_to_sum(&mut self, call: &Call) -> Result<(), ImportError> {
        let (class, thread, number) = (TotalClass::Calls, Some(call.thread), Some(call.number));
        let sum = self.sums.entry((call.thread, call.number)).or_insert_with(|| Total {
            class,
            thread,
            number,
            ..Total::default()
        });
        let ns = call.duration_ns;
        let mut one = Total { count: 1, total_ns: ns, min_ns: ns, max_ns: ns, ..Total::default() };
        one.errors = u64::from((-4095..0).contains(&call.result));
        let bucket = ns.checked_ilog2().unwrap_or(0) as usize;
        one.histogram.0[bucket.min(HISTOGRAM_BUCKETS - 1)] = 1;
        sum.add(&one);
        if self.sums.len() >= MAX_SUMS { self.write_sums() } else { Ok(()) }
    }

    /// Writes the sums of calls so far; those of the same thread and number add up.
    fn write_sums(&mut self) -> Result<(), ImportError> {
        let mut sums: Vec<Total> = std::mem::take(&mut self.sums).into_values().collect();
        self.out.totals(&mut sums)
    }

    fn add_frame(&mut self, frame: &str) {
        let Some(last) = &mut self.last else { return };
        if last.frames.len() >= MAX_FRAMES {
            last.is_cut = true;
            return;
        }
        let (name, module) = line::function(frame.trim_end());
        let function = Function { module: module.to_owned(), ..Function::named(name) };
        last.frames.push(self.functions.frame(function, &mut self.out));
    }

    fn write_last(&mut self) -> Result<(), ImportError> {
        let Some(Last { mut call, frames, is_cut }) = self.last.take() else { return Ok(()) };
        call.stack = self.out.whole_stack(&frames, is_cut);
        self.out.call(call)
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        self.write_last()?;
        let end_ns = self.clock.latest_ns();
        let mut begun: Vec<_> = std::mem::take(&mut self.begun).into_iter().collect();
        begun.sort_by_key(|(tid, _)| *tid);
        for (tid, begun) in begun {
            self.add_open(tid, &begun, end_ns)?;
        }
        if self.undecoded > 0 {
            let text = "structures and what else is no number of its own is left out of the \
                        arguments: NULL or 0 stands for it";
            self.out.note(text.to_owned());
        }
        if !self.unknown.is_empty() {
            let count: u64 = self.unknown.values().sum();
            let names: Vec<&str> = self.unknown.keys().map(String::as_str).collect();
            let names = names.join(", ");
            self.out
                .note(format!("{count} calls that x86-64 does not have were left out: {names}"));
        }
        if self.unreadable > 0 {
            self.out
                .note(format!("{} lines that are not of strace were left out", self.unreadable));
        }
        self.write_sums()?;
        self.out.finish(Some(end_ns))
    }
}
