//! The samples of one run, by where they end.

use rustc_hash::FxHashMap;
use rz_profile::heap::Heap;
use rz_profile::model::{EventId, Profile, Sample, StackId, ThreadId};

use super::items::Leaf;
use super::parts::SLICES;
use crate::model::calltree::NodeId;

/// One run, with the node of the merged tree in which each of its samples ends.
pub(crate) struct RunSamples<'a> {
    pub profile: &'a Profile,
    pub event: Option<EventId>,
    /// In the order of the profile's samples of the event.
    pub leaves: Vec<NodeId>,
    /// What the run is divided by.
    pub exposure: f64,
}

impl RunSamples<'_> {
    pub(super) fn samples(&self) -> impl Iterator<Item = (NodeId, &Sample)> {
        let samples = self.profile.samples.iter();
        let samples = samples.filter(|sample| Some(sample.event) == self.event);
        self.leaves.iter().copied().zip(samples)
    }

    /// Number of samples.
    pub(super) fn count(&self) -> u64 {
        self.samples().fold(0, |sum, (_, sample)| sum.saturating_add(sample.count))
    }

    pub(super) fn leaves(&self) -> Vec<Leaf> {
        self.samples().map(|(leaf, sample)| (leaf, sample.weight as f64)).collect()
    }

    /// The squares of the weights of samples, which are their variances. Where
    /// single samples are not known, those of one stack and thread are taken to
    /// have equal weights. Allocations have variances of their own, which are 0
    /// if every one was recorded.
    pub(super) fn squares(&self, timed: Option<&[TimedLeaf]>) -> Vec<Leaf> {
        if let Some(variances) = self.heap_variances() {
            let of = |sample: &Sample| variances.get(&(sample.thread, sample.stack));
            let leaves = self.samples().map(|(leaf, s)| (leaf, of(s).copied().unwrap_or(0.0)));
            return leaves.collect();
        }
        match timed {
            Some(timed) => {
                timed.iter().map(|leaf| (leaf.node, leaf.weight * leaf.weight)).collect()
            }
            None => {
                let square = |weight: u64, count: u64| weight as f64 * weight as f64 / count as f64;
                let samples = self.samples().filter(|(_, sample)| sample.count > 0);
                samples.map(|(leaf, s)| (leaf, square(s.weight, s.count))).collect()
            }
        }
    }

    pub(super) fn is_of_heap(&self) -> bool {
        self.heap().is_some()
    }

    fn heap(&self) -> Option<&Heap> {
        self.profile.heap_of(self.event?)
    }

    /// Of allocations, the variance of what each stack of a thread has.
    fn heap_variances(&self) -> Option<FxHashMap<(ThreadId, Option<StackId>), f64>> {
        let heap = self.heap()?;
        let metric = self.event.and_then(|event| self.profile.events[event].metric);
        let metric = metric.unwrap_or_default();
        let mut variances = FxHashMap::default();
        for site in &heap.sites {
            let variance = metric.estimate(site).variance;
            *variances.entry((site.thread, site.stack)).or_default() += variance;
        }
        Some(variances)
    }

    /// Single samples, each with the slice of time it is in; `None` if they or
    /// their times are not known.
    pub(super) fn timed(&self) -> Option<Vec<TimedLeaf>> {
        let timeline = self.profile.timeline.as_ref()?;
        let nodes = self.samples().map(|(leaf, sample)| ((sample.thread, sample.stack), leaf));
        let nodes: FxHashMap<(ThreadId, Option<StackId>), NodeId> = nodes.collect();
        let info = &self.profile.info;
        let length = (info.duration_ns / SLICES as u64).max(1);
        let timeline = timeline.iter().filter(|sample| Some(sample.event) == self.event);
        let mut times = timeline.clone().map(|sample| sample.time_ns);
        let first = times.next()?;
        // What was imported from a format without times has one for all.
        if self.count() > 1 && times.all(|time| time == first) {
            return None;
        }
        let timed = timeline.filter_map(|sample| {
            let slice = sample.time_ns.saturating_sub(info.start_ns) / length;
            Some(TimedLeaf {
                node: *nodes.get(&(sample.thread, sample.stack.get()))?,
                slice: (slice as usize).min(SLICES - 1),
                weight: sample.weight as f64,
            })
        });
        let timed: Vec<TimedLeaf> = timed.collect();
        // A class that had too many samples has none here.
        (timed.len() as u64 == self.count()).then_some(timed)
    }
}

/// One sample in a slice of time.
pub(super) struct TimedLeaf {
    pub node: NodeId,
    pub slice: usize,
    pub weight: f64,
}
