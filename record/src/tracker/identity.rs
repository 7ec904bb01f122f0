//! Which thread a thread id meant at some time in the past.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

/// Ended threads remembered, at most.
const MAX_ENDED: usize = 1 << 20;
/// For how long after its end is reported a thread may still be seen: it has
/// to give back its memory.
const LAST_STEPS_NS: u64 = 10_000_000_000;

/// Threads that have ended, as long as something may still come of them.
#[derive(Debug, Default)]
pub(super) struct EndedThreads {
    /// Times of ends with the threads' numbers, oldest first, by thread id.
    by_tid: FxHashMap<u32, VecDeque<(u64, u32)>>,
    /// Times of ends with the threads' ids, oldest first.
    order: VecDeque<(u64, u32)>,
}

impl EndedThreads {
    /// Remembers the end of thread number `id`.
    pub(super) fn add(&mut self, tid: u32, end_ns: u64, id: u32) {
        if self.order.len() >= MAX_ENDED {
            self.forget_oldest();
        }
        self.by_tid.entry(tid).or_default().push_back((end_ns, id));
        self.order.push_back((end_ns, tid));
    }

    /// Forgets those of which all sums are known that were kept until `totals_until_ns`.
    pub(super) fn forget(&mut self, totals_until_ns: u64) {
        let until_ns = totals_until_ns.saturating_sub(LAST_STEPS_NS);
        while self.order.front().is_some_and(|(end_ns, _)| *end_ns < until_ns) {
            self.forget_oldest();
        }
        if self.order.is_empty() {
            *self = EndedThreads::default();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, tid)) = self.order.pop_front() else { return };
        if let Entry::Occupied(mut ended) = self.by_tid.entry(tid) {
            ended.get_mut().pop_front();
            if ended.get().is_empty() {
                ended.remove();
            }
        }
    }

    /// The number of the ended thread that began at `start_ns` and had this
    /// id; `None` if it goes on, or is not remembered.
    pub(super) fn find(&self, tid: u32, start_ns: u64) -> Option<u32> {
        let ended = self.by_tid.get(&tid)?;
        let first_after = ended.partition_point(|(end_ns, _)| *end_ns < start_ns);
        ended.get(first_after).map(|(_, id)| *id)
    }

    /// The number of the thread with this id that has ended not long before
    /// `time_ns`.
    pub(super) fn just_ended(&self, tid: u32, time_ns: u64) -> Option<u32> {
        let (end_ns, id) = self.by_tid.get(&tid)?.back()?;
        (time_ns.saturating_sub(*end_ns) < LAST_STEPS_NS).then_some(*id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_used_again() {
        let mut ended = EndedThreads::default();
        ended.add(7, 100, 1);
        ended.add(7, 200, 2);
        let found = [50, 100, 101, 150, 201].map(|start| ended.find(7, start));
        assert_eq!(found, [Some(1), Some(1), Some(2), Some(2), None]);
        assert_eq!(ended.find(8, 50), None);
        assert_eq!(ended.just_ended(7, 201), Some(2));
        assert_eq!(ended.just_ended(7, 200 + LAST_STEPS_NS), None);
        assert_eq!(ended.just_ended(8, 201), None);
    }
    #[test]
    fn what_nothing_comes_of_any_more_is_forgotten() {
        let mut ended = EndedThreads::default();
        ended.add(7, 100, 1);
        ended.add(8, 150, 2);
        ended.add(7, 200, 3);
        ended.forget(200);
        assert_eq!(ended.order.len(), 3);
        ended.forget(200 + LAST_STEPS_NS);
        assert_eq!([ended.find(7, 50), ended.find(8, 50)], [Some(3), None]);
        ended.forget(201 + LAST_STEPS_NS);
        assert_eq!((ended.by_tid.len(), ended.order.len()), (0, 0));
    }
}
