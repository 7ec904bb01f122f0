//! What a capture tier hands to the rest of the recorder, one event at a time.

use rz_format::{AllocationKind, CpuTime, HeapCounts, LossClass, Seen, WaitState};
use rz_unwind::Registers;

/// Who an event's number belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// The thread it was opened on; threads it starts inherit it.
    pub(crate) thread: u32,
    /// Whether it samples, or only reports what processes do.
    pub(crate) samples: bool,
}

/// Something that happened, at a time on the trace's clock.
#[derive(Debug)]
pub(crate) struct RawEvent<'a> {
    /// When.
    pub(crate) time_ns: u64,
    /// Number of the kernel event that reported it.
    pub(crate) source: u64,
    /// Process it happened in.
    pub(crate) pid: u32,
    /// Thread it happened in.
    pub(crate) tid: u32,
    /// CPU it happened on.
    pub(crate) cpu: u32,
    /// What happened.
    pub(crate) what: What<'a>,
}

impl RawEvent<'_> {
    /// What is lost without it, and how many of these; `None` if it is no measurement.
    pub(crate) fn class(&self) -> Option<(LossClass, u64)> {
        self.measured().map(|(class, count, _)| (class, count))
    }

    /// When what is measured began; 0 for what processes do, and for what is said of the
    /// measuring, which may matter however late it is.
    pub(crate) fn begins_ns(&self) -> u64 {
        self.measured().map_or(0, |(.., begins_ns)| begins_ns)
    }

    /// What is measured, how many of these, and when it began.
    fn measured(&self) -> Option<(LossClass, u64, u64)> {
        match &self.what {
            What::Sample { .. } => Some((LossClass::Samples, 1, self.time_ns)),
            What::Waited(wait) => {
                Some((LossClass::Waits, 1, self.time_ns.saturating_sub(wait.duration_ns)))
            }
            What::Called(call) => Some((LossClass::Calls, call.count, call.start_ns)),
            What::FunctionCalled(call) => {
                Some((LossClass::FunctionCalls, call.count, call.start_ns))
            }
            // Without it, the call is there all the same.
            What::CallData(_) => Some((LossClass::Calls, 0, self.time_ns)),
            What::Allocated(_) => Some((LossClass::Allocations, 1, self.time_ns)),
            What::Counted(_)
            | What::Ends { .. }
            | What::Mapped { .. }
            | What::Named { .. }
            | What::Forked { .. }
            | What::Exited
            | What::Lost { .. }
            | What::Throttled
            | What::Unthrottled => None,
        }
    }
}

