//! Matches what is freed with what was allocated, row by row.
//!
//! ```text
//! rows ─► object at (process, address) ─► ledger: sums by site and size
//!           │ freed ─► lifetime, temporary?
//!           └ process ended, or the recording ─► there to the end
//! ```
//!
//! With a window of time, counting starts over where it begins: what is there
//! then is older, and is there, but was neither allocated nor left in it.
//! Objects of threads that are not selected are followed, so that it is known
//! what is freed, but are in no sum.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{Allocation, AllocationKind, HISTOGRAM_BUCKETS, StackId};

use super::super::facts::Facts;
use super::super::selection::Selection;
use super::ledger::{Bucket, Ledger};
use super::live::LiveBytes;
use crate::model::heap::{HeapOptions, Live, Peak, Rate, Slice, Slices, Sum, Sums};

/// Objects that are followed at a time, at most: a gigabyte or two.
const MAX_OBJECTS: usize = 1 << 25;

/// The same of a small file, in which a byte may stand for many: a hundred megabytes.
const FEWEST_OBJECTS: usize = 7 << 18;

/// Objects that are followed for each byte of a larger one.
const OBJECTS_FOR_A_BYTE: u64 = 1;

/// Sites that are kept apart, at most; further ones are one.
const MAX_SITES: usize = 1 << 22;

/// First length of slices of time for what is allocated: counts are taken so
/// often.
pub(super) const RATE_SLICE_NS: u64 = 10_000_000;

/// Id of threads and processes that are not defined.
pub(super) const UNDEFINED: u32 = u32::MAX;

/// Where objects were allocated, as ids of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct SiteKey {
    pub(in super::super) thread: u32,
    pub(in super::super) stack: Option<StackId>,
    pub(in super::super) entry: AllocationKind,
}

/// What all sites are that are too many.
const OTHERS: SiteKey =
    SiteKey { thread: UNDEFINED, stack: Some(StackId::MAX), entry: AllocationKind::Unknown };

/// An object that is there.
#[derive(Debug, Clone, Copy)]
struct Object {
    size: u64,
    time_ns: u64,
    /// Allocations that its thread had made, this one included.
    ordinal: u64,
    /// [`NO_SITE`] if its thread is not selected.
    site: u32,
    /// Average number of bytes between samples.
    interval: u64,
}

/// Site of objects that are in no sum.
const NO_SITE: u32 = u32::MAX;

/// A process as far as its heap goes.
#[derive(Debug, Default)]
struct ProcessState {
    /// By address.
    objects: FxHashMap<u64, Object>,
    live: Sum,
    peak: Peak,
}

/// A thread as far as its heap goes.
#[derive(Debug, Clone, Copy)]
struct ThreadState {
    process: u32,
    /// Rows that allocate.
    allocations: u64,
}

/// The heaps of all processes, from row to row.
#[derive(Debug)]
pub(in super::super) struct Matching {
    within: u64,
    selection: Selection,
    /// What was there when the window began, once it has.
    older: Option<Sum>,
    ledger: Ledger,
    /// Bucket of each site's first one; those of size classes come before.
    sites: Vec<SiteKey>,
    site_ids: FxHashMap<SiteKey, u32>,
    threads: FxHashMap<u32, ThreadState>,
    processes: FxHashMap<u32, ProcessState>,
    /// When processes end, by id.
    ends: FxHashMap<u32, u64>,
    /// Those of which rows may come yet, the earliest end first.
    pending_ends: BinaryHeap<Reverse<(u64, u32)>>,
    objects: usize,
    /// How many there may be.
    max_objects: usize,
    lifetimes: [f64; HISTOGRAM_BUCKETS],
    live: Option<LiveBytes>,
    rate: Option<Slices<Rate>>,
    last_ns: u64,
    unknown_frees: u64,
    inherited_frees: u64,
    missing_frees: u64,
    unfollowed: u64,
}

