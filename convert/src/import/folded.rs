//! Folded stacks: `process;caller;callee COUNT`, one line per stack.
//!
//! Tools of perf and we begin each line with the process, or with the thread as
//! `comm-pid/tid`; py-spy, rbspy, tracing and async-profiler with a function.
//! Which it is here [`FoldedRoots`] tell. Marks at the end of frames are
//! understood: `_[k]` is the kernel's, `_[j]` generated, and `_[i]` inlined into
//! the frame before it. What the numbers count is not said: they are taken for
//! samples. So that these can be cut evenly, the file is gone through twice.

use std::fs::File;
use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{
    Event, EventUnit, FileHeader, Frame, Module, ModuleKind, Name, Record, Recording, Sample,
    StackId, Tier, TruncatedReason,
};

use rz_profile::foreign::{is_no_stack, last_number};

use super::amounts::{fraction_digits, scaled_note};
use super::functions::{MAX_FRAMES, too_many};
use super::lines::for_lines;
use super::output::Output;
use super::spread::Spread;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

/// Bytes of names that are known at a time; what comes again after that gets
/// another number.
const MAX_KNOWN_BYTES: usize = 64 << 20;
/// What a count is of.
const EVENT: &str = "samples";
/// Bytes of the names that the kernel knows processes by, at most.
const MAX_COMM: usize = 15;

/// What the first frame of each line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoldedRoots {
    /// The process.
    Process,
    /// A function as any other.
    Function,
}

pub(super) fn import(
    input: Input,
    roots: Option<FoldedRoots>,
    out: &mut dyn Write,
) -> Result<Imported, ImportError> {
    let header = FileHeader::new(input.trace_id(), input.modified_ns, 0);
    let file = input.file;
    let survey = Survey::of(&file)?;
    let roots = roots.unwrap_or(survey.roots());
    // Numbers with fractions are no counts of samples that rows could stand for.
    let spread = if survey.digits == 0 { Spread::of(survey.total) } else { Spread::NONE };
    let factor = 10_f64.powi(survey.digits.cast_signed());
    let mut out = Output::new(out, &header)?;
    out.record(Record::Recording(Recording {
        tier: Tier::Folded.to_string(),
        ..Recording::default()
    }))?;
    let event =
        Event { id: 0, name: EVENT.into(), unit: EventUnit::Things.into(), frequency_hz: 0 };
    out.record(Record::Event(event))?;
    survey.notes(roots).for_each(|note| out.note(note));
    spread.note().into_iter().for_each(|note| out.note(note));

    let mut names = KnownNames::default();
    let mut threads = Threads::default();
    for_lines(&file, |line| {
        let Some(line) = line.and_then(Line::parse) else { return Ok(()) };
        let mut frames: Vec<&str> = line.stack.split(';').collect();
        let thread = match numbered_thread(frames[0]) {
            None if roots == FoldedRoots::Function => Named::default(),
            thread => {
                let root = frames.remove(0);
                thread.unwrap_or_else(|| named_thread(root))
            }
        };
        let thread = threads.id(thread, None, &mut out)?;
        let stack = names.stack(&frames, &mut out);
        let count = line.count(factor);
        for weight in spread.rows(count, count) {
            let sample = Sample { thread, stack, weight, ..Sample::default() };
            out.sample(sample)?;
        }
        Ok(())
    })?;
    // Nothing is known of times; that the recording was ended is.
    out.finish(Some(0))
}

/// What is to be known before anything is written.
#[derive(Debug, Default)]
struct Survey {
    /// The sum of all counts.
    total: u64,
    /// Lines with a count.
    lines: u64,
    /// Those with one more number before it.
    two_counts: u64,
    /// Digits of fractions that are kept: the most that a line has.
    digits: u32,
    /// Lines that begin with what cannot be a process.
    functions: u64,
    /// Lines without a count, or too long.
    unreadable: u64,
}

impl Survey {
    fn of(file: &File) -> Result<Self, ImportError> {
        let mut survey = Survey::default();
        for_lines(file, |line| {
            if line.is_some_and(is_no_stack) {
                return Ok(());
            }
            match line.and_then(Line::parse) {
                None => survey.unreadable += 1,
                Some(line) => {
                    survey.total = survey.total.saturating_add(line.count(1.0));
                    survey.lines += 1;
                    survey.two_counts += u64::from(line.has_two_counts());
                    survey.digits = survey.digits.max(fraction_digits(line.count));
                    survey.functions += u64::from(line.begins_with_function());
                }
            }
            Ok(())
        })?;
        if survey.lines == 0 {
            let message = "there is no line that is a stack and a number".to_owned();
            return Err(ImportError::Unusable(message));
        }
        if survey.two_counts == survey.lines {
            let message = "each line has two numbers, as difffolded.pl writes them: make a trace \
                           of each of the two files, then compare them with report --diff"
                .to_owned();
            return Err(ImportError::Unusable(message));
        }
        Ok(survey)
    }

