//! Exact counts of what threads allocated and freed, slice by slice of
//! time, whether the allocations are recorded one by one or sampled.

use crate::column::{Encoding, Table, write_column, write_row_count};
use crate::error::FormatError;
use crate::totals::{HISTOGRAM_BUCKETS, Histogram};
use crate::varint::write_varint;
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

/// The plain numbers of a row, each with its column id.
const NUMBERS: [(u8, Number); 10] = [
    (2, |c| &mut c.allocations),
    (3, |c| &mut c.bytes),
    (4, |c| &mut c.frees),
    (5, |c| &mut c.failed),
    (6, |c| &mut c.mmaps),
    (7, |c| &mut c.mapped),
    (8, |c| &mut c.munmaps),
    (9, |c| &mut c.unmapped),
    (10, |c| &mut c.break_up),
    (11, |c| &mut c.break_down),
];

/// The other column ids of the table.
mod column {
    pub const TIME: u8 = 0;
    pub const THREAD: u8 = 1;
    /// The first of [`super::HISTOGRAM_BUCKETS`].
    pub const SIZE: u8 = 16;
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
    let mut columns = vec![
        (column::TIME, Encoding::Delta, rows.iter().map(|row| row.time_ns).collect()),
        (
            column::THREAD,
            Encoding::RunLength,
            rows.iter().map(|row| row.thread.map_or(0, |id| u64::from(id) + 1)).collect(),
        ),
    ];
    let numbers = NUMBERS
        .map(|(id, number)| (id, rows.iter_mut().map(|row| *number(row)).collect::<Vec<u64>>()));
    let sizes = (0..HISTOGRAM_BUCKETS).map(|bucket| {
        (column::SIZE + bucket as u8, rows.iter().map(|r| r.sizes.0[bucket]).collect())
    });
    let used =
        numbers.into_iter().chain(sizes).filter(|(_, values)| values.iter().any(|v| *v != 0));
    columns.extend(used.map(|(id, values)| (id, Encoding::Plain, values)));
    let mut out = Vec::new();
    write_row_count(&mut out, rows.len());
    write_varint(&mut out, columns.len() as u64);
    for (id, encoding, values) in columns {
        write_column(&mut out, id, encoding, values);
    }
    out
}

/// Reads the payload of a heap counts block.
pub(crate) fn decode_heap_counts(mut payload: &[u8]) -> Result<Vec<HeapCounts>, FormatError> {
    let table = Table::read_at_most(MAX_HEAP_COUNTS, &mut payload)?;
    let times = table.column(column::TIME, 0)?;
    let threads = table.column(column::THREAD, 0)?;
    let mut rows = Vec::with_capacity(table.rows());
    for row in 0..table.rows() {
        let thread = optional_u32(threads[row], "thread id")?;
        rows.push(HeapCounts { time_ns: times[row], thread, ..HeapCounts::default() });
    }
    for (id, number) in NUMBERS {
        let values = table.column(id, 0)?;
        rows.iter_mut().zip(values).for_each(|(row, value)| *number(row) = value);
    }
    for bucket in 0..HISTOGRAM_BUCKETS {
        let values = table.column(column::SIZE + bucket as u8, 0)?;
        rows.iter_mut().zip(values).for_each(|(row, value)| row.sizes.0[bucket] = value);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
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
