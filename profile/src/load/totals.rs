//! Adds up the exact sums of a trace, and single rows as if they were such.

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{Call, HISTOGRAM_BUCKETS, Total, TotalClass, Wait, WaitState};

use super::call_counts::{errno, is_in_totals};
use super::pass::Sink;
use crate::reason::checked_number;

/// Sums that are kept apart, at most; further ones lose their thread.
const MAX_TOTALS: usize = 1 << 20;

/// The same of sums that are made of single rows.
const MAX_SUMS_OF_ROWS: usize = 1 << 16;

/// What totals are added up by: class, thread, state and number.
type Key = (TotalClass, Option<u32>, WaitState, Option<u32>);

/// Totals; their threads are ids of the trace.
#[derive(Debug, Default)]
pub(super) struct Totals {
    sums: FxHashMap<Key, Total>,
}

/// Sums by thread, from all that tells of them.
#[derive(Debug, Default)]
pub(super) struct ThreadTotals {
    /// As the recorder counted them.
    pub(super) exact: Totals,
    /// Waits that were not over.
    pub(super) open_waits: Totals,
    /// Waits and calls that were over, in case that exact sums are missing.
    pub(super) of_rows: Totals,
}

impl Sink for ThreadTotals {
    fn totals(&mut self, rows: &[Total]) {
        self.exact.add(rows);
    }

    fn waits(&mut self, rows: &[Wait]) {
        self.open_waits.add_open(rows);
        self.of_rows.add_waits(rows);
    }

    fn calls(&mut self, rows: &[Call]) {
        self.of_rows.add_calls(TotalClass::Calls, rows);
    }

    fn function_calls(&mut self, rows: &[Call]) {
        self.of_rows.add_calls(TotalClass::Functions, rows);
    }
}

impl Totals {
    /// Adds those of a block, except of classes that are unknown.
    fn add(&mut self, totals: &[Total]) {
        for total in totals.iter().filter(|total| total.class != TotalClass::Unknown) {
            let state = match total.class {
                TotalClass::Waits => total.state,
                _ => WaitState::Unknown,
            };
            let key = (total.class, total.thread, state, total.number);
            self.sum(key, MAX_TOTALS).add(total);
        }
    }

    /// Adds waits that were over.
    fn add_waits(&mut self, waits: &[Wait]) {
        waits.iter().filter(|wait| !wait.seen.unfinished).for_each(|wait| {
            // Short ones are there once in so many, and stand for the others.
            self.add_wait(wait, wait.weight);
        });
    }

    /// Adds waits that were not over.
    fn add_open(&mut self, waits: &[Wait]) {
        waits.iter().filter(|wait| wait.seen.unfinished).for_each(|wait| {
            self.add_wait(wait, wait.duration_ns);
        });
    }

    fn add_wait(&mut self, wait: &Wait, total_ns: u64) {
        let key = (TotalClass::Waits, Some(wait.thread), wait.state, wait.syscall);
        let sum = self.sum(key, MAX_SUMS_OF_ROWS);
        add_durations(sum, wait.duration_ns, 1, total_ns);
        sum.queued_ns = sum.queued_ns.saturating_add(wait.queued_ns);
    }

    /// Adds calls that began and ended while it was recorded.
    fn add_calls(&mut self, class: TotalClass, calls: &[Call]) {
        // A block is sorted by both.
        for calls in calls.chunk_by(|a, b| (a.thread, a.number) == (b.thread, b.number)) {
            let Some(first) = calls.iter().find(|call| is_in_totals(call)) else { continue };
            let state = WaitState::Unknown;
            let key = (class, Some(first.thread), state, Some(first.number));
            let sum = self.sum(key, MAX_SUMS_OF_ROWS);
            for call in calls.iter().filter(|call| is_in_totals(call)) {
                let total_ns = call.duration_ns.saturating_mul(call.count);
                add_durations(sum, call.duration_ns, call.count, total_ns);
                if class == TotalClass::Calls && errno(call).is_some() {
                    sum.errors = sum.errors.saturating_add(call.count);
                }
            }
        }
    }

    /// Takes over the sums of some classes and threads.
    pub(super) fn take(
        &mut self,
        wanted: impl Fn(TotalClass, Option<u32>) -> bool,
        from: &mut Totals,
    ) {
        self.sums.extend(from.sums.extract_if(|key, _| wanted(key.0, key.1)));
    }

    /// The classes that there are sums of, each with the sources of its threads.
    pub(super) fn classes(
        &self,
        source_of: impl Fn(Option<u32>) -> Option<usize>,
    ) -> FxHashSet<(TotalClass, Option<usize>)> {
        self.sums.keys().map(|key| (key.0, source_of(key.1))).collect()
    }

    /// The sum of a key, or of that without its thread if there are too many.
    fn sum(&mut self, key: Key, limit: usize) -> &mut Total {
        let (class, mut thread, state, number) = key;
        let number = number.map(checked_number);
        if self.sums.len() >= limit && !self.sums.contains_key(&(class, thread, state, number)) {
            thread = None;
        }
        let empty = || Total { class, thread, state, number, ..Total::default() };
        self.sums.entry((class, thread, state, number)).or_insert_with(empty)
    }

    /// The sums, in no particular order.
    pub(super) fn sums(&self) -> impl Iterator<Item = &Total> {
        self.sums.values()
    }
}

/// Adds `count` equal durations to a sum, which take `total_ns` together.
fn add_durations(sum: &mut Total, each_ns: u64, count: u64, total_ns: u64) {
    let shortest = if sum.count == 0 { each_ns } else { sum.min_ns };
    (sum.min_ns, sum.max_ns) = (shortest.min(each_ns), sum.max_ns.max(each_ns));
    let bucket = each_ns.checked_ilog2().unwrap_or(0) as usize;
    let bucket = &mut sum.histogram.0[bucket.min(HISTOGRAM_BUCKETS - 1)];
    *bucket = bucket.saturating_add(count);
    sum.count = sum.count.saturating_add(count);
    sum.total_ns = sum.total_ns.saturating_add(total_ns);
}
