//! What a trace tells about the heap: how much was allocated where, what was
//! there when most was, and what was never freed.
//!
//! [`load`](crate::load::load) matches each object that was freed with
//! its allocation while it reads the trace; memory follows the objects that
//! are there at a time and the distinct stacks. What it finds is
//! [`Profile::heap`], whose sites lead to the stacks and threads of the same
//! profile. In [`Profile::events`] allocations are the event
//! [`ALLOC`](crate::model::ALLOC), whose samples show one [`Metric`] of
//! them: bytes allocated, unless [`show`] chooses another one.
//!
//! Where only one object in so many was recorded, sums of recorded objects
//! are estimates; [`Heap::counts`] is exact either way. Sums are never scaled
//! to fit the counts.

mod estimate;
mod metric;
mod runtime;
mod slices;
mod suppressions;

use std::collections::BTreeMap;

pub use estimate::{Estimate, Sum, Sums};
pub(crate) use metric::samples;
pub use metric::{Metric, UnknownMetric, show};
pub use runtime::Runtime;
pub use slices::{Slice, Slices};
pub use suppressions::{Leaks, ParseError, Suppression, Suppressions};

pub use rz_format::{AllocationKind, AllocationSource, HeapCounts};

use crate::model::{Histogram, Nanos, ProcessId, Profile, StackId, ThreadId};

/// How allocations are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapOptions {
    /// An object is temporary if the thread that allocated it frees it
    /// while it has allocated fewer than so many others.
    pub temporary_within: u64,
}

impl Default for HeapOptions {
    fn default() -> Self {
        HeapOptions { temporary_within: 1 }
    }
}

/// The allocations of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heap {
    /// How they were recorded.
    pub source: AllocationSource,
    /// Average number of bytes between samples; 0 if all were recorded. It is
    /// the one asked for: under load it may have been larger.
    pub interval: u64,
    /// [`HeapOptions::temporary_within`].
    pub temporary_within: u64,
    /// Objects by where they were allocated, sorted by thread, stack and
    /// entry.
    pub sites: Vec<Site>,
    /// All sites.
    pub total: Sums,
    /// Sites by the function that allocated, in the order of their codes; only
    /// those that were used.
    pub entries: Vec<(AllocationKind, Sums)>,
    /// Objects by size: index n has those of 2ⁿ bytes or more and less than
    /// twice that; the first also those of 0 bytes, the last all larger ones.
    pub size_classes: Vec<Sums>,
    /// How many allocations were of which size, by the same classes: counts if
    /// [`Heap::counts`] is there, else estimates.
    pub sizes: Histogram,
    /// For how many nanoseconds objects that were freed had been there,
    /// to the microsecond; estimates, rounded.
    pub lifetimes: Histogram,
    /// When most bytes were there, of all processes together.
    pub peak: Peak,
    /// Exact counts over all threads, whatever was recorded one by one; `None`
    /// if the trace has none. Its thread and time mean nothing.
    pub counts: Option<HeapCounts>,
    /// Threads that allocated or freed, sorted; threads that could not be
    /// told apart come first.
    pub threads: Vec<ThreadHeap>,
    /// Processes that allocated, freed or have an allocator, sorted.
    pub processes: Vec<ProcessHeap>,
    /// Bytes that were there over time, of all processes together.
    pub live: Slices<Live>,
    /// What was allocated over time: counts if [`Heap::counts`] is there, else
    /// estimates.
    pub rate: Slices<Rate>,
    /// Objects freed that no row allocated: they are from before the
    /// recording, or their row was lost.
    pub unknown_frees: u64,
    /// The same in processes that are copies of another one: their objects may
    /// be from before the fork, which are taken for the parent's alone.
    pub inherited_frees: u64,
    /// Objects that must have been freed, because another one was
    /// allocated at their address: that row was lost. They count as there until
    /// then, and as neither temporary nor there at the end.
    pub missing_frees: u64,
    /// Objects that were not followed because too many were there at a time.
    /// They are in no sum but [`Sums::allocated`].
    pub unfollowed: u64,
    /// What a filter means for these numbers.
    pub selected: Selected,
}

/// What a filter means for a heap. The default is that there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Selected {
    /// Whether only a window of time is looked at. All that happened in it is
    /// counted. What was there at the peak has older objects in it, and
    /// [`Sums::at_end`] has none: it is what was allocated in the window and
    /// still there at its end.
    pub by_time: bool,
    /// Objects that were there when the window began.
    pub older: Sum,
    /// Whether stacks were left out: what is not known by stack is empty, and
    /// the peak is that of all stacks.
    pub by_stack: bool,
}

/// Objects that one thread allocated in one place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Site {
    /// The thread that allocated.
    pub thread: ThreadId,
    /// Where; `None` if it is not known.
    pub stack: Option<StackId>,
    /// By which function.
    pub entry: AllocationKind,
    /// What became of them.
    pub sums: Sums,
}

/// When most bytes were there, and how many.
///
/// It is the largest of many sums: where these are estimates, it tends to be
/// a little larger than the largest number of bytes that really were there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Peak {
    /// When, on the trace's clock; 0 if there never was any.
    pub time_ns: Nanos,
    /// What was there.
    pub live: Sum,
}

/// What one thread did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ThreadHeap {
    /// The thread; `None` for threads that could not be told apart.
    pub thread: Option<ThreadId>,
    /// The sites of the thread.
    pub sums: Sums,
    /// Exact counts; `None` if the trace has none of this thread.
    pub counts: Option<HeapCounts>,
}