/// What the rows of a trace tell.
#[derive(Debug)]
pub(super) struct Matched {
    pub(super) sites: Vec<(SiteKey, Sums)>,
    pub(super) size_classes: Vec<Sums>,
    pub(super) peak: Peak,
    /// Peaks of processes by id.
    pub(super) peaks: FxHashMap<u32, Peak>,
    /// Ids of processes that ended.
    pub(super) ended: FxHashSet<u32>,
    /// Ids of threads that allocated or freed.
    pub(super) threads: Vec<u32>,
    /// By class of their length in nanoseconds.
    pub(super) lifetimes: [f64; HISTOGRAM_BUCKETS],
    pub(super) live: Slices<Live>,
    pub(super) rate: Slices<Rate>,
    pub(super) unknown_frees: u64,
    pub(super) inherited_frees: u64,
    pub(super) missing_frees: u64,
    pub(super) unfollowed: u64,
    pub(super) older: Sum,
}

impl Matching {
    /// Of a file of so many bytes.
    pub(in super::super) fn new(
        options: &HeapOptions,
        selection: Selection,
        file_size: u64,
    ) -> Self {
        let max_objects = file_size.saturating_mul(OBJECTS_FOR_A_BYTE);
        let max_objects = usize::try_from(max_objects).unwrap_or(MAX_OBJECTS);
        let all_time = selection.window.from_ns == 0;
        let mut ledger = Ledger::default();
        for _ in 0..HISTOGRAM_BUCKETS {
            ledger.add_bucket();
        }
        Matching {
            within: options.temporary_within,
            selection,
            older: all_time.then(Sum::default),
            ledger,
            sites: Vec::new(),
            site_ids: FxHashMap::default(),
            threads: FxHashMap::default(),
            processes: FxHashMap::default(),
            ends: FxHashMap::default(),
            pending_ends: BinaryHeap::new(),
            objects: 0,
            max_objects: max_objects.clamp(FEWEST_OBJECTS, MAX_OBJECTS),
            lifetimes: [0.0; HISTOGRAM_BUCKETS],
            live: None,
            rate: None,
            last_ns: 0,
            unknown_frees: 0,
            inherited_frees: 0,
            missing_frees: 0,
            unfollowed: 0,
        }
    }

    /// A process ends at that time, of which rows may come yet.
    pub(in super::super) fn end_process(&mut self, id: u32, time_ns: u64, facts: &Facts) {
        let is_known = facts.processes.index_of(id).is_some() && !self.ends.contains_key(&id);
        if is_known && time_ns < self.selection.window.to_ns {
            self.ends.insert(id, time_ns);
            self.pending_ends.push(Reverse((time_ns, id)));
        }
    }

    /// Adds the rows of a block.
    pub(in super::super) fn add(&mut self, rows: &[Allocation], facts: &Facts) {
        let Some(first) = rows.first() else { return };
        let start_ns = facts.start_ns(first.time_ns);
        // Taken out, so that the rest can be borrowed.
        let mut live = self.live.take().unwrap_or_else(|| LiveBytes::new(start_ns));
        let mut rate = self.rate.take().unwrap_or_else(|| Slices::new(start_ns, RATE_SLICE_NS));
        for row in rows {
            if self.older.is_none() && row.time_ns >= self.selection.window.from_ns {
                self.begin_window(&mut live);
            }
            self.apply_ends(row.time_ns, &mut live);
            self.last_ns = self.last_ns.max(row.time_ns);
            let mut happened = Rate::default();
            if row.kind.is_free() {
                happened.frees = self.free(row, facts);
            } else {
                happened.join_objects(&self.allocate(row, facts));
            }
            if self.older.is_some() {
                rate.at(row.time_ns).join(&happened);
                live.set(row.time_ns, self.ledger.live().bytes.value);
            }
        }
        (self.live, self.rate) = (Some(live), Some(rate));
    }

    /// Forgets what happened, but not what is there.
    fn begin_window(&mut self, live: &mut LiveBytes) {
        let from_ns = self.selection.window.from_ns;
        self.apply_ends(from_ns, live);
        self.older = Some(*self.ledger.live());
        self.ledger.start_over(from_ns);
        live.set(from_ns, self.ledger.live().bytes.value);
        for state in self.processes.values_mut() {
            let empty = state.live.bytes.value <= 0.0;
            state.peak = Peak { time_ns: if empty { 0 } else { from_ns }, live: state.live };
        }
        self.ends.retain(|_, time_ns| *time_ns >= from_ns);
        self.lifetimes = [0.0; HISTOGRAM_BUCKETS];
        (self.unknown_frees, self.inherited_frees) = (0, 0);
        (self.missing_frees, self.unfollowed) = (0, 0);
    }

