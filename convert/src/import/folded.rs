//! Folded stacks: `process;caller;callee COUNT`, one line per stack.
//!
//! The first frame is taken for the process, or for the thread if it reads
//! like `comm-pid/tid`: so `stackcollapse-perf.pl` and we write it. Marks at
//! the end of frames are understood: `_[k]` is the kernel's, `_[j]` generated,
//! and `_[i]` inlined into the frame before it. What the numbers count is not
//! said: they are taken for samples. So that these can be cut evenly, the file
//! is gone through twice.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};

use rustc_hash::FxHashMap;
use rz_format::{
    Event, FileHeader, Frame, Module, ModuleKind, Name, Record, Recording, Sample, StackId, Tier,
    TruncatedReason,
};

use rz_profile::foreign::{is_no_stack, last_number};

use super::output::Output;
use super::spread::Spread;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 1 << 20;
/// Frames of a stack that are kept, from the leaf on.
const MAX_FRAMES: usize = 4096;
/// Bytes of names that are known at a time; what comes again after that gets
/// another number.
const MAX_KNOWN_BYTES: usize = 64 << 20;
/// What a count is of.
const EVENT: &str = "samples";
/// The unit of things that the event's name says.
const COUNT: u8 = 3;

pub(super) fn import(input: Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let header = FileHeader::new(input.trace_id(), input.modified_ns, 0);
    let mut file = input.file;
    let survey = Survey::of(&mut file)?;
    let spread = Spread::of(survey.total);
    let mut out = Output::new(out, &header)?;
    out.record(Record::Recording(Recording {
        tier: Tier::Folded.to_string(),
        ..Recording::default()
    }))?;
    let event = Event { id: 0, name: EVENT.into(), unit: COUNT, frequency_hz: 0 };
    out.record(Record::Event(event))?;
    survey.notes().for_each(|note| out.note(note));
    spread.note().into_iter().for_each(|note| out.note(note));

    let mut names = KnownNames::default();
    let mut threads = Threads::default();
    for_lines(&mut file, |line| {
        let Some(line) = line.and_then(Line::parse) else { return Ok(()) };
        let mut frames: Vec<&str> = line.stack.split(';').collect();
        let root = frames.remove(0);
        let thread = threads.id(thread_of(root), None, &mut out)?;
        let stack = names.stack(&frames, &mut out);
        for weight in spread.rows(line.count, line.count) {
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
    /// Lines with a fraction, which is rounded.
    fractions: u64,
    /// Lines without a count, or too long.
    unreadable: u64,
}

impl Survey {
    fn of(file: &mut File) -> Result<Self, ImportError> {
        let mut survey = Survey::default();
        for_lines(file, |line| {
            if line.is_some_and(is_no_stack) {
                return Ok(());
            }
            match line.and_then(Line::parse) {
                None => survey.unreadable += 1,
                Some(line) => {
                    survey.total = survey.total.saturating_add(line.count);
                    survey.lines += 1;
                    survey.two_counts += u64::from(line.has_two_counts());
                    survey.fractions += u64::from(line.is_rounded);
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

    fn notes(&self) -> impl Iterator<Item = String> {
        let Survey { unreadable, fractions, .. } = *self;
        let what = "folded stacks tell no times and no unit: the numbers are taken for samples";
        let unreadable = (unreadable > 0)
            .then(|| format!("{unreadable} lines that are no stack and number were left out"));
        let fractions = (fractions > 0).then(|| format!("{fractions} fractions were rounded"));
        [Some(what.to_owned()), unreadable, fractions].into_iter().flatten()
    }
}

/// Calls `take` with each line, `None` for one that is too long.
fn for_lines(
    file: &mut File,
    mut take: impl FnMut(Option<&str>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    file.rewind().map_err(ImportError::Read)?;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let line = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
        if line.map_err(ImportError::Read)? == 0 {
            return Ok(());
        }
        if bytes.len() as u64 == MAX_LINE && !bytes.ends_with(b"\n") {
            skip_line(&mut reader).map_err(ImportError::Read)?;
            take(None)?;
        } else {
            take(Some(&String::from_utf8_lossy(&bytes)))?;
        }
    }
}

/// Goes on behind the next line break.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = reader.fill_buf()?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end + 1);
        reader.consume(length);
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

/// A line with a stack.
#[derive(Debug, PartialEq, Eq)]
struct Line<'t> {
    stack: &'t str,
    count: u64,
    is_rounded: bool,
}

impl<'t> Line<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let (stack, number) = last_number(line)?;
        let (count, is_rounded) = match number.parse() {
            Ok(count) => (count, false),
            // A fraction, or more than there can be; a cast stays in range.
            Err(_) => (number.parse::<f64>().ok()?.round() as u64, true),
        };
        Some(Line { stack, count, is_rounded })
    }

    fn has_two_counts(&self) -> bool {
        last_number(self.stack).is_some()
    }
}

/// The thread that a root names.
fn thread_of(root: &str) -> Named {
    let numbered = || {
        let (rest, tid) = root.rsplit_once('/')?;
        let (name, pid) = rest.rsplit_once('-')?;
        let name = name.to_owned();
        let named = Named { pid: pid.parse().ok()?, tid: tid.parse().ok()?, name };
        (!named.name.is_empty()).then_some(named)
    };
    numbered().unwrap_or_else(|| Named { pid: 0, tid: 0, name: root.to_owned() })
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
            stack = Some(out.stack(None, Frame::Truncated(TruncatedReason::TooManyFrames)));
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
        let check = |line, expected: Option<(&str, u64, bool)>| {
            let found = Line::parse(line).map(|l| (l.stack, l.count, l.is_rounded));
            assert_eq!(found, expected, "{line:?}");
        };
        check("a;b 3", Some(("a;b", 3, false)));
        check("a;operator new 3\r\n", Some(("a;operator new", 3, false)));
        check("a;b\t2.5", Some(("a;b", 3, true)));
        check("a 99999999999999999999999", Some(("a", u64::MAX, true)));
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
            assert_eq!(thread_of(root), Named { pid, tid, name: name.to_owned() });
        };
        check("app", "app", 0, 0);
        check("app-10/11", "app", 10, 11);
        check("a-b/c-10/11", "a-b/c", 10, 11);
        check("kworker/0:1", "kworker/0:1", 0, 0);
        check("worker-12", "worker-12", 0, 0);
        check("app-?/11", "app-?/11", 0, 0);
        check("-1/2", "-1/2", 0, 0);
    }
}
