//! Puts together what a trace tells about the heap.

mod counts;
mod ledger;
mod live;
mod matching;

use std::collections::{BTreeMap, BTreeSet};

use rz_format::{Allocation, HISTOGRAM_BUCKETS, HeapCounts as RecordedCounts, Histogram, Record};

use counts::Counts;
use matching::Matching;
pub(super) use matching::SiteKey;

use super::facts::Facts;
use super::pass::Sink;
use super::selection::Selection;
use crate::model::heap::{
    Heap, HeapCounts, HeapOptions, ProcessHeap, Runtime, Selected, Site, Sums, ThreadHeap,
    add_up_equal_sites,
};
use crate::model::{Process, ProcessId, Profile, StackId, ThreadId};
use matching::Matched;

/// What is read of the heap.
#[derive(Debug)]
pub(super) struct HeapTables {
    pub(super) matching: Matching,
    pub(super) counts: Counts,
}

impl Sink for HeapTables {
    fn record(&mut self, record: &Record, facts: &Facts) {
        if let Record::ProcessExit(exit) = record {
            self.matching.end_process(exit.id, exit.time_ns, facts);
        }
    }

    fn allocations(&mut self, rows: &[Allocation], facts: &Facts) {
        self.matching.add(rows, facts);
    }

    fn heap_counts(&mut self, rows: &[RecordedCounts], facts: &Facts) {
        self.counts.add(rows, facts);
    }
}

impl HeapTables {
    /// What is looked at, and of which rows of a file of so many bytes.
    pub(super) fn new(options: &HeapOptions, selection: Selection, file_size: u64) -> Self {
        let matching = Matching::new(options, selection, file_size);
        HeapTables { matching, counts: Counts::default() }
    }

    /// Ids of the threads that the heap refers to.
    pub(super) fn threads(&self) -> impl Iterator<Item = u32> {
        let counted = self.counts.threads().filter_map(|(thread, _)| thread);
        let sites = self.matching.sites().iter().map(|site| site.thread);
        self.matching.threads().chain(sites).chain(counted)
    }

    /// The latest time of a row.
    pub(super) fn last_ns(&self) -> u64 {
        self.matching.last_ns().max(self.counts.last_ns())
    }

    /// The heap in a profile that has its processes, threads and functions.
    /// `places` has the thread and the stack of each site.
    pub(super) fn finish(
        &mut self,
        facts: &Facts,
        profile: &Profile,
        options: &HeapOptions,
        thread_index: impl Fn(u32) -> ThreadId,
        places: &[(ThreadId, Option<StackId>)],
    ) -> Heap {
        let start_ns = facts.start_ns(0);
        let end_ns = facts.end_ns();
        let matched = self.matching.finish(start_ns, end_ns);
        let counted = self.counts.finish();
        let recorded = facts.sources.allocations().cloned().unwrap_or_default();

        let site = |(&(thread, stack), &(key, sums)): (&_, &(SiteKey, Sums))| Site {
            thread,
            stack,
            entry: key.entry,
            sums,
        };
        let mut sites: Vec<Site> = places.iter().zip(&matched.sites).map(site).collect();
        add_up_equal_sites(&mut sites);
        let threads = self.thread_heaps(&sites, &matched, &thread_index);
        let mut processes = process_heaps(&sites, &threads, &matched, facts, profile);
        if !self.matching.selection().has_all_threads() {
            let has_thread: BTreeSet<ProcessId> = threads
                .iter()
                .filter_map(|heap| Some(profile.threads[heap.thread?].process))
                .collect();
            processes.retain(|heap| has_thread.contains(&heap.process));
        }
        let estimated = matched.size_classes.iter().map(|sums| sums.allocated.objects.value);
        let (counts, rate) = counted.unzip();
        let mut heap = Heap {
            source: recorded.source.into(),
            interval: recorded.interval,
            temporary_within: options.temporary_within,
            total: Sums::default(),
            entries: Vec::new(),
            sizes: counts.map_or_else(|| histogram(estimated), |counts| counts.sizes),
            lifetimes: histogram(matched.lifetimes.iter().copied()),
            peak: matched.peak,
            counts,
            processes,
            threads,
            sites,
            rate: rate.unwrap_or(matched.rate),
            size_classes: matched.size_classes,
            live: matched.live,
            unknown_frees: matched.unknown_frees,
            inherited_frees: matched.inherited_frees,
            missing_frees: matched.missing_frees,
            unfollowed: matched.unfollowed,
            selected: Selected { older: matched.older, ..Selected::default() },
        };
        heap.add_up_sites();
        heap
    }

