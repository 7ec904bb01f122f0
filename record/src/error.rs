//! Why nothing, or not everything, was recorded.

use crate::alloc::HookError;
use crate::bpf::BpfError;
use crate::functions::FunctionError;
use crate::output::OutputError;
use crate::perf::AttachError;

/// Why nothing, or not everything, was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Attaching failed.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The bpf tier is needed and cannot be used.
    #[error("{what}: {cause}; `rec --check` says what works here")]
    Bpf {
        /// What needs it.
        what: &'static str,
        /// Why it cannot be used.
        cause: BpfError,
    },
    /// Something was asked for that only the bpf tier can do.
    #[error("{0} needs the bpf tier: leave out --tier perf")]
    NotInPerfTier(&'static str),
    /// Allocations of all processes.
    #[error("--alloc with --all would slow down every process: name some with -p")]
    AllocationsOfAll,
    /// Functions of all processes.
    #[error("--call with --all would slow down every process: name some with -p")]
    FunctionsOfAll,
    /// Functions that cannot be probed.
    #[error(transparent)]
    Functions(#[from] FunctionError),
    /// Data of calls that are only counted.
    #[error("--syscall-data with --syscalls=summary has no calls to go with: leave out summary")]
    DataOfTotals,
    /// The trace file could not be made or written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The program could not be started.
    #[error("cannot run {program}: {source}")]
    Launch {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// More samples per second than the kernel allows.
    #[error(
        "a frequency of {asked} Hz is more than this kernel allows: use at most {limit}, \
         or raise `sysctl kernel.perf_event_max_sample_rate`"
    )]
    FrequencyTooHigh {
        /// What was asked for.
        asked: u32,
        /// The kernel's limit.
        limit: u32,
    },
    /// A log that is to be watched cannot be read.
    #[error("cannot read {path}, which --on log: is to watch: {source}")]
    UnreadableLog {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Slow calls are looked for where calls are only counted.
    #[error("--on syscall: with --syscalls=summary has no calls to look at: leave out summary")]
    TriggerOfTotals,
    /// Calls are looked for that are left out.
    #[error("--on {0} looks for calls that --slower-than leaves out: give a shorter time there")]
    TriggerTooFast(String),
    /// Of all processes, some end all the time.
    #[error("--on exit with --all would come true all the time: name processes with -p")]
    ExitOfAny,
    /// Allocations of the program cannot be recorded.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// Waiting for signals or threads failed.
    #[error("{0}")]
    System(#[from] std::io::Error),
}
