//! Calls of the system and of functions as a table of columns.

use crate::column::{Column, Table, TableWriter, to_u32};
use crate::error::FormatError;
use crate::stacks::StackId;
use crate::texts::TextId;
use crate::varint::{unzigzag, zigzag};
use crate::waits::{Seen, optional_u32};

/// Most rows in a block of calls.
pub const MAX_CALLS: usize = 1 << 17;

/// A system call, or a call of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Call {
    /// When it began, in nanoseconds on the trace's clock.
    pub start_ns: u64,
    /// Id of the thread.
    pub thread: u32,
    /// Its number, as the recording machine numbers system calls, or of the
    /// [`Function`](crate::Function).
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
    /// What was copied of the memory that its arguments point to: the id of a definition
    /// in a block of call data. Of what it has, see [`DataPiece`](crate::DataPiece).
    pub data: Option<TextId>,
    /// Where it was made; `None` if that was not recorded.
    pub stack: Option<StackId>,
    /// Time in system calls that the stack stands for, in nanoseconds.
    pub stack_weight: u64,
    /// Calls that this row stands for: itself, and those of its thread since the one
    /// before that were not written, of whatever number. Which are written is left to
    /// chance.
    pub count: u64,
    /// Whether all of it was seen.
    pub seen: Seen,
}

/// Columns of the call table.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*};

    pub const START: Column = Column::new(0, Delta);
    pub const THREAD: Column = Column::new(1, RunLength);
    pub const NUMBER: Column = Column::new(2, RunLength);
    pub const DURATION: Column = Column::new(3, Plain);
    pub const RESULT: Column = Column::new(4, Plain);
    pub const TEXTS: [Column; 2] = Column::new(5, Plain).family();
    pub const STACK: Column = Column::new(7, Plain);
    pub const STACK_WEIGHT: Column = Column::new(8, Plain);
    pub const COUNT: Column = Column::new(9, RunLength).if_absent(1);
    pub const SEEN: Column = Column::new(10, RunLength);
    pub const DATA: Column = Column::new(11, Plain);
    pub const ARGS: [Column; 6] = Column::new(16, Delta).family();
    pub const ALL: Columns = &[
        &[START, THREAD, NUMBER, DURATION, RESULT],
        &TEXTS,
        &[STACK, STACK_WEIGHT, COUNT, SEEN, DATA],
        &ARGS,
    ];
}

/// The payload of a calls block. Sorts the rows by thread, number and time:
/// the arguments of one thread's equal calls are often alike. Calls that are rare
/// stand before the others: who looks for what opens and closes files then need not
/// pass over all that read and write them.
pub(crate) fn encode_calls(calls: &mut [Call]) -> Vec<u8> {
    let usual = Usual::among(calls);
    calls.sort_by_key(|call| (usual.has(call.number), call.thread, call.number, call.start_ns));
    let mut table = TableWriter::new(column::ALL, calls.len());
    let mut column =
        |column, value: &dyn Fn(&Call) -> u64| table.column(column, calls.iter().map(value));
    column(column::START, &|c| c.start_ns);
    column(column::THREAD, &|c| c.thread.into());
    column(column::NUMBER, &|c| c.number.into());
    column(column::DURATION, &|c| c.duration_ns);
    column(column::RESULT, &|c| zigzag(c.result as u64));
    let optional = |id: Option<u32>| id.map_or(0, |id| u64::from(id) + 1);
    for (at, text) in column::TEXTS.into_iter().enumerate() {
        column(text, &|c| optional(c.texts[at]));
    }
    column(column::STACK, &|c| optional(c.stack));
    column(column::STACK_WEIGHT, &|c| c.stack_weight);
    column(column::COUNT, &|c| c.count);
    column(column::SEEN, &|c| u8::from(c.seen).into());
    column(column::DATA, &|c| optional(c.data));
    for (at, arg) in column::ARGS.into_iter().enumerate() {
        column(arg, &|c| c.args[at]);
    }
    table.finish()
}

/// A number that less than one row in so many of a block has is rare there.
const RARE: usize = 64;

/// The numbers that are not rare in a block.
struct Usual([bool; Usual::NUMBERS]);

impl Usual {
    /// Those from here on count as usual; Linux has none.
    const NUMBERS: usize = 1024;

    fn among(calls: &[Call]) -> Self {
        let mut counts = [0; Self::NUMBERS];
        for call in calls {
            if let Some(count) = counts.get_mut(call.number as usize) {
                *count += 1;
            }
        }
        Usual(counts.map(|count| count * RARE >= calls.len()))
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(number as usize).copied().unwrap_or(true)
    }
}

/// Reads the payload of a calls block.
pub(crate) fn decode_calls(payload: &[u8]) -> Result<Vec<Call>, FormatError> {
    decode_rows(&Table::read_at_most(MAX_CALLS, &mut &*payload)?)
}

fn decode_rows(table: &Table) -> Result<Vec<Call>, FormatError> {
    let mut calls = decode_bare_rows(table, Vec::new())?;
    for (at, column) in column::TEXTS.into_iter().enumerate() {
        let texts = table.column(column)?;
        for (call, text) in calls.iter_mut().zip(texts) {
            call.texts[at] = optional_u32(text, "text id")?;
        }
    }
    for (call, data) in calls.iter_mut().zip(table.column(column::DATA)?) {
        call.data = optional_u32(data, "call data id")?;
    }
    for (at, column) in column::ARGS.into_iter().enumerate() {
        let args = table.column(column)?;
        calls.iter_mut().zip(args).for_each(|(call, arg)| call.args[at] = arg);
    }
    Ok(calls)
}

/// When the calls of a block began, and their numbers.
#[derive(Debug)]
pub struct CallNumbers<'a> {
    table: Table<'a>,
    /// When the last of them ended at the latest, in nanoseconds on the trace's
    /// clock.
    pub last_ns: u64,
}

