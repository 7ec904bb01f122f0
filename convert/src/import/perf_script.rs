//! What `perf script` prints: for each sample a line about it, and its stack below, or in the
//! same line if there is none.
//!
//! Each event is one of the trace's, with its period for a weight if that is printed.

use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{EventUnit, Frame, Record, Sample, Tier};
use rz_profile::foreign::InputFormat;

use super::amounts::Amounts;
use super::functions::{Function, Functions, KERNEL, MAX_FRAMES};
use super::lines::for_lines;
use super::output::Output;
use super::perf_data::of_any_core;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

/// Kinds of events, at most.
const MAX_EVENTS: usize = 1024;
/// Words of a line that are looked at.
const MAX_WORDS: usize = 64;
/// Digits of an address, at least.
const MIN_ADDRESS: usize = 2;
/// The event of a text that names none.
const SAMPLES: &str = "samples";

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut script = Script {
        out: Output::of(input, Tier::PerfData.name(), out)?,
        events: FxHashMap::default(),
        threads: Threads::default(),
        functions: Functions::default(),
        sample: None,
        first_ns: None,
        latest_ns: 0,
        unreadable: 0,
    };
    for_lines(&input.file, |line| {
        match line {
            Some(line) => script.take(line)?,
            None => script.unreadable += 1,
        }
        Ok(())
    })?;
    script.finish()
}

/// A text that is read.
struct Script<'o> {
    out: Output<'o>,
    /// By name: the number, and whether its samples say what they stand for.
    events: FxHashMap<String, (u32, bool)>,
    threads: Threads,
    functions: Functions,
    /// The sample whose stack is read.
    sample: Option<Begun>,
    first_ns: Option<u64>,
    latest_ns: u64,
    unreadable: u64,
}

struct Begun {
    row: Sample,
    /// From the leaf on.
    frames: Vec<Frame>,
    is_cut: bool,
}

impl Script<'_> {
    fn take(&mut self, line: &str) -> Result<(), ImportError> {
        let text = line.trim_end();
        if text.is_empty() {
            return self.write();
        }
        if text.starts_with('#') {
            return Ok(());
        }
        // Without stacks, lines about samples are set in, too, and a process may have a name
        // like an address.
        let is_set_in = text.starts_with(char::is_whitespace);
        let head = Head::parse(text);
        let may_be_frame = head.as_ref().is_none_or(|head| head.time_ns.is_none());
        if is_set_in
            && may_be_frame
            && self.sample.is_some()
            && let Some(frame) = place(text)
        {
            self.add_frame(frame);
            return Ok(());
        }
        let Some(head) = head else {
            // Below a frame may be where it is in the source.
            self.unreadable += u64::from(self.sample.is_none());
            return Ok(());
        };
        self.write()?;
        self.begin(&head)
    }

    fn begin(&mut self, head: &Head<'_>) -> Result<(), ImportError> {
        let event = of_any_core(head.event);
        let (event, has_period) = match self.events.get(&event[..]) {
            Some(known) => *known,
            None => self.add_event(&event, head.period.is_some())?,
        };
        let Head { pid, tid, comm, .. } = *head;
        let thread = Named { pid, tid, name: comm.to_owned() };
        let thread = self.threads.id(thread, None, &mut self.out)?;
        let time_ns =
            head.time_ns.map_or(0, |ns| ns.saturating_sub(*self.first_ns.get_or_insert(ns)));
        self.latest_ns = self.latest_ns.max(time_ns);
        let weight = head.period.filter(|_| has_period).unwrap_or(1);
        let row = Sample { event, thread, time_ns, weight, ..Sample::default() };
        self.sample = Some(Begun { row, frames: Vec::new(), is_cut: false });
        if let Some(frame) = place(head.rest) {
            self.add_frame(frame);
        }
        Ok(())
    }

    fn add_event(&mut self, name: &str, has_period: bool) -> Result<(u32, bool), ImportError> {
        if self.events.len() >= MAX_EVENTS {
            return Err(ImportError::TooMany("kinds of events"));
        }
        let id = self.events.len() as u32;
        let unit = if has_period { unit_of(name) } else { EventUnit::Things };
        self.out.record(Record::Event(Amounts::units(unit).event(id, name)))?;
        if !has_period {
            self.out.note(format!("samples of {name} have no period: each counts as one"));
        }
        self.events.insert(name.to_owned(), (id, has_period));
        Ok((id, has_period))
    }

    fn add_frame(&mut self, function: Function) {
        let Some(sample) = &mut self.sample else { return };
        if sample.frames.len() >= MAX_FRAMES {
            sample.is_cut = true;
            return;
        }
        sample.frames.push(self.functions.frame(function, &mut self.out));
    }

    fn write(&mut self) -> Result<(), ImportError> {
        let Some(Begun { mut row, frames, is_cut }) = self.sample.take() else { return Ok(()) };
        row.stack = self.out.whole_stack(&frames, is_cut);
        self.out.sample(row)
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        self.write()?;
        if self.events.is_empty() {
            let message = format!("damaged {} text: there is no sample", InputFormat::PerfScript);
            return Err(ImportError::Unusable(message));
        }
        if self.unreadable > 0 {
            self.out.note(format!("{} lines could not be read and were left out", self.unreadable));
        }
        self.out.finish(Some(self.latest_ns))
    }
}

