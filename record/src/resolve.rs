//! Brings the events of all buffers into order of time and hands them to the
//! tracker.

use std::mem::take;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use rz_format::{Loss, LossReason, Note, Record};

use crate::event::RawEvent;
use crate::host::{give_back_free_memory, now_ns};
use crate::queue::{Batch, Handover, QueueGauge};
use crate::shared::Shared;
use crate::tracker::{Findings, Tracker};

/// How often findings are handed on to be written, and the same if somebody looks at them.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
const FLUSH_INTERVAL_LIVE: Duration = Duration::from_millis(250);
/// For how long the end of a file waits for allocations that are left in their buffers.
const HANDOVER_PATIENCE_NS: u64 = 2_000_000_000;

/// What the resolver is connected to: batches come in and go back empty,
/// findings go out and come back empty.
pub(crate) struct Channels {
    /// Batches to resolve.
    pub(crate) batches: Receiver<Batch>,
    /// Takes them when that is done.
    pub(crate) empty: Sender<Batch>,
    /// Takes findings to write.
    pub(crate) findings: SyncSender<Found>,
    /// Findings that have been written.
    pub(crate) written: Receiver<Findings>,
}

/// A file and all that was found out for it, on its way to be written.
pub(crate) enum Found {
    /// What belongs into the present file.
    Findings(Box<Findings>),
    /// That was all: the next file begins at this time.
    NextFile(u64),
}

/// Reads batches until there are no more, and sends on what the tracker makes
/// of them. What begins when the recording is over, by the clock, is no part of it:
/// a recorder that was stopped may be late.
pub(crate) fn resolve(
    tracker: Tracker,
    parse: fn(&[u8]) -> Option<RawEvent<'_>>,
    due_ns: u64,
    live: bool,
    channels: Channels,
    queue: &QueueGauge,
    shared: &Shared,
) {
    let Channels { batches, empty, findings, written } = channels;
    let started_ns = now_ns();
    let flush_interval = if live { FLUSH_INTERVAL_LIVE } else { FLUSH_INTERVAL };
    let mut flushed = Instant::now();
    let output = Output { findings, written };
    let held = Batch::default();
    let mut resolver = Resolver { tracker, parse, due_ns, shared, output, held, ending: None };
    while let Ok(mut batch) = batches.recv() {
        let size = batch.size();
        if resolver.take(&mut batch).is_err() {
            return;
        }
        queue.subtract(size);
        let Resolver { tracker, output, .. } = &mut resolver;
        if tracker.is_block_full() && output.hand_on(tracker).is_err() {
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
        if flushed.elapsed() >= flush_interval {
            flushed = Instant::now();
            if output.hand_on(tracker).is_err() {
                return;
            }
        }
    }
    // If the writer has failed, it has said why.
    let _ = resolver.finish();
}

/// The writer has failed and said why; the recording is ending.
struct WriterGone;

/// Where findings go.
struct Output {
    findings: SyncSender<Found>,
    written: Receiver<Findings>,
}

impl Output {
    fn hand_on(&self, tracker: &mut Tracker) -> Result<(), WriterGone> {
        // One is enough: where much was handed on at once, there are more.
        let empty = self.written.try_iter().last().unwrap_or_default();
        self.send(Found::Findings(Box::new(tracker.take_findings(empty))))
    }

    fn send(&self, found: Found) -> Result<(), WriterGone> {
        self.findings.send(found).map_err(|_| WriterGone)
    }
}

struct Resolver<'a> {
    tracker: Tracker,
    parse: fn(&[u8]) -> Option<RawEvent<'_>>,
    due_ns: u64,
    shared: &'a Shared,
    output: Output,
    /// Records that are too young to be handled before the next batch.
    held: Batch,
    /// The end of the present file, of which something may still come.
    ending: Option<Handover>,
}