    fn thread_heaps(
        &self,
        sites: &[Site],
        matched: &Matched,
        thread_index: &impl Fn(u32) -> ThreadId,
    ) -> Vec<ThreadHeap> {
        let mut threads: BTreeMap<Option<ThreadId>, (Sums, Option<HeapCounts>)> = BTreeMap::new();
        for &thread in &matched.threads {
            threads.entry(Some(thread_index(thread))).or_default();
        }
        for site in sites {
            threads.entry(Some(site.thread)).or_default().0.add(&site.sums);
        }
        for (thread, counts) in self.counts.threads() {
            let (_, sum) = threads.entry(thread.map(thread_index)).or_default();
            sum.get_or_insert_default().add(counts);
        }
        let threads = threads.into_iter();
        threads.map(|(thread, (sums, counts))| ThreadHeap { thread, sums, counts }).collect()
    }
}

fn process_heaps(
    sites: &[Site],
    threads: &[ThreadHeap],
    matched: &Matched,
    facts: &Facts,
    profile: &Profile,
) -> Vec<ProcessHeap> {
    let mut processes: BTreeMap<ProcessId, ProcessHeap> = BTreeMap::new();
    // The placeholder for what is missing is the last one.
    let index_of = |id: u32| facts.processes.index_of(id).unwrap_or(facts.processes.values().len());
    let in_profile = |process: &ProcessId| *process < profile.processes.len();
    for (&id, &peak) in &matched.peaks {
        processes.entry(index_of(id)).or_default().peak = peak;
    }
    for (&id, paths) in &facts.allocators {
        if let Some(process) = Some(index_of(id)).filter(in_profile) {
            processes.entry(process).or_default().allocators.extend_from_slice(paths);
        }
    }
    for (thread, sums) in threads.iter().filter_map(|heap| Some((heap.thread?, &heap.sums))) {
        let process = profile.threads[thread].process;
        processes.entry(process).or_default().sums.add(sums);
    }
    let go = go_processes(sites, profile);
    let mapped = |process: ProcessId| {
        let id = facts.processes.values().get(process).map(|process| process.id);
        id.and_then(|id| facts.runtimes.get(&id)).map_or(&[][..], Vec::as_slice)
    };
    let ended = |process: ProcessId| {
        facts.processes.values().get(process).is_some_and(|p| matched.ended.contains(&p.id))
    };
    let complete = |(process, mut heap): (ProcessId, ProcessHeap)| {
        heap.process = process;
        heap.ended = ended(process);
        heap.runtimes = mapped(process).to_vec();
        heap.runtimes.extend(of_executable(&profile.processes[process]));
        heap.runtimes.extend(go[process].then_some(Runtime::Go));
        heap.runtimes.sort_unstable();
        heap.runtimes.dedup();
        heap
    };
    processes.into_iter().filter(|(process, _)| in_profile(process)).map(complete).collect()
}

/// The runtime that a process's program is.
fn of_executable(process: &Process) -> Option<Runtime> {
    Runtime::of_file(if process.exe.is_empty() { &process.name } else { &process.exe })
}

/// Whether each process allocates in a stack with Go's functions in it.
fn go_processes(sites: &[Site], profile: &Profile) -> Vec<bool> {
    let function = |id: usize| Runtime::of_function(&profile.functions[id].name);
    let of_function: Vec<bool> =
        (0..profile.functions.len()).map(|id| function(id) == Some(Runtime::Go)).collect();
    let mut of_stack: Vec<bool> = Vec::with_capacity(profile.stacks.len());
    for node in &profile.stacks {
        let lines = &profile.locations[node.location].lines;
        let own = lines.iter().any(|line| of_function[line.function]);
        of_stack.push(own || node.parent.is_some_and(|parent| of_stack[parent]));
    }
    let mut processes = vec![false; profile.processes.len()];
    for site in sites {
        let process = profile.threads[site.thread].process;
        processes[process] |= site.stack.is_some_and(|stack| of_stack[stack]);
    }
    processes
}

/// Estimates as a histogram.
fn histogram(values: impl Iterator<Item = f64>) -> Histogram {
    let mut histogram = Histogram([0; HISTOGRAM_BUCKETS]);
    // Saturates.
    histogram.0.iter_mut().zip(values).for_each(|(bucket, value)| *bucket = value.round() as u64);
    histogram
}
