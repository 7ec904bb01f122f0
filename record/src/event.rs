//! What a capture tier hands to the rest of the recorder, one event at a time.

use crate::unwind::Registers;

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

/// What happened.
#[derive(Debug)]
pub(crate) enum What<'a> {
    /// A thread was interrupted to see where it is.
    Sample(RawSample<'a>),
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
pub(crate) struct RawSample<'a> {
    /// What the sample stands for, in the event's unit.
    pub(crate) weight: u64,
    /// Kernel addresses as little-endian `u64`s, innermost first.
    pub(crate) kernel: &'a [u8],
    /// Registers in user mode; `None` if the thread has no user mode.
    pub(crate) registers: Option<Registers>,
    /// The stack from the stack pointer on, as much as was copied.
    pub(crate) stack: &'a [u8],
}