/// What one process did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessHeap {
    /// The process.
    pub process: ProcessId,
    /// The sites of its threads. [`Sums::at_peak`] is its part of the peak of
    /// all processes together.
    pub sums: Sums,
    /// When most bytes were there in this process.
    pub peak: Peak,
    /// Whether it ended before the recording did, so that what was there at
    /// its end is leaked for sure.
    pub ended: bool,
    /// Files whose functions it allocates with.
    pub allocators: Vec<String>,
    /// Runtimes in it that have heaps of their own.
    pub runtimes: Vec<Runtime>,
}

/// Bytes that were there during a slice of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Live {
    /// The most at any moment.
    pub most: f64,
    /// At the end of the slice.
    pub last: f64,
}

/// What was allocated during a slice of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// Allocations.
    pub allocations: f64,
    /// Bytes they asked for.
    pub bytes: f64,
    /// Objects freed.
    pub frees: f64,
}

impl Slice for Rate {
    fn join(&mut self, later: &Self) {
        self.allocations += later.allocations;
        self.bytes += later.bytes;
        self.frees += later.frees;
    }
}

impl Heap {
    /// How many allocations there were: counted if that was done, else
    /// estimated.
    pub fn allocations(&self) -> Estimate {
        let counted = self.counts.map(|counts| counts.allocations);
        counted.map_or(self.total.allocated.objects, exact)
    }

    /// How many bytes were allocated: counted if that was done, else
    /// estimated.
    pub fn bytes(&self) -> Estimate {
        let counted = self.counts.map(|counts| counts.bytes);
        counted.map_or(self.total.allocated.bytes, exact)
    }

    /// A sum of objects as it is to be shown: if they were sampled, its
    /// confidence intervals allow for objects of which there is no sample, of
    /// the size that objects have on average.
    pub fn shown(&self, sum: &Sum) -> Sum {
        let (objects, bytes) = (self.allocations().value, self.bytes().value);
        let mean_size = if objects > 0.0 { bytes / objects } else { 1.0 };
        let most = match self.counts {
            Some(_) => [objects, bytes],
            None => [f64::INFINITY; 2],
        };
        sum.allowing_for_unseen(self.interval, mean_size, most)
    }

    /// Makes [`Heap::total`] and [`Heap::entries`] of the sites.
    pub(crate) fn add_up_sites(&mut self) {
        let mut entries: BTreeMap<AllocationKind, Sums> = BTreeMap::new();
        self.total = Sums::default();
        for site in &self.sites {
            self.total.add(&site.sums);
            entries.entry(site.entry).or_default().add(&site.sums);
        }
        self.entries = entries.into_iter().collect();
    }

    /// What is never freed, but for what is suppressed. Sites are sorted
    /// by bytes, the largest first.
    pub fn leaks(&self, profile: &Profile, suppressions: &Suppressions) -> Leaks {
        suppressions::leaks(self, profile, suppressions)
    }

    /// What a reader should know of it, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.runtimes().into_iter().map(|runtime| runtime.note().to_owned()).collect();
        let before = match self.source {
            AllocationSource::Probes => "allocated before the recording, or where it missed it",
            _ => "allocated where the recording missed it",
        };
        for (count, what) in [
            (self.unknown_frees, format!("that were freed: {before}")),
            (self.missing_frees, "freed where the recording missed it".into()),
            (self.unfollowed, "not followed: too many were there at a time".into()),
        ] {
            let objects = if count == 1 { "object" } else { "objects" };
            notes.extend((count > 0).then(|| format!("{count} {objects} {what}")));
        }
        notes.extend(self.selected.notes(self.counts.is_some()).map(str::to_owned));
        notes
    }

    /// The runtimes with heaps of their own that any process has.
    pub fn runtimes(&self) -> Vec<Runtime> {
        let mut runtimes: Vec<Runtime> =
            self.processes.iter().flat_map(|process| process.runtimes.iter().copied()).collect();
        runtimes.sort_unstable();
        runtimes.dedup();
        runtimes
    }
}

impl Selected {
    /// What a reader should know of it, one sentence each.
    fn notes(&self, counted: bool) -> impl Iterator<Item = &'static str> {
        let older = "what was there at the peak may be older than the window of time; what is \
                     live at the end was allocated in it";
        let counts = "threads hand their counts over about every 10 ms, and idle ones later: at \
                      the bounds of the window of time they are off by as much";
        let stacks = "counts, sizes, lifetimes and memory over time are left out: they are not \
                      known by stack; the peak is when most bytes of all stacks were there";
        [(self.by_time, older), (self.by_time && counted, counts), (self.by_stack, stacks)]
            .into_iter()
            .filter_map(|(applies, note)| applies.then_some(note))
    }
}

/// Sorts sites and adds up those that have all in common.
pub(crate) fn add_up_equal_sites(sites: &mut Vec<Site>) {
    let key = |site: &Site| (site.thread, site.stack, site.entry);
    sites.sort_by_key(key);
    sites.dedup_by(|next, first| {
        let same = key(next) == key(first);
        if same {
            first.sums.add(&next.sums);
        }
        same
    });
}

/// A number that was counted.
fn exact(value: u64) -> Estimate {
    Estimate { value: value as f64, variance: 0.0 }
}
