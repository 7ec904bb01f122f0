//! Allocations: what is there, what was at the peak and what is left.

use rz_format::*;

use crate::fixture::trace::*;
use crate::load::LoadOptions;
use crate::model::heap::{Heap, HeapOptions, Sum};

/// A trace with threads 0 (process 0) and 1, 2 of the processes given.
pub(super) fn trace(interval: u64, processes: &[u32]) -> Trace {
    let mut trace = Trace::new();
    for (id, &process) in (1..).zip(processes) {
        if process > 0 {
            let pid = 7 + process;
            let name = format!("child{process}");
            trace.records(&[Record::Process(Process {
                id: process,
                pid,
                name,
                ..Process::default()
            })]);
        }
        let name = format!("thread{id}");
        trace.records(&[Record::Thread(Thread { id, process, tid: 7 + id, name, start_ns: 0 })]);
    }
    let source = AllocationSource::Hook.into();
    trace.records(&[Record::Allocations(Allocations { source, interval })]);
    trace
}

/// Row number `n` happens n microseconds after the start.
pub(super) fn row(
    n: u64,
    thread: u32,
    kind: AllocationKind,
    address: u64,
    size: u64,
) -> Allocation {
    let time_ns = START + n * 1000;
    Allocation { time_ns, thread, kind, address, size, ..Allocation::default() }
}

/// Rows of a script: words like `0m16@100`, which is thread, what (malloc,
/// calloc, realloc, aligned, free, xfree of realloc), size, address in hex,
/// and the stack that `stacks` has under a letter at the end, if any.
pub(super) fn rows(script: &str, stacks: &[Option<StackId>]) -> Vec<Allocation> {
    let parse = |(n, word): (u64, &str)| {
        let (head, tail) = word.split_once('@').unwrap();
        let thread = head[..1].parse().unwrap();
        let kind = match &head[1..2] {
            "m" => AllocationKind::Malloc,
            "c" => AllocationKind::Calloc,
            "r" => AllocationKind::Realloc,
            "a" => AllocationKind::Aligned,
            "f" => AllocationKind::Free,
            "x" => AllocationKind::ReallocFree,
            _ => AllocationKind::Unknown,
        };
        let (address, stack) = tail.split_once(':').unwrap_or((tail, ""));
        let stack = stack.bytes().next().and_then(|letter| stacks[usize::from(letter - b'A')]);
        let size = head[2..].parse().unwrap_or(0);
        let address = u64::from_str_radix(address, 16).unwrap();
        Allocation { stack, ..row(n, thread, kind, address, size) }
    };
    (0..).zip(script.split_whitespace()).map(parse).collect()
}

pub(super) fn heap_of(trace: Trace) -> Heap {
    load_bytes(&trace.finish()).heap.unwrap()
}

/// The heap of a script, with all allocations recorded.
fn full(script: &str, processes: &[u32]) -> Heap {
    heap_of(full_trace(script, processes))
}

fn full_trace(script: &str, processes: &[u32]) -> Trace {
    let mut trace = trace(0, processes);
    trace.writer.write_allocations(&rows(script, &[])).unwrap();
    trace
}

/// Objects and bytes.
pub(super) fn amount(sum: &Sum) -> (u64, u64) {
    assert!(sum.objects.is_exact() && sum.bytes.is_exact());
    assert_eq!(sum.recorded, sum.objects.rounded());
    (sum.recorded, sum.bytes.rounded())
}

/// What was allocated, temporary, at the peak and at the end.
fn amounts(sums: &crate::model::heap::Sums) -> [(u64, u64); 4] {
    [&sums.allocated, &sums.temporary, &sums.at_peak, &sums.at_end].map(amount)
}

#[test]
fn objects_are_followed_from_allocation_to_the_end() {
    let heap = full("0m100@a 0c50@b 0f@a 0a8@c 0f@c 0m0@d", &[]);
    assert_eq!(amounts(&heap.total), [(4, 158), (1, 8), (2, 150), (2, 50)]);
    assert_eq!((heap.peak.time_ns, amount(&heap.peak.live)), (START + 1000, (2, 150)));
    let entries: Vec<_> = heap.entries.iter().map(|(kind, s)| (*kind, amount(&s.at_end))).collect();
    use AllocationKind::*;
    assert_eq!(entries, [(Malloc, (1, 0)), (Calloc, (1, 50)), (Aligned, (0, 0))]);
    // 100 bytes for two microseconds, and 8 bytes for one.
    assert_eq!((heap.lifetimes.0[10], heap.lifetimes.0[9]), (1, 1));
    assert_eq!((heap.sizes.0[6], heap.sizes.0[5], heap.sizes.0[3], heap.sizes.0[0]), (1, 1, 1, 1));
    assert_eq!(amounts(&heap.size_classes[6]), [(1, 100), (0, 0), (1, 100), (0, 0)]);
    assert_eq!((heap.unknown_frees, heap.missing_frees, heap.unfollowed), (0, 0, 0));
    assert_eq!(heap.counts, None);
    assert_eq!((heap.bytes().rounded(), heap.allocations().rounded()), (158, 4));
}

