//! Records: single facts about the host, the recording, processes, code and
//! losses.
//!
//! A records block is a sequence of (tag, length, body). Bodies are bincode 2
//! in its standard configuration (SPEC.md pins the bytes). A reader skips tags
//! it does not know and ignores bytes after the fields it knows, so fields may
//! be appended to a record and records may be added without breaking anyone.

use bincode::{Decode, Encode};

use crate::codes::coded;
use crate::error::FormatError;
use crate::varint::{read_bytes, read_varint, write_varint};

/// Upper limit of one record's body in bytes, which also bounds what decoding
/// it may allocate.
const MAX_BODY: usize = 1 << 20;

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// The machine that was recorded.
    Host(Host),
    /// How the recording was made.
    Recording(Recording),
    /// What was counted.
    Event(Event),
    /// One moment on three clocks.
    Clock(Clock),
    /// A process appeared, was found, or replaced its program.
    Process(Process),
    /// A process ended.
    ProcessExit(Exit),
    /// A thread appeared or was found.
    Thread(Thread),
    /// A thread changed its name.
    ThreadName(ThreadName),
    /// A thread ended.
    ThreadExit(Exit),
    /// Something that code addresses belong to.
    Module(Module),
    /// A part of a module became executable in a process.
    Mapping(Mapping),
    /// The name of a piece of code that cannot be looked up later.
    Symbol(Symbol),
    /// Events that were due and are missing.
    Loss(Loss),
    /// What the recorder itself used so far.
    Cost(Cost),
    /// The recording ended.
    End(End),
    /// Something a reader should know.
    Note(Note),
    /// What was recorded besides samples.
    Captured(Captured),
    /// A file that a process had open when the recording found it.
    OpenFile(OpenFile),
    /// Where a process was when the recording found it.
    WorkingDirectory(WorkingDirectory),
    /// How allocations were recorded.
    Allocations(Allocations),
    /// Whose allocations were recorded.
    Allocator(Allocator),
    /// A trace that was merged into this one.
    Source(Source),
    /// Which of them the next records of the block are about.
    OfSource(OfSource),
    /// Code that a process generated.
    Generated(Generated),
    /// What else was seen of a process.
    ProcessFacts(ProcessFacts),
    /// The names of a module's code are in the trace.
    Named(Named),
    /// Something was taken out of the trace.
    Redaction(Redaction),
}

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
    /// Capture tier: `perf` or `bpf`.
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
    /// What a weight counts: 0 nanoseconds, 1 cycles, 2 bytes, 3 other things,
    /// which the name says.
    pub unit: u8,
    /// Samples per second of running time that were asked for.
    pub frequency_hz: u32,
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

/// A process. After an exec the same pid appears under a new id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Process {
    /// Number that threads and mappings refer to.
    pub id: u32,
    /// Process id on the host.
    pub pid: u32,
    /// Parent's process id on the host; 0 if unknown.
    pub parent_pid: u32,
    /// When it appeared, on the trace's clock; 0 if before the recording.
    pub start_ns: u64,
    /// Executable's path; empty if unknown.
    pub exe: String,
    /// First word of the command line; empty if unknown.
    pub argv0: String,
    /// Name (`comm`).
    pub name: String,
}

/// A thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Thread {
    /// Number that samples refer to.
    pub id: u32,
    /// The process it belongs to.
    pub process: u32,
    /// Thread id on the host.
    pub tid: u32,
    /// When it appeared, on the trace's clock; 0 if before the recording.
    pub start_ns: u64,
    /// Name (`comm`).
    pub name: String,
}

/// A thread changed its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ThreadName {
    /// The thread.
    pub thread: u32,
    /// When, on the trace's clock.
    pub time_ns: u64,
    /// The new name.
    pub name: String,
}

/// The end of a process or a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Exit {
    /// The process or thread.
    pub id: u32,
    /// When, on the trace's clock.
    pub time_ns: u64,
}

/// What a [`Module`] is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModuleKind {
    /// An executable or library file. Frame offsets are file offsets.
    #[default]
    File,
    /// The kernel or one of its modules. Frame offsets are addresses.
    Kernel,
    /// The vDSO. Frame offsets are offsets in its image.
    Vdso,
    /// Executable memory without a file, of one process. Frame offsets are
    /// addresses.
    Anonymous,
    /// Code that is known by its names only. Frame offsets are numbers that
    /// [`Name`](crate::Name)s refer to.
    Names,
    /// A kind that this crate does not know.
    Unknown,
}

coded! {
    ModuleKind: u8,
    0 => File,
    1 => Kernel,
    2 => Vdso,
    3 => Anonymous,
    4 => Names,
}

