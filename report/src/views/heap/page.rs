//! What is shown of all allocations: the page that is written as JSON, or as
//! text.

use rz_profile::heap::Heap;
use rz_profile::model::Profile;
use serde::Serialize;

use super::notes::notes;
use super::over_time::{OverTime, over_time};
use super::sizes::{Lifetimes, SizeBucket, lifetimes, sizes};
use super::tables::{
    EntrySums, FunctionTable, ProcessSums, ThreadSums, entries, function_table, processes, threads,
};
use super::totals::{Totals, totals};
use crate::model::heap_places::Places;
use crate::model::rows::Rows;

/// Columns that time is divided into, at most, if they are not drawn: as many
/// as there are slices in a heap.
const MAX_COLUMNS: usize = 200;

/// What the report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapPageOptions {
    /// How many rows tables of functions have.
    pub limit: usize,
    /// How many threads and processes to list.
    pub threads: usize,
}

/// What is shown of all allocations.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HeapPage {
    /// Average number of bytes between allocations that were recorded one by
    /// one; 0 if all were, `null` if nothing was recorded.
    pub interval_bytes: Option<u64>,
    /// Whether allocations and frees were counted as well, whatever was
    /// recorded one by one.
    pub counted: bool,
    /// What all add up to; `null` if nothing was recorded or nothing is left by
    /// the filter, in which case all else is empty.
    pub totals: Option<Totals>,
    /// What was live and allocated over time; `null` if that is not known.
    pub over_time: Option<OverTime>,
    /// Objects by size, in classes of a factor of two, the smallest first; only
    /// those that there are.
    pub sizes: Vec<SizeBucket>,
    /// For how long objects were there that were freed; `null` if none was.
    pub lifetimes: Option<Lifetimes>,
    /// Functions by all bytes that they allocated.
    pub top_allocated: FunctionTable,
    /// Functions by the bytes of theirs that were live at the peak.
    pub top_at_peak: FunctionTable,
    /// Functions by the bytes of theirs that were live at the end.
    pub top_live_at_end: FunctionTable,
    /// Functions of the allocator that were used.
    pub entries: Vec<EntrySums>,
    /// Threads, those first that allocated most bytes.
    pub threads: Rows<ThreadSums>,
    /// Processes, those first that had most bytes live at their peak.
    pub processes: Rows<ProcessSums>,
    /// What a reader should know of these numbers besides the notes of the
    /// document, one sentence each.
    pub notes: Vec<String>,
}

impl HeapPage {
    /// Whether not every allocation was recorded one by one.
    pub(super) fn is_sampled(&self) -> bool {
        self.interval_bytes.is_some_and(|bytes| bytes > 0)
    }
}

/// What is shown of all allocations of `profile`; empty if there are none.
pub fn heap(profile: &Profile, options: HeapPageOptions) -> HeapPage {
    page_of(profile, options, MAX_COLUMNS)
}

/// The same with time in so many columns, at most.
pub(super) fn page_of(profile: &Profile, options: HeapPageOptions, columns: usize) -> HeapPage {
    let Some(heap) = known_heap(profile) else { return HeapPage::default() };
    let places = Places::new(profile);
    let functions = |of| function_table(&places, heap, of, options.limit);
    HeapPage {
        interval_bytes: Some(heap.interval),
        counted: heap.counts.is_some(),
        totals: Some(totals(profile, heap)),
        over_time: over_time(profile, heap, columns),
        sizes: sizes(heap),
        lifetimes: lifetimes(heap, profile.info.recording_ns),
        top_allocated: functions(|sums| sums.allocated),
        top_at_peak: functions(|sums| sums.at_peak),
        top_live_at_end: functions(|sums| sums.at_end),
        entries: entries(heap),
        threads: threads(profile, heap, options.threads),
        processes: processes(profile, heap, options.threads),
        notes: notes(profile, heap, true),
    }
}

/// The heap of a profile, if anything is known of it.
pub(super) fn known_heap(profile: &Profile) -> Option<&Heap> {
    profile.heap.as_ref().filter(|heap| has_any(heap))
}

/// What all allocations of a profile add up to, if anything is known of them.
pub(crate) fn totals_of(profile: &Profile) -> Option<Totals> {
    known_heap(profile).map(|heap| totals(profile, heap))
}

/// Whether anything is known of allocations.
pub(crate) fn has_any(heap: &Heap) -> bool {
    heap.counts.is_some() || !heap.total.allocated.is_zero()
}