    /// Processes, unless some line begins with what is none.
    fn roots(&self) -> FoldedRoots {
        if self.functions > 0 { FoldedRoots::Function } else { FoldedRoots::Process }
    }

    fn notes(&self, roots: FoldedRoots) -> impl Iterator<Item = String> {
        let Survey { unreadable, digits, .. } = *self;
        let what = "folded stacks tell no times and no unit: the numbers are taken for samples";
        let roots = match roots {
            FoldedRoots::Process => {
                "first frames are taken for processes; --folded-roots function has them as functions"
            }
            FoldedRoots::Function => {
                "first frames are taken for functions; --folded-roots process has them as processes"
            }
        };
        let unreadable = (unreadable > 0)
            .then(|| format!("{unreadable} lines that are no stack and number were left out"));
        let always = [what, roots].map(|note| Some(note.to_owned()));
        always.into_iter().chain([unreadable, scaled_note(digits)]).flatten()
    }
}

/// A line with a stack.
#[derive(Debug, PartialEq)]
struct Line<'t> {
    stack: &'t str,
    count: f64,
    /// The count, if it is a whole number that is exact as such.
    whole: Option<u64>,
}

impl<'t> Line<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let (stack, number) = last_number(line)?;
        Some(Line { stack, count: number.parse().ok()?, whole: number.parse().ok() })
    }

    /// The count, times `factor`.
    fn count(&self, factor: f64) -> u64 {
        // A cast stays in range.
        let scaled = (self.count * factor).round() as u64;
        self.whole.filter(|_| factor == 1.0).unwrap_or(scaled)
    }

    fn has_two_counts(&self) -> bool {
        last_number(self.stack).is_some()
    }

    /// Whether the first frame cannot be a process: it has samples of its own, or a name
    /// that no process has.
    fn begins_with_function(&self) -> bool {
        let root = self.stack.split(';').next().unwrap_or_default();
        let is_alone = root.len() == self.stack.len();
        let has_such_a_name =
            root.len() > MAX_COMM || root.contains("::") || root.contains(['(', '<']);
        numbered_thread(root).is_none() && (is_alone || has_such_a_name)
    }
}

/// The thread that a root names by its number, as `comm-pid/tid`.
fn numbered_thread(root: &str) -> Option<Named> {
    let (rest, tid) = root.rsplit_once('/')?;
    let (name, pid) = rest.rsplit_once('-')?;
    let name = name.to_owned();
    let named = Named { pid: pid.parse().ok()?, tid: tid.parse().ok()?, name };
    (!named.name.is_empty()).then_some(named)
}

/// The thread of a root that is only a name.
fn named_thread(root: &str) -> Named {
    Named { name: root.to_owned(), ..Named::default() }
}

/// Whose a frame is, by its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    None,
    Kernel,
    Inlined,
    Generated,
}

/// A frame's name and its mark.
fn mark_of(frame: &str) -> (&str, Mark) {
    for (suffix, mark) in
        [("_[k]", Mark::Kernel), ("_[i]", Mark::Inlined), ("_[j]", Mark::Generated)]
    {
        if let Some(name) = frame.strip_suffix(suffix) {
            return (name, mark);
        }
    }
    (frame, Mark::None)
}

/// What frames are in the trace.
#[derive(Debug, Default)]
struct KnownNames {
    /// By mark and names, each followed by a separator.
    frames: FxHashMap<(Mark, String), Frame>,
    bytes: usize,
    /// Frames that have been given a number.
    count: u64,
    modules: FxHashMap<Mark, u32>,
}

