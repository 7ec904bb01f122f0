//! Logs of ltrace: calls of libraries, each in the calls that it was made in.
//!
//! A call during which something else happens is in two lines, its beginning and its end, so
//! that lines tell stacks, with `-n` or without it. With `-T` they tell how long calls took; how
//! often they were made, all do. System calls (`-S`) are functions of the kernel.

use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{EventUnit, Record, Sample, StackId};

use super::amounts::Amounts;
use super::clock::{Clock, Time, bracketed, duration, epoch_ns, thread, time};
use super::functions::{Function, Functions, KERNEL, MAX_FRAMES};
use super::lines::for_lines;
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

/// How long calls took, and how many there were.
const DURATION: u32 = 0;
const CALLS: u32 = 1;

/// What a line says.
#[derive(Debug, PartialEq)]
enum What<'t> {
    /// A whole call, by what it is called and for how long it took.
    Call(&'t str, Option<u64>),
    /// A call whose end is in a later line, or nowhere.
    Begun(&'t str),
    /// The end of such a one.
    Resumed(&'t str, Option<u64>),
    /// The thread is no more.
    Ended,
    /// A signal, and what ltrace says of itself.
    Other,
}

/// A line of a log.
#[derive(Debug, PartialEq)]
struct Line<'t> {
    tid: Option<u32>,
    time: Option<Time>,
    what: What<'t>,
}

/// What a line says; `None` if it is not one of ltrace.
fn parse(text: &str) -> Option<Line<'_>> {
    let (tid, rest) = thread(text.trim());
    let (time, rest) = time(rest);
    let rest = bracketed(rest).trim_start();
    Some(Line { tid, time, what: what(rest)? })
}

fn what(text: &str) -> Option<What<'_>> {
    if text.starts_with("+++ ") {
        return Some(What::Ended);
    }
    if text.starts_with("--- ") {
        return Some(What::Other);
    }
    if let Some(rest) = text.strip_prefix("<... ") {
        let (name, rest) = rest.split_once(" resumed>")?;
        return Some(What::Resumed(name, duration(rest.trim_end()).1));
    }
    let (name, rest) = text.split_once('(')?;
    // The function of that name, which C++ has.
    let name = if name.ends_with("operator") && rest.starts_with(")(") {
        &text[..name.len() + 2]
    } else {
        name
    };
    let is_call = !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_call {
        return None;
    }
    if rest.ends_with("<unfinished ...>") || rest.ends_with("<no return ...>") {
        return Some(What::Begun(name));
    }
    let mut ends = rest.match_indices(" = ").map(|(at, _)| rest[..at].trim_end());
    let is_whole = ends.any(|before| before.ends_with(')'));
    is_whole.then(|| What::Call(name, duration(rest).1))
}

/// A function, of `puts`, `libc.so.6->puts`, `puts@libc.so.6`, `SYS_write` and `write@SYS`.
fn function(name: &str) -> Function {
    let called = name.rsplit_once("->").map_or(name, |(_, called)| called);
    if let Some(name) = called.strip_prefix("SYS_").or_else(|| called.strip_suffix("@SYS")) {
        // Those that are newer than ltrace have a number only.
        let name = name.parse().ok().and_then(rz_syscalls::name).unwrap_or(name);
        return Function { module: KERNEL.to_owned(), ..Function::named(name) };
    }
    match called.split_once('@') {
        Some((name, module)) => Function { module: module.to_owned(), ..Function::named(name) },
        None => Function::named(called),
    }
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let survey = Survey::of(input)?;
    let created_ns = epoch_ns(survey.first).unwrap_or(input.modified_ns);
    let mut out = Output::begun(input, "ltrace", created_ns, out)?;
    let time = Amounts::units(EventUnit::Nanoseconds);
    out.record(Record::Event(time.event(DURATION, "duration")))?;
    out.record(Record::Event(Amounts::THINGS.event(CALLS, "calls")))?;
    if !survey.is_timed {
        let note = "the log does not say how long calls took (ltrace -T): they are counted";
        out.note(note.to_owned());
    }
    if survey.first.is_none() {
        let note = "the log does not say when calls were made (ltrace -ttt)";
        out.note(note.to_owned());
    }
    let mut log = Log {
        out,
        clock: Clock::since(survey.first),
        is_timed: survey.is_timed,
        process: survey.process,
        threads: Threads::default(),
        functions: Functions::default(),
        open: FxHashMap::default(),
        unmatched: 0,
        unreadable: 0,
    };
    for_lines(&input.file, |text| match text.map(parse) {
        Some(Some(line)) => log.take(&line),
        Some(None) if text.is_some_and(|text| text.trim().is_empty()) => Ok(()),
        Some(None) | None => {
            log.unreadable += 1;
            Ok(())
        }
    })?;
    log.finish()
}

