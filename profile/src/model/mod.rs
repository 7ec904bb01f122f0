//! The symbolized profile: what every exporter and every report is made from.
//!
//! Data flows one way: a `.rz` file is loaded into raw tables, raw tables are
//! symbolized into a [`Profile`], and a profile is exported or rendered. Its
//! size follows the number of distinct stacks, not the number of samples; the
//! order of samples in time is kept only when asked for (see
//! [`Profile::timeline`]).
//!
//! ```text
//! sample ─► thread ─► process
//!        └► stack ─► location ─► lines (inlined calls, innermost first) ─► function
//!             └► parent stack      └► module
//! ```
//!
//! Intervals off the CPU and system calls are events beside the CPU's, and
//! their stacks end in a frame that says why ([`FrameKind::Reason`]). What is
//! exact about them, because no sampling is involved, is in
//! [`Profile::totals`]. Allocations are an event as well, of which
//! [`Profile::heap`] knows more.

mod applied;
mod event;
pub mod heap;
mod losses;
mod probed;

use std::collections::BTreeMap;

use heap::Heap;

use rustc_hash::FxHashMap;

use crate::reason::Reason;

pub(crate) use applied::show_time;
pub use applied::{Applied, AppliedSpans};
pub use event::{ALLOC, CPU, Event, EventKind, FUNCTIONS, OFF_CPU, SYSCALLS, Unit, WALL};
pub use losses::{LossAt, LossSum, Losses};
pub use probed::{ProbedFunction, ValueKind};

pub use rz_format::{
    CallDetail, Captured, CodeTier, CpuTime, Execution, Histogram, LossClass, LossReason, Runtime,
    Tier, Total, TotalClass, TruncatedReason, WaitState,
};

/// Nanoseconds on the trace's clock (`CLOCK_MONOTONIC` of the recording host)
/// or a length of time.
pub type Nanos = u64;

/// Index into [`Profile::events`].
pub type EventId = usize;
/// Index into [`Profile::sources`].
pub type SourceId = usize;
/// Index into [`Profile::processes`].
pub type ProcessId = usize;
/// Index into [`Profile::threads`].
pub type ThreadId = usize;
/// Index into [`Profile::modules`].
pub type ModuleId = usize;
/// Index into [`Profile::functions`].
pub type FunctionId = usize;
/// Index into [`Profile::locations`].
pub type LocationId = usize;
/// Index into [`Profile::stacks`].
pub type StackId = usize;

/// One recording, merged, symbolized and ready to be shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// Facts about the recording as a whole.
    pub info: Info,
    /// The recordings it is made of: one, unless it is of a merged trace.
    pub sources: Vec<Source>,
    /// What was counted: the CPU's events, then what else was recorded.
    pub events: Vec<Event>,
    /// Every process seen, in order of appearance.
    pub processes: Vec<Process>,
    /// Every thread seen, in order of appearance.
    pub threads: Vec<Thread>,
    /// Executables, libraries, the kernel, and areas without a file.
    pub modules: Vec<Module>,
    /// Distinct functions, by (name, file, module, first line).
    pub functions: Vec<Function>,
    /// Distinct places in code, each with the functions inlined there.
    pub locations: Vec<Location>,
    /// Call stacks as a tree: a node's parent always has a smaller id.
    pub stacks: Vec<StackNode>,
    /// Samples added up per (event, thread, stack); sorted by that key.
    pub samples: Vec<Sample>,
    /// Single samples in order of time, if they were asked for and not too
    /// many; `None` otherwise.
    pub timeline: Option<Vec<TimedSample>>,
    /// Exact sums, one per class, thread, state and number; sorted by that.
    /// [`Total::thread`] is a [`ThreadId`].
    pub totals: Vec<Total>,
    /// Classes whose exact sums are missing, or are of more than was selected.
    /// [`Profile::totals`] has sums of what was recorded one by one in their
    /// place, if there is any.
    pub inexact: Vec<TotalClass>,
    /// How long threads ran as the scheduler counted it, if that is known.
    pub cpu_times: Option<CpuTimes>,
    /// Intervals that were not over at the end, which are in no total, added
    /// up in the same way.
    pub open_waits: Vec<Total>,
    /// When threads that were on no CPU during the recording had been on one last, as far as
    /// that was recorded: about, as the scheduler has a clock of its own.
    pub last_ran: FxHashMap<ThreadId, Nanos>,
    /// What the single system calls of the trace tell besides their stacks.
    pub calls: Calls,
    /// Functions whose calls were recorded, by number.
    pub probed: BTreeMap<u32, ProbedFunction>,
    /// Allocations, if any were recorded.
    pub heap: Option<Heap>,
}

