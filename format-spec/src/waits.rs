//! Off-CPU intervals as a table of columns.

use crate::codes::coded;
use crate::column::{Column, Table, TableWriter, to_u32};
use crate::error::FormatError;
use crate::stacks::StackId;

/// What a thread was while it did not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitState {
    /// Ready to run; the CPU was given to another thread.
    #[default]
    Preempted,
    /// Waiting for something that a signal may interrupt.
    Sleeping,
    /// Waiting for something that no signal interrupts.
    Blocked,
    /// Waiting for a disk, as the kernel counts it (`iowait`).
    Io,
    /// Stopped by a signal or a tracer.
    Stopped,
    /// Ready to run; the quota of its control group was used up.
    Throttled,
    /// Waiting for memory: reclaiming some, or reading back what was reclaimed.
    Memory,
    /// Waiting for the lock of an interpreter that one thread may run at a time: the
    /// GIL of Python.
    Gil,
    /// A state that this crate does not know.
    Unknown,
}

coded! {
    WaitState: u8,
    0 => Preempted,
    1 => Sleeping,
    2 => Blocked,
    3 => Io,
    4 => Stopped,
    5 => Throttled,
    6 => Memory,
    7 => Gil,
}

/// How much of something with a beginning and an end was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// It began before the recording, which is then taken for its beginning.
    pub late: bool,
    /// It was not over at the end of the recording, or when its thread ended.
    pub unfinished: bool,
}

impl From<u8> for Seen {
    fn from(bits: u8) -> Self {
        Seen { late: bits & 1 != 0, unfinished: bits & 2 != 0 }
    }
}

impl From<Seen> for u8 {
    fn from(seen: Seen) -> Self {
        u8::from(seen.late) | u8::from(seen.unfinished) << 1
    }
}

/// An interval in which a thread did not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wait {
    /// When it ran again, in nanoseconds on the trace's clock.
    pub end_ns: u64,
    /// Id of the thread.
    pub thread: u32,
    /// CPU that it ran on then.
    pub cpu: u32,
    /// For how long it did not run, in nanoseconds.
    pub duration_ns: u64,
    /// How much of that, at its end, it was ready to run and no CPU was free.
    /// All of it if it was preempted.
    pub queued_ns: u64,
    /// What it was meanwhile.
    pub state: WaitState,
    /// The system call it was in. Without one, a thread that has a user mode
    /// waited because of a page fault, or was preempted.
    pub syscall: Option<u32>,
    /// Where; `None` if nothing is known.
    pub stack: Option<StackId>,
    /// Off-CPU time that this row stands for, in nanoseconds.
    pub weight: u64,
    /// Whether all of it was seen.
    pub seen: Seen,
}

/// Columns of the wait table.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*, UNKNOWN};

    pub const END: Column = Column::new(0, Delta);
    pub const THREAD: Column = Column::new(1, RunLength);
    pub const CPU: Column = Column::new(2, Plain);
    pub const DURATION: Column = Column::new(3, Plain);
    pub const QUEUED: Column = Column::new(4, Plain);
    pub const STATE: Column = Column::new(5, RunLength).if_absent(UNKNOWN);
    pub const SYSCALL: Column = Column::new(6, RunLength);
    pub const STACK: Column = Column::new(7, Plain);
    pub const WEIGHT: Column = Column::new(8, Plain);
    pub const SEEN: Column = Column::new(9, RunLength);
    pub const ALL: Columns =
        &[&[END, THREAD, CPU, DURATION, QUEUED, STATE, SYSCALL, STACK, WEIGHT, SEEN]];
}

/// The payload of a waits block. Sorts the rows by thread, then time.
pub(crate) fn encode_waits(waits: &mut [Wait]) -> Vec<u8> {
    waits.sort_by_key(|wait| (wait.thread, wait.end_ns));
    let mut table = TableWriter::new(column::ALL, waits.len());
    let mut column =
        |column, value: fn(&Wait) -> u64| table.column(column, waits.iter().map(value));
    column(column::END, |w| w.end_ns);
    column(column::THREAD, |w| w.thread.into());
    column(column::CPU, |w| w.cpu.into());
    column(column::DURATION, |w| w.duration_ns);
    column(column::QUEUED, |w| w.queued_ns);
    column(column::STATE, |w| u8::from(w.state).into());
    column(column::SYSCALL, |w| w.syscall.map_or(0, |nr| u64::from(nr) + 1));
    column(column::STACK, |w| w.stack.map_or(0, |id| u64::from(id) + 1));
    // Nearly always the duration or the threshold.
    column(column::WEIGHT, |w| w.weight.wrapping_sub(w.duration_ns));
    column(column::SEEN, |w| u8::from(w.seen).into());
    table.finish()
}

/// Reads the payload of a waits block.
pub(crate) fn decode_waits(mut payload: &[u8]) -> Result<Vec<Wait>, FormatError> {
    let table = Table::read(&mut payload)?;
    const COLUMNS: [Column; 10] = [
        column::END,
        column::THREAD,
        column::CPU,
        column::DURATION,
        column::QUEUED,
        column::STATE,
        column::SYSCALL,
        column::STACK,
        column::WEIGHT,
        column::SEEN,
    ];
    table.each_row(
        COLUMNS,
        |[end, thread, cpu, duration, queued, state, syscall, stack, weight, seen]| {
            Ok(Wait {
                end_ns: end,
                thread: to_u32(thread, "thread id")?,
                cpu: to_u32(cpu, "cpu")?,
                duration_ns: duration,
                queued_ns: queued,
                state: u8::try_from(state).map_or(WaitState::Unknown, WaitState::from),
                syscall: optional_u32(syscall, "system call number")?,
                stack: optional_u32(stack, "stack id")?,
                weight: duration.wrapping_add(weight),
                seen: (seen as u8).into(),
            })
        },
    )
}

/// A number of which 0 says that there is none, and others are one too large.
pub(crate) fn optional_u32(value: u64, what: &'static str) -> Result<Option<u32>, FormatError> {
    value.checked_sub(1).map(|value| to_u32(value, what)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waits() -> impl Strategy<Value = Vec<Wait>> {
        let numbers = (any::<u64>(), any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>());
        let rest = (0u8..5, 0u32..600, 0u32..u32::MAX, any::<u64>(), 0u8..4);
        let wait = (numbers, rest).prop_map(|(numbers, rest)| {
            let (end_ns, thread, cpu, duration_ns, queued_ns) = numbers;
            let (state, syscall, stack, weight, seen) = rest;
            Wait {
                end_ns,
                thread,
                cpu,
                duration_ns,
                queued_ns,
                state: state.into(),
                syscall: syscall.checked_sub(1),
                stack: stack.checked_sub(1),
                weight,
                seen: seen.into(),
            }
        });
        proptest::collection::vec(wait, 0..50)
    }

    proptest! {
        #[test]
        fn round_trips(mut waits in waits()) {
            let bytes = encode_waits(&mut waits);
            prop_assert_eq!(decode_waits(&bytes).unwrap(), waits);
        }

        #[test]
        fn damage_never_panics(mut waits in waits(), at: usize, bit in 0u8..8) {
            let mut bytes = encode_waits(&mut waits);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode_waits(&bytes);
        }
    }
}
