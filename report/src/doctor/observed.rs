//! What rules look at: a profile, its single calls, and whose functions are whose.

use std::collections::BTreeMap;

use rz_profile::calls::CallList;
use rz_profile::model::{
    CallDetail, EventKind, FrameKind, FunctionId, ModuleKind, Profile, Sample, StackId, ThreadId,
    Unit,
};

use super::Needs;
use crate::model::clean::clean;
use crate::model::hotpath::is_startup;

/// A recording as rules look at it.
#[derive(Debug)]
pub struct Observed<'p> {
    /// What was recorded. It has to be loaded with all that there is.
    pub profile: &'p Profile,
    /// Single system calls, if any were recorded.
    pub calls: Option<&'p CallList>,
    /// The trace as it is named on the command line.
    trace: String,
    /// For each function whether it is of the program itself, and of no library or runtime.
    is_own: Vec<bool>,
}

/// A function on a stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'p> {
    pub function: FunctionId,
    pub line: u32,
    pub kind: FrameKind,
    pub name: &'p str,
}

/// Times by function and line, to be named by their heaviest line.
#[derive(Debug, Default)]
pub(super) struct ByFunction(BTreeMap<FunctionId, BTreeMap<u32, u64>>);

impl ByFunction {
    pub(super) fn add(&mut self, frame: Frame<'_>, weight: u64) {
        let sum = self.0.entry(frame.function).or_default().entry(frame.line).or_default();
        *sum = sum.saturating_add(weight);
    }

    /// The function with the most, as a place, and what it has.
    pub(super) fn heaviest(&self) -> Option<(FunctionId, u32, u64)> {
        let sum = |lines: &BTreeMap<u32, u64>| lines.values().fold(0, |a, b| b.saturating_add(a));
        let (&function, lines) = self.0.iter().max_by_key(|(_, lines)| sum(lines))?;
        let (&line, _) = lines.iter().max_by_key(|(_, weight)| **weight)?;
        Some((function, line, sum(lines)))
    }
}

impl<'p> Observed<'p> {
    /// A recording; `trace` is what to call it on a command line.
    pub fn new(profile: &'p Profile, calls: Option<&'p CallList>, trace: &str) -> Self {
        let is_own = (0..profile.functions.len()).map(|id| is_own(profile, id)).collect();
        Observed { profile, calls, trace: quoted(trace), is_own }
    }

    /// Why nothing of a kind can be looked at; `None` if it can.
    pub(super) fn missing(&self, needs: Needs) -> Option<String> {
        let captured = &self.profile.info.captured;
        let drops_stacks = self.profile.info.filter.drops_stacks;
        let text = match needs {
            Needs::Cpu if self.has_cpu_time() => return None,
            Needs::Cpu => "CPU samples: not recorded by time",
            Needs::Waits if !captured.waits => "waits: not recorded; rec --off-cpu",
            Needs::Calls if CallDetail::from(captured.calls) == CallDetail::None => {
                "system calls: not recorded; rec --syscalls"
            }
            Needs::Calls if CallDetail::from(captured.calls) == CallDetail::Totals => {
                "system calls: only their totals were recorded; rec --syscalls without totals only"
            }
            Needs::Calls if drops_stacks => "system calls: a filter by stack leaves them out",
            Needs::Calls if captured.slower_than_ns > 0 => {
                "system calls: only slow ones were recorded one by one; rec --syscalls"
            }
            Needs::Allocations if self.profile.heap.is_none() => {
                "allocations: not recorded; rec --alloc"
            }
            Needs::Waits | Needs::Calls | Needs::Allocations => return None,
        };
        Some(text.to_owned())
    }

    fn has_cpu_time(&self) -> bool {
        let mut events = self.profile.events.iter();
        events.any(|event| event.kind == EventKind::Cpu && event.unit == Unit::Nanoseconds)
    }

    /// How long the recording, or the window of it that is looked at, is.
    pub(super) fn duration_ns(&self) -> u64 {
        self.profile.info.looked_at_ns()
    }

    /// Something that took so long is so much of the recording's time, in percent.
    pub(super) fn percent_of_time(&self, ns: u64) -> f64 {
        crate::render::format::percent_of(ns, self.duration_ns())
    }

    /// How many of something there were each second.
    pub(super) fn per_second(&self, count: u64) -> f64 {
        count as f64 / (self.duration_ns() as f64 / 1e9).max(1e-3)
    }

