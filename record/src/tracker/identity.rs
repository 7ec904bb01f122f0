//! Which thread a thread id meant at some time in the past.

use rustc_hash::FxHashMap;

/// Ended threads remembered; beyond that, all are forgotten.
const MAX_ENDED: usize = 1 << 20;
/// For how long after its end is reported a thread may still be seen: it has
/// to give back its memory.
const LAST_STEPS_NS: u64 = 10_000_000_000;

/// Threads that have ended, by thread id.
#[derive(Debug, Default)]
pub(super) struct EndedThreads {
    /// Times of ends with the threads' numbers, oldest first.
    by_tid: FxHashMap<u32, Vec<(u64, u32)>>,
    count: usize,
}

impl EndedThreads {
    /// Remembers the end of thread number `id`.
    pub(super) fn add(&mut self, tid: u32, end_ns: u64, id: u32) {
        if self.count >= MAX_ENDED {
            *self = EndedThreads::default();
        }
        self.by_tid.entry(tid).or_default().push((end_ns, id));
        self.count += 1;
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
        let (end_ns, id) = self.by_tid.get(&tid)?.last()?;
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
}