/// What happened.
#[derive(Debug)]
pub(crate) enum What<'a> {
    /// A thread was interrupted to see where it is.
    Sample {
        /// The event that did it, by its number in the trace.
        event: u32,
        /// What the sample stands for, in the event's unit.
        weight: u64,
        /// Where it was.
        place: RawStack<'a>,
    },
    /// A thread runs again, or is looked at while it waits.
    Waited(RawWait<'a>),
    /// A system call returned, or is looked at before it did.
    Called(RawCall<'a>),
    /// A function returned whose calls are recorded.
    FunctionCalled(RawCall<'a>),
    /// What the call was given that the event's thread returns from next: pieces, as the
    /// format has them.
    CallData(&'a [u8]),
    /// An object was allocated or freed.
    Allocated(RawAllocation<'a>),
    /// The event's thread allocated and freed memory, last at its time. The
    /// thread is not filled in.
    Counted(Box<HeapCounts>),
    /// The event's thread is about to end.
    Ends {
        /// How long it has run by now. The thread is not filled in.
        ran: CpuTime,
        /// The signal that ends it; 0 if none does.
        signal: u8,
    },
    /// Memory became executable in the event's process.
    Mapped {
        /// The mapping's address range.
        start: u64,
        /// Address behind the last one.
        end: u64,
        /// Offset in the file of the first address.
        file_offset: u64,
        /// Device that the file is on.
        device: u64,
        /// Inode of the file; 0 if there is none.
        inode: u64,
        /// Path, or a name in brackets or slashes.
        path: &'a [u8],
    },
    /// A thread was named.
    Named {
        /// The new name.
        name: &'a [u8],
        /// Whether that is because the process replaced its program.
        exec: bool,
    },
    /// The event's thread started another thread or process.
    Forked {
        /// Process of the new thread.
        pid: u32,
        /// The new thread.
        tid: u32,
    },
    /// The event's thread ended.
    Exited,
    /// Events were lost in the kernel before this one.
    Lost {
        /// How many.
        count: u64,
    },
    /// The kernel stopped sampling because it took too much time.
    Throttled,
    /// The kernel goes on sampling.
    Unthrottled,
}

/// Where a thread was.
#[derive(Debug)]
pub(crate) struct RawStack<'a> {
    /// Frames of CPython, as [`crate::python::Frames`] reads them.
    pub(crate) python: &'a [u8],
    /// Kernel addresses as little-endian `u64`s, leaf first.
    pub(crate) kernel: &'a [u8],
    /// Registers in user mode; `None` if the thread has no user mode.
    pub(crate) registers: Option<Registers>,
    /// The stack from the stack pointer on, as much as was copied.
    pub(crate) stack: &'a [u8],
    /// Pages of it that could not be read, from the first one on, by bits.
    pub(crate) holes: u64,
}

/// An interval off the CPU that ends with the event; see [`rz_format::Wait`].
#[derive(Debug)]
pub(crate) struct RawWait<'a> {
    /// How long it was, in nanoseconds.
    pub(crate) duration_ns: u64,
    /// How much of that the thread was ready to run.
    pub(crate) queued_ns: u64,
    /// Off-CPU time that it stands for, in nanoseconds.
    pub(crate) weight: u64,
    /// What the thread was.
    pub(crate) state: WaitState,
    /// The system call it was in.
    pub(crate) syscall: Option<u32>,
    /// Whether all of it was seen.
    pub(crate) seen: Seen,
    /// Where the thread was.
    pub(crate) place: RawStack<'a>,
}

/// A call of the system or a function that ends with the event; see [`rz_format::Call`].
#[derive(Debug)]
pub(crate) struct RawCall<'a> {
    /// When it began.
    pub(crate) start_ns: u64,
    /// How long it took, in nanoseconds.
    pub(crate) duration_ns: u64,
    /// What it returned.
    pub(crate) result: i64,
    /// Its arguments.
    pub(crate) args: [u64; 6],
    /// Its number.
    pub(crate) number: u32,
    /// Calls that it stands for.
    pub(crate) count: u64,
    /// Whether all of it was seen.
    pub(crate) seen: Seen,
    /// What its arguments point to.
    pub(crate) texts: [Option<&'a [u8]>; 2],
    /// Where it was made, and how much time in calls that stands for.
    pub(crate) place: Option<(RawStack<'a>, u64)>,
}

/// An object that was allocated or freed; see [`rz_format::Allocation`].
#[derive(Debug)]
pub(crate) struct RawAllocation<'a> {
    /// What happened.
    pub(crate) kind: AllocationKind,
    /// The object's address.
    pub(crate) address: u64,
    /// Bytes asked for.
    pub(crate) size: u64,
    /// Allocations that the thread had made.
    pub(crate) allocations: u64,
    /// Average number of bytes between samples.
    pub(crate) interval: u64,
    /// Where it was allocated: in the caller of the function that did.
    pub(crate) place: Option<RawStack<'a>>,
}

/// Exact sums of one thread, as the kernel keeps them.
#[derive(Debug, Clone)]
pub(crate) struct RawTotal {
    /// The thread's id.
    pub(crate) tid: u32,
    /// When the thread started, or executed its program: with its id, what
    /// identifies it.
    pub(crate) epoch_ns: u64,
    /// The sums; the thread is not filled in.
    pub(crate) total: rz_format::Total,
}
