//! What comparisons of allocations say of both sides besides what is compared:
//! objects beside bytes, and what was there at the peak and at the end.

use rz_profile::heap::{Estimate, Heap};
use serde::Serialize;

use super::Side;
use crate::model::estimated::ShownSum;
use crate::views::heap::amounts::{bytes_and_margin, count_and_margin};

/// Allocations of one run, as they are written as JSON.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct HeapFacts {
    /// Bytes from one recorded allocation to the next on average; `null` if
    /// every one was recorded.
    pub interval_bytes: Option<u64>,
    /// All that was allocated: counted if that was done, else as recorded.
    pub allocated: ShownSum,
    /// What was there when most bytes were.
    pub at_peak: ShownSum,
    /// What was never freed.
    pub at_end: ShownSum,
}

impl HeapFacts {
    pub fn of(heap: &Heap) -> Self {
        HeapFacts {
            interval_bytes: (heap.interval > 0).then_some(heap.interval),
            allocated: ShownSum { objects: heap.allocations().into(), bytes: heap.bytes().into() },
            at_peak: ShownSum::of(heap, &heap.peak.live),
            at_end: ShownSum::of(heap, &heap.total.at_end),
        }
    }
}

/// What is said of the allocations of a side, with what to call it: of several
/// runs the mean.
pub(crate) fn amounts(side: &Side<'_>) -> [(&'static str, String); 4] {
    let mean = |of: &dyn Fn(&Heap) -> Estimate| {
        let runs = side.runs.len() as f64;
        let estimates = side.runs.iter().filter_map(|run| run.heap).map(of);
        let (value, variance) = estimates.fold((0.0, 0.0), |(value, variance), estimate| {
            (value + estimate.value, variance + estimate.variance)
        });
        Estimate { value: value / runs, variance: variance / (runs * runs) }.into()
    };
    let per_run = if side.runs.len() > 1 { " per run" } else { "" };
    let bytes = |of: &dyn Fn(&Heap) -> Estimate| bytes_and_margin(mean(of)) + per_run;
    [
        ("allocated", bytes(&Heap::bytes)),
        ("objects", count_and_margin(mean(&Heap::allocations)) + per_run),
        ("at peak", bytes(&|heap| heap.shown(&heap.peak.live).bytes)),
        ("at end", bytes(&|heap| heap.shown(&heap.total.at_end).bytes)),
    ]
}
