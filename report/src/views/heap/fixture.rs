//! Allocations made by hand, with known answers, for the tests of this folder.

use rz_profile::heap::{
    AllocationKind, Heap, HeapCounts, Live, Peak, ProcessHeap, Rate, Site, Slices, Sum, Sums,
    ThreadHeap,
};
use rz_profile::model::{ALLOC, Event, EventKind, Histogram, Profile, StackId, ThreadId, Unit};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::fixture::Builder;

/// What becomes of objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They are freed at once.
    Temporary,
    /// They are there at the peak.
    Peak,
    /// They are there at the peak and at the end.
    Live,
}

/// Builds a profile with allocations from those that were recorded.
pub struct HeapBuilder {
    pub builder: Builder,
    pub heap: Heap,
    counts: HeapCounts,
}

impl HeapBuilder {
    /// A recording of 10 s with one process that samples `interval` bytes
    /// apart, or records all if it is 0.
    pub fn new(interval: u64) -> Self {
        let mut builder = Builder::new();
        builder.profile.info.start_ns = 5_000_000_000;
        builder.profile.events[0] = Event {
            kind: EventKind::Alloc,
            name: ALLOC.into(),
            unit: Unit::Bytes,
            ..Event::default()
        };
        let heap = Heap {
            interval,
            temporary_within: 1,
            size_classes: vec![Sums::default(); 40],
            ..Heap::default()
        };
        HeapBuilder { builder, heap, counts: HeapCounts::default() }
    }

    /// `count` recorded objects of `size` bytes of a stack, root first.
    pub fn objects(&mut self, stack: &str, size: u64, count: u64, fate: Fate) {
        let stack = self.builder.stack(&stack.split(';').collect::<Vec<_>>());
        self.objects_of(0, Some(stack), size, count, fate);
    }

    pub fn objects_of(
        &mut self,
        thread: ThreadId,
        stack: Option<StackId>,
        size: u64,
        count: u64,
        fate: Fate,
    ) {
        let mut sum = Sum::default();
        (0..count).for_each(|_| sum.add(&Sum::of_object(size, self.heap.interval)));
        let none = Sum::default();
        let sums = Sums {
            allocated: sum,
            temporary: if fate == Fate::Temporary { sum } else { none },
            at_peak: if fate == Fate::Temporary { none } else { sum },
            at_end: if fate == Fate::Live { sum } else { none },
        };
        self.heap.sites.push(Site { thread, stack, entry: AllocationKind::Malloc, sums });
        self.heap.total.add(&sums);
        let class = size.max(1).ilog2() as usize;
        self.heap.size_classes[class].add(&sums);
        // Twice as many as samples say, to tell counts from estimates.
        let made = if self.heap.interval == 0 { count } else { 2 * sum.objects.rounded() };
        self.counts.allocations += made;
        self.counts.bytes += made * size;
        self.counts.sizes.0[class] += made;
        self.counts.frees += if fate == Fate::Live { 0 } else { made };
    }

    /// A profile without exact counts.
    pub fn uncounted(mut self) -> Profile {
        let heap = &mut self.heap;
        heap.sites.sort_by_key(|site| (site.thread, site.stack));
        heap.peak = Peak { time_ns: 7_500_000_000, live: heap.total.at_peak };
        heap.entries = vec![(AllocationKind::Malloc, heap.total)];
        heap.lifetimes = Histogram::default();
        (heap.lifetimes.0[0], heap.lifetimes.0[12]) = (60, 40);
        heap.processes = vec![ProcessHeap {
            allocators: vec!["/lib/libc.so.6".into()],
            peak: heap.peak,
            sums: heap.total,
            ..ProcessHeap::default()
        }];
        heap.live = slices(&[0.0, 10.0, 2048.0, 1024.0], |most| {
            let mut live = Live::default();
            (live.most, live.last) = (most, most);
            live
        });
        heap.rate =
            slices(&[8.0, 0.0, 4.0, 4.0], |n| Rate { allocations: n, bytes: n, frees: 0.0 });
        let mut profile = self.builder.profile;
        profile.heap = Some(self.heap);
        rz_profile::heap::show(&mut profile, Default::default());
        // As it is loaded: none was chosen.
        profile.events[0].metric = None;
        profile
    }

    /// A profile with exact counts.
    pub fn profile(mut self) -> Profile {
        self.heap.sizes = self.counts.sizes;
        self.heap.counts = Some(self.counts);
        let counts = Some(self.counts);
        self.heap.threads = vec![ThreadHeap { thread: Some(0), sums: self.heap.total, counts }];
        self.uncounted()
    }
}

/// A page as it is written, which its schema allows.
pub fn json<P: Serialize + JsonSchema>(page: &P) -> Value {
    let page = serde_json::to_value(page).unwrap();
    let schema = schemars::schema_for!(P).to_value();
    jsonschema::validate(&schema, &page).unwrap();
    page
}

/// Slices of 2.5 s from the beginning of the recording.
fn slices<T>(values: &[f64], slice: impl Fn(f64) -> T) -> Slices<T> {
    let slices = values.iter().map(|&value| slice(value)).collect();
    Slices { start_ns: 5_000_000_000, slice_ns: 2_500_000_000, slices }
}

/// A small program with all there is: every object was recorded if `interval`
/// is 0.
pub fn program(interval: u64) -> HeapBuilder {
    let mut heap = HeapBuilder::new(interval);
    heap.objects("_start;main;parse;std::vector<int>::push_back;operator new", 100, 50, Fate::Peak);
    heap.objects("_start;main;run;parse;operator new", 3_000, 10, Fate::Temporary);
    heap.objects("_start;main;run;cache;malloc", 2_048, 4, Fate::Live);
    heap
}
