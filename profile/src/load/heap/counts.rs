//! Adds up the exact counts of allocations, by thread and over time.

use rustc_hash::FxHashMap;
use rz_format::HeapCounts;

use super::super::facts::Facts;
use super::matching::RATE_SLICE_NS;
use crate::model::heap::{Rate, Slices};

/// Threads whose counts are kept apart, at most; further ones lose their
/// thread.
const MAX_THREADS: usize = 1 << 18;

/// The counts of a trace.
#[derive(Debug, Default)]
pub(in super::super) struct Counts {
    total: HeapCounts,
    /// By the thread's id.
    threads: FxHashMap<Option<u32>, HeapCounts>,
    rate: Option<Slices<Rate>>,
    last_ns: u64,
}

impl Counts {
    /// Adds the rows of a block.
    pub(in super::super) fn add(&mut self, rows: &[HeapCounts], facts: &Facts) {
        let Some(first) = rows.iter().map(|row| row.time_ns).min() else { return };
        let start_ns = facts.start_ns(first);
        let rate = self.rate.get_or_insert_with(|| Slices::new(start_ns, RATE_SLICE_NS));
        for row in rows {
            self.total.add(row);
            let mut thread = row.thread.filter(|&id| facts.threads.index_of(id).is_some());
            if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&thread) {
                thread = None;
            }
            self.threads.entry(thread).or_default().add(row);
            // The slice that ends at this time.
            let slice = rate.at(row.time_ns.saturating_sub(1));
            slice.allocations += row.allocations as f64;
            slice.bytes += row.bytes as f64;
            slice.frees += row.frees as f64;
            self.last_ns = self.last_ns.max(row.time_ns);
        }
    }

    /// The latest time of a row.
    pub(in super::super) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Threads with counts, by id.
    pub(in super::super) fn threads(&self) -> impl Iterator<Item = (Option<u32>, &HeapCounts)> {
        self.threads.iter().map(|(&thread, counts)| (thread, counts))
    }

    /// The counts of all threads, and over time; `None` if there was no row.
    pub(super) fn finish(&self) -> Option<(HeapCounts, Slices<Rate>)> {
        self.rate.clone().map(|rate| (self.total, rate))
    }
}
