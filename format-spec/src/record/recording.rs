//! What is said of a recording as a whole: where, how, and what is missing.

use bincode::{Decode, Encode};

use crate::codes::coded;

/// The machine that was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Host {
    /// Host name.
    pub hostname: String,
    /// Kernel name, such as `Linux`.
    pub sysname: String,
    /// Kernel release.
    pub release: String,
    /// Kernel version string.
    pub version: String,
    /// Machine, such as `x86_64`.
    pub machine: String,
    /// CPUs online.
    pub cpus: u32,
    /// Size of a page in bytes.
    pub page_size: u32,
    /// Random number of this boot.
    pub boot_id: String,
}

/// How the recording was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Recording {
    /// Version of the recorder.
    pub recorder: String,
    /// Its command line; arguments of a launched program are left out.
    pub command: Vec<String>,
    /// What took the samples: the name of a [`Tier`](crate::Tier).
    pub tier: String,
    /// Process ids that were asked for.
    pub targets: Vec<u32>,
    /// Whether children were followed.
    pub follow: bool,
    /// Whether kernel stacks were recorded.
    pub kernel: bool,
    /// Effective user id of the recorder.
    pub uid: u32,
    /// Bytes of user stack copied per sample, at most.
    pub stack_bytes: u32,
    /// When samples began, in nanoseconds on the trace's clock.
    pub start_ns: u64,
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Event {
    /// Number that samples refer to.
    pub id: u32,
    /// Name, such as `cpu-clock` or `cycles`.
    pub name: String,
    /// What a weight counts: an [`EventUnit`] as a number.
    pub unit: u8,
    /// Samples per second of running time that were asked for.
    pub frequency_hz: u32,
}

/// What the weights of an [`Event`] count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EventUnit {
    /// Nanoseconds.
    #[default]
    Nanoseconds,
    /// Cycles of the processor.
    Cycles,
    /// Bytes.
    Bytes,
    /// Other things, which the event's name says.
    Things,
    /// A unit that this crate does not know.
    Unknown,
}

coded! {
    EventUnit: u8,
    0 => Nanoseconds,
    1 => Cycles,
    2 => Bytes,
    3 => Things,
}

/// One moment on three clocks, all in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Clock {
    /// `CLOCK_MONOTONIC`, the trace's clock.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME`: since the Unix epoch.
    pub realtime_ns: u64,
    /// `CLOCK_BOOTTIME`: since boot, suspended time included.
    pub boottime_ns: u64,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// The kernel's buffer was full.
    RingFull,
    /// The recorder could not keep up.
    QueueFull,
    /// The kernel held sampling back because it took too much time.
    Throttled,
    /// The kernel handed over something that makes no sense.
    Malformed,
    /// Threads lived too short to be sampled.
    ShortThreads,
    /// The kernel's table of sums was full.
    TableFull,
    /// They happened in a signal handler that interrupted the hook.
    Nested,
    /// There were more threads than buffers for them.
    NoBuffer,
    /// Recording them would have cost the targets too much.
    TooDear,
    /// The kernel did not run the program that takes them.
    Skipped,
    /// A reason that this crate does not know.
    Unknown,
}

impl LossReason {
    /// The reason in words.
    pub fn describe(self) -> &'static str {
        match self {
            LossReason::RingFull => "kernel buffer full",
            LossReason::QueueFull => "recorder behind",
            LossReason::Throttled => "throttled by the kernel",
            LossReason::Malformed => "malformed event",
            LossReason::ShortThreads => "threads too short-lived to be sampled",
            LossReason::TableFull => "kernel table full",
            LossReason::Nested => "in signal handlers that interrupted the hook",
            LossReason::NoBuffer => "too many threads",
            LossReason::TooDear => "too dear to record",
            LossReason::Skipped => "program skipped by the kernel",
            LossReason::Unknown => "unknown reason",
        }
    }
}

coded! {
    LossReason: u8,
    0 => RingFull,
    1 => QueueFull,
    2 => Throttled,
    3 => Malformed,
    4 => ShortThreads,
    5 => TableFull,
    6 => Nested,
    7 => NoBuffer,
    8 => TooDear,
    9 => Skipped,
}

/// What can be lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossClass {
    /// CPU samples.
    #[default]
    Samples,
    /// Intervals off the CPU.
    Waits,
    /// System calls.
    Calls,
    /// Waits and system calls that are in no total.
    Totals,
    /// Allocations and frees.
    Allocations,
    /// Calls of functions.
    FunctionCalls,
    /// A class that this crate does not know.
    Unknown,
}

coded! {
    LossClass: u8,
    0 => Samples,
    1 => Waits,
    2 => Calls,
    3 => Totals,
    4 => Allocations,
    5 => FunctionCalls,
}