#[test]
fn realloc_gives_back_and_allocates() {
    let heap = full("0m10@a 0x@a 0r20@a 0x@a 0r40@b 0m1@c 0x@b 0r5@d", &[]);
    // The first two were followed by nothing but their realloc.
    assert_eq!(amounts(&heap.total), [(5, 76), (2, 30), (2, 41), (2, 6)]);
    let sites: Vec<_> = heap.sites.iter().map(|s| (s.entry, amount(&s.sums.allocated))).collect();
    assert_eq!(sites, [(AllocationKind::Malloc, (2, 11)), (AllocationKind::Realloc, (3, 65))]);
}

#[test]
fn temporary_objects() {
    let check = |script: &str, within, expected: u64| {
        let mut trace = trace(0, &[0]);
        trace.writer.write_allocations(&rows(script, &[])).unwrap();
        let heap = HeapOptions { temporary_within: within };
        let options = LoadOptions { heap, ..LoadOptions::default() };
        let heap = load_with(&trace.finish(), &options).unwrap().heap.unwrap();
        assert_eq!(heap.total.temporary.recorded, expected, "{script} within {within}");
    };
    check("0m1@a 0f@a", 1, 1);
    check("0m1@a 0f@a", 0, 0);
    check("0m1@a 0m1@b 0f@a", 1, 0);
    check("0m1@a 0m1@b 0f@a", 2, 1);
    check("0m1@a 0m1@b 0f@b 0f@a", 1, 1);
    // What other threads do is no matter.
    check("0m1@a 1m1@b 1m1@c 0f@a", 1, 1);
    // It must be the thread that frees it.
    check("0m1@a 1f@a", 1, 0);
    check("0m1@a", 1, 0);
}

#[test]
fn sampled_threads_say_how_much_they_allocated() {
    let sampled = |row: Allocation, allocations| Allocation { allocations, interval: 64, ..row };
    let mut trace = trace(64, &[]);
    let script = rows("0m1000@a 0f@a 0m1000@b 0f@b", &[]);
    // Between the last two the thread made one more.
    let script: Vec<_> =
        script.into_iter().zip([7, 7, 20, 21]).map(|(row, n)| sampled(row, n)).collect();
    trace.writer.write_allocations(&script).unwrap();
    let heap = heap_of(trace);
    assert_eq!((heap.interval, heap.total.allocated.recorded), (64, 2));
    assert_eq!(heap.total.temporary.recorded, 1);
}

#[test]
fn the_peak_is_of_all_threads_and_processes_together() {
    // Process 0 has its peak first, then the child; together between.
    let heap = full("0m100@a 1m10@b 2m60@a 0f@a 2m90@c 2f@c 1f@b", &[0, 1]);
    assert_eq!((heap.peak.time_ns, amount(&heap.peak.live)), (START + 2000, (3, 170)));
    let peaks: Vec<_> = heap
        .processes
        .iter()
        .map(|p| (p.process, p.peak.time_ns - START, amount(&p.peak.live), amounts(&p.sums)))
        .collect();
    assert_eq!(
        peaks,
        [
            (0, 1000, (2, 110), [(2, 110), (2, 110), (2, 110), (0, 0)]),
            (1, 4000, (2, 150), [(2, 150), (1, 90), (1, 60), (1, 60)]),
        ]
    );
    let at_peak: Vec<_> = heap.sites.iter().map(|s| (s.thread, amount(&s.sums.at_peak))).collect();
    assert_eq!(at_peak, [(0, (1, 100)), (1, (1, 10)), (2, (1, 60))]);
    let threads: Vec<_> = heap.threads.iter().map(|t| (t.thread, amount(&t.sums.at_end))).collect();
    assert_eq!(threads, [(Some(0), (0, 0)), (Some(1), (0, 0)), (Some(2), (1, 60))]);
}

