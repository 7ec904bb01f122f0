//! Puts records in order of time.
//!
//! perf empties the buffers of all CPUs in rounds. What is in the next round
//! but one is later than all that is in this one, so when a round ends, all up
//! to the latest time of the round before it can go.

use super::records::Raw;

/// Bytes that wait to be put in order, at most. With more, the earlier half
/// goes, in the order that is known by then.
const MAX_BYTES: usize = 256 << 20;
/// What a record takes besides its body.
const OVERHEAD: usize = 64;

/// A record that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) time_ns: u64,
    pub(super) kind: u32,
    pub(super) misc: u16,
    pub(super) body: Vec<u8>,
}

/// Records that are not in order yet.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    waiting: Vec<Waiting>,
    bytes: usize,
    /// Latest time of the round before, and of all.
    before_ns: u64,
    latest_ns: u64,
    /// Whether records had to go before their order was known.
    pub(super) is_hurried: bool,
}

impl Rounds {
    /// Adds a record, and gives back those that must go for lack of memory.
    pub(super) fn add(&mut self, time_ns: u64, raw: Raw<'_>) -> Vec<Waiting> {
        let Raw { kind, misc, body } = raw;
        self.latest_ns = self.latest_ns.max(time_ns);
        self.bytes += body.len() + OVERHEAD;
        self.waiting.push(Waiting { time_ns, kind, misc, body: body.to_vec() });
        if self.bytes < MAX_BYTES {
            return Vec::new();
        }
        self.is_hurried = true;
        self.sort();
        self.take(self.waiting.len() / 2)
    }

    /// Ends a round, and gives back what is in order now.
    pub(super) fn finish_round(&mut self) -> Vec<Waiting> {
        self.sort();
        let before = self.before_ns;
        let count = self.waiting.partition_point(|record| record.time_ns <= before);
        self.before_ns = self.latest_ns;
        self.take(count)
    }

    /// Gives back all that is left.
    pub(super) fn finish(&mut self) -> Vec<Waiting> {
        self.sort();
        self.take(self.waiting.len())
    }

    /// What has no time comes first, all else in order of time; records of
    /// the same time stay in the file's order.
    fn sort(&mut self) {
        self.waiting.sort_by_key(|record| record.time_ns);
    }

    fn take(&mut self, count: usize) -> Vec<Waiting> {
        let taken: Vec<Waiting> = self.waiting.drain(..count).collect();
        let bytes: usize = taken.iter().map(|record| record.body.len() + OVERHEAD).sum();
        self.bytes -= bytes;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_overlap_with_the_next_one_only() {
        let mut rounds = Rounds::default();
        let add = |rounds: &mut Rounds, times: &[u64]| {
            for time_ns in times {
                let body: &[u8] = &[];
                assert!(rounds.add(*time_ns, Raw { kind: 9, misc: 0, body }).is_empty());
            }
        };
        let times = |list: Vec<Waiting>| list.iter().map(|w| w.time_ns).collect::<Vec<_>>();
        add(&mut rounds, &[1, 3, 2, 4]);
        assert_eq!(times(rounds.finish_round()), [0; 0]);
        add(&mut rounds, &[3, 7, 5]);
        assert_eq!(times(rounds.finish_round()), [1, 2, 3, 3, 4]);
        add(&mut rounds, &[6, 9]);
        assert_eq!(times(rounds.finish_round()), [5, 6, 7]);
        assert_eq!(times(rounds.finish()), [9]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut rounds = Rounds::default();
        let body = vec![0; 60 << 10];
        let mut gone = 0;
        for time_ns in (0..10_000).rev() {
            gone += rounds.add(time_ns, Raw { kind: 9, misc: 0, body: &body }).len();
            assert!(rounds.bytes < MAX_BYTES);
        }
        assert!(rounds.is_hurried);
        assert_eq!(gone + rounds.finish().len(), 10_000);
    }
}
