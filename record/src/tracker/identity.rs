//! Which thread a thread id meant at some time in the past.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use rz_format::Process;

/// Ended threads remembered, at most.
const MAX_ENDED: usize = 1 << 20;
/// For how long after its end is reported a thread may still be seen: it has
/// to give back its memory.
const LAST_STEPS_NS: u64 = 10_000_000_000;
/// Threads remembered that may be seen in the next file, at most.
const MAX_LEFT: usize = 1 << 16;

/// Threads that have ended, as long as something may still come of them.
#[derive(Debug, Default)]
pub(super) struct EndedThreads {
    /// Times of ends with the threads' numbers, oldest first, by thread id.
    by_tid: FxHashMap<u32, VecDeque<(u64, u32)>>,
    /// Times of ends with the threads' ids, oldest first.
    order: VecDeque<(u64, u32)>,
    /// The latest, in order of their ends.
    left: VecDeque<Left>,
    /// Those of the file before that ended shortly before its end, by thread id.
    of_file_before: FxHashMap<u32, Vec<Left>>,
    /// Numbers of processes, by those that they had in the file before.
    numbers_now: FxHashMap<u32, u32>,
}

/// What the next file has to be told of a thread that has ended, if it is still seen.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) tid: u32,
    pub(super) end_ns: u64,
    pub(super) name: String,
    /// Its process, with the number that it has in this file.
    pub(super) process: Process,
}

impl EndedThreads {
    /// Remembers the end of thread number `id`.
    pub(super) fn add(&mut self, tid: u32, end_ns: u64, id: u32) {
        if self.order.len() >= MAX_ENDED {
            self.forget_oldest();
        }
        let ended = self.by_tid.entry(tid).or_default();
        let at = ended.partition_point(|(other_ns, _)| *other_ns <= end_ns);
        ended.insert(at, (end_ns, id));
        self.order.push_back((end_ns, tid));
    }

    /// Forgets those of which all sums are known that were kept until `totals_until_ns`.
    pub(super) fn forget(&mut self, totals_until_ns: u64) {
        let until_ns = totals_until_ns.saturating_sub(LAST_STEPS_NS);
        while self.order.front().is_some_and(|(end_ns, _)| *end_ns < until_ns) {
            self.forget_oldest();
        }
        if self.order.is_empty() {
            (self.by_tid, self.order) = Default::default();
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

    /// Remembers it for the next file as well.
    pub(super) fn leave(&mut self, left: Left) {
        let is_over = |other: &Left| left.end_ns.saturating_sub(other.end_ns) >= LAST_STEPS_NS;
        while self.left.len() >= MAX_LEFT || self.left.front().is_some_and(is_over) {
            self.left.pop_front();
        }
        self.left.push_back(left);
    }

    /// For a file that begins at `start_ns`: nothing yet, but for what may still be seen.
    pub(super) fn next_file(self, start_ns: u64) -> Self {
        let EndedThreads { by_tid: _, order: _, left, of_file_before: _, numbers_now: _ } = self;
        let mut next = EndedThreads::default();
        for left in left {
            if start_ns.saturating_sub(left.end_ns) < LAST_STEPS_NS {
                next.of_file_before.entry(left.tid).or_default().push(left);
            }
        }
        next
    }

    /// A process has this number now, and had another one in the file before.
    pub(super) fn is_now(&mut self, earlier: u32, number: u32) {
        self.numbers_now.insert(earlier, number);
    }

    /// The number of a process that had this one in the file before.
    pub(super) fn number_now(&self, earlier: u32) -> Option<u32> {
        self.numbers_now.get(&earlier).copied()
    }

    /// Takes out the thread with this id that ended shortly before this file, at a time
    /// that `is_it`: the first one of these.
    pub(super) fn take_left(&mut self, tid: u32, is_it: impl Fn(u64) -> bool) -> Option<Left> {
        let left = self.of_file_before.get_mut(&tid)?;
        let at = left.iter().position(|left| is_it(left.end_ns))?;
        Some(left.remove(at))
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

    #[test]
    fn what_ended_shortly_before_a_file_is_known_in_it() {
        const SECOND: u64 = 1_000_000_000;
        let left = |tid, end_ns| {
            let process = Process { id: 3, ..Process::default() };
            Left { tid, end_ns, name: String::new(), process }
        };
        let mut ended = EndedThreads::default();
        for (tid, second) in [(7, 1), (7, 95), (8, 96), (7, 99)] {
            ended.add(tid, second * SECOND, 0);
            ended.leave(left(tid, second * SECOND));
        }
        assert_eq!(ended.left.len(), 3);
        let mut next = ended.next_file(100 * SECOND);
        // Numbers are those of a file.
        assert_eq!(next.just_ended(7, 100 * SECOND), None);
        assert_eq!(next.find(7, 0), None);
        let mut take = |tid, start: u64| {
            next.take_left(tid, |end_ns| start * SECOND <= end_ns).map(|left| left.end_ns / SECOND)
        };
        assert_eq!(
            [take(7, 96), take(7, 96), take(7, 0), take(8, 97)],
            [Some(99), None, Some(95), None]
        );
        // Nor does it matter in which order they are told of.
        next.add(7, 99 * SECOND, 5);
        next.add(7, 95 * SECOND, 6);
        assert_eq!((next.find(7, 0), next.find(7, 96 * SECOND)), (Some(6), Some(5)));
        next.is_now(3, 1);
        assert_eq!((next.number_now(3), next.number_now(1)), (Some(1), None));
        assert!(next.next_file(120 * SECOND).of_file_before.is_empty());
    }
}
