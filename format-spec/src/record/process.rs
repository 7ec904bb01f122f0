//! What is said of processes and threads.

use bincode::{Decode, Encode};

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

/// When a thread had been on a CPU last, if it was on none during the recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct LastRan {
    /// The thread.
    pub thread: u32,
    /// When, on the trace's clock. It may be later than it was: the scheduler's own clock
    /// stands still in interrupts.
    pub time_ns: u64,
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

/// The library or program that a process allocates with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Allocator {
    /// The process.
    pub process: u32,
    /// Path of the file that holds the functions.
    pub path: String,
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
