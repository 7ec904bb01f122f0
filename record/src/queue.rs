//! What travels between draining the kernel's buffers and unwinding.

use std::mem::take;
use std::sync::atomic::{AtomicUsize, Ordering};

use rz_format::{Loss, LossClass, LossReason, NO_CPU, Record};

use crate::chunk::Chunk;
use crate::config::{ALL_ELSE, Limits};
use crate::event::RawTotal;
use crate::limits::Restraint;

/// What stacks are shortened to.
const SHORT_STACK: u64 = 8 << 10;

/// How many bytes may wait to be unwound before less is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    eighth: usize,
}

impl Room {
    /// Four fifths of the memory that is left when all else has had its part.
    pub(crate) fn within(max_rss: u64) -> Room {
        let bytes = max_rss.saturating_sub(ALL_ELSE) / 5 * 4;
        Room { eighth: usize::try_from(bytes / 8).unwrap_or(usize::MAX / 8) }
    }

    /// Beyond this, stacks are shortened.
    fn for_whole_stacks(self) -> usize {
        3 * self.eighth
    }

    /// Beyond this, events are dropped: what there may be most of first, so that it
    /// cannot crowd out the rest.
    fn for_events(self, class: LossClass) -> usize {
        self.eighth
            * match class {
                LossClass::Calls | LossClass::FunctionCalls | LossClass::Allocations => 4,
                LossClass::Waits => 5,
                LossClass::Samples | LossClass::Totals | LossClass::Unknown => 6,
            }
    }

    /// Beyond this, even reports of what processes do are dropped; `/proc` has to tell
    /// then.
    fn for_reports(self) -> usize {
        8 * self.eighth
    }
}

impl Default for Room {
    fn default() -> Self {
        Room::within(Limits::default().max_rss)
    }
}

/// The end of a file that is followed by another one.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// What happened before this is in the file.
    pub(crate) time_ns: u64,
    /// Sums of what came since the file before.
    pub(crate) totals: Vec<RawTotal>,
    /// What all events have counted by then, if they belong to threads.
    pub(crate) counted: Option<u64>,
}

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
    /// How many there may be.
    pub(crate) room: Room,
    /// What is left out so that the recorder uses no more than it may.
    pub(crate) restraint: Restraint,
    /// Whether it has just been found to take too much memory.
    pub(crate) memory_is_short: bool,
    /// The file ends, and the next one begins.
    pub(crate) handover: Option<Handover>,
    /// Events that are missing.
    pub(crate) losses: Vec<Loss>,
    /// Reports of what processes do that were dropped for lack of room.
    pub(crate) dropped_reports: u64,
    /// In the end: what the events have counted in all, if they belong
    /// to threads.
    pub(crate) counted: Option<u64>,
    /// Sums that are final.
    pub(crate) totals: Vec<RawTotal>,
    /// Those of threads that ended before this are in this batch or an earlier one.
    pub(crate) totals_until_ns: u64,
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
    /// Whether there is room for an event of `class`, and for how many bytes of its
    /// stack. If not, it is lost.
    pub(crate) fn admit(&self, class: LossClass) -> Option<u64> {
        let waiting = self.backlog + self.bytes.len();
        if self.restraint.drops() || waiting > self.room.for_events(class) {
            return None;
        }
        let is_short = self.restraint.shortens() || waiting > self.room.for_whole_stacks();
        Some(if is_short { SHORT_STACK } else { u64::MAX })
    }

    /// Whether there is room for a report of what a process does. If not, it
    /// is counted.
    pub(crate) fn admit_report(&mut self) -> bool {
        let admitted = self.backlog + self.bytes.len() <= self.room.for_reports();
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

    /// Forgets the records, which were handled or copied.
    pub(crate) fn clear_records(&mut self) {
        self.bytes.clear();
        self.entries.clear();
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
            + self.handover.as_ref().map_or(0, |it| it.totals.capacity()) * size_of::<RawTotal>()
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
            let batch = Batch { backlog, ..Batch::default() };
            let classes = [LossClass::Samples, LossClass::Waits, LossClass::Calls];
            assert_eq!(classes.map(|class| batch.admit(class)), expected, "{backlog}");
        };
        let (all, short) = (Some(u64::MAX), Some(SHORT_STACK));
        check(0, [all, all, all]);
        let room = Room::default();
        check((48 << 20) + 1, [short, short, short]);
        check(room.for_events(LossClass::Calls) + 1, [short, short, None]);
        check(room.for_events(LossClass::Waits) + 1, [short, None, None]);
        check(room.for_events(LossClass::Samples) + 1, [None, None, None]);
    }
}