impl KnownNames {
    /// The number of a stack; `frames` is in order of the line.
    fn stack(&mut self, frames: &[&str], out: &mut Output) -> Option<StackId> {
        let mut stack = None;
        let mut rest = frames;
        if let Some(cut) = frames.len().checked_sub(MAX_FRAMES).filter(|cut| *cut > 0) {
            rest = &frames[cut..];
            stack = Some(out.stack(None, too_many()));
        } else if let ["[truncated]", others @ ..] = frames {
            rest = others;
            stack = Some(out.stack(None, Frame::Truncated(TruncatedReason::Unknown)));
        }
        while let Some(outermost) = rest.first() {
            let (_, mark) = mark_of(outermost);
            let inlined = match mark {
                Mark::None | Mark::Generated => {
                    let is_inlined = |frame: &&&str| mark_of(frame).1 == Mark::Inlined;
                    rest[1..].iter().take_while(is_inlined).count()
                }
                // The kernel's have one mark, and of others it is not said what
                // they are inlined into.
                Mark::Kernel | Mark::Inlined => 0,
            };
            let (one, others) = rest.split_at(1 + inlined);
            let mark = if mark == Mark::Inlined { Mark::None } else { mark };
            let frame = self.frame(mark, one, out);
            stack = Some(out.stack(stack, frame));
            rest = others;
        }
        stack
    }

    /// The frame of a function and those inlined into it, outermost first.
    fn frame(&mut self, mark: Mark, functions: &[&str], out: &mut Output) -> Frame {
        let functions = || functions.iter().map(|function| mark_of(function).0);
        let key = (mark, functions().flat_map(|name| [name, ";"]).collect::<String>());
        if let Some(frame) = self.frames.get(&key) {
            return *frame;
        }
        let module = match self.modules.get(&mark) {
            Some(module) => *module,
            None => {
                let module = out.module(module_of(mark));
                self.modules.insert(mark, module);
                module
            }
        };
        let offset = self.count;
        self.count += 1;
        let mut names: Vec<Name> = functions()
            .map(|name| {
                let name = if name.is_empty() { "[unknown]" } else { name };
                let name = Some(out.text(name));
                Name { module, offset, address: offset, name, inlined: true, ..Name::default() }
            })
            .collect();
        if let Some(outermost) = names.first_mut() {
            outermost.inlined = false;
        }
        names.reverse();
        out.names(&names);
        self.bytes += key.1.len();
        if self.bytes > MAX_KNOWN_BYTES {
            self.frames.clear();
            self.bytes = 0;
        }
        let frame = Frame::Code { module, offset };
        self.frames.insert(key, frame);
        frame
    }
}

/// The module for functions with a mark.
fn module_of(mark: Mark) -> Module {
    let (kind, path) = match mark {
        Mark::Kernel => (ModuleKind::Kernel, "[kernel]"),
        Mark::Generated => (ModuleKind::Anonymous, "[anon]"),
        Mark::None | Mark::Inlined => (ModuleKind::Names, ""),
    };
    Module { kind: kind.into(), path: path.to_owned(), ..Module::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let check = |line, expected: Option<(&str, u64)>| {
            let found = Line::parse(line).map(|line| (line.stack, line.count(1.0)));
            assert_eq!(found, expected, "{line:?}");
        };
        check("a;b 3", Some(("a;b", 3)));
        check("a;operator new 3\r\n", Some(("a;operator new", 3)));
        check("a;b\t2.5", Some(("a;b", 3)));
        check("a;b 1e3", Some(("a;b", 1000)));
        check("a 99999999999999999999999", Some(("a", u64::MAX)));
        check("a 9007199254740993", Some(("a", 9_007_199_254_740_993)));
        check("a;b", None);
        check("a;b -3", None);
        check("3", None);
        check("a;b 1.2.3", None);
        assert!(Line::parse("a;b 3 4").unwrap().has_two_counts());
        assert!(!Line::parse("a;b c 4").unwrap().has_two_counts());
    }

    #[test]
    fn roots() {
        let check = |root, name: &str, pid, tid| {
            let expected = Named { pid, tid, name: name.to_owned() };
            assert_eq!(numbered_thread(root).unwrap_or_else(|| named_thread(root)), expected);
        };
        check("app", "app", 0, 0);
        check("app-10/11", "app", 10, 11);
        check("a-b/c-10/11", "a-b/c", 10, 11);
        check("kworker/0:1", "kworker/0:1", 0, 0);
        check("worker-12", "worker-12", 0, 0);
        check("app-?/11", "app-?/11", 0, 0);
        check("-1/2", "-1/2", 0, 0);
    }

    #[test]
    fn first_frames_that_are_functions() {
        let check = |line, expected| {
            assert_eq!(Line::parse(line).unwrap().begins_with_function(), expected, "{line}");
        };
        check("app;main 3", false);
        check("kworker/0:1-eve;worker 3", false);
        check("app-10/11 3", false);
        check("app 3", true);
        check("<module> (w.py:9);work 3", true);
        check("tokio::run;poll 3", true);
        check("java.lang.Thread.run;work 3", true);
    }
}
