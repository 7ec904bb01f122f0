//! Brings the events of all buffers into order of time and hands them to the
//! tracker.

use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use rz_format::{LossReason, Note, Record};

use crate::event::RawEvent;
use crate::host::{give_back_free_memory, now_ns};
use crate::queue::{Batch, QueueGauge};
use crate::shared::Shared;
use crate::tracker::{Findings, Tracker};

/// How often findings are handed on to be written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// What the resolver is connected to: batches come in and go back empty,
/// findings go out and come back empty.
pub(crate) struct Channels {
    /// Batches to resolve.
    pub(crate) batches: Receiver<Batch>,
    /// Takes them when that is done.
    pub(crate) empty: Sender<Batch>,
    /// Takes findings to write.
    pub(crate) findings: SyncSender<Findings>,
    /// Findings that have been written.
    pub(crate) written: Receiver<Findings>,
}

/// Reads batches until there are no more, and sends on what the tracker makes
/// of them. What begins when the recording is over, by the clock, is no part of it:
/// a recorder that was stopped may be late.
pub(crate) fn resolve(
    mut tracker: Tracker,
    parse: fn(&[u8]) -> Option<RawEvent<'_>>,
    due_ns: u64,
    channels: Channels,
    queue: &QueueGauge,
    shared: &Shared,
) {
    let Channels { batches, empty, findings, written } = channels;
    let started_ns = now_ns();
    // Records that are too young to be handled before the next batch.
    let mut held = Batch::default();
    let mut flushed = Instant::now();
    // Fails when the writer has failed and said why; the recording is ending.
    let hand_on = |tracker: &mut Tracker| {
        // One is enough; others are there after much was found at once.
        let empty = written.try_iter().last().unwrap_or_default();
        findings.send(tracker.take_findings(empty)).map_err(drop)
    };
    while let Ok(mut batch) = batches.recv() {
        let size = batch.size();
        tracker.keep_one_sample_in(batch.restraint.samples());
        if batch.memory_is_short {
            tracker.forget();
            give_back_free_memory();
        }
        tracker.add_records(&batch.records);
        for text in batch.notes.drain(..) {
            tracker.add_records(&[Record::Note(Note { text: text.clone() })]);
            shared.say(text);
        }
        let Ok(rest) =
            handle_in_order(&mut tracker, parse, due_ns, shared, &mut held, &mut batch, hand_on)
        else {
            return;
        };
        held = rest;
        queue.subtract(size);
        for loss in batch.losses.iter().chain(&held.losses) {
            tracker.lose(loss.clone());
        }
        held.losses.clear();
        tracker.add_totals(&batch.totals, batch.totals_until_ns);
        if tracker.is_block_full() && hand_on(&mut tracker).is_err() {
            return;
        }
        if batch.dropped_reports > 0 {
            tracker.recover_lost_facts(now_ns(), &batch.dropped_reports.to_string());
        }
        for _ in 0..batch.malformed {
            tracker.malformed(now_ns());
        }
        if let Some(counted) = batch.counted {
            tracker.account_for(counted, started_ns, now_ns());
        }
        tracker.read_thread_names();
        tracker.read_cpu_times();
        shared.set_counts(tracker.counts());
        // The drain thread may be gone after its last batch.
        let _ = empty.send(batch);
        if flushed.elapsed() >= FLUSH_INTERVAL {
            flushed = Instant::now();
            if hand_on(&mut tracker).is_err() {
                return;
            }
        }
    }
    while tracker.settle(u64::MAX) {
        if hand_on(&mut tracker).is_err() {
            return;
        }
    }
    if hand_on(&mut tracker).is_err() {
        return;
    }
    if let Some(text) = tracker.why_nothing() {
        tracker.add_records(&[Record::Note(Note { text: text.clone() })]);
        shared.say(text);
    }
    tracker.finish(now_ns());
    shared.set_counts(tracker.counts());
    // If the writer has failed, it has said why.
    let _ = findings.send(tracker.take_findings(Findings::default()));
}

/// Handles what is older than the batch's horizon, oldest first, and returns
/// the rest. Calls `hand_on` whenever enough for a block was found.
fn handle_in_order<E>(
    tracker: &mut Tracker,
    parse: fn(&[u8]) -> Option<RawEvent<'_>>,
    due_ns: u64,
    shared: &Shared,
    held: &mut Batch,
    batch: &mut Batch,
    hand_on: impl Fn(&mut Tracker) -> Result<(), E>,
) -> Result<Batch, E> {
    let mut chunks = held.take_chunks();
    chunks.append(&mut batch.take_chunks());
    chunks.retain(|chunk| chunk.first_ns <= due_ns || !chunk.counts.is_zero());
    // Only a chunk's end counts: until then, facts may come in that it needs.
    chunks.sort_by_key(|chunk| chunk.last_ns);
    let late = chunks.partition_point(|chunk| chunk.last_ns < batch.horizon_ns);
    let late = chunks.split_off(late);
    let mut chunks = chunks.into_iter().peekable();
    let (mut read, mut rest) = (Vec::new(), Batch::default());

    let mut all: Vec<(u64, &[u8])> = held.records().chain(batch.records()).collect();
    // Stable: records of one buffer with equal times stay in their order.
    all.sort_by_key(|(time, _)| *time);
    let ripe = all.partition_point(|(time, _)| *time < batch.horizon_ns);
    for (time, record) in &all[..ripe] {
        while let Some(chunk) = chunks.next_if(|chunk| chunk.last_ns < *time) {
            tracker.handle_chunk(&chunk);
            read.push(chunk.words);
        }
        match parse(record) {
            Some(event) if event.begins_ns() > due_ns => {}
            Some(event) => match event.class().filter(|_| !shared.has_time_to_write()) {
                None => tracker.handle(&event),
                // Nothing is lost with it.
                Some((_, 0)) => {}
                Some((class, count)) => {
                    rest.lose(LossReason::QueueFull, class, *time, *time, count);
                }
            },
            None => tracker.malformed(now_ns()),
        }
        if tracker.is_block_full() {
            hand_on(tracker)?;
        }
    }
    for chunk in chunks {
        tracker.handle_chunk(&chunk);
        read.push(chunk.words);
    }
    // Before this, no allocation is missing.
    let first_late = late.iter().map(|chunk| chunk.first_ns).min().unwrap_or(u64::MAX);
    let settled_ns = batch.horizon_ns.min(batch.settled_ns.unwrap_or(u64::MAX)).min(first_late);
    while tracker.settle(settled_ns) {
        hand_on(tracker)?;
    }

    for (time, record) in &all[ripe..] {
        rest.push(*time, |out| out.extend_from_slice(record));
    }
    late.into_iter().for_each(|chunk| rest.push_chunk(chunk));
    batch.spare_words = read;
    Ok(rest)
}