/// System calls that were recorded one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many of those that totals count: they began and ended while it was
    /// recorded.
    pub rows: u64,
    /// How many such calls were made, if only one in so many was recorded.
    pub counted: u64,
    /// How many failed, by number and error; sorted by that.
    pub failed: Vec<FailedCalls>,
    /// Calls of which not all was seen, by number; sorted by that.
    pub in_flight: Vec<InFlightCalls>,
}

/// Calls that failed in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedCalls {
    /// The call.
    pub number: u32,
    /// The error.
    pub errno: u32,
    /// How many.
    pub count: u64,
}

/// Calls that had begun before the recording or were not over at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightCalls {
    /// The call.
    pub number: u32,
    /// How many there were at the start.
    pub at_start: u64,
    /// How many there were at the end.
    pub at_end: u64,
}

/// One recording of a merged trace, or the only one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Source {
    /// What people call it: the name of its file, unless it was given another.
    pub label: String,
    /// The id of its trace.
    pub trace_id: [u8; 16],
    /// Host name, as recorded.
    pub host: String,
    /// Kernel name, release and machine, as `uname` gives them.
    pub os: String,
    /// Random number of the host's boot; empty if unknown.
    pub boot_id: String,
    /// CPUs online on the host.
    pub cpus: u32,
    /// Version of the recorder.
    pub recorder: String,
    /// What took the samples, if that is known.
    pub tier: Option<Tier>,
    /// The recorder's command line.
    pub command: Vec<String>,
    /// When recording started, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// When recording started, on the trace's clock.
    pub start_ns: Nanos,
    /// For how long samples were taken, in the window of time that is looked
    /// at.
    pub duration_ns: Nanos,
    /// Whether the recording was not ended, as when the recorder is killed.
    pub cut_short: bool,
    /// Samples of the CPU, lost ones not included.
    pub samples: u64,
    /// Samples of the CPU that were due and are missing.
    pub lost: u64,
    /// CPU time the recorder itself used.
    pub recorder_cpu_ns: Nanos,
    /// Peak resident memory of the recorder, in bytes.
    pub recorder_peak_rss: u64,
    /// What was added to its times, to bring its clock in line with the
    /// trace's.
    pub clock_shift_ns: i64,
}

/// Facts about the recording as a whole. Of several sources, amounts are added
/// up, and texts are those of all, each once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Info {
    /// Host name, as recorded.
    pub host: String,
    /// Kernel name, release and machine, as `uname` gives them.
    pub os: String,
    /// CPUs online on the host, or on all hosts.
    pub cpus: u32,
    /// Version of the recorder.
    pub recorder: String,
    /// What took the samples: each tier once, in order of appearance.
    pub tiers: Vec<Tier>,
    /// The recorder's command line; empty if sources differ in it.
    pub command: Vec<String>,
    /// When recording started, or the window of time that is looked at, in
    /// nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// The same on the trace's clock.
    pub start_ns: Nanos,
    /// For how long samples were taken, in the window of time that is looked
    /// at. Of several sources, the sum over them, at the same time or not: the
    /// time that rates refer to.
    pub duration_ns: Nanos,
    /// The same without a window.
    pub recording_ns: Nanos,
    /// What a filter selected.
    pub filter: Applied,
    /// Whether a recording was not ended, as when the recorder is killed.
    pub cut_short: bool,
    /// What was recorded besides samples of the CPU.
    pub captured: Captured,
    /// Samples of the CPU in the trace, or in the window of time that is looked
    /// at, by whatever thread; lost ones not included.
    pub samples: u64,
    /// Those whose stack could not be followed to its root.
    pub truncated: u64,
    /// Samples of the CPU that were due and are missing.
    pub lost_samples: Losses,
    /// Intervals off the CPU that are missing; totals have them.
    pub lost_waits: Losses,
    /// System calls that are missing; totals have them.
    pub lost_calls: Losses,
    /// Calls of functions that are missing; totals have those that returned.
    pub lost_function_calls: Losses,
    /// Intervals and system calls that are in no total.
    pub lost_totals: Losses,
    /// Allocations, and objects that were freed, that are missing.
    pub lost_allocations: Losses,
    /// What this program does not know, and is missing.
    pub lost_others: Losses,
    /// When all of this was lost, in order of time.
    pub losses: Vec<LossAt>,
    /// CPU time the recorder itself used.
    pub recorder_cpu_ns: Nanos,
    /// Peak resident memory of the recorder, in bytes; of several sources, the
    /// largest.
    pub recorder_peak_rss: u64,
    /// Size of the trace file, in bytes.
    pub file_size: u64,
    /// What was taken out of the trace so that it can be given away, and how
    /// many times.
    pub redacted: Vec<(String, u64)>,
    /// Things a reader should know, one sentence each: damage that was
    /// skipped, modules that could not be symbolized and why.
    pub notes: Vec<String>,
    /// What cost nobody anything but time, one sentence each: for those who
    /// ask.
    pub details: Vec<String>,
}

