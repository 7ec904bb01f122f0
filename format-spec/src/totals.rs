//! Exact sums over all waits and system calls, recorded in detail or not.

use crate::codes::coded;
use crate::column::{Encoding, Table, write_column, write_row_count};
use crate::error::FormatError;
use crate::varint::write_varint;
use crate::waits::{WaitState, optional_u32};

/// Buckets of a [`Histogram`].
pub const HISTOGRAM_BUCKETS: usize = 40;

/// How many took how long. Bucket n counts durations of 2ⁿ nanoseconds or
/// more, up to twice as much; the first one also those of 0, and the last one
/// all that are longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram(pub [u64; HISTOGRAM_BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram([0; HISTOGRAM_BUCKETS])
    }
}

/// Most rows in a block of totals.
pub const MAX_TOTALS: usize = 1 << 15;

/// What a total is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TotalClass {
    /// Intervals off the CPU.
    #[default]
    Waits,
    /// System calls.
    Calls,
    /// Requests submitted to an io_uring; these have no times.
    IoUring,
    /// A class that this crate does not know.
    Unknown,
}

coded! {
    TotalClass: u8,
    0 => Waits,
    1 => Calls,
    2 => IoUring,
}

/// What one thread did of one kind. There may be several of the same thread
/// and kind, which add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    /// What it is about.
    pub class: TotalClass,
    /// Id of the thread; `None` for threads that could not be told apart.
    pub thread: Option<u32>,
    /// State of the thread, of a wait.
    pub state: WaitState,
    /// System call that it is, or in which the thread waited; for io_uring,
    /// the operation code.
    pub number: Option<u32>,
    /// How many there were.
    pub count: u64,
    /// How many of them failed, of system calls.
    pub errors: u64,
    /// Time they took, in nanoseconds.
    pub total_ns: u64,
    /// The shortest.
    pub min_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Part of the time in which the thread was ready to run, of waits.
    pub queued_ns: u64,
    /// How many took how long.
    pub histogram: Histogram,
}

