//! What a recording is asked for, and what comes of it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rz_format::{CallDetail, EndReason};

use crate::function_spec::FunctionSpec;

/// Most bytes of stack that can be copied: a perf record has at most 64 KiB, and
/// something else in it, too.
pub const MAX_STACK_BYTES: u32 = 63 << 10;

/// Most bytes that can be copied of a buffer.
pub const MAX_DATA_BYTES: u32 = 4096;

/// What to record, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to record.
    pub target: Target,
    /// For how long; without it until the targets end.
    pub duration: Option<Duration>,
    /// Samples per second of running time.
    pub frequency_hz: u32,
    /// The trace file, `-` for standard output; without it a name is made from
    /// the target and the time.
    pub output: Option<PathBuf>,
    /// If one file follows another, when, and which of them stay; `output` is a
    /// directory then.
    pub rotation: Option<Rotation>,
    /// If there are any, files stay in memory until one of them comes true: what
    /// [`Keep`] says of `rotation`, which has to be given then.
    pub triggers: Vec<Trigger>,
    /// Whether an existing file is replaced.
    pub force: bool,
    /// Whether children are recorded too.
    pub follow: bool,
    /// Whether to sample in kernel mode, if that is allowed.
    pub kernel: bool,
    /// Most bytes of user stack to copy with a sample, a multiple of 8. The
    /// kernel copies as many whether they are in use or not.
    pub stack_bytes: u32,
    /// How to record.
    pub tier: TierChoice,
    /// Whether to record intervals off the CPU.
    pub waits: bool,
    /// Whether to tell when threads that wait all the time ran last.
    pub last_ran: bool,
    /// What to record of system calls; `None` for nothing.
    pub calls: Option<CallOptions>,
    /// Functions whose calls are recorded.
    pub functions: Vec<FunctionSpec>,
    /// Percent of a CPU that recording calls of functions may take from their processes.
    pub function_limit_percent: u32,
    /// What to record of processes besides what is always recorded.
    pub facts: FactOptions,
    /// What to record of allocations; `None` for nothing.
    pub allocations: Option<AllocationOptions>,
    /// Waits and calls that take so long get a stack each, shorter ones one
    /// for so much of their time, in nanoseconds.
    pub stack_threshold_ns: u64,
    /// A description of the kernel's types, for one that has none of its own.
    pub types: Option<PathBuf>,
    /// What it may use of the machine.
    pub limits: Limits,
    /// How long what is still to be written may take when the recording is over. The
    /// rest is lost then.
    pub drain_timeout: Duration,
    /// Whether the trace is read while it is written: what was recorded, and names of the
    /// kernel's functions, are written at once then.
    pub live: bool,
    /// The command line, as it is written into the trace.
    pub command_line: Vec<String>,
}

/// When a file ends and the next one begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// After this time.
    pub time: Option<Duration>,
    /// When it has so many bytes.
    pub bytes: Option<u64>,
    /// Which files stay.
    pub keep: Keep,
}

/// Which files of a recording stay: all, if there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many bytes, with the file that is being written. The oldest go first.
    pub bytes: Option<u64>,
    /// Those that ended no longer ago than this.
    pub time: Option<Duration>,
}

/// Memory for what does not wait to be unwound: programs, buffers, tables, what is about
/// to be written.
pub(crate) const ALL_ELSE: u64 = 96 << 20;

/// Into how many files the time is divided whose files are kept in memory, and how long one
/// lasts at least.
const PARTS: u32 = 6;
const LEAST_PART: Duration = Duration::from_secs(1);

impl Rotation {
    /// Keeps the files of the last `time` in memory. Half of what `limits` have for events
    /// is for these from now on; they are not counted as resident.
    pub fn in_memory(time: Duration, limits: &mut Limits) -> Self {
        let bytes = limits.max_rss.saturating_sub(ALL_ELSE) / 2;
        limits.max_rss -= bytes;
        let (part, part_bytes) = (time / PARTS, bytes / u64::from(PARTS));
        Rotation {
            time: Some(part.max(LEAST_PART)),
            bytes: Some(part_bytes),
            keep: Keep { bytes: Some(bytes), time: Some(time) },
        }
    }

    /// Bytes at which a file ends: at half of what is kept, so that there is always
    /// a whole one, if not before. `most` is for any file.
    pub(crate) fn file_bytes(&self, most: u64) -> u64 {
        let kept = self.keep.bytes.map(|bytes| bytes / 2);
        [self.bytes, kept].into_iter().flatten().fold(most, u64::min)
    }
}

/// What files in memory are written for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// All that is recorded runs for more than so many percent of a second.
    Cpu {
        /// 100 is one CPU.
        percent: u32,
    },
    /// A system call takes longer than it should.
    Call {
        /// Its number.
        number: u32,
        /// How long it may take.
        longer_than: Duration,
    },
    /// SIGUSR1 comes.
    Signal,
    /// A line is appended to a file.
    Log {
        /// The file.
        path: PathBuf,
        /// What the line has.
        text: String,
    },
    /// One of the processes that were named ends, or the program that was started.
    Exit,
    /// A process is ended by a signal.
    Crash,
}

