//! How long threads ran, as the kernel's scheduler counts it.

use crate::column::{Column, Table, TableWriter};
use crate::error::FormatError;
use crate::waits::optional_u32;

/// Most rows in a block of CPU times.
pub const MAX_CPU_TIMES: usize = 1 << 15;

/// How long a thread ran between its previous row, or its beginning, and `time_ns`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// When it was read, in nanoseconds on the trace's clock.
    pub time_ns: u64,
    /// Id of the thread; `None` for threads that could not be told apart.
    pub thread: Option<u32>,
    /// How long it ran.
    pub ran_ns: u64,
    /// How long it was ready to run and no CPU was free.
    pub ready_ns: u64,
    /// How often it was given a CPU.
    pub runs: u64,
}

/// Leads to one of a row's numbers.
type Number = fn(&mut CpuTime) -> &mut u64;

/// The plain numbers of a row, each with its column.
const NUMBERS: [(Column, Number); 3] = [
    (column::RAN, |row| &mut row.ran_ns),
    (column::READY, |row| &mut row.ready_ns),
    (column::RUNS, |row| &mut row.runs),
];

/// Columns of the table of CPU times.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*};

    pub const TIME: Column = Column::new(0, Delta);
    pub const THREAD: Column = Column::new(1, RunLength);
    pub const RAN: Column = Column::new(2, Plain);
    pub const READY: Column = Column::new(3, Plain);
    pub const RUNS: Column = Column::new(4, Plain);
    pub const ALL: Columns = &[&[TIME, THREAD, RAN, READY, RUNS]];
}

impl CpuTime {
    /// Adds what another row counted.
    pub fn add(&mut self, other: &CpuTime) {
        let mut other = *other;
        for (_, number) in NUMBERS {
            *number(self) = number(self).saturating_add(*number(&mut other));
        }
    }

    /// What was counted since `earlier`, an earlier state of the same counters.
    pub fn since(&self, earlier: &CpuTime) -> CpuTime {
        let (mut since, mut earlier) = (*self, *earlier);
        for (_, number) in NUMBERS {
            *number(&mut since) = number(&mut since).saturating_sub(*number(&mut earlier));
        }
        since
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        let mut row = *self;
        NUMBERS.iter().all(|(_, number)| *number(&mut row) == 0)
    }
}

/// The payload of a block of CPU times. Sorts the rows by thread, then time; columns of
/// zeros are left out.
pub(crate) fn encode_cpu_times(rows: &mut [CpuTime]) -> Vec<u8> {
    rows.sort_by_key(|row| (row.thread, row.time_ns));
    let mut table = TableWriter::new(column::ALL, rows.len());
    table.column(column::TIME, rows.iter().map(|row| row.time_ns));
    let threads = rows.iter().map(|row| row.thread.map_or(0, |id| u64::from(id) + 1));
    table.column(column::THREAD, threads);
    for (column, number) in NUMBERS {
        table.column_if_used(column, rows.iter_mut().map(|row| *number(row)).collect());
    }
    table.finish()
}

/// Reads the payload of a block of CPU times.
pub(crate) fn decode_cpu_times(mut payload: &[u8]) -> Result<Vec<CpuTime>, FormatError> {
    let table = Table::read_at_most(MAX_CPU_TIMES, &mut payload)?;
    let times = table.column(column::TIME)?;
    let threads = table.column(column::THREAD)?;
    let mut rows = Vec::with_capacity(table.rows());
    for row in 0..table.rows() {
        let thread = optional_u32(threads[row], "thread id")?;
        rows.push(CpuTime { time_ns: times[row], thread, ..CpuTime::default() });
    }
    for (column, number) in NUMBERS {
        let values = table.column(column)?;
        rows.iter_mut().zip(values).for_each(|(row, value)| *number(row) = value);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = Vec<CpuTime>> {
        let row = (any::<[u64; 4]>(), 0u32..u32::MAX);
        let row = row.prop_map(|([time_ns, ran_ns, ready_ns, runs], thread)| CpuTime {
            time_ns,
            thread: thread.checked_sub(1),
            ran_ns,
            ready_ns,
            runs,
        });
        proptest::collection::vec(row, 0..20)
    }

    proptest! {
        #[test]
        fn round_trips(mut rows in rows()) {
            let bytes = encode_cpu_times(&mut rows);
            prop_assert_eq!(decode_cpu_times(&bytes).unwrap(), rows);
        }

        #[test]
        fn damage_never_panics(mut rows in rows(), at: usize, bit in 0u8..8) {
            let mut bytes = encode_cpu_times(&mut rows);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode_cpu_times(&bytes);
        }
    }

    #[test]
    fn rows_add_up() {
        let row = CpuTime { ran_ns: 2, ready_ns: 3, runs: 1, ..CpuTime::default() };
        let mut sum = CpuTime::default();
        assert!(sum.is_zero());
        sum.add(&row);
        sum.add(&row);
        assert_eq!((sum.ran_ns, sum.ready_ns, sum.runs), (4, 6, 2));
        assert_eq!(sum.since(&row), row);
    }
}
