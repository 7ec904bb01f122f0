//! Allocations of the recorded processes, brought into the order in which they
//! happened.

use rz_format::{Allocation, Allocator, HeapCounts, Record};

use super::Tracker;
use super::stacks::Moment;
use crate::event::RawAllocation;

/// How often allocations are put in order: doing so for a few of them is as
/// much work as for many.
const SETTLE_INTERVAL_NS: u64 = 20_000_000;
/// How many are handed on at one time: more take less room each, because more
/// of their addresses are those of others in the same block.
const ROWS_AT_ONCE: usize = 1 << 16;

/// Allocations that are not ready to be written.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    rows: Vec<Allocation>,
    /// Whether rows are out of order.
    is_mixed: bool,
    settled_ns: u64,
    /// Rows at the beginning that have been handed on.
    gone: usize,
}

impl Unsettled {
    /// Adds a row. Those of one thread come in order.
    pub(super) fn push(&mut self, row: Allocation) {
        self.is_mixed |= self.rows.last().is_some_and(|last| row.time_ns < last.time_ns);
        self.rows.push(row);
    }

    /// Copies rows from before `time_ns` to `out`, in order of time, if there
    /// is enough to do. Returns whether `out` is full and there are more.
    fn settle(&mut self, time_ns: u64, out: &mut Vec<Allocation>) -> bool {
        if self.gone == 0 && time_ns.saturating_sub(self.settled_ns) < SETTLE_INTERVAL_NS {
            return false;
        }
        self.settled_ns = time_ns;
        if self.is_mixed {
            // Stable, so that rows of one thread with the same time stay in
            // order, and quick where these are in long runs.
            self.rows.sort_by_key(|row| row.time_ns);
            self.is_mixed = false;
        }
        let left = &self.rows[self.gone..];
        let ready = left.partition_point(|row| row.time_ns < time_ns);
        let room = ROWS_AT_ONCE.saturating_sub(out.len());
        out.extend_from_slice(&left[..ready.min(room)]);
        if ready > room {
            self.gone += room;
            return true;
        }
        self.rows.drain(..self.gone + ready);
        self.gone = 0;
        false
    }
}

impl Tracker {
    /// Takes in an allocation, or an object that was freed.
    pub(super) fn allocation(&mut self, moment: Moment, allocation: &RawAllocation<'_>) {
        self.find_if_unannounced(moment, moment.tid);
        let stack = allocation.place.as_ref().and_then(|place| self.stack(moment, place));
        let thread = self.thread_id(moment);
        let row = Allocation {
            time_ns: moment.time_ns,
            thread,
            kind: allocation.kind,
            address: allocation.address,
            size: allocation.size,
            stack,
            allocations: allocation.allocations,
            interval: allocation.interval,
        };
        self.add_allocation(row);
    }

    /// Takes in what the moment's thread has done.
    pub(super) fn count_heap(&mut self, moment: Moment, counts: &HeapCounts) {
        self.find_if_unannounced(moment, moment.tid);
        let thread = Some(self.thread_id(moment)).filter(|thread| *thread != u32::MAX);
        self.found.heap_counts.push(HeapCounts { thread, ..*counts });
    }

    /// Says whose functions a process allocates with.
    pub(crate) fn add_allocator(&mut self, pid: u32, path: &str) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.allocators.push(path.to_owned());
        let allocator = Allocator { process: process.id, path: path.to_owned() };
        self.found.records.push(Record::Allocator(allocator));
    }

    /// Takes in a row whose stack is numbered.
    pub(super) fn add_allocation(&mut self, row: Allocation) {
        self.counts.allocations += 1;
        self.unsettled.push(row);
    }

    /// Everything that happened before `time_ns` has been handled. Returns
    /// whether there is more to hand on than fits into a block: this is to be
    /// called again then, when findings have been taken.
    pub(crate) fn settle(&mut self, time_ns: u64) -> bool {
        self.unsettled.settle(time_ns, &mut self.found.allocations)
    }
}