impl Trigger {
    /// A word for what it looks at.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Trigger::Cpu { .. } => "cpu",
            Trigger::Call { .. } => "syscall",
            Trigger::Signal => "signal",
            Trigger::Log { .. } => "log",
            Trigger::Exit => "exit",
            Trigger::Crash => "crash",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Trigger::Cpu { percent } => write!(f, "{kind}>{percent}%"),
            Trigger::Call { number, longer_than } => match rz_syscalls::name(*number) {
                Some(name) => write!(f, "{kind}:{name}>{longer_than:?}"),
                None => write!(f, "{kind}:{number}>{longer_than:?}"),
            },
            Trigger::Log { path, text } => write!(f, "{kind}:{}:{text}", path.display()),
            Trigger::Signal | Trigger::Exit | Trigger::Crash => f.write_str(kind),
        }
    }
}

/// What a recording may use of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Resident memory in bytes. Most of what is above 96 MiB is for events that wait to be
    /// dealt with.
    pub max_rss: u64,
    /// CPU time, in percent of one CPU; `None` for as much as there is to do. What bpf
    /// programs take is the time of those whom they interrupt.
    pub max_cpu_percent: Option<u32>,
    /// Bytes of file at which the recording ends, or the next file begins if there is one.
    pub max_size: u64,
    /// Bytes that are left free where the file is, or the recording ends; `None` for
    /// 1 % of the file system, and no more than 256 MiB.
    pub min_free: Option<u64>,
}

impl Default for Limits {
    /// 256 MiB of memory, and nothing else.
    fn default() -> Self {
        Limits { max_rss: 256 << 20, max_cpu_percent: None, max_size: u64::MAX, min_free: None }
    }
}

/// What to record.
#[derive(Debug, Clone)]
pub enum Target {
    /// Processes that run already, by their numbers or those of their threads.
    Processes(Vec<u32>),
    /// Threads of such processes.
    Threads(Vec<u32>),
    /// A program to start.
    Program(Vec<OsString>),
    /// All processes of the machine but this one.
    Machine,
}

/// How to record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TierChoice {
    /// By bpf programs if that is possible, else by perf events.
    #[default]
    Auto,
    /// By bpf programs.
    Bpf,
    /// By perf events on each thread.
    Perf,
}

/// What to record of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// How much.
    pub detail: CallDetail,
    /// Which, by number; all if there is none.
    pub numbers: Vec<u32>,
    /// Those that take less, in nanoseconds, are only counted.
    pub slower_than_ns: u64,
    /// Which of them get a stack.
    pub stacks: CallStacks,
    /// Bytes to copy of each buffer that they are given, and structures; 0 for none of
    /// these.
    pub data_bytes: u32,
}

/// What to record of processes that may be secret. The first word of their
/// command line and the names of environment variables are always recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FactOptions {
    /// All their arguments.
    pub args: bool,
    /// Values of environment variables.
    pub values: bool,
}

/// What to record of allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocationOptions {
    /// Average number of bytes between samples; 0 for every allocation.
    pub interval: u64,
    /// Most that probes in running processes may cost these, in percent of one
    /// CPU.
    pub limit_percent: u32,
}

/// Which system calls get a stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallStacks {
    /// None.
    None,
    /// Slow and failed ones, and others in proportion to their time.
    #[default]
    Sampled,
    /// All that are written.
    All,
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Time since it began.
    pub elapsed: Duration,
    /// Samples, waits, calls and allocations written.
    pub events: u64,
    /// Events lost.
    pub lost: u64,
    /// Bytes in the file.
    pub file_size: u64,
}

/// What came of a recording.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The trace file, or the directory of several.
    pub path: PathBuf,
    /// How many files it is.
    pub files: u64,
    /// Their size in bytes.
    pub file_size: u64,
    /// Samples taken.
    pub samples: u64,
    /// Intervals off the CPU written.
    pub waits: u64,
    /// System calls written.
    pub calls: u64,
    /// Calls of functions written.
    pub function_calls: u64,
    /// Allocations, and objects freed, that were written.
    pub allocations: u64,
    /// Stacks that were not followed to their root.
    pub truncated: u64,
    /// Events lost.
    pub lost: u64,
    /// Threads seen.
    pub threads: u64,
    /// CPU time the recorder used, in nanoseconds.
    pub cpu_ns: u64,
    /// Peak memory of the recorder in bytes.
    pub peak_rss: u64,
    /// Why it ended.
    pub end: EndReason,
    /// How the program that was started ended, if one was.
    pub status: Option<ExitStatus>,
}
