//! Adds up samples, waits and calls that have thread and stack in common.

use rustc_hash::FxHashMap;
use rz_format::{Call, Sample, StackId, Wait, WaitState};

use crate::reason::{UNKNOWN_CALL, checked_number};

/// Single samples of each class that are kept in order of time, at most.
const MAX_TIMELINE: usize = 1_000_000;

/// Sums that are kept apart, at most; further ones are added to
/// [`Key::others`].
const MAX_SUMS: usize = 1 << 24;

/// Sum of the weights of a trace, at most: exchange formats have signed
/// numbers. Weights are cut where the sum would exceed it, so that nothing
/// that is added up later can overflow.
const MAX_WEIGHT: u64 = i64::MAX as u64;

/// What something is, apart from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// A sample of an event, by the event's id.
    Sample(u32),
    /// An interval off the CPU, and the system call it was in.
    Wait(WaitState, Option<u32>),
    /// A system call.
    Call(u32),
}

/// What samples are added up by, as ids of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) what: What,
    pub(super) thread: u32,
    pub(super) stack: Option<StackId>,
}

impl Key {
    /// Ids that nothing has, and so are shown as lost.
    fn others(self) -> Key {
        let what = match self.what {
            What::Sample(_) => What::Sample(u32::MAX),
            What::Wait(..) => What::Wait(WaitState::Unknown, None),
            What::Call(_) => What::Call(UNKNOWN_CALL),
        };
        Key { what, thread: u32::MAX, stack: Some(StackId::MAX) }
    }
}

/// Something that happened, to be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: Key,
    /// When, or when it began.
    pub(super) time_ns: u64,
    pub(super) weight: u64,
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
    samples: Timeline,
    waits: Timeline,
    calls: Timeline,
}

/// Single samples of one class, as long as there are not too many.
type Timeline = Option<Vec<Row>>;

impl Sums {
    /// Nothing yet. With `timeline`, single samples are kept as well, as long
    /// as there are not too many of their class.
    pub(super) fn new(timeline: bool) -> Self {
        let timeline = || timeline.then(Vec::new);
        Sums {
            amounts: FxHashMap::default(),
            weight_left: MAX_WEIGHT,
            last_ns: 0,
            samples: timeline(),
            waits: timeline(),
            calls: timeline(),
        }
    }

    /// Adds the samples of a block.
    pub(super) fn add_samples(&mut self, samples: &[Sample]) {
        let row = |sample: &Sample| {
            let what = What::Sample(sample.event);
            let key = Key { what, thread: sample.thread, stack: sample.stack };
            Row { key, time_ns: sample.time_ns, weight: sample.weight }
        };
        let last = samples.iter().map(|sample| sample.time_ns).max();
        self.saw(last);
        let mut timeline = self.samples.take();
        self.add(samples.iter().map(row), &mut timeline);
        self.samples = timeline;
    }

    /// Adds the intervals of a block.
    pub(super) fn add_waits(&mut self, waits: &[Wait]) {
        let row = |wait: &Wait| {
            let what = What::Wait(wait.state, wait.syscall.map(checked_number));
            let key = Key { what, thread: wait.thread, stack: wait.stack };
            let time_ns = wait.end_ns.saturating_sub(wait.duration_ns);
            Row { key, time_ns, weight: wait.weight }
        };
        self.saw(waits.iter().map(|wait| wait.end_ns).max());
        let mut timeline = self.waits.take();
        self.add(waits.iter().map(row), &mut timeline);
        self.waits = timeline;
    }

    /// Adds the calls of a block that stand for time.
    pub(super) fn add_calls(&mut self, calls: &[Call]) {
        let row = |call: &Call| {
            let what = What::Call(checked_number(call.number));
            let key = Key { what, thread: call.thread, stack: call.stack };
            Row { key, time_ns: call.start_ns, weight: call.stack_weight }
        };
        let end = |call: &Call| call.start_ns.saturating_add(call.duration_ns);
        self.saw(calls.iter().map(end).max());
        let weighted = calls.iter().filter(|call| call.stack_weight > 0);
        let mut timeline = self.calls.take();
        self.add(weighted.map(row), &mut timeline);
        self.calls = timeline;
    }

    fn saw(&mut self, time_ns: Option<u64>) {
        self.last_ns = self.last_ns.max(time_ns.unwrap_or(0));
    }

