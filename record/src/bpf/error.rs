//! Why something cannot be recorded by bpf programs.

use std::fmt::Display;
use std::io;

/// Why the bpf tier cannot be used, or not for all that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BpfError {
    /// Without the rights.
    #[error("{0}")]
    NotAllowed(String),
    /// In a container with processes of its own.
    #[error(
        "rec runs in a pid namespace of its own, where the kernel's process ids are not known: \
         run it on the host, or with the host's pid namespace (docker run --pid=host)"
    )]
    PidNamespace,
    /// The kernel does not describe its types.
    #[error(
        "the kernel has no type information (/sys/kernel/btf/vmlinux), which CONFIG_DEBUG_INFO_BTF \
         makes: boot a kernel that has it, or give a file made for this one (from its debug \
         package, by pahole -J) with --btf"
    )]
    NoTypes,
    /// The kernel has nothing that programs could be attached to.
    #[error(
        "the kernel has no tracepoints (CONFIG_FTRACE and CONFIG_BPF_EVENTS): boot one that has \
         them, as those of distributions do"
    )]
    NoTracepoints,
    /// The file that was given in its place is none.
    #[error("{path} is no type information of a kernel: {cause}")]
    BadTypes {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The kernel is too old.
    #[error("bpf programs need Linux 5.10 or newer, and this is {0}")]
    TooOld(String),
    /// The kernel refuses something.
    #[error("the kernel refuses {what}: {cause}")]
    Refused {
        /// What.
        what: String,
        /// What it said, and what to do about it if that is known.
        cause: String,
    },
    /// There is not enough of something.
    #[error("{what}: {short_of}")]
    Short {
        /// What cannot be done.
        what: String,
        /// Of what there is too little, and what to do about it.
        short_of: &'static str,
    },
    /// The events that take samples cannot be had.
    #[error("cannot open perf events for the whole machine: {0}")]
    Events(io::Error),
    /// A process does not exist.
    #[error("no process with pid {0}: it may have ended already")]
    NoSuchProcess(u32),
}

/// The kernel refuses something, and says why.
pub(super) fn refused(what: impl Into<String>, cause: &dyn Display) -> BpfError {
    // With what caused it, where that is known.
    BpfError::Refused { what: what.into(), cause: format!("{cause:#}") }
}