/// Something that code addresses belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Module {
    /// Number that frames and mappings refer to.
    pub id: u32,
    /// A [`ModuleKind`] as a number.
    pub kind: u8,
    /// Path on the recording host, or a name in brackets.
    pub path: String,
    /// GNU build-id; empty if the file has none.
    pub build_id: Vec<u8>,
    /// Size of the file in bytes; 0 if unknown.
    pub file_size: u64,
    /// Process whose memory this is, plus one, for anonymous memory; else 0.
    pub process_plus_one: u32,
    /// The file's `PT_LOAD` program headers; empty if unknown or not a file.
    pub segments: Vec<Segment>,
}

/// A part of a file that is loaded into memory, as its program headers say.
///
/// Relates file offsets to the addresses in the file's symbol table when only
/// a separate debug file is at hand, whose own headers no longer tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Segment {
    /// Offset in the file of the first byte (`p_offset`).
    pub file_offset: u64,
    /// Length in the file in bytes (`p_filesz`).
    pub length: u64,
    /// Address of the first byte in the file's own numbering (`p_vaddr`).
    pub svma: u64,
}

/// A part of a module became executable in a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Mapping {
    /// The process.
    pub process: u32,
    /// The module.
    pub module: u32,
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Offset in the module's file of the first address.
    pub file_offset: u64,
    /// When, on the trace's clock; 0 if before the recording.
    pub time_ns: u64,
}

/// The name of a piece of code that cannot be looked up later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Symbol {
    /// The module.
    pub module: u32,
    /// First frame offset of the code.
    pub start: u64,
    /// Length in bytes; 0 if unknown.
    pub length: u64,
    /// The linker's name.
    pub name: String,
    /// Kernel module it is part of; empty for the kernel proper.
    pub area: String,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
}

/// Class of events in a [`Loss`]: CPU samples.
pub const CLASS_SAMPLES: u8 = 0;
/// Class of events in a [`Loss`]: intervals off the CPU.
pub const CLASS_WAITS: u8 = 1;
/// Class of events in a [`Loss`]: system calls.
pub const CLASS_CALLS: u8 = 2;
/// Class of events in a [`Loss`]: waits and system calls that are in no total.
pub const CLASS_TOTALS: u8 = 3;
/// Class of events in a [`Loss`]: allocations and frees.
pub const CLASS_ALLOCATIONS: u8 = 4;
/// CPU of a [`Loss`] that is not tied to one.
pub const NO_CPU: u32 = u32::MAX;

/// Events that were due and are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Loss {
    /// CPU they were lost on, or [`NO_CPU`].
    pub cpu: u32,
    /// What was lost; see [`CLASS_SAMPLES`].
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
#[non_exhaustive]
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
#[non_exhaustive]
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

/// A file that a process had open when the recording found it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct OpenFile {
    /// The process.
    pub process: u32,
    /// The file descriptor.
    pub fd: u32,
    /// When that was, on the trace's clock.
    pub time_ns: u64,
    /// What `/proc/PID/fd` shows: a path, or such as `socket:[1234]`.
    pub target: String,
    /// Whether executing a program closes it: 0 unknown, 1 yes, 2 no.
    pub close_on_exec: u8,
}

/// Where a process was when the recording found it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct WorkingDirectory {
    /// The process.
    pub process: u32,
    /// Its current directory.
    pub path: String,
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
#[non_exhaustive]
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

/// The library or program that a process allocates with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Allocator {
    /// The process.
    pub process: u32,
    /// Path of the file that holds the functions.
    pub path: String,
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

/// Code that a process generated, as it published it: in `perf-PID.map` or a
/// jitdump.
///
/// It is there until other code is at the same place. Of records for the same
/// place and time, the last holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Generated {
    /// The module.
    pub module: u32,
    /// First frame offset of the code.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// From when on it is there, on the trace's clock; 0 if unknown.
    pub from_ns: u64,
    /// Name, as published.
    pub name: String,
    /// Places in the source, ascending by offset; each holds up to the next.
    pub lines: Vec<GeneratedLine>,
}

/// Which place in the source a part of generated code is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct GeneratedLine {
    /// Where it begins, counted from the start of the code.
    pub offset: u32,
    /// Source file, as published.
    pub file: String,
    /// Line in that file; 0 if unknown.
    pub line: u32,
    /// Column in that line, from 1; 0 if unknown.
    pub column: u32,
}

/// What was seen of a process besides its [`Process`], when it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ProcessFacts {
    /// The process.
    pub process: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Its control group's path.
    pub cgroup: String,
    /// Its arguments, the first one included; empty unless they were asked for.
    pub args: Vec<String>,
    /// Names of its environment's variables.
    pub environment: Vec<String>,
    /// Their values in the same order; empty unless they were asked for.
    pub values: Vec<String>,
    /// Its limits.
    pub limits: Vec<Limit>,
}

/// Value of a [`Limit`] that is none.
pub const NO_LIMIT: u64 = u64::MAX;