/// How long threads ran, as the kernel's scheduler counted it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// All threads together.
    pub total: CpuTime,
    /// By thread; `None` are those that could not be told apart.
    pub threads: BTreeMap<Option<ThreadId>, CpuTime>,
    /// From when to when they were read; of several sources, the sum over them.
    pub span_ns: Nanos,
    /// Whether all that the targets ran in that time is in them.
    pub complete: bool,
    /// Whether it is what samples of the CPU are of: in the kernel as well.
    pub of_samples: bool,
}

impl Profile {
    /// How long all threads ran in the time of the recording, as the scheduler counted it;
    /// `None` if that is not known of all that is shown.
    pub fn counted_cpu_ns(&self) -> Option<f64> {
        let times = self.cpu_times.as_ref().filter(|times| times.complete && times.of_samples)?;
        let (span, duration) = (times.span_ns as f64, self.info.duration_ns as f64);
        // Read for longer than was recorded, as when an output holds everything up, it is of
        // another time.
        let is_of_recording = (span - duration).abs() <= 0.05 * duration + 0.2e9;
        let is_of_all = is_of_recording && span > 0.0 && !self.info.filter.is_active();
        is_of_all.then(|| times.total.ran_ns as f64 * duration / span)
    }
}

/// A process, identified by its number and start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Process id, as the host numbers it.
    pub pid: u32,
    /// Name of the process (its first thread's `comm`).
    pub name: String,
    /// The executable's path; empty if unknown.
    pub exe: String,
    /// Whether it is a thread of the kernel, which has no user mode.
    pub kernel: bool,
    /// Where it was recorded.
    pub source: SourceId,
}

/// A thread of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thread {
    /// The process it belongs to.
    pub process: ProcessId,
    /// Thread id, as the host numbers it.
    pub tid: u32,
    /// The thread's `comm`.
    pub name: String,
}

/// Something that code addresses belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    /// What it is.
    pub kind: ModuleKind,
    /// Short name for display: the file name, or `[kernel]`, `[vdso]`, `[anon]`.
    pub name: String,
    /// Path on the recording host; empty if it had none.
    pub path: String,
    /// GNU build-id; empty if it had none.
    pub build_id: Vec<u8>,
    /// Size of the file in bytes; 0 if unknown.
    pub file_size: u64,
}

/// What a [`Module`] is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ModuleKind {
    /// An executable or library file.
    #[default]
    File,
    /// The kernel or one of its modules.
    Kernel,
    /// The code page that the kernel maps into every process.
    Vdso,
    /// Executable memory without a file, such as JIT-compiled code.
    Anonymous,
}

/// A function, after demangling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Function {
    /// Name for people. A function without a known name is called
    /// `[module+0xoffset]`, by where it starts if that can be told, else by
    /// each of its addresses.
    pub name: String,
    /// Whether it has no name of its own: it is called by its module, by a
    /// place in that, or by what is missing.
    pub nameless: bool,
    /// The linker's (mangled) name; empty if unknown.
    pub system_name: String,
    /// Source file; empty if unknown.
    pub file: String,
    /// The module it is in, if it belongs to one.
    pub module: Option<ModuleId>,
    /// Line of the file in which its definition begins; 0 if unknown. Known of
    /// functions of runtimes only, which it tells apart.
    pub first_line: u32,
    /// Column of that, from 1; 0 if unknown.
    pub first_column: u32,
}

/// One recorded place in code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// What the address is.
    pub kind: FrameKind,
    /// The module it is in, if any.
    pub module: Option<ModuleId>,
    /// Address as in the module's own symbol table (SVMA); for the kernel and
    /// for memory without a file the address in memory; 0 of what has none, as
    /// code of runtimes. Callers are given by
    /// an address inside the call instruction, not by the return address.
    pub address: u64,
    /// Functions at this address, innermost (most deeply inlined) first.
    /// Never empty; all but the last were inlined.
    pub lines: Vec<Line>,
    /// Why a stack ends here instead of at its root, where it does.
    pub truncated: Option<TruncatedReason>,
    /// How it ran, of code of a runtime.
    pub how: Execution,
}

/// What a [`Location`] is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Code of the process.
    #[default]
    User,
    /// Code of the kernel.
    Kernel,
    /// Code generated at run time.
    Jit,
    /// Code as a runtime knows it, interpreted or not, by its source instead of
    /// an address.
    Runtime(Runtime),
    /// Stands for the callers that could not be followed; always a root.
    Truncated,
    /// Stands for a stack whose definition is missing from a damaged file;
    /// always a root.
    Lost,
    /// Says why a thread did not run, or which system call it made; always the
    /// innermost frame.
    Reason(Reason),
}