impl Total {
    /// Adds what another total of the same kind counted.
    pub fn add(&mut self, other: &Total) {
        self.min_ns = match (self.count, other.count) {
            (0, _) => other.min_ns,
            (_, 0) => self.min_ns,
            _ => self.min_ns.min(other.min_ns),
        };
        self.max_ns = self.max_ns.max(other.max_ns);
        let sums = [
            (&mut self.count, other.count),
            (&mut self.errors, other.errors),
            (&mut self.total_ns, other.total_ns),
            (&mut self.queued_ns, other.queued_ns),
        ];
        let buckets = self.histogram.0.iter_mut().zip(other.histogram.0);
        for (sum, more) in sums.into_iter().chain(buckets) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Column ids of the total table.
mod column {
    pub const CLASS: u8 = 0;
    pub const THREAD: u8 = 1;
    pub const STATE: u8 = 2;
    pub const NUMBER: u8 = 3;
    pub const COUNT: u8 = 4;
    pub const ERRORS: u8 = 5;
    pub const TOTAL: u8 = 6;
    pub const MIN: u8 = 7;
    pub const MAX: u8 = 8;
    pub const QUEUED: u8 = 9;
    /// The first of [`super::HISTOGRAM_BUCKETS`]; those of nothing are absent.
    pub const BUCKET: u8 = 16;
}

/// The payload of a totals block. Sorts the rows by what they are about.
pub(crate) fn encode_totals(totals: &mut [Total]) -> Vec<u8> {
    totals.sort_by_key(|total| (total.class, total.state, total.number, total.thread));
    let used: Vec<usize> = (0..HISTOGRAM_BUCKETS)
        .filter(|bucket| totals.iter().any(|total| total.histogram.0[*bucket] != 0))
        .collect();
    let mut out = Vec::new();
    write_row_count(&mut out, totals.len());
    write_varint(&mut out, 10 + used.len() as u64);
    let mut column = |id, encoding, value: &dyn Fn(&Total) -> u64| {
        write_column(&mut out, id, encoding, totals.iter().map(value));
    };
    column(column::CLASS, Encoding::RunLength, &|t| u8::from(t.class).into());
    column(column::THREAD, Encoding::Delta, &|t| t.thread.map_or(0, |id| u64::from(id) + 1));
    column(column::STATE, Encoding::RunLength, &|t| u8::from(t.state).into());
    column(column::NUMBER, Encoding::RunLength, &|t| t.number.map_or(0, |nr| u64::from(nr) + 1));
    column(column::COUNT, Encoding::Plain, &|t| t.count);
    column(column::ERRORS, Encoding::Plain, &|t| t.errors);
    column(column::TOTAL, Encoding::Plain, &|t| t.total_ns);
    column(column::MIN, Encoding::Plain, &|t| t.min_ns);
    column(column::MAX, Encoding::Plain, &|t| t.max_ns);
    column(column::QUEUED, Encoding::Plain, &|t| t.queued_ns);
    for bucket in used {
        column(column::BUCKET + bucket as u8, Encoding::Plain, &|t| t.histogram.0[bucket]);
    }
    out
}

/// Reads the payload of a totals block.
pub(crate) fn decode_totals(mut payload: &[u8]) -> Result<Vec<Total>, FormatError> {
    let table = Table::read_at_most(MAX_TOTALS, &mut payload)?;
    let classes = table.column(column::CLASS, u64::MAX)?;
    let threads = table.column(column::THREAD, 0)?;
    let states = table.column(column::STATE, u64::MAX)?;
    let numbers = table.column(column::NUMBER, 0)?;
    let counts = table.column(column::COUNT, 0)?;
    let errors = table.column(column::ERRORS, 0)?;
    let total = table.column(column::TOTAL, 0)?;
    let min = table.column(column::MIN, 0)?;
    let max = table.column(column::MAX, 0)?;
    let queued = table.column(column::QUEUED, 0)?;
    let mut totals = Vec::with_capacity(table.rows());
    for row in 0..table.rows() {
        totals.push(Total {
            class: u8::try_from(classes[row]).map_or(TotalClass::Unknown, TotalClass::from),
            thread: optional_u32(threads[row], "thread id")?,
            state: u8::try_from(states[row]).map_or(WaitState::Unknown, WaitState::from),
            number: optional_u32(numbers[row], "system call number")?,
            count: counts[row],
            errors: errors[row],
            total_ns: total[row],
            min_ns: min[row],
            max_ns: max[row],
            queued_ns: queued[row],
            histogram: Histogram::default(),
        });
    }
    for bucket in 0..HISTOGRAM_BUCKETS {
        let values = table.column(column::BUCKET + bucket as u8, 0)?;
        totals.iter_mut().zip(values).for_each(|(total, value)| total.histogram.0[bucket] = value);
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn totals() -> impl Strategy<Value = Vec<Total>> {
        let kind = (0u8..3, 0u32..u32::MAX, 0u8..5, 0u32..600);
        let numbers = any::<[u64; 6]>();
        let total = (kind, numbers, 0..HISTOGRAM_BUCKETS).prop_map(|(kind, numbers, bucket)| {
            let (class, thread, state, number) = kind;
            let [count, errors, total_ns, min_ns, max_ns, queued_ns] = numbers;
            let mut histogram = Histogram::default();
            histogram.0[bucket] = count;
            Total {
                class: class.into(),
                thread: thread.checked_sub(1),
                state: state.into(),
                number: number.checked_sub(1),
                count,
                errors,
                total_ns,
                min_ns,
                max_ns,
                queued_ns,
                histogram,
            }
        });
        proptest::collection::vec(total, 0..20)
    }

    proptest! {
        #[test]
        fn round_trips(mut totals in totals()) {
            let bytes = encode_totals(&mut totals);
            prop_assert_eq!(decode_totals(&bytes).unwrap(), totals);
        }

        #[test]
        fn damage_never_panics(mut totals in totals(), at: usize, bit in 0u8..8) {
            let mut bytes = encode_totals(&mut totals);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode_totals(&bytes);
        }
    }

    #[test]
    fn totals_add_up() {
        let one = |min_ns, max_ns| Total { count: 1, min_ns, max_ns, ..Total::default() };
        let mut sum = Total::default();
        [one(5, 5), one(2, 9)].iter().for_each(|total| sum.add(total));
        sum.add(&Total::default());
        assert_eq!((sum.count, sum.min_ns, sum.max_ns), (2, 2, 9));
    }
}
