//! What the allocation hook brings of one thread at a time.

use rz_alloc_ring::Events;
use rz_format::HeapCounts;

use crate::ticks::Ticks;

/// What one slot brings: words out of its ring, in order, or counts.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// The slot.
    pub(crate) slot: u32,
    /// How many threads had the slot before this one.
    pub(crate) taken: u32,
    /// The thread's process.
    pub(crate) pid: u32,
    /// The thread.
    pub(crate) tid: u32,
    /// When the first event in it was, on the trace's clock.
    pub(crate) first_ns: u64,
    /// When the last one was.
    pub(crate) last_ns: u64,
    /// Tells the times of the events.
    pub(crate) ticks: Ticks,
    /// The events.
    pub(crate) words: Vec<u64>,
    /// What the thread has done since its last counts, up to `last_ns`.
    pub(crate) counts: HeapCounts,
    /// When the thread took the slot: an earlier one may have had the same id.
    pub(crate) born_ns: u64,
    /// Address of the function that its process allocates with.
    pub(crate) malloc: u64,
}

impl Chunk {
    /// What is from before a time, and what is not, if there is any.
    pub(crate) fn cut(self, time_ns: u64) -> (Option<Chunk>, Option<Chunk>) {
        if self.last_ns < time_ns {
            return (Some(self), None);
        }
        if self.first_ns >= time_ns || self.words.is_empty() {
            return (None, Some(self));
        }
        let mut last_ns = self.first_ns;
        let mut events = Events::new(&self.words);
        let mut at = 0;
        let first_ns = loop {
            let Some(Ok(event)) = events.next() else { return (None, Some(self)) };
            match self.ticks.to_ns(event.ticks()) {
                event_ns if event_ns >= time_ns => break event_ns,
                event_ns => last_ns = event_ns,
            }
            at = self.words.len() - events.rest().len();
        };
        let words = self.words[at..].to_vec();
        let after = Chunk { words, first_ns, ..self.clone() };
        let mut before = Chunk { last_ns, ..self };
        before.words.truncate(at);
        (Some(before), Some(after))
    }
}

#[cfg(test)]
mod tests {
    use rz_alloc_ring::{clock, first_word, tag};

    use super::*;
    use crate::host::now_ns;

    #[test]
    fn chunks_are_cut_between_events() {
        let base = now_ns();
        let word = |ticks| first_word(base + ticks, tag::FREE);
        let chunk = Chunk {
            slot: 1,
            taken: 0,
            pid: 7,
            tid: 8,
            first_ns: 0,
            last_ns: 0,
            ticks: Ticks::start(clock::MONOTONIC),
            words: vec![word(1000), 0xa, word(2000), 0xb, word(3000), 0xc],
            counts: HeapCounts::default(),
            born_ns: 0,
            malloc: 0,
        };
        let ns = |ticks| chunk.ticks.to_ns(base + ticks);
        let chunk = Chunk { first_ns: ns(1000), last_ns: ns(3000), ..chunk.clone() };
        let check = |time_ns, expected: usize| {
            let (before, after) = chunk.clone().cut(time_ns);
            let words = |chunk: &Option<Chunk>| chunk.as_ref().map_or(vec![], |c| c.words.clone());
            assert_eq!(words(&before), chunk.words[..expected], "{time_ns}");
            assert_eq!(words(&after), chunk.words[expected..], "{time_ns}");
            let times = |chunk: Option<Chunk>| chunk.map(|chunk| (chunk.first_ns, chunk.last_ns));
            let at = |index: usize| ns(1000 * (index as u64 + 1));
            let events = expected / 2;
            assert_eq!(times(before), (events > 0).then(|| (at(0), at(events - 1))));
            assert_eq!(times(after), (events < 3).then(|| (at(events), at(2))));
        };
        check(ns(1000), 0);
        check(ns(1000) + 1, 2);
        check(ns(2000), 2);
        check(ns(3000), 4);
        check(ns(3000) + 1, 6);
    }
}