    /// Adds rows. Neighbours often have all in common, because a block is
    /// sorted by thread.
    fn add(&mut self, rows: impl Iterator<Item = Row>, timeline: &mut Timeline) {
        let mut run: Option<(Key, Amount)> = None;
        for row in rows {
            let weight = row.weight.min(self.weight_left);
            self.weight_left -= weight;
            match &mut run {
                Some((key, amount)) if *key == row.key => {
                    amount.count += 1;
                    amount.weight += weight;
                }
                _ => {
                    let next = (row.key, Amount { count: 1, weight });
                    if let Some((key, amount)) = run.replace(next) {
                        self.add_amount(key, amount);
                    }
                }
            }
            timeline.take_if(|kept| kept.len() >= MAX_TIMELINE);
            if let Some(timeline) = timeline {
                timeline.push(Row { weight, ..row });
            }
        }
        if let Some((key, amount)) = run {
            self.add_amount(key, amount);
        }
    }

    fn add_amount(&mut self, mut key: Key, amount: Amount) {
        if self.amounts.len() >= MAX_SUMS && !self.amounts.contains_key(&key) {
            key = key.others();
        }
        let sum = self.amounts.entry(key).or_default();
        sum.count += amount.count;
        sum.weight += amount.weight;
    }

    /// The sums, in no particular order.
    pub(super) fn amounts(&self) -> impl Iterator<Item = (&Key, &Amount)> {
        self.amounts.iter()
    }

    /// The latest time that was seen; 0 if there is none.
    pub(super) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Single samples of the classes that have not too many, in the order of
    /// the file; `None` if they were not asked for or all are too many.
    pub(super) fn timeline(&self) -> Option<impl Iterator<Item = &Row>> {
        let classes = [&self.samples, &self.waits, &self.calls];
        let any = classes.iter().any(|class| class.is_some());
        any.then(|| classes.into_iter().flatten().flatten())
    }

    /// Classes that were given up, in words.
    pub(super) fn without_timeline(&self) -> impl Iterator<Item = &'static str> {
        let classes = [
            (&self.samples, "samples"),
            (&self.waits, "intervals off the CPU"),
            (&self.calls, "system calls"),
        ];
        classes.into_iter().filter(|(class, _)| class.is_none()).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_never_overflow() {
        let mut sums = Sums::new(false);
        let sample = Sample { weight: u64::MAX - 5, ..Sample::default() };
        let other = Sample { thread: 1, ..sample };
        sums.add_samples(&[sample, sample, other]);
        sums.add_waits(&[Wait { weight: u64::MAX, end_ns: 1, duration_ns: 5, ..Wait::default() }]);
        sums.add_calls(&[Call {
            stack_weight: u64::MAX,
            duration_ns: u64::MAX,
            ..Call::default()
        }]);
        let total: u64 = sums.amounts().map(|(_, amount)| amount.weight).sum();
        let count: u64 = sums.amounts().map(|(_, amount)| amount.count).sum();
        assert_eq!((total, count), (MAX_WEIGHT, 5));
    }

    #[test]
    fn a_long_timeline_is_given_up_by_class() {
        let mut sums = Sums::new(true);
        let samples = vec![Sample::default(); MAX_TIMELINE / 2];
        let length = |sums: &Sums| sums.timeline().map(Iterator::count);
        sums.add_samples(&samples);
        sums.add_samples(&samples);
        sums.add_waits(&[Wait::default(); 2]);
        assert_eq!(length(&sums), Some(MAX_TIMELINE + 2));
        sums.add_samples(&samples[..1]);
        sums.add_samples(&samples[..1]);
        assert_eq!(length(&sums), Some(2));
        assert_eq!(sums.without_timeline().collect::<Vec<_>>(), ["samples"]);
        let sums = Sums::new(false);
        assert_eq!(length(&sums), None);
    }

    #[test]
    fn calls_without_weight_add_to_nothing() {
        let mut sums = Sums::new(false);
        let weighted = Call { stack_weight: 7, number: 1, ..Call::default() };
        sums.add_calls(&[Call::default(), weighted, weighted]);
        let amounts: Vec<_> = sums.amounts().map(|(key, amount)| (key.what, *amount)).collect();
        assert_eq!(amounts, [(What::Call(1), Amount { count: 2, weight: 14 })]);
    }
}
