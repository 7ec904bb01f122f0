//! Exact counts of what threads allocated and freed, slice by slice of
//! time, whether the allocations are recorded one by one or sampled.

use crate::column::{Column, Table, TableWriter};
use crate::error::FormatError;
use crate::totals::Histogram;
use crate::waits::optional_u32;

/// Most rows in a block of heap counts.
pub const MAX_HEAP_COUNTS: usize = 1 << 15;

/// What a thread did in a slice of time: from the end of its previous row, or
/// from its beginning, to `time_ns`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeapCounts {
    /// End of the slice, in nanoseconds on the trace's clock.
    pub time_ns: u64,
    /// Id of the thread; `None` for threads that could not be told apart.
    pub thread: Option<u32>,
    /// Allocations that succeeded, those by `realloc` included.
    pub allocations: u64,
    /// Bytes they asked for.
    pub bytes: u64,
    /// Objects freed, by `realloc` included.
    pub frees: u64,
    /// Allocations that failed.
    pub failed: u64,
    /// Calls that mapped anonymous memory.
    pub mmaps: u64,
    /// Bytes they mapped.
    pub mapped: u64,
    /// Calls that unmapped memory.
    pub munmaps: u64,
    /// Bytes they unmapped.
    pub unmapped: u64,
    /// Bytes by which the program moved its break up.
    pub break_up: u64,
    /// Bytes by which it moved it down.
    pub break_down: u64,
    /// How many allocations were of which size, in bytes.
    pub sizes: Histogram,
}

/// Leads to one of a row's numbers.
type Number = fn(&mut HeapCounts) -> &mut u64;

/// The plain numbers of a row, each with its column.
const NUMBERS: [(Column, Number); 10] = [
    (column::ALLOCATIONS, |c| &mut c.allocations),
    (column::BYTES, |c| &mut c.bytes),
    (column::FREES, |c| &mut c.frees),
    (column::FAILED, |c| &mut c.failed),
    (column::MMAPS, |c| &mut c.mmaps),
    (column::MAPPED, |c| &mut c.mapped),
    (column::MUNMAPS, |c| &mut c.munmaps),
    (column::UNMAPPED, |c| &mut c.unmapped),
    (column::BREAK_UP, |c| &mut c.break_up),
    (column::BREAK_DOWN, |c| &mut c.break_down),
];

/// Columns of the table of heap counts.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*};
    use crate::totals::HISTOGRAM_BUCKETS;

    pub const TIME: Column = Column::new(0, Delta);
    pub const THREAD: Column = Column::new(1, RunLength);
    pub const ALLOCATIONS: Column = Column::new(2, Plain);
    pub const BYTES: Column = Column::new(3, Plain);
    pub const FREES: Column = Column::new(4, Plain);
    pub const FAILED: Column = Column::new(5, Plain);
    pub const MMAPS: Column = Column::new(6, Plain);
    pub const MAPPED: Column = Column::new(7, Plain);
    pub const MUNMAPS: Column = Column::new(8, Plain);
    pub const UNMAPPED: Column = Column::new(9, Plain);
    pub const BREAK_UP: Column = Column::new(10, Plain);
    pub const BREAK_DOWN: Column = Column::new(11, Plain);
    pub const SIZES: [Column; HISTOGRAM_BUCKETS] = Column::new(16, Plain).family();
    pub const ALL: Columns = &[
        &[TIME, THREAD],
        &[ALLOCATIONS, BYTES, FREES, FAILED],
        &[MMAPS, MAPPED, MUNMAPS, UNMAPPED, BREAK_UP, BREAK_DOWN],
        &SIZES,
    ];
}

impl HeapCounts {
    /// Adds what another row counted.
    pub fn add(&mut self, other: &HeapCounts) {
        let mut other = *other;
        for (_, number) in NUMBERS {
            let more = *number(&mut other);
            let sum = number(self);
            *sum = sum.saturating_add(more);
        }
        for (sum, more) in self.sizes.0.iter_mut().zip(other.sizes.0) {
            *sum = sum.saturating_add(more);
        }
    }