/// CPU of a [`Loss`] that is not tied to one.
pub const NO_CPU: u32 = u32::MAX;

/// Events that were due and are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Loss {
    /// CPU they were lost on, or [`NO_CPU`].
    pub cpu: u32,
    /// A [`LossClass`] as a number.
    pub class: u8,
    /// A [`LossReason`] as a number.
    pub reason: u8,
    /// Earliest time at which they can have been due.
    pub from_ns: u64,
    /// Latest time at which they can have been due.
    pub to_ns: u64,
    /// How many; 0 if that is not known.
    pub count: u64,
}

/// What the recorder itself used so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Cost {
    /// When, on the trace's clock.
    pub time_ns: u64,
    /// CPU time in user mode since the recorder started.
    pub user_ns: u64,
    /// CPU time in the kernel since the recorder started.
    pub system_ns: u64,
    /// Peak resident memory in bytes.
    pub peak_rss: u64,
    /// Bytes waiting between draining and unwinding.
    pub queued: u64,
    /// Bytes written to the trace.
    pub written: u64,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The requested time was over.
    Duration,
    /// All targets ended.
    TargetsExited,
    /// The user interrupted it.
    Interrupted,
    /// A limit on size was reached.
    Limit,
    /// A reason that this crate does not know.
    Unknown,
}

coded! {
    EndReason: u8,
    0 => Duration,
    1 => TargetsExited,
    2 => Interrupted,
    3 => Limit,
}

/// The recording ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct End {
    /// When samples stopped, on the trace's clock.
    pub time_ns: u64,
    /// An [`EndReason`] as a number.
    pub reason: u8,
}

/// Something a reader should know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Note {
    /// One sentence.
    pub text: String,
}

/// How much of system calls was recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CallDetail {
    /// Nothing.
    #[default]
    None,
    /// Totals.
    Totals,
    /// Totals, and every call.
    Calls,
    /// An amount that this crate does not know.
    Unknown,
}

coded! {
    CallDetail: u8,
    0 => None,
    1 => Totals,
    2 => Calls,
}

/// What was recorded besides samples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Captured {
    /// Whether all processes of the machine were recorded.
    pub system_wide: bool,
    /// Whether intervals off the CPU were recorded.
    pub waits: bool,
    /// Intervals and calls that took so long, in nanoseconds, are recorded
    /// with a stack of their own; shorter ones share one stack for so much of
    /// their time.
    pub stack_threshold_ns: u64,
    /// How much of system calls was recorded: a [`CallDetail`] as a number.
    pub calls: u8,
    /// System calls that were recorded; empty if all were.
    pub call_numbers: Vec<u32>,
    /// Calls that took less, in nanoseconds, are only in the totals.
    pub slower_than_ns: u64,
}

/// How allocations were recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Allocations {
    /// By what: an [`AllocationSource`] as a number.
    pub source: u8,
    /// Average number of bytes between samples; 0 if all were recorded.
    pub interval: u64,
}

/// What reported allocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AllocationSource {
    /// A library that was loaded with the program: from its beginning on.
    #[default]
    Hook,
    /// Probes in the code of a running process: objects allocated before are
    /// not known.
    Probes,
    /// A source that this crate does not know.
    Unknown,
}

coded! {
    AllocationSource: u8,
    0 => Hook,
    1 => Probes,
}

/// A trace that was merged into this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Source {
    /// Number that [`OfSource`] refers to.
    pub id: u32,
    /// What people call it.
    pub label: String,
    /// Its trace id: 16 bytes.
    pub trace_id: Vec<u8>,
    /// When its file was created, in nanoseconds since the Unix epoch.
    pub created_unix_ns: u64,
    /// The same moment on the trace's clock.
    pub created_ns: u64,
    /// What was added to all of its times, modulo 2⁶⁴; see
    /// [`Source::shift_ns`].
    pub shift: u64,
}

impl Source {
    /// By how much its clock was moved, in nanoseconds.
    pub fn shift_ns(&self) -> i64 {
        self.shift.cast_signed()
    }
}

/// The next records of the block are about this source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct OfSource {
    /// The source.
    pub id: u32,
}

/// The time in which the CPU times of threads were read, and whether they are all there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct CpuTimes {
    /// When they were first read.
    pub from_ns: u64,
    /// When they were last read.
    pub to_ns: u64,
    /// Whether all that the targets ran in between is in the rows.
    pub complete: bool,
}

/// System calls have data: what was copied of the memory that they were given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct CallData {
    /// Bytes that were copied of each buffer, at most.
    pub bytes: u32,
}

/// Something was taken out of the trace, so that it can be given away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Redaction {
    /// What, such as `arguments`.
    pub what: String,
    /// What is in its place, such as `left out`.
    pub how: String,
    /// How many of them.
    pub count: u64,
}