    /// The latest time of a row.
    pub(in super::super) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// The sites there are.
    pub(in super::super) fn sites(&self) -> &[SiteKey] {
        &self.sites
    }

    /// Selected threads that allocated or freed, by id.
    pub(in super::super) fn threads(&self) -> impl Iterator<Item = u32> {
        self.threads.keys().copied().filter(|&id| self.selection.has_thread(id))
    }

    /// Which rows are looked at.
    pub(super) fn selection(&self) -> &Selection {
        &self.selection
    }

    fn allocate(&mut self, row: &Allocation, facts: &Facts) -> Sum {
        let (id, thread) = self.thread(row.thread, facts);
        thread.allocations += 1;
        let ordinal = if row.allocations == 0 { thread.allocations } else { row.allocations };
        let process = thread.process;
        let key = SiteKey { thread: id, stack: row.stack, entry: row.kind };
        let is_selected = self.selection.has_object(id, row.time_ns);
        let site = if is_selected { self.site(key) } else { NO_SITE };
        let (size, interval) = (row.size, row.interval);
        let object = Object { size, time_ns: row.time_ns, ordinal, interval, site };
        let value = object.value();
        let buckets = object.buckets();
        if let Some(buckets) = buckets {
            self.ledger.count(buckets, &value);
        }

        let state = self.processes.entry(process).or_default();
        match state.objects.get_mut(&row.address) {
            Some(known) => {
                // That it was freed is not known.
                let known = std::mem::replace(known, object);
                if let Some(buckets) = known.buckets() {
                    let value = known.value();
                    state.live.subtract(&value);
                    self.ledger.remove(buckets, &value);
                    self.missing_frees += 1;
                }
            }
            None if self.objects >= self.max_objects => {
                self.unfollowed += u64::from(buckets.is_some());
                return value;
            }
            None => {
                state.objects.insert(row.address, object);
                self.objects += 1;
            }
        }
        let Some(buckets) = buckets else { return Sum::default() };
        state.live.add(&value);
        if state.live.bytes.value > state.peak.live.bytes.value {
            state.peak = Peak { time_ns: row.time_ns, live: state.live };
        }
        self.ledger.place(buckets, &value, row.time_ns);
        value
    }

    /// Returns how many objects the one that was freed stands for.
    fn free(&mut self, row: &Allocation, facts: &Facts) -> f64 {
        let (id, &mut thread) = self.thread(row.thread, facts);
        let state = self.processes.get_mut(&thread.process);
        let found = state.and_then(|state| Some((state.objects.remove(&row.address)?, state)));
        let by_selected = self.selection.has(id, row.time_ns);
        let Some((object, state)) = found else {
            if !by_selected {
                return 0.0;
            }
            if facts.forked.contains(&thread.process) {
                self.inherited_frees += 1;
            } else {
                self.unknown_frees += 1;
            }
            return 1.0;
        };
        self.objects -= 1;
        let value = object.value();
        let freed = if by_selected { value.objects.value } else { 0.0 };
        let Some(buckets) = object.buckets() else { return freed };
        state.live.subtract(&value);
        self.ledger.remove(buckets, &value);

        let lifetime = row.time_ns.saturating_sub(object.time_ns);
        self.lifetimes[class(lifetime)] += value.objects.value;
        let owner = self.sites.get(object.site as usize).map(|site| site.thread);
        if owner == Some(id) && !self.is_older(&object) {
            let now = if row.allocations == 0 { thread.allocations } else { row.allocations };
            let others = now.checked_sub(object.ordinal);
            if others.is_some_and(|others| others < self.within) {
                self.ledger.note_temporary(buckets, &value);
            }
        }
        freed
    }

    /// Whether an object is from before the window.
    fn is_older(&self, object: &Object) -> bool {
        object.time_ns < self.selection.window.from_ns
    }