    /// Samples of events of a kind. Of the CPU, those that count time.
    pub(super) fn samples(&self, kind: EventKind) -> impl Iterator<Item = &'p Sample> {
        let profile = self.profile;
        profile.samples.iter().filter(move |sample| {
            let event = &profile.events[sample.event];
            event.kind == kind && (kind != EventKind::Cpu || event.unit == Unit::Nanoseconds)
        })
    }

    /// The functions of a stack, leaf first; what says why it was taken is none.
    pub(super) fn frames(&self, stack: Option<StackId>) -> impl Iterator<Item = Frame<'p>> {
        let profile = self.profile;
        profile.locations_of(stack).flat_map(move |location| {
            let is_function = !matches!(
                location.kind,
                FrameKind::Reason(_) | FrameKind::Truncated | FrameKind::Lost
            );
            location.lines.iter().filter(move |_| is_function).map(move |line| Frame {
                function: line.function,
                line: line.line,
                kind: location.kind,
                name: profile.functions[line.function].name.as_str(),
            })
        })
    }

    /// The same without those of the kernel.
    pub(super) fn user_frames(&self, stack: Option<StackId>) -> impl Iterator<Item = Frame<'p>> {
        self.frames(stack).filter(|frame| frame.kind != FrameKind::Kernel)
    }

    /// Whether a function is of the program itself.
    pub(super) fn is_own(&self, frame: Frame<'_>) -> bool {
        self.is_own[frame.function] && frame.kind != FrameKind::Kernel
    }

    /// The innermost of these functions that somebody of the program wrote, or else the
    /// first that has a name.
    pub(super) fn own(&self, frames: impl Iterator<Item = Frame<'p>>) -> Option<Frame<'p>> {
        let mut first = None;
        for frame in frames {
            if self.is_own(frame) {
                return Some(frame);
            }
            let has_name = !self.profile.functions[frame.function].nameless;
            first = first.or_else(|| (has_name && !is_startup(frame.name)).then_some(frame));
        }
        first
    }

    /// A function as a finding names it: `save (store.c:31)`.
    pub(super) fn place(&self, function: FunctionId, line: u32) -> String {
        let function = &self.profile.functions[function];
        let file = function.file.rsplit('/').next().unwrap_or_default();
        let name = clean(&function.name);
        match (file, line) {
            ("", _) => name.into_owned(),
            (file, 0) => format!("{name} ({})", clean(file)),
            (file, line) => format!("{name} ({}:{line})", clean(file)),
        }
    }

    /// A command that shows more: `report TRACE` with these options.
    pub(super) fn command(&self, options: &[&str]) -> String {
        let options: Vec<String> = options.iter().map(|option| quoted(option)).collect();
        format!("report {} {}", self.trace, options.join(" ")).trim_end().to_owned()
    }

    /// The pattern that `--focus` takes for one function.
    pub(super) fn focus(&self, function: FunctionId) -> String {
        exactly(&self.profile.functions[function].name)
    }

    /// A thread as a finding names it: `worker-1 (4243)`.
    pub(super) fn thread(&self, thread: ThreadId) -> String {
        let (thread, _) = self.profile.thread(thread);
        format!("{} ({})", clean(&thread.name), thread.tid)
    }
}

/// The pattern that `--focus` takes for functions of this name.
pub(super) fn exactly(name: &str) -> String {
    let mut pattern = String::from("^");
    for c in clean(name).chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + "$"
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", clean(word).replace('\'', r"'\''"))
}

/// Where system libraries are.
const LIBRARY_FOLDERS: [&str; 4] = ["/lib", "/usr/lib", "/usr/local/lib", "/nix/store"];

/// Programs and libraries that run other languages.
const RUNTIMES: [&str; 8] =
    ["python", "libpython", "node", "libnode", "java", "libjvm", "ruby", "libruby"];

/// Where the names of functions of standard libraries begin: of C++, Rust and Java.
const LIBRARY_NAMES: [&str; 14] = [
    "std::",
    "core::",
    "alloc::",
    "<std::",
    "<core::",
    "<alloc::",
    "hashbrown::",
    "__gnu_cxx::",
    "operator ",
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "com.sun.",
];

/// Folders of sources that are not the program's: standard libraries, and packages.
const LIBRARY_SOURCES: [&str; 8] = [
    "/rustc/",
    "/.cargo/registry/",
    "/lib/python",
    "/site-packages/",
    "/dist-packages/",
    "/node_modules/",
    "/go/pkg/mod/",
    "/lib/go",
];

/// The first parts of the names of Go's own packages.
const GO_PACKAGES: [&str; 30] = [
    "bufio",
    "bytes",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "encoding",
    "errors",
    "fmt",
    "hash",
    "html",
    "internal",
    "io",
    "log",
    "maps",
    "math",
    "net",
    "os",
    "path",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "sync",
    "syscall",
    "time",
];

fn is_own(profile: &Profile, id: FunctionId) -> bool {
    let function = &profile.functions[id];
    let (name, file) = (function.name.as_str(), function.file.as_str());
    if function.nameless
        || is_startup(name)
        || LIBRARY_NAMES.iter().any(|start| name.starts_with(start))
        || LIBRARY_SOURCES.iter().any(|folder| file.contains(folder))
        || file.starts_with("node:")
        || file.starts_with("<frozen")
    {
        return false;
    }
    if file.ends_with(".go") || name.starts_with("runtime.") {
        let package = name.split(['.', '/', '(']).next().unwrap_or_default();
        return !GO_PACKAGES.contains(&package);
    }
    match function.module.map(|module| &profile.modules[module]) {
        // Code of a runtime, whose file is its source.
        None => !file.is_empty(),
        Some(module) => match module.kind {
            ModuleKind::Kernel | ModuleKind::Vdso => false,
            ModuleKind::Anonymous => true,
            ModuleKind::File => {
                let path = module.path.as_str();
                let is_library = LIBRARY_FOLDERS.iter().any(|dir| path.starts_with(dir))
                    || LIBRARY_SOURCES.iter().any(|folder| path.contains(folder));
                !is_library && !RUNTIMES.iter().any(|runtime| module.name.starts_with(runtime))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let profile = Builder::of(&[("main;operator()(int)", 1)]);
        let observed = Observed::new(&profile, None, "my trace.rz");
        let command = observed.command(&["--focus", &observed.focus(1)]);
        assert_eq!(command, r"report 'my trace.rz' --focus '^operator\(\)\(int\)$'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("a/b-c.rz"), "a/b-c.rz");
    }

    #[test]
    fn whose_functions_are_whose() {
        let mut profile = Builder::of(&[("_start;main;std::sort;f", 1)]);
        let own = |profile: &Profile| {
            (0..profile.functions.len()).map(|id| is_own(profile, id)).collect::<Vec<_>>()
        };
        assert_eq!(own(&profile), [false, true, false, true]);
        profile.modules[0].path = "/usr/lib/libx.so".into();
        assert_eq!(own(&profile), [false; 4]);
    }
}