/// What is to be known before anything is written.
#[derive(Debug, Default)]
struct Survey {
    first: Option<Time>,
    is_timed: bool,
    /// The thread that began.
    process: u32,
}

impl Survey {
    fn of(input: &Input) -> Result<Self, ImportError> {
        let mut survey = Survey::default();
        let mut calls = 0_u64;
        for_lines(&input.file, |text| {
            let Some(Line { tid, time, what }) = text.and_then(parse) else { return Ok(()) };
            survey.first = survey.first.or(time);
            survey.process = if survey.process == 0 { tid.unwrap_or(0) } else { survey.process };
            if let What::Call(_, took_ns) | What::Resumed(_, took_ns) = what {
                calls += 1;
                survey.is_timed |= took_ns.is_some();
            }
            Ok(())
        })?;
        if calls == 0 {
            let message = "damaged log of ltrace: there is no call that returned".to_owned();
            return Err(ImportError::Unusable(message));
        }
        Ok(survey)
    }
}

/// A log that is read.
struct Log<'o> {
    out: Output<'o>,
    clock: Clock,
    is_timed: bool,
    process: u32,
    threads: Threads,
    functions: Functions,
    /// Calls that have not returned, by thread, the innermost last.
    open: FxHashMap<Option<u32>, Vec<Open>>,
    /// Ends of calls that have not begun.
    unmatched: u64,
    unreadable: u64,
}

/// A call that has not returned.
struct Open {
    name: String,
    stack: StackId,
    start_ns: u64,
    /// What calls in it took.
    inner_ns: u64,
}

