//! Adds up samples, waits and calls that have thread and stack in common.

use rustc_hash::FxHashMap;
use rz_format::{Call, Sample, StackId, Wait, WaitState};

use super::pass::Sink;
use crate::reason::{UNKNOWN_CALL, checked_number};

/// Sums that are kept apart, at most; further ones are added to
/// [`Key::others`].
pub(super) const MAX_SUMS: usize = 1 << 24;

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
    /// A call of a function, which its stack ends in.
    FunctionCall,
}

/// What samples are added up by, as ids of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) what: What,
    pub(super) thread: u32,
    pub(super) stack: Option<StackId>,
}

impl Key {
    /// What a call is added up by.
    pub(super) fn of_call(call: &Call) -> Key {
        let what = What::Call(checked_number(call.number));
        Key { what, thread: call.thread, stack: call.stack }
    }

    /// What a call of a function is added up by.
    pub(super) fn of_function_call(call: &Call) -> Key {
        Key { what: What::FunctionCall, thread: call.thread, stack: call.stack }
    }

    /// Ids that nothing has, and so are shown as lost.
    pub(super) fn others(self) -> Key {
        let what = match self.what {
            What::Sample(_) => What::Sample(u32::MAX),
            What::Wait(..) => What::Wait(WaitState::Unknown, None),
            What::Call(_) => What::Call(UNKNOWN_CALL),
            What::FunctionCall => What::FunctionCall,
        };
        Key { what, thread: u32::MAX, stack: Some(StackId::MAX) }
    }
}

/// Something that happened, to be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// When, or when it began.
    pub(super) time_ns: u64,
    /// How long it took; 0 of a moment.
    pub(super) duration_ns: u64,
    pub(super) weight: u64,
}

impl From<&Sample> for Entry {
    fn from(sample: &Sample) -> Entry {
        let what = What::Sample(sample.event);
        let key = Key { what, thread: sample.thread, stack: sample.stack };
        Entry { key, time_ns: sample.time_ns, duration_ns: 0, weight: sample.weight }
    }
}

impl From<&Wait> for Entry {
    fn from(wait: &Wait) -> Entry {
        let what = What::Wait(wait.state, wait.syscall.map(checked_number));
        let key = Key { what, thread: wait.thread, stack: wait.stack };
        let time_ns = wait.end_ns.saturating_sub(wait.duration_ns);
        Entry { key, time_ns, duration_ns: wait.duration_ns, weight: wait.weight }
    }
}

/// Calls that stand for time, added up by what `key` gives.
pub(super) fn weighted_calls(
    calls: &[Call],
    key: impl Fn(&Call) -> Key,
) -> impl Iterator<Item = Entry> {
    calls.iter().filter(|call| call.stack_weight > 0).map(move |call| {
        let (key, time_ns, duration_ns) = (key(call), call.start_ns, call.duration_ns);
        Entry { key, time_ns, duration_ns, weight: call.stack_weight }
    })
}

/// How much weight may still be added.
#[derive(Debug)]
pub(super) struct WeightLeft(u64);

impl Default for WeightLeft {
    fn default() -> Self {
        WeightLeft(MAX_WEIGHT)
    }
}

impl WeightLeft {
    /// The weight, or what of it may be added.
    pub(super) fn take(&mut self, weight: u64) -> u64 {
        let weight = weight.min(self.0);
        self.0 -= weight;
        weight
    }
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
#[derive(Debug, Default)]
pub(super) struct Sums {
    amounts: FxHashMap<Key, Amount>,
    weight_left: WeightLeft,
    last_ns: u64,
}

impl Sink for Sums {
    fn samples(&mut self, rows: &[Sample], each: u64) {
        self.saw(rows.iter().map(|sample| sample.time_ns).max());
        self.add(rows.iter().map(Entry::from), each);
    }

    fn waits(&mut self, rows: &[Wait]) {
        self.saw(rows.iter().map(|wait| wait.end_ns).max());
        self.add(rows.iter().map(Entry::from), 1);
    }

    fn calls(&mut self, rows: &[Call]) {
        self.saw(rows.iter().map(end_ns).max());
        self.add(weighted_calls(rows, Key::of_call), 1);
    }

    fn function_calls(&mut self, rows: &[Call]) {
        self.saw(rows.iter().map(end_ns).max());
        self.add(weighted_calls(rows, Key::of_function_call), 1);
    }
}

fn end_ns(call: &Call) -> u64 {
    call.start_ns.saturating_add(call.duration_ns)
}

impl Sums {
    fn saw(&mut self, time_ns: Option<u64>) {
        self.last_ns = self.last_ns.max(time_ns.unwrap_or(0));
    }

    /// Adds what happened, each so many times. Neighbours often have all in common,
    /// because a block is sorted by thread.
    fn add(&mut self, entries: impl Iterator<Item = Entry>, each: u64) {
        let mut run: Option<(Key, Amount)> = None;
        for entry in entries {
            let weight = self.weight_left.take(entry.weight.saturating_mul(each));
            match &mut run {
                Some((key, amount)) if *key == entry.key => {
                    amount.count += each;
                    amount.weight += weight;
                }
                _ => {
                    let next = (entry.key, Amount { count: each, weight });
                    if let Some((key, amount)) = run.replace(next) {
                        self.add_amount(key, amount);
                    }
                }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_never_overflow() {
        let mut sums = Sums::default();
        let sample = Sample { weight: u64::MAX - 5, ..Sample::default() };
        let other = Sample { thread: 1, ..sample };
        sums.samples(&[sample, sample, other], 1);
        sums.waits(&[Wait { weight: u64::MAX, end_ns: 1, duration_ns: 5, ..Wait::default() }]);
        sums.calls(&[Call { stack_weight: u64::MAX, duration_ns: u64::MAX, ..Call::default() }]);
        let total: u64 = sums.amounts().map(|(_, amount)| amount.weight).sum();
        let count: u64 = sums.amounts().map(|(_, amount)| amount.count).sum();
        assert_eq!((total, count), (MAX_WEIGHT, 5));
    }

    #[test]
    fn calls_without_weight_add_to_nothing() {
        let mut sums = Sums::default();
        let weighted = Call { stack_weight: 7, number: 1, ..Call::default() };
        sums.calls(&[Call::default(), weighted, weighted]);
        let amounts: Vec<_> = sums.amounts().map(|(key, amount)| (key.what, *amount)).collect();
        assert_eq!(amounts, [(What::Call(1), Amount { count: 2, weight: 14 })]);
    }
}
