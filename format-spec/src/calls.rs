//! System calls as a table of columns.

use crate::column::{Encoding, Table, to_u32, write_column, write_row_count};
use crate::error::FormatError;
use crate::stacks::StackId;
use crate::texts::TextId;
use crate::varint::{unzigzag, write_varint, zigzag};
use crate::waits::{Seen, optional_u32};

/// Most rows in a block of calls.
pub const MAX_CALLS: usize = 1 << 17;

/// A system call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Call {
    /// When it began, in nanoseconds on the trace's clock.
    pub start_ns: u64,
    /// Id of the thread.
    pub thread: u32,
    /// Its number, as the recording machine numbers system calls.
    pub number: u32,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// What it returned; an error number, negated, if it failed. Without
    /// meaning if it is unfinished.
    pub result: i64,
    /// Its arguments; those that it does not take are 0.
    pub args: [u64; 6],
    /// What its first two arguments that are paths or socket addresses pointed
    /// to, in order.
    pub texts: [Option<TextId>; 2],
    /// Where it was made; `None` if that was not recorded.
    pub stack: Option<StackId>,
    /// Time in system calls that the stack stands for, in nanoseconds.
    pub stack_weight: u64,
    /// Calls that this row stands for: more than 1 where only one in so many
    /// was written.
    pub count: u64,
    /// Whether all of it was seen.
    pub seen: Seen,
}

/// Column ids of the call table.
mod column {
    pub const START: u8 = 0;
    pub const THREAD: u8 = 1;
    pub const NUMBER: u8 = 2;
    pub const DURATION: u8 = 3;
    pub const RESULT: u8 = 4;
    /// The first of two.
    pub const TEXT: u8 = 5;
    pub const STACK: u8 = 7;
    pub const STACK_WEIGHT: u8 = 8;
    pub const COUNT: u8 = 9;
    pub const SEEN: u8 = 10;
    /// The first of six.
    pub const ARG: u8 = 16;
}

/// The payload of a calls block. Sorts the rows by thread, number and time:
/// the arguments of one thread's equal calls are often alike.
pub(crate) fn encode_calls(calls: &mut [Call]) -> Vec<u8> {
    calls.sort_by_key(|call| (call.thread, call.number, call.start_ns));
    let mut out = Vec::new();
    write_row_count(&mut out, calls.len());
    write_varint(&mut out, 17);
    let mut column = |id, encoding, value: &dyn Fn(&Call) -> u64| {
        write_column(&mut out, id, encoding, calls.iter().map(value));
    };
    column(column::START, Encoding::Delta, &|c| c.start_ns);
    column(column::THREAD, Encoding::RunLength, &|c| c.thread.into());
    column(column::NUMBER, Encoding::RunLength, &|c| c.number.into());
    column(column::DURATION, Encoding::Plain, &|c| c.duration_ns);
    column(column::RESULT, Encoding::Plain, &|c| zigzag(c.result as u64));
    let optional = |id: Option<u32>| id.map_or(0, |id| u64::from(id) + 1);
    for at in 0..2 {
        column(column::TEXT + at, Encoding::Plain, &|c| optional(c.texts[usize::from(at)]));
    }
    column(column::STACK, Encoding::Plain, &|c| optional(c.stack));
    column(column::STACK_WEIGHT, Encoding::Plain, &|c| c.stack_weight);
    column(column::COUNT, Encoding::RunLength, &|c| c.count);
    column(column::SEEN, Encoding::RunLength, &|c| u8::from(c.seen).into());
    for at in 0..6 {
        column(column::ARG + at, Encoding::Delta, &|c| c.args[usize::from(at)]);
    }
    out
}

/// Reads the payload of a calls block.
pub(crate) fn decode_calls(payload: &[u8]) -> Result<Vec<Call>, FormatError> {
    let mut calls = decode_bare_calls(payload)?;
    let table = Table::read_at_most(MAX_CALLS, &mut &*payload)?;
    for at in 0..2 {
        let texts = table.column(column::TEXT + at, 0)?;
        for (call, text) in calls.iter_mut().zip(texts) {
            call.texts[usize::from(at)] = optional_u32(text, "text id")?;
        }
    }
    for at in 0..6 {
        let args = table.column(column::ARG + at, 0)?;
        calls.iter_mut().zip(args).for_each(|(call, arg)| call.args[usize::from(at)] = arg);
    }
    Ok(calls)
}

/// Reads the same without what the calls were given: arguments and texts.
pub(crate) fn decode_bare_calls(mut payload: &[u8]) -> Result<Vec<Call>, FormatError> {
    let table = Table::read_at_most(MAX_CALLS, &mut payload)?;
    let starts = table.column(column::START, 0)?;
    let threads = table.column(column::THREAD, 0)?;
    let numbers = table.column(column::NUMBER, 0)?;
    let durations = table.column(column::DURATION, 0)?;
    let results = table.column(column::RESULT, 0)?;
    let stacks = table.column(column::STACK, 0)?;
    let stack_weights = table.column(column::STACK_WEIGHT, 0)?;
    let counts = table.column(column::COUNT, 1)?;
    let seen = table.column(column::SEEN, 0)?;
    table.each_row(|row| {
        Ok(Call {
            start_ns: starts[row],
            thread: to_u32(threads[row], "thread id")?,
            number: to_u32(numbers[row], "system call number")?,
            duration_ns: durations[row],
            result: unzigzag(results[row]) as i64,
            args: [0; 6],
            texts: [None; 2],
            stack: optional_u32(stacks[row], "stack id")?,
            stack_weight: stack_weights[row],
            count: counts[row],
            seen: (seen[row] as u8).into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let numbers = (any::<u64>(), any::<u32>(), 0u32..500, any::<u64>(), any::<i64>());
        let ids = (0u32..u32::MAX, 0u32..u32::MAX, 0u32..u32::MAX);
        let rest = (any::<[u64; 6]>(), any::<u64>(), any::<u64>(), 0u8..4);
        let call = (numbers, ids, rest).prop_map(|(numbers, ids, rest)| {
            let (start_ns, thread, number, duration_ns, result) = numbers;
            let (args, stack_weight, count, seen) = rest;
            Call {
                start_ns,
                thread,
                number,
                duration_ns,
                result,
                args,
                texts: [ids.0.checked_sub(1), ids.1.checked_sub(1)],
                stack: ids.2.checked_sub(1),
                stack_weight,
                count,
                seen: seen.into(),
            }
        });
        proptest::collection::vec(call, 0..50)
    }

    proptest! {
        #[test]
        fn round_trips(mut calls in calls()) {
            let bytes = encode_calls(&mut calls);
            prop_assert_eq!(decode_calls(&bytes).unwrap(), calls);
        }

        #[test]
        fn damage_never_panics(mut calls in calls(), at: usize, bit in 0u8..8) {
            let mut bytes = encode_calls(&mut calls);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode_calls(&bytes);
        }
    }
}