/// The unit of an event's periods, which its name tells.
fn unit_of(event: &str) -> EventUnit {
    match event.split(':').next().unwrap_or_default() {
        "cpu-clock" | "task-clock" => EventUnit::Nanoseconds,
        "cycles" | "cpu-cycles" => EventUnit::Cycles,
        _ => EventUnit::Things,
    }
}

/// The line about a sample.
#[derive(Debug, PartialEq)]
struct Head<'t> {
    comm: &'t str,
    pid: u32,
    tid: u32,
    time_ns: Option<u64>,
    period: Option<u64>,
    event: &'t str,
    /// What is behind the event: a place, or what a tracepoint tells.
    rest: &'t str,
}

impl<'t> Head<'t> {
    /// `comm pid/tid [cpu] time: period event: rest`, where much may be missing.
    fn parse(text: &'t str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().take(MAX_WORDS).collect();
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        let time_of = |word: &str| word.strip_suffix(':').and_then(nanos);
        let timed = (1..words.len()).find_map(|at| Some((at, time_of(words[at])?)));
        let is_number = |word: &&&str| word.parse::<u64>().is_ok();
        let (mut before, mut after, time_ns) = match timed {
            Some((at, ns)) => (&words[..at], &words[at + 1..], Some(ns)),
            None => {
                let at = (1..words.len()).find(|at| words[*at].ends_with(':'))?;
                // A number behind that of the thread is a period.
                let has_period = at > 2 && thread(words[at - 2]).is_some();
                let split = at - usize::from(has_period && is_number(&&words[at - 1]));
                (&words[..split], &words[split..], None)
            }
        };
        let mut period = None;
        let mut event = SAMPLES;
        if let [number, name, rest @ ..] = after
            && name.ends_with(':')
            && is_number(&number)
        {
            (period, event, after) = (number.parse().ok(), name, rest);
        } else if let [name, rest @ ..] = after
            && name.ends_with(':')
        {
            (event, after) = (name, rest);
        }
        // The CPU and flags stand between the thread and the time.
        let at = before.iter().rposition(|word| thread(word).is_some()).filter(|at| *at > 0);
        let (pid, tid) = at.and_then(|at| thread(before[at])).unwrap_or((0, 0));
        before = &before[..at.unwrap_or(before.len())];
        let comm = &text[start(before.first()?)..start(before.last()?) + before.last()?.len()];
        let rest = after.first().map_or("", |word| &text[start(word)..]);
        let event = event.trim_end_matches(':');
        let is_head = !event.is_empty() && (time_ns.is_some() || at.is_some());
        is_head.then_some(Head { comm, pid, tid, time_ns, period, event, rest })
    }
}

/// `pid/tid`, or a thread only, whose process is not known: 0.
fn thread(word: &str) -> Option<(u32, u32)> {
    let (pid, tid) = word.split_once('/').unwrap_or(("0", word));
    Some((pid.parse().ok()?, tid.parse().ok()?))
}

