//! Brings the events of all buffers into order of time and hands them to the
//! tracker.

use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use rz_format::{LossReason, NO_CPU};

use crate::event::RawEvent;
use crate::host::now_ns;
use crate::queue::{Batch, QueueGauge};
use crate::session::Shared;
use crate::target::{Findings, Tracker};

/// How often findings are handed on to be written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Reads batches until there are no more, and sends what the tracker makes of
/// them to `findings`.
pub(crate) fn resolve(
    mut tracker: Tracker,
    parse: fn(&[u8]) -> Option<RawEvent<'_>>,
    batches: &Receiver<Batch>,
    empty: &Sender<Batch>,
    queue: &QueueGauge,
    shared: &Shared,
    findings: &SyncSender<Findings>,
) {
    // Records that are too young to be handled before the next batch.
    let mut held = Batch::default();
    let mut flushed = Instant::now();
    while let Ok(batch) = batches.recv() {
        queue.subtract(batch.bytes.len());
        held = handle_in_order(&mut tracker, parse, &held, &batch);
        if batch.dropped.count > 0 {
            let lost = batch.dropped;
            tracker.lose(NO_CPU, LossReason::QueueFull, lost.from_ns, lost.to_ns, lost.count);
        }
        shared.set_counts(tracker.counts());
        // The drain thread may be gone after its last batch.
        let _ = empty.send(batch);
        if (flushed.elapsed() >= FLUSH_INTERVAL || tracker.is_block_full())
            && findings.send(tracker.take_findings()).is_err()
        {
            // The writer has failed and said why; the recording is ending.
            return;
        }
        if flushed.elapsed() >= FLUSH_INTERVAL {
            flushed = Instant::now();
        }
    }
    tracker.finish(now_ns());
    // If the writer has failed, it has said why.
    let _ = findings.send(tracker.take_findings());
}

/// Handles what is older than the batch's horizon, oldest first, and returns
/// the rest.
fn handle_in_order(
    tracker: &mut Tracker,
    parse: fn(&[u8]) -> Option<RawEvent<'_>>,
    held: &Batch,
    batch: &Batch,
) -> Batch {
    let records = |batch: &'_ Batch| {
        let at = |&(time, offset, length): &(u64, usize, usize)| (time, offset..offset + length);
        batch.entries.iter().map(at).collect::<Vec<_>>()
    };
    let mut all: Vec<(u64, &[u8])> = Vec::with_capacity(held.entries.len() + batch.entries.len());
    for source in [held, batch] {
        all.extend(records(source).into_iter().map(|(time, range)| (time, &source.bytes[range])));
    }
    // Stable: records of one buffer with equal times stay in their order.
    all.sort_by_key(|(time, _)| *time);
    let ripe = all.partition_point(|(time, _)| *time < batch.horizon_ns);
    for (_, record) in &all[..ripe] {
        match parse(record) {
            Some(event) => tracker.handle(&event),
            None => tracker.malformed(now_ns()),
        }
    }
    let mut rest = Batch::default();
    for (time, record) in &all[ripe..] {
        rest.entries.push((*time, rest.bytes.len(), record.len()));
        rest.bytes.extend_from_slice(record);
    }
    rest
}