/// How much of a resource a process may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Limit {
    /// Name, as in `/proc/PID/limits`.
    pub name: String,
    /// What holds, or [`NO_LIMIT`].
    pub soft: u64,
    /// To what the process may raise it, or [`NO_LIMIT`].
    pub hard: u64,
    /// What is counted, such as `bytes`; may be empty.
    pub unit: String,
}

/// The names of a module's code are in the trace: of all code that it has
/// frames of, as far as names were known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Named {
    /// The module.
    pub module: u32,
    /// What is amiss with the names, in one sentence; empty if nothing is.
    pub note: String,
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

/// Writes the two directions between tags and record types, so that they
/// cannot disagree.
macro_rules! tagged {
    ($($tag:literal => $name:ident),* $(,)?) => {
        impl Record {
            /// All kinds of records, for those who have to deal with each.
            pub const KINDS: &[&str] = &[$(stringify!($name)),*];

            /// What kind of record it is: one of [`Record::KINDS`].
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Record::$name(_) => stringify!($name),)*
                }
            }
        }

        /// Appends `record` to the payload of a records block.
        pub(crate) fn write_record(out: &mut Vec<u8>, record: &Record) -> Result<(), FormatError> {
            let (tag, body) = match record {
                $(Record::$name(body) => ($tag, bincode::encode_to_vec(body, config())?),)*
            };
            if body.len() > MAX_BODY {
                return Err(FormatError::BlockTooLarge {
                    length: body.len() as u64,
                    limit: MAX_BODY as u64,
                });
            }
            out.push(tag);
            write_varint(out, body.len() as u64);
            out.extend_from_slice(&body);
            Ok(())
        }

        fn decode_body(tag: u8, body: &[u8]) -> Result<Option<Record>, FormatError> {
            let failed = |source| FormatError::BadRecord { tag, source };
            match tag {
                $($tag => {
                    let (body, _) = bincode::decode_from_slice(body, config()).map_err(failed)?;
                    Ok(Some(Record::$name(body)))
                })*
                _ => Ok(None),
            }
        }
    };
}

tagged! {
    1 => Host,
    2 => Recording,
    3 => Event,
    4 => Clock,
    5 => Process,
    6 => ProcessExit,
    7 => Thread,
    8 => ThreadName,
    9 => ThreadExit,
    10 => Module,
    11 => Mapping,
    12 => Symbol,
    13 => Loss,
    14 => Cost,
    15 => End,
    16 => Note,
    17 => Captured,
    18 => OpenFile,
    19 => WorkingDirectory,
    20 => Allocations,
    21 => Allocator,
    22 => Source,
    23 => OfSource,
    24 => Generated,
    25 => ProcessFacts,
    26 => Named,
    27 => Redaction,
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_BODY>()
}

/// Reads the payload of a records block; unknown records are left out.
pub(crate) fn read_records(mut payload: &[u8]) -> Result<Vec<Record>, FormatError> {
    let mut records = Vec::new();
    while !payload.is_empty() {
        let tag = read_bytes(&mut payload, 1, "record tag")?[0];
        let length = read_varint(&mut payload, "record length")?;
        let body = read_bytes(&mut payload, length as usize, "record body")?;
        records.extend(decode_body(tag, body)?);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_records_and_appended_fields_are_ignored() {
        let mut payload = Vec::new();
        let exit = Record::ThreadExit(Exit { id: 3, time_ns: 1_000 });
        payload.extend_from_slice(&[200, 2, 0xaa, 0xbb]);
        write_record(&mut payload, &exit).unwrap();
        // The same record with a byte appended to its body.
        let body = payload[6..].to_vec();
        payload.extend_from_slice(&[9, body.len() as u8 + 1]);
        payload.extend_from_slice(&body);
        payload.push(0xcc);
        assert_eq!(read_records(&payload).unwrap(), vec![exit.clone(), exit]);
    }

    #[test]
    fn kinds_have_names() {
        let kind = Record::Note(Note::default()).kind();
        assert!(kind == "Note" && Record::KINDS.contains(&kind));
        assert_eq!(Record::KINDS.len(), 27);
    }

    #[test]
    fn the_byte_layout_is_the_one_in_the_spec() {
        let mut payload = Vec::new();
        let thread = Thread { id: 1, process: 300, tid: 70_000, start_ns: 0, name: "io".into() };
        write_record(&mut payload, &Record::Thread(thread)).unwrap();
        let expected = [
            7, 13, // tag, length
            1,  // id: below 251, one byte
            251, 0x2c, 1, // process: 251, then a u16
            252, 0x70, 0x11, 1, 0, // tid: 252, then a u32
            0, // start_ns
            2, b'i', b'o', // name: length, bytes
        ];
        assert_eq!(payload, expected);
    }

    proptest! {
        #[test]
        fn damage_never_panics(tag in 1u8..28, body: Vec<u8>) {
            let mut payload = vec![tag];
            write_varint(&mut payload, body.len() as u64);
            payload.extend(body);
            let _ = read_records(&payload);
        }
    }
}
