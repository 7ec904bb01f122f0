//! Allocations as samples, as leaks and by process.

use rz_format::*;

use super::heap::{amount, heap_of, rows, trace};
use crate::fixture::trace::*;
use crate::load::{LoadOptions, load};
use crate::model::heap::{Metric, Runtime, Suppressions, show};
use crate::model::{EventKind, Profile, Unit};

/// Two stacks, `[anon]` and, called by it, a function of the kernel; 100 bytes
/// left by the first one, 30 by the second one, which had 8 more.
fn two_sites() -> Profile {
    let mut trace = trace(0, &[]);
    let (a, b) = (trace.stack(&[code(3, 1)]), trace.stack(&[code(3, 1), code(1, 2)]));
    trace.define_stacks();
    let rows = rows("0m100@a:A 0m30@b:B 0c8@c:B 0f@c", &[a, b]);
    trace.writer.write_allocations(&rows).unwrap();
    load_bytes(&trace.finish())
}

#[test]
fn metrics_are_samples_of_the_event() {
    let mut profile = two_sites();
    let check = |profile: &Profile, unit, expected: &str| {
        assert_eq!(describe(profile), expected);
        let event = profile.events.iter().find(|event| event.kind == EventKind::Alloc).unwrap();
        assert_eq!((event.name.as_str(), event.unit), ("alloc", unit));
    };
    let lines = |first: &str, second: &str| {
        format!("alloc main: [anon]_j {first}\nalloc main: [anon]_j;[kernel+0x2]_k {second}\n")
    };
    check(&profile, Unit::Bytes, &lines("1 100", "2 38"));
    for (metric, unit, first, second) in [
        (Metric::Count, Unit::Count, "1 1", "2 2"),
        (Metric::Live, Unit::Bytes, "1 100", "1 30"),
        (Metric::LiveCount, Unit::Count, "1 1", "1 1"),
        (Metric::Peak, Unit::Bytes, "1 100", "2 38"),
        (Metric::Bytes, Unit::Bytes, "1 100", "2 38"),
    ] {
        assert_eq!(show(&mut profile, metric), Some(1));
        check(&profile, unit, &lines(first, second));
    }
    show(&mut profile, Metric::Temporary);
    check(&profile, Unit::Count, "alloc main: [anon]_j;[kernel+0x2]_k 1 1\n");
    assert_eq!(show(&mut Profile::default(), Metric::Bytes), None);
}

#[test]
fn leaks_are_suppressed_by_any_frame() {
    let profile = two_sites();
    let heap = profile.heap.as_ref().unwrap();
    let check = |file: &str, left: (u64, u64), suppressed: (u64, u64), used: &[&str]| {
        let leaks = heap.leaks(&profile, &file.parse().unwrap());
        assert_eq!((amount(&leaks.total), amount(&leaks.suppressed)), (left, suppressed), "{file}");
        let names: Vec<_> = leaks.used.iter().map(|(s, _)| s.pattern.as_str()).collect();
        assert_eq!(names, used);
    };
    check("", (2, 130), (0, 0), &[]);
    check("leak:nothing\nleak:^[kernel+", (1, 100), (1, 30), &["^[kernel+"]);
    check("leak:anon]$", (0, 0), (2, 130), &["anon]$"]);
    check("leak:anon\nleak:kernel", (0, 0), (2, 130), &["anon", "kernel"]);
    let leaks = heap.leaks(&profile, &Suppressions::default());
    let sites: Vec<_> = leaks.sites.iter().map(|&i| amount(&heap.sites[i].sums.at_end)).collect();
    assert_eq!(sites, [(1, 100), (1, 30)]);
}

#[test]
fn runtimes_and_allocators_of_processes() {
    let mut trace = trace(0, &[1]);
    let mapping = |process, module| {
        Record::Mapping(Mapping { process, module, length: 1, ..Mapping::default() })
    };
    let allocator =
        |process, path: &str| Record::Allocator(Allocator { process, path: path.into() });
    trace.records(&[
        module(9, ModuleKind::File, "/usr/lib/libpython3.11.so.1.0"),
        mapping(1, 9),
        mapping(0, 0),
        mapping(99, 9),
        allocator(0, "/lib/libc.so.6"),
        allocator(0, "/lib/libc.so.6"),
        allocator(99, "/lib/libc.so.6"),
    ]);
    trace.writer.write_allocations(&rows("0m1@a 1m1@b", &[])).unwrap();
    let heap = heap_of(trace);
    let shown: Vec<_> =
        heap.processes.iter().map(|p| (&p.allocators[..], &p.runtimes[..])).collect();
    let libc = ["/lib/libc.so.6".to_owned()];
    assert_eq!(shown, [(&libc[..], &[][..]), (&[], &[Runtime::Python])]);
    assert_eq!(heap.runtimes(), [Runtime::Python]);
    assert_eq!(heap.notes().len(), 1);
}

#[test]
fn losses_of_allocations() {
    let mut trace = trace(0, &[]);
    let reason = LossReason::Nested.into();
    trace.records(&[Record::Loss(Loss { class: 4, reason, count: 3, ..Loss::default() })]);
    let info = load_bytes(&trace.finish()).info;
    assert_eq!((info.lost_samples.count, info.lost_allocations.count), (0, 3));
    assert_eq!(
        info.notes,
        ["3 allocations and frees are missing (in signal handlers that interrupted the hook)"]
    );
}

#[test]
fn growth_counts_bytes() {
    let mut trace = Trace::new();
    let name = "page-faults".into();
    trace.records(&[Record::Event(Event { id: 1, name, unit: 2, frequency_hz: 1000 })]);
    let fault = Sample { event: 1, weight: 4096, ..Sample::default() };
    trace.writer.write_samples(&mut [fault, fault]).unwrap();
    let profile = load_bytes(&trace.finish());
    assert_eq!(describe(&profile), "page-faults main:  2 8192\n");
    assert_eq!((profile.events[1].unit, profile.events[1].unit.name()), (Unit::Bytes, "bytes"));
    // Its samples are not taken so often, whatever the recording says.
    assert_eq!(profile.events[1].frequency_hz, 0);
    // It is no sample of the CPU.
    assert_eq!((profile.info.samples, profile.heap), (0, None));
}

#[test]
fn the_golden_vector() {
    let profile = load(&vector("v1.2"), &LoadOptions::default()).unwrap();
    let heap = profile.heap.as_ref().unwrap();
    assert_eq!((heap.source, heap.interval), (AllocationSource::Hook, 524_288));
    assert_eq!((heap.total.allocated.recorded, heap.total.at_end.recorded), (1, 0));
    // 100,000 bytes, recorded with a probability of 0.1737, for 2 µs.
    assert_eq!((heap.bytes().rounded(), heap.total.allocated.bytes.rounded()), (100_256, 575_876));
    assert_eq!((heap.peak.time_ns, heap.lifetimes.0[10]), (6_000, 6));
    let counts = heap.counts.unwrap();
    assert_eq!((counts.allocations, counts.frees, counts.failed), (17, 13, 2));
    assert_eq!((heap.sizes.0[4], heap.sizes.0[16]), (16, 1));
    assert_eq!(heap.processes[0].allocators, ["/lib/libc.so.6"]);
    assert_eq!(heap.threads.len(), 2);
}
