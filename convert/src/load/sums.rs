//! Adds up samples that have event, thread and stack in common.

use rustc_hash::FxHashMap;
use rz_format::{Sample, StackId};

/// Single samples that are kept in order of time, at most.
const MAX_TIMELINE: usize = 1_000_000;

/// Sums that are kept apart, at most; further ones are added to [`OTHERS`].
const MAX_SUMS: usize = 1 << 24;

/// Ids that nothing has, and so are shown as lost.
const OTHERS: Key = Key { event: u32::MAX, thread: u32::MAX, stack: Some(StackId::MAX) };

/// Sum of the weights of a trace, at most: exchange formats have signed
/// numbers. Weights are cut where the sum would exceed it, so that nothing
/// that is added up later can overflow.
const MAX_WEIGHT: u64 = i64::MAX as u64;

/// What samples are added up by, as ids of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) event: u32,
    pub(super) thread: u32,
    pub(super) stack: Option<StackId>,
}

/// How much was added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Number of samples.
    pub(super) count: u64,
    /// Sum of their weights.
    pub(super) weight: u64,
}

/// The samples of a trace, added up.
#[derive(Debug)]
pub(super) struct Sums {
    amounts: FxHashMap<Key, Amount>,
    weight_left: u64,
    last_ns: u64,
    timeline: Option<Vec<Sample>>,
}

impl Sums {
    /// Nothing yet. With `timeline`, single samples are kept as well, as long
    /// as there are not too many.
    pub(super) fn new(timeline: bool) -> Self {
        Sums {
            amounts: FxHashMap::default(),
            weight_left: MAX_WEIGHT,
            last_ns: 0,
            timeline: timeline.then(Vec::new),
        }
    }

    /// Adds the samples of a block. Neighbours often have all in common,
    /// because a block is sorted by thread and time.
    pub(super) fn add(&mut self, samples: &[Sample]) {
        for run in samples.chunk_by(|a, b| key(a) == key(b)) {
            let mut key = key(&run[0]);
            if self.amounts.len() >= MAX_SUMS && !self.amounts.contains_key(&key) {
                key = OTHERS;
            }
            let amount = self.amounts.entry(key).or_default();
            amount.count += run.len() as u64;
            for sample in run {
                let weight = sample.weight.min(self.weight_left);
                self.weight_left -= weight;
                amount.weight += weight;
                self.last_ns = self.last_ns.max(sample.time_ns);
            }
        }
        self.timeline =
            self.timeline.take().filter(|kept| kept.len() + samples.len() <= MAX_TIMELINE);
        if let Some(timeline) = &mut self.timeline {
            timeline.extend_from_slice(samples);
        }
    }

    /// The sums, in no particular order.
    pub(super) fn amounts(&self) -> impl Iterator<Item = (&Key, &Amount)> {
        self.amounts.iter()
    }

    /// Time of the last sample; 0 if there is none.
    pub(super) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Single samples, in the order of the file.
    pub(super) fn timeline(&self) -> Option<&[Sample]> {
        self.timeline.as_deref()
    }
}

/// What a sample is added up by.
pub(super) fn key(sample: &Sample) -> Key {
    Key { event: sample.event, thread: sample.thread, stack: sample.stack }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_never_overflow() {
        let mut sums = Sums::new(false);
        let sample = Sample { weight: u64::MAX - 5, ..Sample::default() };
        let other = Sample { thread: 1, ..sample };
        sums.add(&[sample, sample, other]);
        let total: u64 = sums.amounts().map(|(_, amount)| amount.weight).sum();
        let count: u64 = sums.amounts().map(|(_, amount)| amount.count).sum();
        assert_eq!((total, count), (MAX_WEIGHT, 3));
    }

    #[test]
    fn a_long_timeline_is_given_up() {
        let mut sums = Sums::new(true);
        let samples = vec![Sample::default(); MAX_TIMELINE / 2];
        sums.add(&samples);
        sums.add(&samples);
        assert_eq!(sums.timeline().map(<[_]>::len), Some(MAX_TIMELINE));
        sums.add(&samples[..1]);
        assert_eq!(sums.timeline(), None);
        sums.add(&samples[..1]);
        assert_eq!(sums.timeline(), None);
    }
}