#[test]
fn the_end_of_a_process_gives_everything_back() {
    let mut trace = trace(0, &[1]);
    // It is known before the rows of what it did.
    trace.records(&[Record::ProcessExit(Exit { id: 0, time_ns: START + 2500 })]);
    let script = "0m100@a 1m10@a 0m5@b 1m80@c 1f@a 1f@b";
    trace.writer.write_allocations(&rows(script, &[])).unwrap();
    let heap = heap_of(trace);
    assert_eq!(amounts(&heap.total), [(4, 195), (0, 0), (3, 115), (3, 185)]);
    assert_eq!(heap.peak.time_ns, START + 2000);
    assert_eq!(heap.processes.iter().map(|p| p.ended).collect::<Vec<_>>(), [true, false]);
    // Even if nothing happens afterwards.
    let mut last = full_trace("0m100@a", &[]);
    last.records(&[Record::ProcessExit(Exit { id: 0, time_ns: START + 500_000_000 })]);
    let last = heap_of(last);
    let slice = |time_ns: u64| last.live.slices[(time_ns / last.live.slice_ns) as usize].last;
    assert_eq!(
        (slice(0), slice(1_000_000_000), amount(&last.total.at_end)),
        (100.0, 0.0, (1, 100))
    );
    // An address of another process is none of its own.
    assert_eq!(heap.unknown_frees, 1);
    // To the microsecond, at first.
    let live: Vec<_> = heap.live.slices.iter().map(|slice| slice.most).collect();
    assert_eq!(live.iter().copied().fold(0.0, f64::max), 115.0);
    assert_eq!(heap.live.slices.last().unwrap().last, 80.0);
}

#[test]
fn a_process_without_samples_ends_as_well() {
    let mut trace = trace(512, &[0]);
    trace.records(&[Record::ProcessExit(Exit { id: 0, time_ns: START + 20 })]);
    let counts = HeapCounts {
        time_ns: START + 10,
        thread: Some(0),
        allocations: 9,
        ..HeapCounts::default()
    };
    trace.writer.write_heap_counts(&mut [counts]).unwrap();
    let heap = heap_of(trace);
    assert_eq!(heap.processes.iter().map(|p| p.ended).collect::<Vec<_>>(), [true]);
}

#[test]
fn lost_rows_are_counted() {
    let heap = full("0f@a 0m10@a 0m20@a 0x@b 0f@a 0f@a", &[]);
    assert_eq!((heap.unknown_frees, heap.missing_frees), (3, 1));
    assert_eq!(amounts(&heap.total), [(2, 30), (1, 20), (1, 20), (0, 0)]);
    assert_eq!(
        heap.notes(),
        [
            "3 objects that were freed: allocated where the recording missed it",
            "1 object freed where the recording missed it"
        ]
    );
}

#[test]
fn counts_are_exact() {
    let mut trace = trace(512, &[0]);
    let mut sizes = Histogram::default();
    sizes.0[4] = 9;
    let slice = |time_ms: u64, thread| HeapCounts {
        time_ns: START + time_ms * 1_000_000,
        thread,
        allocations: 9,
        bytes: 200,
        frees: 3,
        failed: 1,
        sizes,
        ..HeapCounts::default()
    };
    // The last one is of a thread that is not defined.
    let mut slices = [slice(10, Some(0)), slice(20, Some(0)), slice(20, None), slice(25, Some(99))];
    trace.writer.write_heap_counts(&mut slices).unwrap();
    let sample = Allocation { interval: 512, ..row(0, 0, AllocationKind::Malloc, 1, 10_000) };
    trace.writer.write_allocations(&[sample]).unwrap();
    let heap = heap_of(trace);
    let counts = heap.counts.unwrap();
    assert_eq!((counts.allocations, counts.bytes, counts.frees, counts.failed), (36, 800, 12, 4));
    assert_eq!((heap.sizes.0[4], heap.allocations().rounded()), (36, 36));
    assert!(heap.bytes().is_exact());
    let threads: Vec<_> =
        heap.threads.iter().map(|t| (t.thread, t.counts.map(|c| c.allocations))).collect();
    assert_eq!(threads, [(None, Some(18)), (Some(0), Some(18))]);
    let rate: Vec<_> = heap.rate.slices.iter().map(|slice| slice.allocations).collect();
    assert_eq!((heap.rate.slice_ns, rate), (10_000_000, vec![9.0, 18.0, 9.0]));
    // The sites are not made to fit.
    assert_eq!(heap.total.allocated.objects.rounded(), 1);
}

#[test]
fn a_forked_child_begins_without_objects() {
    let mut trace = trace(0, &[]);
    let process = |id, pid, parent_pid, start_ns| {
        Record::Process(Process { id, pid, parent_pid, start_ns, ..Process::default() })
    };
    let thread = |id, process| Record::Thread(Thread { id, process, ..Thread::default() });
    trace.records(&[
        // A child of process 0, and what it executes later.
        process(1, 20, 7, START),
        process(2, 20, 7, START + 9_000),
        // Found at the start.
        process(3, 21, 7, 0),
    ]);
    trace.records(&[thread(1, 1), thread(2, 2), thread(3, 3)]);
    let script = "0m10@a 1f@a 1m5@a 1f@a 2f@a 2f@b 3f@b";
    trace.writer.write_allocations(&rows(script, &[])).unwrap();
    let heap = heap_of(trace);
    assert_eq!((heap.inherited_frees, heap.unknown_frees), (1, 3));
    assert_eq!(amounts(&heap.total), [(2, 15), (1, 5), (2, 15), (1, 10)]);
}