impl Log<'_> {
    fn take(&mut self, line: &Line) -> Result<(), ImportError> {
        let now_ns = self.clock.at(line.time);
        match line.what {
            What::Call(name, took_ns) => {
                let stack = self.stack(line.tid, name);
                self.add(line.tid, stack, (took_ns.unwrap_or(0), 0), now_ns)?;
                self.count(line.tid, stack, now_ns)
            }
            What::Begun(name) => {
                let stack = self.stack(line.tid, name);
                self.count(line.tid, stack, now_ns)?;
                let open = self.open.entry(line.tid).or_default();
                if open.len() < MAX_FRAMES {
                    let name = name.to_owned();
                    open.push(Open { name, stack, start_ns: now_ns, inner_ns: 0 });
                }
                Ok(())
            }
            What::Resumed(name, took_ns) => {
                let open = self.open.entry(line.tid).or_default();
                let Some(at) = open.iter().rposition(|one| one.name == name) else {
                    self.unmatched += 1;
                    return Ok(());
                };
                // What was called in it and never returned, as of longjmp, has no time of its own.
                open.truncate(at + 1);
                let Some(Open { stack, start_ns, inner_ns, .. }) = open.pop() else {
                    return Ok(());
                };
                self.add(line.tid, stack, (took_ns.unwrap_or(0), inner_ns), start_ns)
            }
            What::Ended => self.end(line.tid, now_ns),
            What::Other => Ok(()),
        }
    }

    /// The stack of a call that is made now.
    fn stack(&mut self, tid: Option<u32>, name: &str) -> StackId {
        let caller = self.open.get(&tid).and_then(|open| open.last()).map(|one| one.stack);
        let frame = self.functions.frame(function(name), &mut self.out);
        self.out.stack(caller, frame)
    }

    /// Adds what is a call's own of the time it took; all of it is in its caller.
    fn add(
        &mut self,
        tid: Option<u32>,
        stack: StackId,
        (took_ns, inner_ns): (u64, u64),
        start_ns: u64,
    ) -> Result<(), ImportError> {
        if let Some(caller) = self.open.get_mut(&tid).and_then(|open| open.last_mut()) {
            caller.inner_ns = caller.inner_ns.saturating_add(took_ns);
        }
        let end_ns = start_ns.saturating_add(took_ns);
        self.row(tid, stack, (DURATION, took_ns.saturating_sub(inner_ns)), end_ns)
    }

    fn count(&mut self, tid: Option<u32>, stack: StackId, now_ns: u64) -> Result<(), ImportError> {
        self.row(tid, stack, (CALLS, 1), now_ns)
    }

    fn row(
        &mut self,
        tid: Option<u32>,
        stack: StackId,
        (event, weight): (u32, u64),
        time_ns: u64,
    ) -> Result<(), ImportError> {
        if weight == 0 {
            return Ok(());
        }
        // Whose a thread is, the log does not say.
        let named =
            Named { pid: self.process, tid: tid.unwrap_or(self.process), ..Named::default() };
        let thread = self.threads.id(named, None, &mut self.out)?;
        let stack = Some(stack);
        self.out.sample(Sample { event, thread, stack, weight, time_ns, ..Sample::default() })
    }

    /// Ends the calls of a thread that never return.
    fn end(&mut self, tid: Option<u32>, now_ns: u64) -> Result<(), ImportError> {
        while let Some(Open { stack, start_ns, inner_ns, .. }) =
            self.open.get_mut(&tid).and_then(Vec::pop)
        {
            let took_ns = if self.is_timed { now_ns.saturating_sub(start_ns) } else { 0 };
            self.add(tid, stack, (took_ns, inner_ns), start_ns)?;
        }
        self.open.remove(&tid);
        Ok(())
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        let end_ns = self.clock.latest_ns();
        let mut tids: Vec<_> = self.open.keys().copied().collect();
        tids.sort_unstable();
        for tid in tids {
            self.end(tid, end_ns)?;
        }
        for (count, what) in [
            (self.unmatched, "ends of calls that have not begun were left out"),
            (self.unreadable, "lines that are not of ltrace were left out"),
        ] {
            if count > 0 {
                self.out.note(format!("{count} {what}"));
            }
        }
        self.out.finish(Some(end_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let check = |text: &str, tid, what: What<'_>| {
            let line = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((line.tid, line.what), (tid, what), "{text}");
        };
        check(
            "7 1.5 puts(\"a = (b)\")      = 2 <0.000144>",
            Some(7),
            What::Call("puts", Some(144_000)),
        );
        check("free(0x5)   = <void>", None, What::Call("free", None));
        check(
            "[pid 7] 12:00:00.5   strcmp(\"a\", \"b\") = -1",
            Some(7),
            What::Call("strcmp", None),
        );
        check("  0.000138 [0x55] strcmp(\"a\", \"b\")  = -1", None, What::Call("strcmp", None));
        check("7 usleep(50000 <unfinished ...>", Some(7), What::Begun("usleep"));
        check("7 exit(0 <no return ...>", Some(7), What::Begun("exit"));
        check(
            "7 <... usleep resumed> )   = <void> <0.05>",
            Some(7),
            What::Resumed("usleep", Some(50_000_000)),
        );
        check("A::operator()(0x5, 3)  = 1", None, What::Call("A::operator()", None));
        check("7 +++ exited (status 0) +++", Some(7), What::Ended);
        check("7 --- SIGCHLD (Child exited) ---", Some(7), What::Other);
        for text in ["", "hello", "f(x", "f(x) and more", "(x) = 3", "a;b 3"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_functions() {
        let check = |name, expected: (&str, &str)| {
            let found = function(name);
            assert_eq!((&found.name[..], &found.module[..]), expected, "{name}");
        };
        check("puts", ("puts", ""));
        check("libc.so.6->malloc", ("malloc", ""));
        check("malloc@libc.so.6", ("malloc", "libc.so.6"));
        check("SYS_write", ("write", KERNEL));
        check("write@SYS", ("write", KERNEL));
        check("SYS_334", ("rseq", KERNEL));
    }
}