impl<'a> CallNumbers<'a> {
    /// Whether this much of a block's payload has them.
    pub(crate) fn are_in(front: &[u8]) -> bool {
        matches!(Table::read_through(column::NUMBER, MAX_CALLS, front), Ok(Some(_)))
    }

    /// Those at the front of a block's payload.
    pub(crate) fn of(front: &'a [u8], last_ns: u64) -> Result<Self, FormatError> {
        let table = Table::read_through(column::NUMBER, MAX_CALLS, front)?;
        let table = table.ok_or(FormatError::UnexpectedEnd { what: "column" })?;
        Ok(CallNumbers { table, last_ns })
    }

    /// How many there are.
    pub fn rows(&self) -> usize {
        self.table.rows()
    }

    /// When each began, in nanoseconds on the trace's clock.
    pub fn starts(&self) -> Result<Vec<u64>, FormatError> {
        self.table.column(column::START)
    }

    /// Numbers of system calls, each with how many rows have it one after the
    /// other; damage may have made some too large.
    pub fn runs(&self) -> Result<Vec<(u64, usize)>, FormatError> {
        self.table.runs(column::NUMBER)
    }
}

/// Reads some rows of the payload of a calls block, ascending.
pub(crate) fn decode_chosen_calls(
    payload: &[u8],
    rows: &[usize],
) -> Result<Vec<Call>, FormatError> {
    decode_rows(&Table::read_at_most(MAX_CALLS, &mut &*payload)?.only(rows))
}

/// Reads the same without what the calls were given: arguments and texts.
pub(crate) fn decode_bare_calls(
    mut payload: &[u8],
    memory: Vec<Call>,
) -> Result<Vec<Call>, FormatError> {
    decode_bare_rows(&Table::read_at_most(MAX_CALLS, &mut payload)?, memory)
}

fn decode_bare_rows(table: &Table, memory: Vec<Call>) -> Result<Vec<Call>, FormatError> {
    const COLUMNS: [Column; 9] = [
        column::START,
        column::THREAD,
        column::NUMBER,
        column::DURATION,
        column::RESULT,
        column::STACK,
        column::STACK_WEIGHT,
        column::COUNT,
        column::SEEN,
    ];
    table.each_row_into(
        memory,
        COLUMNS,
        |[start_ns, thread, number, duration, result, stack, stack_weight, count, seen]| {
            Ok(Call {
                start_ns,
                thread: to_u32(thread, "thread id")?,
                number: to_u32(number, "system call number")?,
                duration_ns: duration,
                result: unzigzag(result) as i64,
                args: [0; 6],
                texts: [None; 2],
                data: None,
                stack: optional_u32(stack, "stack id")?,
                stack_weight,
                count,
                seen: (seen as u8).into(),
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let numbers = (any::<u64>(), any::<u32>(), 0u32..500, any::<u64>(), any::<i64>());
        let ids = (0u32..u32::MAX, 0u32..u32::MAX, 0u32..u32::MAX);
        let data = proptest::option::of(0u32..u32::MAX - 1);
        let rest = (any::<[u64; 6]>(), any::<u64>(), any::<u64>(), 0u8..4, data);
        let call = (numbers, ids, rest).prop_map(|(numbers, ids, rest)| {
            let (start_ns, thread, number, duration_ns, result) = numbers;
            let (args, stack_weight, count, seen, data) = rest;
            Call {
                start_ns,
                thread,
                number,
                duration_ns,
                result,
                args,
                texts: [ids.0.checked_sub(1), ids.1.checked_sub(1)],
                data,
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
            for step in 1..5 {
                let rows: Vec<usize> = (step - 1..calls.len()).step_by(step).collect();
                let some: Vec<Call> = rows.iter().map(|&row| calls[row]).collect();
                prop_assert_eq!(decode_chosen_calls(&bytes, &rows).unwrap(), some);
            }
            let front = (0..=bytes.len()).find(|&end| CallNumbers::are_in(&bytes[..end])).unwrap();
            let numbers = CallNumbers::of(&bytes[..front], 0).unwrap();
            let runs = numbers.runs().unwrap().into_iter();
            let all: Vec<u64> =
                runs.flat_map(|(number, count)| std::iter::repeat_n(number, count)).collect();
            prop_assert!(all.into_iter().eq(calls.iter().map(|call| u64::from(call.number))));
            let starts = numbers.starts().unwrap();
            prop_assert!(starts.into_iter().eq(calls.iter().map(|call| call.start_ns)));
            prop_assert_eq!(decode_calls(&bytes).unwrap(), calls);
        }

        #[test]
        fn rare_ones_come_first(rare in 0usize..5, usual in 320usize..400) {
            let call = |at: usize, number| Call { start_ns: at as u64, number, ..Call::default() };
            let mut calls: Vec<Call> = (0..usual).map(|at| call(at, 0)).collect();
            calls.extend((0..rare).map(|at| call(at, 3)));
            let bytes = encode_calls(&mut calls);
            let numbers = CallNumbers::of(&bytes, 0).unwrap().runs().unwrap();
            let expected = [(3, rare), (0, usual)];
            let expected = expected.into_iter().filter(|(_, count)| *count > 0);
            prop_assert!(numbers.into_iter().eq(expected));
        }

        #[test]
        fn damage_never_panics(mut calls in calls(), at: usize, bit in 0u8..8) {
            let mut bytes = encode_calls(&mut calls);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode_calls(&bytes);
            let _ = decode_chosen_calls(&bytes, &[0, 3, 6]);
            if let Ok(numbers) = CallNumbers::of(&bytes, 0) {
                let _ = (numbers.starts(), numbers.runs());
            }
        }
    }
}