/// Seconds with a fraction, as nanoseconds.
fn nanos(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let is_fraction = !fraction.is_empty() && fraction.len() <= 9;
    let fraction = is_fraction.then(|| format!("{fraction:0<9}"))?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction.parse().ok()?)
}

/// A place in code: `address function+0x12 (module)`.
fn place(text: &str) -> Option<Function> {
    let text = text.trim();
    let (address, rest) = text.split_once(' ').unwrap_or((text, ""));
    let address = u64::from_str_radix(address, 16).ok().filter(|_| address.len() >= MIN_ADDRESS)?;
    let split =
        rest.rsplit_once(" (").and_then(|(name, module)| Some((name, module.strip_suffix(')')?)));
    let (name, module) = split.unwrap_or((rest, ""));
    let offset =
        name.rsplit_once("+0x").filter(|(_, offset)| u64::from_str_radix(offset, 16).is_ok());
    let name = offset.map_or(name, |(name, _)| name).trim();
    let module = match module {
        // What is inlined has no module of its own.
        "inlined" | "[unknown]" => "",
        "[vsyscall]" => module,
        // The upper half of addresses is the kernel's.
        _ if address >> 63 == 1 => KERNEL,
        module => module,
    };
    let name = match name {
        "" => format!("0x{address:x}"),
        "[unknown]" if !module.is_empty() => {
            format!("[{}]", module.rsplit('/').next().unwrap_or(module).trim_matches(['[', ']']))
        }
        name => name.to_owned(),
    };
    Some(Function { name, module: module.to_owned(), ..Function::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_samples() {
        let check = |text, comm, thread, time_ns: Option<u64>, period, event, rest| {
            let (pid, tid) = thread;
            let expected = Head { comm, pid, tid, time_ns, period, event, rest };
            assert_eq!(Head::parse(text), Some(expected), "{text}");
        };
        let second = Some(1_500_000_000);
        check("app 10 [000] 1.5: cpu-clock:", "app", (0, 10), second, None, "cpu-clock", "");
        check("a b 9/10 1.5:  77 cycles:ppp: ", "a b", (9, 10), second, Some(77), "cycles:ppp", "");
        check(
            "app 10 [000] d.h. 1.5: sched:sched_switch: prev=1 add",
            "app",
            (0, 10),
            second,
            None,
            "sched:sched_switch",
            "prev=1 add",
        );
        check(
            "  app 10 1.5: 7 cycles: 55aa f+0x1 (/a)",
            "app",
            (0, 10),
            second,
            Some(7),
            "cycles",
            "55aa f+0x1 (/a)",
        );
        check("app 10 1.5:", "app", (0, 10), second, None, "samples", "");
        check("app 10 77 cycles:", "app", (0, 10), None, Some(77), "cycles", "");
        check("app 10 cycles:", "app", (0, 10), None, None, "cycles", "");
        check("app 1.5: cycles:", "app", (0, 0), second, None, "cycles", "");
        for text in ["", "app", "app 10", "app:", "app cycles:", ":", "1.5:"] {
            assert_eq!(Head::parse(text), None, "{text}");
        }
    }

    #[test]
    fn places() {
        let check = |text, expected: Option<(&str, &str)>| {
            let found = place(text).map(|function| (function.name, function.module));
            assert_eq!(
                found,
                expected.map(|(name, module)| (name.to_owned(), module.to_owned())),
                "{text}"
            );
        };
        check("\t  55aa main+0x7 (/bin/app)", Some(("main", "/bin/app")));
        check("55aa f(int, char) const+0x7 (/bin/a b)", Some(("f(int, char) const", "/bin/a b")));
        check("55aa g (inlined)", Some(("g", "")));
        check("ffffffff81001234 do_idle+0x12 ([kernel.kallsyms])", Some(("do_idle", KERNEL)));
        check("ffffffffc0001234 [unknown] ([ext4])", Some(("[kernel]", KERNEL)));
        check("7f1234 [unknown] (/lib/libc.so.6)", Some(("[libc.so.6]", "/lib/libc.so.6")));
        check("7f1234 [unknown] ([unknown])", Some(("[unknown]", "")));
        check("7f1234", Some(("0x7f1234", "")));
        check("a.c:12", None);
        check("", None);
    }
}