    /// What was counted since `earlier`, an earlier state of the same counters.
    pub fn since(&self, earlier: &HeapCounts) -> HeapCounts {
        let (mut since, mut earlier) = (*self, *earlier);
        for (_, number) in NUMBERS {
            *number(&mut since) = number(&mut since).saturating_sub(*number(&mut earlier));
        }
        for (count, before) in since.sizes.0.iter_mut().zip(earlier.sizes.0) {
            *count = count.saturating_sub(before);
        }
        since
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        let mut other = *self;
        NUMBERS.iter().all(|(_, number)| *number(&mut other) == 0)
            && self.sizes == Histogram::default()
    }
}

/// The payload of a heap counts block. Sorts the rows by thread, then time;
/// columns of zeros are left out.
pub(crate) fn encode_heap_counts(rows: &mut [HeapCounts]) -> Vec<u8> {
    rows.sort_by_key(|row| (row.thread, row.time_ns));
    let mut table = TableWriter::new(column::ALL, rows.len());
    table.column(column::TIME, rows.iter().map(|row| row.time_ns));
    let threads = rows.iter().map(|row| row.thread.map_or(0, |id| u64::from(id) + 1));
    table.column(column::THREAD, threads);
    for (column, number) in NUMBERS {
        table.column_if_used(column, rows.iter_mut().map(|row| *number(row)).collect());
    }
    for (at, size) in column::SIZES.into_iter().enumerate() {
        table.column_if_used(size, rows.iter().map(|row| row.sizes.0[at]).collect());
    }
    table.finish()
}

/// Reads the payload of a heap counts block.
pub(crate) fn decode_heap_counts(mut payload: &[u8]) -> Result<Vec<HeapCounts>, FormatError> {
    let table = Table::read_at_most(MAX_HEAP_COUNTS, &mut payload)?;
    let times = table.column(column::TIME)?;
    let threads = table.column(column::THREAD)?;
    let mut rows = Vec::with_capacity(table.rows());
    for row in 0..table.rows() {
        let thread = optional_u32(threads[row], "thread id")?;
        rows.push(HeapCounts { time_ns: times[row], thread, ..HeapCounts::default() });
    }
    for (column, number) in NUMBERS {
        let values = table.column(column)?;
        rows.iter_mut().zip(values).for_each(|(row, value)| *number(row) = value);
    }
    for (at, size) in column::SIZES.into_iter().enumerate() {
        let values = table.column(size)?;
        rows.iter_mut().zip(values).for_each(|(row, value)| row.sizes.0[at] = value);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totals::HISTOGRAM_BUCKETS;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = Vec<HeapCounts>> {
        let row = (any::<[u64; 12]>(), 0u32..u32::MAX, 0..HISTOGRAM_BUCKETS);
        let row = row.prop_map(|(values, thread, bucket)| {
            let mut row = HeapCounts { time_ns: values[0], ..HeapCounts::default() };
            row.thread = thread.checked_sub(1);
            NUMBERS.iter().zip(values).for_each(|((_, number), value)| *number(&mut row) = value);
            row.sizes.0[bucket] = values[11];
            row
        });
        proptest::collection::vec(row, 0..20)
    }

    proptest! {
        #[test]
        fn round_trips(mut rows in rows()) {
            let bytes = encode_heap_counts(&mut rows);
            prop_assert_eq!(decode_heap_counts(&bytes).unwrap(), rows);
        }

        #[test]
        fn damage_never_panics(mut rows in rows(), at: usize, bit in 0u8..8) {
            let mut bytes = encode_heap_counts(&mut rows);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode_heap_counts(&bytes);
        }
    }

    #[test]
    fn rows_add_up() {
        let mut sum = HeapCounts::default();
        assert!(sum.is_zero());
        let mut row = HeapCounts { allocations: 2, break_down: 7, ..HeapCounts::default() };
        row.sizes.0[3] = 2;
        sum.add(&row);
        sum.add(&row);
        assert_eq!((sum.allocations, sum.break_down, sum.sizes.0[3]), (4, 14, 4));
        assert_eq!(sum.since(&row), row);
    }
}