    /// Gives back the objects of processes that ended before a time.
    fn apply_ends(&mut self, time_ns: u64, live: &mut LiveBytes) {
        while let Some(&Reverse((end_ns, process))) = self.pending_ends.peek()
            && end_ns < time_ns
        {
            self.pending_ends.pop();
            self.empty(process);
            if self.older.is_some() {
                live.set(end_ns, self.ledger.live().bytes.value);
            }
        }
    }

    /// Gives back the objects of a process at its end.
    fn empty(&mut self, process: u32) {
        let Some(state) = self.processes.get_mut(&process) else { return };
        state.live = Sum::default();
        for object in std::mem::take(&mut state.objects).into_values() {
            self.objects -= 1;
            if let Some(buckets) = object.buckets() {
                let value = object.value();
                self.ledger.remove(buckets, &value);
                if !self.is_older(&object) {
                    self.ledger.note_end(buckets, &value);
                }
            }
        }
    }

    /// Ends all processes: nothing more is known of them.
    pub(super) fn finish(&mut self, start_ns: u64, end_ns: u64) -> Matched {
        let mut live = self.live.take().unwrap_or_else(|| LiveBytes::new(start_ns));
        if self.older.is_none() {
            self.begin_window(&mut live);
        }
        let end_ns = end_ns.max(self.last_ns);
        self.apply_ends(end_ns, &mut live);
        let mut left: Vec<u32> = self.processes.keys().copied().collect();
        left.sort_unstable();
        left.into_iter().for_each(|process| self.empty(process));

        let sums = |bucket| *self.ledger.sums(bucket);
        let sites = self.sites.iter().enumerate();
        Matched {
            sites: sites.map(|(site, &key)| (key, sums(HISTOGRAM_BUCKETS + site))).collect(),
            size_classes: (0..HISTOGRAM_BUCKETS).map(sums).collect(),
            peak: self.ledger.peak(),
            peaks: self.processes.iter().map(|(&id, state)| (id, state.peak)).collect(),
            ended: self.ends.keys().copied().collect(),
            threads: self.threads().collect(),
            lifetimes: self.lifetimes,
            live: live.finish(end_ns),
            rate: self.rate.take().unwrap_or_else(|| Slices::new(start_ns, RATE_SLICE_NS)),
            unknown_frees: self.unknown_frees,
            inherited_frees: self.inherited_frees,
            missing_frees: self.missing_frees,
            unfollowed: self.unfollowed,
            older: self.older.unwrap_or_default(),
        }
    }

    /// A thread and its id, which is [`UNDEFINED`] if it is.
    fn thread(&mut self, id: u32, facts: &Facts) -> (u32, &mut ThreadState) {
        let is_defined = self.threads.contains_key(&id) || facts.threads.index_of(id).is_some();
        let id = if is_defined { id } else { UNDEFINED };
        let state = self.threads.entry(id).or_insert_with(|| {
            let thread = facts.threads.index_of(id).map(|index| &facts.threads.values()[index]);
            let process = thread.map(|thread| thread.process);
            let known = process.filter(|&process| facts.processes.index_of(process).is_some());
            ThreadState { process: known.unwrap_or(UNDEFINED), allocations: 0 }
        });
        (id, state)
    }

    fn site(&mut self, mut key: SiteKey) -> u32 {
        if self.sites.len() >= MAX_SITES && !self.site_ids.contains_key(&key) {
            key = OTHERS;
        }
        *self.site_ids.entry(key).or_insert_with(|| {
            self.sites.push(key);
            self.ledger.add_bucket();
            (self.sites.len() - 1) as u32
        })
    }
}

impl Object {
    /// What it stands for.
    fn value(&self) -> Sum {
        Sum::of_object(self.size, self.interval)
    }

    /// The buckets of its size class and of its site, if it is in any sum.
    fn buckets(&self) -> Option<[Bucket; 2]> {
        let site = (self.site != NO_SITE).then_some(self.site as usize)?;
        Some([class(self.size), HISTOGRAM_BUCKETS + site])
    }
}

impl Rate {
    fn join_objects(&mut self, objects: &Sum) {
        self.allocations += objects.objects.value;
        self.bytes += objects.bytes.value;
    }
}

/// The class of a size or a length of time.
fn class(value: u64) -> usize {
    (value.checked_ilog2().unwrap_or(0) as usize).min(HISTOGRAM_BUCKETS - 1)
}
