//! Adds up the exact sums of a trace.

use rustc_hash::FxHashMap;
use rz_format::{HISTOGRAM_BUCKETS, Histogram, Total, TotalClass, Wait, WaitState};

use crate::reason::checked_number;

/// Sums that are kept apart, at most; further ones lose their thread.
const MAX_TOTALS: usize = 1 << 20;

/// What totals are added up by: class, thread, state and number.
type Key = (TotalClass, Option<u32>, WaitState, Option<u32>);

/// The totals of a trace; their threads are ids of the trace.
#[derive(Debug, Default)]
pub(super) struct Totals {
    sums: FxHashMap<Key, Total>,
}

impl Totals {
    /// Adds those of a block, except of classes that are unknown.
    pub(super) fn add(&mut self, totals: &[Total]) {
        for total in totals.iter().filter(|total| total.class != TotalClass::Unknown) {
            let state = match total.class {
                TotalClass::Waits => total.state,
                _ => WaitState::Unknown,
            };
            let mut key = (total.class, total.thread, state, total.number.map(checked_number));
            if self.sums.len() >= MAX_TOTALS && !self.sums.contains_key(&key) {
                key.1 = None;
            }
            let (class, thread, state, number) = key;
            let empty = || Total { class, thread, state, number, ..Total::default() };
            self.sums.entry(key).or_insert_with(empty).add(total);
        }
    }

    /// Adds waits that were not over.
    pub(super) fn add_open(&mut self, waits: &[Wait]) {
        for wait in waits.iter().filter(|wait| wait.seen.unfinished) {
            let mut histogram = Histogram::default();
            let bucket = wait.duration_ns.checked_ilog2().unwrap_or(0) as usize;
            histogram.0[bucket.min(HISTOGRAM_BUCKETS - 1)] = 1;
            self.add(&[Total {
                class: TotalClass::Waits,
                thread: Some(wait.thread),
                state: wait.state,
                number: wait.syscall,
                count: 1,
                errors: 0,
                total_ns: wait.duration_ns,
                min_ns: wait.duration_ns,
                max_ns: wait.duration_ns,
                queued_ns: wait.queued_ns,
                histogram,
            }]);
        }
    }

    /// The sums, in no particular order.
    pub(super) fn sums(&self) -> impl Iterator<Item = &Total> {
        self.sums.values()
    }
}
