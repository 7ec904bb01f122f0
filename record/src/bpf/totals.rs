//! Exact sums by thread, which the programs keep in a table. There are two such tables:
//! the programs add to one, while the other is emptied. So what is known of threads that
//! have ended does not pile up in the kernel.

use std::os::fd::{AsFd, AsRawFd};

use super::error::BpfError;
use super::layout::{TOTAL_KEY_LEN, TOTAL_LEN, total};
use super::maps::Table;
use super::programs::Loaded;
use crate::event::RawTotal;
use crate::host::give_back_free_memory;
use crate::queue::Batch;

/// Rows taken at one time.
const ROWS_PER_BATCH: usize = 1 << 12;
/// The tables are exchanged when there are so many rows, times seconds: threads that go
/// on have new rows then, so few are left for long, and many are not.
const MANY_ROW_SECONDS: u64 = 1 << 20;
/// Bytes that wait to be dealt with above which no rows are taken.
const LONG_BACKLOG: usize = 1 << 20;
/// How long rows wait, so that the reports of whose they are come before.
const REPORTS_NS: u64 = 1_000_000_000;

/// The tables of sums.
pub(super) struct Totals {
    tables: [Table<TOTAL_KEY_LEN, TOTAL_LEN>; 2],
    /// Which of them the programs add to: its only row is the descriptor of the table.
    current: Table<4, 4>,
    is_second: bool,
    /// Rows that had been begun when they were exchanged, and when that was.
    begun: u64,
    exchanged_ns: u64,
    /// The other one may still have rows.
    has_others: bool,
}

impl Totals {
    pub(super) fn of(loaded: &Loaded, now_ns: u64) -> Result<Self, BpfError> {
        Ok(Totals {
            tables: [Table::of(loaded, "totals")?, Table::of(loaded, "other_totals")?],
            current: Table::of(loaded, "current_totals")?,
            is_second: false,
            begun: 0,
            exchanged_ns: now_ns,
            has_others: false,
        })
    }

    /// Takes some of what is final into the batch, where `begun` rows were begun so far.
    pub(super) fn take(&mut self, begun: u64, now_ns: u64, batch: &mut Batch) {
        let rows = begun.saturating_sub(self.begun);
        let elapsed_ns = now_ns.saturating_sub(self.exchanged_ns);
        if self.has_others {
            if elapsed_ns < REPORTS_NS || batch.backlog > LONG_BACKLOG {
                return;
            }
            self.has_others = self.take_others(batch);
            if !self.has_others {
                give_back_free_memory();
            }
        } else if rows == 0 {
            self.exchanged_ns = now_ns;
        } else if rows.saturating_mul(elapsed_ns / 1_000_000_000) >= MANY_ROW_SECONDS {
            self.exchange(begun, now_ns);
        }
        if !self.has_others {
            batch.totals_until_ns = self.exchanged_ns;
        }
    }

    /// Takes all that was added until now; what comes next is of another file.
    pub(super) fn take_until_now(&mut self, begun: u64, now_ns: u64) -> Vec<RawTotal> {
        let mut batch = Batch::default();
        while self.take_others(&mut batch) {}
        self.exchange(begun, now_ns);
        while self.take_others(&mut batch) {}
        self.has_others = false;
        batch.totals
    }

    /// Takes all that is left to `hand_over`, as long as that takes it. The programs
    /// must be gone.
    pub(super) fn take_all(&mut self, mut batch: Batch, hand_over: &mut dyn FnMut(Batch) -> bool) {
        for _ in 0..self.tables.len() {
            while self.take_others(&mut batch) {
                if !hand_over(std::mem::take(&mut batch)) {
                    return;
                }
            }
            self.is_second = !self.is_second;
        }
        hand_over(batch);
    }

    /// Has the programs add to the other table, which must be empty. The kernel waits for
    /// those that still add to this one.
    fn exchange(&mut self, begun: u64, now_ns: u64) {
        let next = &self.tables[usize::from(!self.is_second)];
        match self.current.set([0; 4], &next.as_fd().as_raw_fd().to_ne_bytes()) {
            Ok(()) => {
                self.is_second = !self.is_second;
                self.has_others = true;
                (self.begun, self.exchanged_ns) = (begun, now_ns);
            }
            Err(error) => log::warn!("sums stay in the kernel: {error}"),
        }
    }

    /// Takes rows of the table that nobody adds to. Returns whether there were any.
    fn take_others(&self, batch: &mut Batch) -> bool {
        let others = &self.tables[usize::from(!self.is_second)];
        let mut had_rows = false;
        for (key, value) in others.take(ROWS_PER_BATCH) {
            had_rows = true;
            batch.totals.extend(total(&key, &value));
        }
        had_rows
    }
}