impl Resolver<'_> {
    /// Takes in a batch. The end of a file is dealt with when all has come that happened
    /// before it.
    ///
    /// ```text
    /// batches   ──────┤ handover at T, sums ├──────────┤ horizon beyond T ├────
    /// file 1    ───────────────────────────────────────── up to T ┤ names, end
    /// file 2                                          names, from T on ├───────
    /// ```
    fn take(&mut self, batch: &mut Batch) -> Result<(), WriterGone> {
        self.tracker.keep_one_sample_in(batch.restraint.samples());
        if batch.memory_is_short {
            self.tracker.forget();
            give_back_free_memory();
        }
        self.tracker.add_records(&batch.records);
        for text in batch.notes.drain(..) {
            self.tracker.add_records(&[Record::Note(Note { text: text.clone() })]);
            self.shared.say(text);
        }
        let handover = batch.handover.take();
        // What was lost until then is of the file that ends.
        let losses = take(&mut batch.losses);
        let is_end = handover.is_some();
        if is_end {
            self.lose(&losses);
        }
        if let Some(other) = handover.and_then(|handover| self.ending.replace(handover)) {
            self.end_file(other, batch)?;
        }
        let horizon_ns = batch.horizon_ns;
        // Before this, neither an event nor an allocation is missing.
        let known_ns = horizon_ns.min(batch.settled_ns.unwrap_or(u64::MAX));
        let is_overdue =
            |end: &Handover| horizon_ns.saturating_sub(end.time_ns) > HANDOVER_PATIENCE_NS;
        let until_ns = match self.ending.take() {
            None => horizon_ns,
            Some(end) if known_ns >= end.time_ns || is_overdue(&end) => {
                self.end_file(end, batch)?;
                horizon_ns
            }
            Some(end) => horizon_ns.min(self.ending.insert(end).time_ns),
        };
        self.handle_in_order(batch, until_ns)?;
        if !is_end {
            self.lose(&losses);
        }
        let left_out = take(&mut self.held.losses);
        self.lose(&left_out);
        self.tracker.add_totals(&batch.totals, batch.totals_until_ns);
        Ok(())
    }

    fn lose(&mut self, losses: &[Loss]) {
        losses.iter().for_each(|loss| self.tracker.lose(loss.clone()));
    }

    /// Ends the present file with what came before its end, and begins the next one.
    fn end_file(&mut self, end: Handover, batch: &mut Batch) -> Result<(), WriterGone> {
        let Handover { time_ns, totals, counted } = end;
        self.cut_chunks(batch, time_ns);
        self.handle_in_order(batch, time_ns)?;
        let left_out = take(&mut self.held.losses);
        self.lose(&left_out);
        self.settle_all()?;
        self.tracker.add_totals(&totals, 0);
        let Resolver { tracker, output, .. } = self;
        output.hand_on(tracker)?;
        tracker.finish_file(time_ns, counted);
        output.hand_on(tracker)?;
        output.send(Found::NextFile(time_ns))?;
        tracker.begin_next_file(time_ns);
        output.hand_on(tracker)?;
        give_back_free_memory();
        Ok(())
    }

    /// Cuts chunks in two that have something from both before and after a time.
    fn cut_chunks(&mut self, batch: &mut Batch, time_ns: u64) {
        let mut chunks = self.held.take_chunks();
        chunks.append(&mut batch.take_chunks());
        for chunk in chunks {
            let (before, after) = chunk.cut(time_ns);
            before.into_iter().chain(after).for_each(|chunk| self.held.push_chunk(chunk));
        }
    }

    fn settle_all(&mut self) -> Result<(), WriterGone> {
        while self.tracker.settle(u64::MAX) {
            self.output.hand_on(&mut self.tracker)?;
        }
        Ok(())
    }

    /// Ends the last file.
    fn finish(mut self) -> Result<(), WriterGone> {
        self.settle_all()?;
        let Resolver { mut tracker, output, shared, .. } = self;
        output.hand_on(&mut tracker)?;
        if let Some(text) = tracker.why_nothing() {
            tracker.add_records(&[Record::Note(Note { text: text.clone() })]);
            shared.say(text);
        }
        tracker.finish(now_ns());
        shared.set_counts(tracker.counts());
        let last = tracker.take_findings(Findings::default());
        output.send(Found::Findings(Box::new(last)))
    }

    /// Handles what is older than `until_ns`, oldest first, and holds the rest. Hands on
    /// whatever fills a block.
    fn handle_in_order(&mut self, batch: &mut Batch, until_ns: u64) -> Result<(), WriterGone> {
        let Resolver { tracker, parse, due_ns, shared, output, held, .. } = self;
        let due_ns = *due_ns;
        let mut chunks = held.take_chunks();
        chunks.append(&mut batch.take_chunks());
        chunks.retain(|chunk| chunk.first_ns <= due_ns || !chunk.counts.is_zero());
        // Only a chunk's end counts: until then, facts may come in that it needs.
        chunks.sort_by_key(|chunk| chunk.last_ns);
        let late = chunks.partition_point(|chunk| chunk.last_ns < until_ns);
        let late = chunks.split_off(late);
        let mut chunks = chunks.into_iter().peekable();
        let (mut read, mut rest) = (Vec::new(), Batch::default());

        let mut all: Vec<(u64, &[u8])> = held.records().chain(batch.records()).collect();
        // Stable: records of one buffer with equal times stay in their order.
        all.sort_by_key(|(time, _)| *time);
        let ripe = all.partition_point(|(time, _)| *time < until_ns);
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
                output.hand_on(tracker)?;
            }
        }
        for chunk in chunks {
            tracker.handle_chunk(&chunk);
            read.push(chunk.words);
        }
        // Before this, no allocation is missing.
        let first_late = late.iter().map(|chunk| chunk.first_ns).min().unwrap_or(u64::MAX);
        let settled_ns = until_ns.min(batch.settled_ns.unwrap_or(u64::MAX)).min(first_late);
        while tracker.settle(settled_ns) {
            output.hand_on(tracker)?;
        }

        for (time, record) in &all[ripe..] {
            rest.push(*time, |out| out.extend_from_slice(record));
        }
        late.into_iter().for_each(|chunk| rest.push_chunk(chunk));
        batch.spare_words.append(&mut read);
        batch.clear_records();
        *held = rest;
        Ok(())
    }
}
