//! Off-CPU intervals as a table of columns.

use crate::codes::coded;
use crate::column::{Encoding, Table, to_u32, write_column, write_row_count};
use crate::error::FormatError;
use crate::stacks::StackId;
use crate::varint::write_varint;

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

/// Column ids of the wait table.
mod column {
    pub const END: u8 = 0;
    pub const THREAD: u8 = 1;
    pub const CPU: u8 = 2;
    pub const DURATION: u8 = 3;
    pub const QUEUED: u8 = 4;
    pub const STATE: u8 = 5;
    pub const SYSCALL: u8 = 6;
    pub const STACK: u8 = 7;
    pub const WEIGHT: u8 = 8;
    pub const SEEN: u8 = 9;
}

/// The payload of a waits block. Sorts the rows by thread, then time.
pub(crate) fn encode_waits(waits: &mut [Wait]) -> Vec<u8> {
    waits.sort_by_key(|wait| (wait.thread, wait.end_ns));
    let mut out = Vec::new();
    write_row_count(&mut out, waits.len());
    write_varint(&mut out, 10);
    let mut column = |id, encoding, value: fn(&Wait) -> u64| {
        write_column(&mut out, id, encoding, waits.iter().map(value));
    };
    column(column::END, Encoding::Delta, |w| w.end_ns);
    column(column::THREAD, Encoding::RunLength, |w| w.thread.into());
    column(column::CPU, Encoding::Plain, |w| w.cpu.into());
    column(column::DURATION, Encoding::Plain, |w| w.duration_ns);
    column(column::QUEUED, Encoding::Plain, |w| w.queued_ns);
    column(column::STATE, Encoding::RunLength, |w| u8::from(w.state).into());
    column(column::SYSCALL, Encoding::RunLength, |w| w.syscall.map_or(0, |nr| u64::from(nr) + 1));
    column(column::STACK, Encoding::Plain, |w| w.stack.map_or(0, |id| u64::from(id) + 1));
    // Nearly always the duration or the threshold.
    column(column::WEIGHT, Encoding::Plain, |w| w.weight.wrapping_sub(w.duration_ns));
    column(column::SEEN, Encoding::RunLength, |w| u8::from(w.seen).into());
    out
}

/// Reads the payload of a waits block.
pub(crate) fn decode_waits(mut payload: &[u8]) -> Result<Vec<Wait>, FormatError> {
    let table = Table::read(&mut payload)?;
    let ends = table.column(column::END, 0)?;
    let threads = table.column(column::THREAD, 0)?;
    let cpus = table.column(column::CPU, 0)?;
    let durations = table.column(column::DURATION, 0)?;
    let queued = table.column(column::QUEUED, 0)?;
    let states = table.column(column::STATE, u64::MAX)?;
    let syscalls = table.column(column::SYSCALL, 0)?;
    let stacks = table.column(column::STACK, 0)?;
    let weights = table.column(column::WEIGHT, 0)?;
    let seen = table.column(column::SEEN, 0)?;
    table.each_row(|row| {
        Ok(Wait {
            end_ns: ends[row],
            thread: to_u32(threads[row], "thread id")?,
            cpu: to_u32(cpus[row], "cpu")?,
            duration_ns: durations[row],
            queued_ns: queued[row],
            state: u8::try_from(states[row]).map_or(WaitState::Unknown, WaitState::from),
            syscall: optional_u32(syscalls[row], "system call number")?,
            stack: optional_u32(stacks[row], "stack id")?,
            weight: durations[row].wrapping_add(weights[row]),
            seen: (seen[row] as u8).into(),
        })
    })
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
