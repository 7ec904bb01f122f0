//! Exact sums over all waits and system calls, recorded in detail or not.

use crate::codes::coded;
use crate::column::{Table, TableWriter};
use crate::error::FormatError;
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
    /// Calls of functions.
    Functions,
    /// A class that this crate does not know.
    Unknown,
}

coded! {
    TotalClass: u8,
    0 => Waits,
    1 => Calls,
    2 => IoUring,
    3 => Functions,
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
    /// System call or function that it is, or system call in which the thread waited; for
    /// io_uring, the operation code.
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

/// Columns of the total table.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*, UNKNOWN};
    use crate::totals::HISTOGRAM_BUCKETS;

    pub const CLASS: Column = Column::new(0, RunLength).if_absent(UNKNOWN);
    pub const THREAD: Column = Column::new(1, Delta);
    pub const STATE: Column = Column::new(2, RunLength).if_absent(UNKNOWN);
    pub const NUMBER: Column = Column::new(3, RunLength);
    pub const COUNT: Column = Column::new(4, Plain);
    pub const ERRORS: Column = Column::new(5, Plain);
    pub const TOTAL: Column = Column::new(6, Plain);
    pub const MIN: Column = Column::new(7, Plain);
    pub const MAX: Column = Column::new(8, Plain);
    pub const QUEUED: Column = Column::new(9, Plain);
    pub const BUCKETS: [Column; HISTOGRAM_BUCKETS] = Column::new(16, Plain).family();
    pub const ALL: Columns =
        &[&[CLASS, THREAD, STATE, NUMBER, COUNT, ERRORS, TOTAL, MIN, MAX, QUEUED], &BUCKETS];
}

/// The payload of a totals block. Sorts the rows by what they are about;
/// buckets of nothing are left out.
pub(crate) fn encode_totals(totals: &mut [Total]) -> Vec<u8> {
    totals.sort_by_key(|total| (total.class, total.state, total.number, total.thread));
    let mut table = TableWriter::new(column::ALL, totals.len());
    let mut column =
        |column, value: &dyn Fn(&Total) -> u64| table.column(column, totals.iter().map(value));
    column(column::CLASS, &|t| u8::from(t.class).into());
    column(column::THREAD, &|t| t.thread.map_or(0, |id| u64::from(id) + 1));
    column(column::STATE, &|t| u8::from(t.state).into());
    column(column::NUMBER, &|t| t.number.map_or(0, |nr| u64::from(nr) + 1));
    column(column::COUNT, &|t| t.count);
    column(column::ERRORS, &|t| t.errors);
    column(column::TOTAL, &|t| t.total_ns);
    column(column::MIN, &|t| t.min_ns);
    column(column::MAX, &|t| t.max_ns);
    column(column::QUEUED, &|t| t.queued_ns);
    for (at, bucket) in column::BUCKETS.into_iter().enumerate() {
        table.column_if_used(bucket, totals.iter().map(|t| t.histogram.0[at]).collect());
    }
    table.finish()
}

/// Reads the payload of a totals block.
pub(crate) fn decode_totals(mut payload: &[u8]) -> Result<Vec<Total>, FormatError> {
    let table = Table::read_at_most(MAX_TOTALS, &mut payload)?;
    let classes = table.column(column::CLASS)?;
    let threads = table.column(column::THREAD)?;
    let states = table.column(column::STATE)?;
    let numbers = table.column(column::NUMBER)?;
    let counts = table.column(column::COUNT)?;
    let errors = table.column(column::ERRORS)?;
    let total = table.column(column::TOTAL)?;
    let min = table.column(column::MIN)?;
    let max = table.column(column::MAX)?;
    let queued = table.column(column::QUEUED)?;
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
    for (at, bucket) in column::BUCKETS.into_iter().enumerate() {
        let values = table.column(bucket)?;
        totals.iter_mut().zip(values).for_each(|(total, value)| total.histogram.0[at] = value);
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
