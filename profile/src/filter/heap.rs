//! Selects what is known of allocations by its stacks.

use std::collections::BTreeMap;

use super::stacks::Stacks;
use crate::model::heap::{Heap, Peak, Slices, Sums, add_up_equal_sites};
use crate::model::{Histogram, ProcessId, Thread, ThreadId};

/// Gives sites new stacks. If that leaves any out, sums are added up again,
/// and what is not known by stack is left out.
pub(super) fn apply(heap: &mut Heap, stacks: &Stacks, threads: &[Thread], drops_stacks: bool) {
    heap.sites.retain_mut(|site| {
        let new = stacks.of(site.stack);
        site.stack = new.flatten();
        new.is_some()
    });
    add_up_equal_sites(&mut heap.sites);
    if !drops_stacks {
        return;
    }
    let mut of_thread: BTreeMap<ThreadId, Sums> = BTreeMap::new();
    let mut of_process: BTreeMap<ProcessId, Sums> = BTreeMap::new();
    heap.add_up_sites();
    for site in &heap.sites {
        of_thread.entry(site.thread).or_default().add(&site.sums);
        of_process.entry(threads[site.thread].process).or_default().add(&site.sums);
    }
    heap.threads.retain_mut(|thread| {
        let sums = thread.thread.and_then(|id| of_thread.get(&id));
        (thread.sums, thread.counts) = (sums.copied().unwrap_or_default(), None);
        sums.is_some()
    });
    heap.processes.retain_mut(|process| {
        let sums = of_process.get(&process.process);
        process.sums = sums.copied().unwrap_or_default();
        process.peak = Peak::default();
        sums.is_some()
    });
    // When it was is that of all stacks.
    heap.peak.live = heap.total.at_peak;
    heap.counts = None;
    heap.sizes = Histogram::default();
    heap.lifetimes = Histogram::default();
    heap.size_classes = Vec::new();
    heap.live = Slices::default();
    heap.rate = Slices::default();
    heap.selected.by_stack = true;
}