/// A function and the source line inside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function.
    pub function: FunctionId,
    /// Line in the function's source file; 0 if unknown.
    pub line: u32,
    /// Column in that line, from 1; 0 if unknown.
    pub column: u32,
}

/// A call stack: this location, called from the parent stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StackNode {
    /// The caller; `None` for a root. Always smaller than the node's own id.
    pub parent: Option<StackId>,
    /// The code address.
    pub location: LocationId,
}

/// Samples with the same event, thread and stack, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// What was counted.
    pub event: EventId,
    /// The thread that ran.
    pub thread: ThreadId,
    /// Where it ran; `None` if the sample has no stack at all.
    pub stack: Option<StackId>,
    /// Number of samples.
    pub count: u64,
    /// Sum of their weights, in the event's unit.
    pub weight: u64,
}

/// One sample at its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimedSample {
    /// When, on the trace's clock; of an interval, when it began.
    pub time_ns: Nanos,
    /// How long an interval or a system call took; 0 of a moment.
    pub duration_ns: Nanos,
    /// Number of samples: one, unless there were too many to keep each.
    pub count: u64,
    /// What was counted.
    pub event: EventId,
    /// The thread that ran.
    pub thread: ThreadId,
    /// Where it ran; none if the sample has no stack at all.
    pub stack: SmallStackId,
    /// Its weight, in the event's unit.
    pub weight: u64,
}

/// An `Option<StackId>` in half of its room, where there may be millions of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SmallStackId(Option<u32>);

impl Info {
    /// How long what is looked at lasted: the spans, where it was filtered by these.
    pub fn looked_at_ns(&self) -> Nanos {
        self.filter.spans.as_ref().map_or(self.duration_ns, |spans| spans.time_ns)
    }
}

impl SmallStackId {
    /// The same in full.
    pub fn get(self) -> Option<StackId> {
        self.0.map(|id| id as StackId)
    }
}

impl From<Option<StackId>> for SmallStackId {
    fn from(id: Option<StackId>) -> Self {
        SmallStackId(id.map(|id| u32::try_from(id).expect("there is no memory for more stacks")))
    }
}

impl Unit {
    /// The unit's name as exchange formats spell it.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "nanoseconds",
            Unit::Cycles => "cycles",
            Unit::Bytes => "bytes",
            Unit::Count => "count",
        }
    }
}

impl Profile {
    /// Short name of what a function is in: its module, or, of code of a runtime,
    /// its source file and the folder of that. Empty if it is in neither.
    pub fn home_of(&self, function: FunctionId) -> &str {
        let Function { file, module, .. } = &self.functions[function];
        match module {
            Some(module) => &self.modules[*module].name,
            None => file.rmatch_indices('/').nth(1).map_or(file, |(at, _)| &file[at + 1..]),
        }
    }

    /// The locations of a stack, leaf first.
    pub fn locations_of(&self, stack: Option<StackId>) -> impl Iterator<Item = &Location> {
        let mut next = stack;
        std::iter::from_fn(move || {
            let node = self.stacks[next?];
            next = node.parent;
            Some(&self.locations[node.location])
        })
    }

    /// Whether there is more than one recording in it.
    pub fn is_merged(&self) -> bool {
        self.sources.len() > 1
    }

    /// What to call a source: its label, and its host if there are several.
    pub fn source_name(&self, id: SourceId) -> String {
        let Some(source) = self.sources.get(id) else { return String::new() };
        if self.sources.iter().all(|other| other.host == source.host) || source.host.is_empty() {
            source.label.clone()
        } else {
            format!("{} on {}", source.label, source.host)
        }
    }

    /// Thread and process of a thread id.
    pub fn thread(&self, id: ThreadId) -> (&Thread, &Process) {
        let thread = &self.threads[id];
        (thread, &self.processes[thread.process])
    }

    /// The heap if the event is that of allocations.
    pub fn heap_of(&self, event: EventId) -> Option<&Heap> {
        self.heap.as_ref().filter(|_| self.events[event].kind == EventKind::Alloc)
    }

    /// Sum of all weights of one event.
    pub fn total_weight(&self, event: EventId) -> u64 {
        self.samples.iter().filter(|s| s.event == event).map(|s| s.weight).sum()
    }
}

/// Sorts samples and adds up those that have all in common.
pub(crate) fn add_up_equal(samples: &mut Vec<Sample>) {
    let key = |sample: &Sample| (sample.event, sample.thread, sample.stack);
    samples.sort_unstable_by_key(key);
    samples.dedup_by(|next, first| {
        let same = key(next) == key(first);
        if same {
            first.count += next.count;
            first.weight += next.weight;
        }
        same
    });
}
