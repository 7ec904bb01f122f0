//! What travels between draining the kernel's buffers and unwinding.

use std::mem::take;
use std::sync::atomic::{AtomicUsize, Ordering};

use rz_format::{Loss, LossClass, LossReason, NO_CPU, Record};

use crate::chunk::Chunk;
use crate::event::RawTotal;

/// Bytes waiting to be unwound beyond which stacks are shortened.
const SHORTEN_ABOVE: usize = 48 << 20;
/// What they are shortened to.
const SHORT_STACK: u64 = 8 << 10;
/// Bytes waiting to be unwound beyond which samples, waits and calls are
/// dropped: what there may be most of first, so that it cannot crowd out the
/// rest.
const DROP_CALLS_ABOVE: usize = 64 << 20;
const DROP_WAITS_ABOVE: usize = 80 << 20;
const DROP_SAMPLES_ABOVE: usize = 96 << 20;
/// Bytes waiting to be unwound beyond which even reports of what processes do
/// are dropped; `/proc` has to tell then.
const DROP_ALL_ABOVE: usize = 128 << 20;

/// Records copied out of the kernel's buffers at one time.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Time, offset and length of each record.
    entries: Vec<(u64, usize, usize)>,
    /// Everything that happened before this time is in this batch or an
    /// earlier one.
    pub(crate) horizon_ns: u64,
    /// Bytes in batches that were not dealt with when this one was begun.
    pub(crate) backlog: usize,
    /// Events that are missing.
    pub(crate) losses: Vec<Loss>,
    /// Reports of what processes do that were dropped for lack of room.
    pub(crate) dropped_reports: u64,
    /// In the end: what the events have counted in all, if they belong
    /// to threads.
    pub(crate) counted: Option<u64>,
    /// Sums that are final.
    pub(crate) totals: Vec<RawTotal>,
    /// Words from the rings of allocation hooks, to be read when everything
    /// from before their end has been handled.
    chunks: Vec<Chunk>,
    /// Where other chunks were, to be used again.
    pub(crate) spare_words: Vec<Vec<u64>>,
    /// If there are such rings: when all of them were emptied; 0 if they were
    /// left as they are.
    pub(crate) settled_ns: Option<u64>,
    /// Facts that the tier has found out, from before all of its events.
    pub(crate) records: Vec<Record>,
    /// What the user should know, a sentence each; goes into the trace, too.
    pub(crate) notes: Vec<String>,
    /// Times that a kernel buffer made no sense and was emptied.
    pub(crate) malformed: u64,
}

impl Batch {
    /// Whether there is room for an event of `class` that happened at
    /// `time_ns`, and for how many bytes of its stack. If not, it is counted
    /// as lost.
    pub(crate) fn admit(&mut self, class: LossClass, time_ns: u64) -> Option<u64> {
        let drop_above = match class {
            LossClass::Calls | LossClass::Allocations => DROP_CALLS_ABOVE,
            LossClass::Waits => DROP_WAITS_ABOVE,
            LossClass::Samples | LossClass::Totals | LossClass::Unknown => DROP_SAMPLES_ABOVE,
        };
        let waiting = self.backlog + self.bytes.len();
        if waiting > drop_above {
            self.lose(LossReason::QueueFull, class, time_ns, time_ns, 1);
            return None;
        }
        Some(if waiting > SHORTEN_ABOVE { SHORT_STACK } else { u64::MAX })
    }

    /// Whether there is room for a report of what a process does. If not, it
    /// is counted.
    pub(crate) fn admit_report(&mut self) -> bool {
        let admitted = self.backlog + self.bytes.len() <= DROP_ALL_ABOVE;
        self.dropped_reports += u64::from(!admitted);
        admitted
    }

    /// Adds a record, which `write` appends to what it is given.
    pub(crate) fn push(&mut self, time_ns: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.entries.push((time_ns, start, self.bytes.len() - start));
    }

    /// Adds words from a ring.
    pub(crate) fn push_chunk(&mut self, chunk: Chunk) {
        self.chunks.push(chunk);
    }

    /// Takes the words from rings, in the order in which they were added.
    pub(crate) fn take_chunks(&mut self) -> Vec<Chunk> {
        take(&mut self.chunks)
    }

    /// The records with their times, in the order in which they were added.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.entries.iter().map(|&(time, at, length)| (time, &self.bytes[at..at + length]))
    }

    /// Counts events as lost.
    pub(crate) fn lose(
        &mut self,
        reason: LossReason,
        class: LossClass,
        from: u64,
        to: u64,
        count: u64,
    ) {
        let (class, reason) = (class.into(), reason.into());
        match self.losses.iter_mut().find(|loss| (loss.class, loss.reason) == (class, reason)) {
            Some(loss) => {
                loss.from_ns = loss.from_ns.min(from);
                loss.to_ns = loss.to_ns.max(to);
                loss.count = loss.count.saturating_add(count);
            }
            None => {
                let (cpu, from_ns, to_ns) = (NO_CPU, from, to);
                self.losses.push(Loss { cpu, class, reason, from_ns, to_ns, count });
            }
        }
    }

    /// Empties the batch and keeps its memory.
    pub(crate) fn reset(&mut self) {
        let (mut bytes, mut entries) = (take(&mut self.bytes), take(&mut self.entries));
        bytes.clear();
        entries.clear();
        let spare_words = take(&mut self.spare_words);
        *self = Batch { bytes, entries, spare_words, ..Batch::default() };
    }

    /// Memory that the batch occupies, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity()
            + self.entries.capacity() * size_of::<(u64, usize, usize)>()
            + self.totals.capacity() * size_of::<RawTotal>()
            + self.chunks.iter().map(|chunk| chunk.words.capacity() * 8).sum::<usize>()
    }
}

/// Bytes in batches that wait to be unwound.
#[derive(Debug, Default)]
pub(crate) struct QueueGauge {
    bytes: AtomicUsize,
}

impl QueueGauge {
    // The number only steers how much is kept; it orders nothing.

    /// Counts a batch that was queued.
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a batch that was dealt with.
    pub(crate) fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes queued.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_format::LossClass;

    #[test]
    fn calls_are_the_first_to_go() {
        let check = |backlog: usize, expected: [Option<u64>; 3]| {
            let mut batch = Batch { backlog, ..Batch::default() };
            let classes = [LossClass::Samples, LossClass::Waits, LossClass::Calls];
            assert_eq!(classes.map(|class| batch.admit(class, 5)), expected, "{backlog}");
            let lost: u64 = batch.losses.iter().map(|loss| loss.count).sum();
            assert_eq!(lost, expected.iter().filter(|limit| limit.is_none()).count() as u64);
        };
        let (all, short) = (Some(u64::MAX), Some(SHORT_STACK));
        check(0, [all, all, all]);
        check(SHORTEN_ABOVE + 1, [short, short, short]);
        check(DROP_CALLS_ABOVE + 1, [short, short, None]);
        check(DROP_WAITS_ABOVE + 1, [short, None, None]);
        check(DROP_SAMPLES_ABOVE + 1, [None, None, None]);
    }
}
