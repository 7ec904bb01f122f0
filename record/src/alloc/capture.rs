//! Takes what hooks have written, along with what another capture has.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use rustc_hash::FxHashMap;
use rz_alloc_ring::{
    Counts, Events, MAX_SLOTS, NO_CLOCK, NO_MEMORY, NOT_FIRST, OTHER_NAMESPACE, SIZE_CLASSES,
    SlotHeader, mode,
};
use rz_format::{HeapCounts, LossClass, LossReason};

use super::Hook;
use super::memory::Memory;
use crate::capture::Capture;
use crate::chunk::Chunk;
use crate::host::now_ns;
use crate::learned::Learned;
use crate::queue::{Batch, Handover};
use crate::ticks::Ticks;

/// How often rings are looked at while little happens: threads' counts are
/// this fine in time.
const CALM: Duration = Duration::from_millis(9);
/// How often while rings fill.
const BUSY: Duration = Duration::from_millis(1);
/// How long it stays that way when they do no more, and in the beginning.
const BUSY_SPAN_NS: u64 = 20_000_000;
const BUSY_AT_FIRST_NS: u64 = 200_000_000;
/// Bytes in rings at one look that count as busy.
const BUSY_BYTES: usize = 64 << 10;
/// Counts are written at most so often.
const COUNT_INTERVAL_NS: u64 = 8_000_000;
/// How often it is looked which threads are gone.
const REAP_INTERVAL_NS: u64 = 50_000_000;
/// Memory of so many chunks is kept to be used again.
const MAX_SPARES: usize = 8;
/// A thread may be held up between taking the time of an event and writing it.
/// Events that come even later are out of order.
const SETTLE_DELAY_NS: u64 = 20_000_000;
/// Bytes waiting to be dealt with beyond which events stay in the rings, where
/// hooks count what they drop.
const LEAVE_ABOVE: usize = 24 << 20;
/// Shared memory at which hooks are switched off: many threads with full rings.
const MAX_MEMORY: u64 = 1 << 30;

/// A capture, and the rings of hooks.
pub(crate) struct Rings {
    inner: Box<dyn Capture>,
    memory: Memory,
    ticks: Ticks,
    clock: u32,
    slots: Vec<Slot>,
    /// Events that have no times yet.
    taken: Vec<Chunk>,
    spare_words: Vec<Vec<u64>>,
    /// Slots up to this one have been in use.
    used: u32,
    /// Rings are looked at often until then.
    busy_until_ns: u64,
    looked_ns: u64,
    counted_ns: u64,
    reaped_ns: u64,
    without_slot: u64,
    /// Slots that were found in use so far.
    born: u64,
    /// When hooks were switched off for want of memory; 0 if they were not.
    given_up_ns: u64,
    /// When the file began, if it is not the first one.
    handed_over_ns: u64,
    /// Whether the user was told of hooks that cannot work.
    is_failure_told: bool,
    /// What hooks will not see.
    note: Option<String>,
}

/// What is known of a slot.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// 0 while it is free.
    tid: u32,
    /// When it was found in use, counted in slots.
    born: u64,
    /// Threads that had it before.
    taken: u32,
    /// What its counts were when they were written.
    counts: HeapCounts,
    lost: Lost,
    /// When its counts were taken.
    counted_ns: u64,
}

/// Events that a hook could not write.
#[derive(Debug, Clone, Copy, Default)]
struct Lost {
    dropped: u64,
    nested: u64,
}

impl Rings {
    /// Takes what `hook` brings, besides what `inner` captures.
    pub(crate) fn new(inner: Box<dyn Capture>, hook: Hook) -> Self {
        let clock = hook.memory.control().clock;
        Rings {
            inner,
            memory: hook.memory,
            ticks: Ticks::start(clock),
            clock,
            slots: vec![Slot::default(); MAX_SLOTS as usize],
            taken: Vec::new(),
            spare_words: Vec::new(),
            used: 0,
            // Programs allocate a lot when they begin.
            busy_until_ns: now_ns() + BUSY_AT_FIRST_NS,
            looked_ns: now_ns(),
            counted_ns: 0,
            reaped_ns: 0,
            without_slot: 0,
            born: 0,
            given_up_ns: 0,
            handed_over_ns: 0,
            is_failure_told: false,
            note: hook.note,
        }
    }

    fn take_all(&mut self, batch: &mut Batch, is_last: bool) {
        let now = now_ns();
        if batch.backlog > LEAVE_ABOVE && !is_last {
            // Nothing that comes later is in order without what is left here.
            batch.settled_ns = Some(0);
            return;
        }
        self.spare_words.append(&mut batch.spare_words);
        self.spare_words.truncate(MAX_SPARES);
        batch.settled_ns = Some(now.saturating_sub(SETTLE_DELAY_NS));
        let counts_due = is_last || now.saturating_sub(self.counted_ns) >= COUNT_INTERVAL_NS;
        let reap_due = is_last || now.saturating_sub(self.reaped_ns) >= REAP_INTERVAL_NS;
        self.counted_ns = if counts_due { now } else { self.counted_ns };
        self.reaped_ns = if reap_due { now } else { self.reaped_ns };
        let mut bytes = 0;
        let mut free_in_a_row = 0;
        for slot in 0..MAX_SLOTS {
            // Hooks take the first free slot they find, more or less.
            if slot > self.used && free_in_a_row > 64 {
                break;
            }
            // Acquire pairs with the hook's release of `pid`, after which the
            // slot is in use.
            let pid = self.memory.entry(slot).pid.load(Ordering::Acquire);
            let tid = self.memory.entry(slot).tid.load(Ordering::Relaxed);
            if pid == 0 || tid == 0 {
                free_in_a_row += 1;
                continue;
            }
            free_in_a_row = 0;
            self.used = self.used.max(slot);
            // Before its events are taken: what it writes later is for the
            // next look.
            let is_gone = reap_due && kill(Pid::from_raw(tid as i32), None) == Err(Errno::ESRCH);
            if self.slots[slot as usize].tid == 0 {
                self.born += 1;
                let known = &mut self.slots[slot as usize];
                // What it holds began after the last look.
                (known.tid, known.born, known.counted_ns) = (tid, self.born, self.looked_ns);
            }
            bytes += self.take_events(slot, pid, tid, batch);
            if counts_due || is_gone {
                self.take_counts(slot, pid, tid, now, batch);
            }
            if is_gone {
                self.release(slot);
            }
        }
        if reap_due {
            self.release_replaced(now, batch);
            self.check_memory(batch, now);
            self.report_failure(batch, is_last);
        }
        self.date(batch);
        self.report_without_slot(batch, now);
        if is_last {
            self.lose_since_given_up(batch, now);
        }
        if bytes >= BUSY_BYTES {
            self.busy_until_ns = now + BUSY_SPAN_NS;
        }
        self.looked_ns = now;
    }

    /// Takes a slot's events; returns how many bytes they are.
    fn take_events(&mut self, slot: u32, pid: u32, tid: u32, batch: &mut Batch) -> usize {
        let mut bytes = 0;
        // Once up to the end of the ring, and once from its beginning.
        for _ in 0..2 {
            let spare = self.spare_words.pop().unwrap_or_default();
            match self.memory.take(slot, spare) {
                Ok(words) if words.is_empty() => {
                    self.spare_words.push(words);
                    break;
                }
                Ok(words) => {
                    bytes += words.len() * 8;
                    let chunk = self.chunk(slot, pid, tid);
                    self.taken.push(Chunk { words, ..chunk });
                }
                Err(error) => {
                    log::debug!("events of thread {tid} make no sense: {error}");
                    let now = now_ns();
                    batch.lose(
                        LossReason::Malformed,
                        LossClass::Allocations,
                        self.looked_ns,
                        now,
                        1,
                    );
                    break;
                }
            }
        }
        bytes
    }

    /// Puts what was taken where its time says.
    fn date(&mut self, batch: &mut Batch) {
        // Now that all events are older than this moment, none will ever be
        // dated by another pair of moments.
        self.ticks.advance(self.clock);
        let ticks = self.ticks;
        for mut chunk in self.taken.drain(..) {
            let mut times =
                Events::new(&chunk.words).map_while(Result::ok).map(|event| event.ticks());
            if let Some(first) = times.next() {
                let last = times.last().unwrap_or(first);
                (chunk.first_ns, chunk.last_ns) = (ticks.to_ns(first), ticks.to_ns(last));
            }
            let born_ns = ticks.to_ns(chunk.born_ns);
            batch.push_chunk(Chunk { ticks, born_ns, ..chunk });
        }
    }

    /// Takes what a slot has counted since the last time.
    fn take_counts(&mut self, slot: u32, pid: u32, tid: u32, now: u64, batch: &mut Batch) {
        let Ok(header) = self.memory.slot(slot) else { return };
        let (counts, lost) = read(&header.counts);
        let mut chunk = self.chunk(slot, pid, tid);
        let known = &mut self.slots[slot as usize];
        let since = counts.since(&known.counts);
        if !since.is_zero() {
            (chunk.first_ns, chunk.last_ns) = (now, now);
            chunk.counts = HeapCounts { time_ns: now, ..since };
            self.taken.push(chunk);
        }
        known.counts = counts;
        for (reason, count) in [
            (LossReason::QueueFull, lost.dropped.saturating_sub(known.lost.dropped)),
            (LossReason::Nested, lost.nested.saturating_sub(known.lost.nested)),
        ] {
            if count > 0 {
                batch.lose(reason, LossClass::Allocations, known.counted_ns, now, count);
            }
        }
        known.lost = lost;
        known.counted_ns = now;
    }

    /// A chunk of a slot without anything in it. Times are still in ticks.
    fn chunk(&mut self, slot: u32, pid: u32, tid: u32) -> Chunk {
        let header = self.memory.slot(slot).ok();
        // Relaxed: written before the slot was found in use.
        let read = |number: fn(&SlotHeader) -> &AtomicU64| {
            header.map_or(0, |header| number(header).load(Ordering::Relaxed))
        };
        Chunk {
            slot,
            taken: self.slots[slot as usize].taken,
            pid,
            tid,
            first_ns: 0,
            last_ns: 0,
            ticks: self.ticks,
            words: Vec::new(),
            counts: HeapCounts::default(),
            born_ns: read(|header| &header.born),
            malloc: read(|header| &header.malloc),
        }
    }

    fn release(&mut self, slot: u32) {
        if let Err(error) = self.memory.release(slot) {
            log::warn!("a buffer cannot be given back: {error}");
            return;
        }
        let known = &mut self.slots[slot as usize];
        *known = Slot { taken: known.taken + 1, ..Slot::default() };
    }

    /// Gives back slots of threads that have executed another program, which
    /// has taken another slot.
    fn release_replaced(&mut self, now: u64, batch: &mut Batch) {
        let mut newest = FxHashMap::default();
        let mut replaced = Vec::new();
        for slot in 0..=self.used {
            let Slot { tid, born, .. } = self.slots[slot as usize];
            if tid == 0 {
                continue;
            }
            let (other, other_born) = *newest.entry(tid).or_insert((slot, born));
            if other_born < born {
                newest.insert(tid, (slot, born));
                replaced.push((other, tid));
            } else if other != slot {
                replaced.push((slot, tid));
            }
        }
        for (slot, tid) in replaced {
            // What it did after it was looked at, before the other program.
            let pid = self.memory.entry(slot).pid.load(Ordering::Relaxed);
            self.take_events(slot, pid, tid, batch);
            self.take_counts(slot, pid, tid, now, batch);
            self.release(slot);
        }
    }

    /// Ends hooks before memory runs out.
    fn check_memory(&mut self, batch: &mut Batch, now: u64) {
        if self.given_up_ns == 0 && self.memory.in_use() > MAX_MEMORY {
            let text = "allocations are recorded no more: too many threads fill their buffers";
            batch.notes.push(text.to_owned());
            self.switch_off();
            self.given_up_ns = now;
        }
    }

    /// Says once that hooks cannot work, or in the end that none did.
    fn report_failure(&mut self, batch: &mut Batch, is_last: bool) {
        if self.is_failure_told {
            return;
        }
        let control = self.memory.control();
        // Relaxed: numbers that stand for themselves.
        let is_started = control.started.load(Ordering::Relaxed) > 0;
        let reason = control.failure.load(Ordering::Relaxed);
        let text = failure(is_started, reason, is_last);
        self.is_failure_told = text.is_some();
        batch.notes.extend(text);
    }

    fn report_without_slot(&mut self, batch: &mut Batch, now: u64) {
        let events = self.memory.control().without_slot.load(Ordering::Relaxed);
        let since = events.saturating_sub(self.without_slot);
        if since > 0 {
            batch.lose(LossReason::NoBuffer, LossClass::Allocations, now, now, since);
        }
        self.without_slot = events;
    }

    /// Says since when allocations are missing in this file.
    fn lose_since_given_up(&mut self, batch: &mut Batch, now: u64) {
        if self.given_up_ns > 0 {
            let since = self.given_up_ns.max(self.handed_over_ns);
            batch.lose(LossReason::NoBuffer, LossClass::Allocations, since, now, 0);
        }
        self.handed_over_ns = now;
    }

    fn switch_off(&mut self) {
        // Relaxed: hooks may find out a little later.
        self.memory.control().mode.store(mode::OFF, Ordering::Relaxed);
    }
}

impl Capture for Rings {
    fn enable(&mut self) -> io::Result<Vec<String>> {
        let mut notes = self.inner.enable()?;
        notes.extend(self.note.take());
        Ok(notes)
    }

    fn wait(&self, stop: BorrowedFd<'_>, at_most: Duration) {
        let pause = if self.looked_ns < self.busy_until_ns { BUSY } else { CALM };
        self.inner.wait(stop, at_most.min(pause));
    }

    fn fill(&mut self, batch: &mut Batch, learned: &Learned) {
        // First: what the kernel reports of threads and mappings then is later
        // than what they have allocated.
        let is_last = batch.horizon_ns == u64::MAX;
        self.take_all(batch, is_last);
        self.inner.fill(batch, learned);
    }

    fn learn(&mut self, learned: &Learned) {
        self.inner.learn(learned);
    }

    fn disable(&mut self) -> bool {
        self.switch_off();
        self.inner.disable()
    }

    fn hand_over(&mut self, batch: &mut Batch) -> Handover {
        // Counts that are as young as what was last taken.
        self.counted_ns = 0;
        self.take_all(batch, false);
        self.lose_since_given_up(batch, now_ns());
        self.inner.hand_over(batch)
    }

    fn finish(&mut self, hand_over: &mut dyn FnMut(Batch) -> bool) {
        self.inner.finish(hand_over);
    }
}

/// What the user should know of hooks that do not work: some have, and why one
/// did not, or 0.
fn failure(is_started: bool, reason: u32, is_last: bool) -> Option<String> {
    let whose = if is_started { "a program that was executed" } else { "the program" };
    let what = match reason {
        0 if is_started || !is_last => return None,
        0 => "the library that --alloc loads into the program has not begun to work: it ended \
              before, or runs as another user or without the environment that rec gave it"
            .to_owned(),
        OTHER_NAMESPACE => format!("{whose} is in a pid namespace of its own"),
        NOT_FIRST => format!("{whose} has an allocator of its own in place of the C library's"),
        NO_CLOCK => {
            return Some(until(
                "forbidden itself to read the processor's clock (PR_SET_TSC or strict seccomp)",
            ));
        }
        NO_MEMORY => {
            return Some(until(
                "put other memory in the place of what the library shares with rec",
            ));
        }
        errno => format!(
            "the library that --alloc loads cannot work in {whose}: {}",
            io::Error::from_raw_os_error(errno as i32)
        ),
    };
    Some(format!(
        "{what}; its allocations are not recorded: start it without rec, and attach with \
         rec -p PID --alloc"
    ))
}

/// What to say of a program that has done something which ends its recording.
fn until(what: &str) -> String {
    format!(
        "a program has {what}; its allocations are recorded until then: for all, start it without \
         rec, and attach with rec -p PID --alloc"
    )
}

/// The numbers of a slot.
fn read(counts: &Counts) -> (HeapCounts, Lost) {
    // Each number stands for itself.
    let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let mut read = HeapCounts {
        time_ns: 0,
        thread: None,
        allocations: number(&counts.allocations),
        bytes: number(&counts.bytes),
        frees: number(&counts.frees),
        failed: number(&counts.failed),
        mmaps: number(&counts.mmaps),
        mapped: number(&counts.mapped),
        munmaps: number(&counts.munmaps),
        unmapped: number(&counts.unmapped),
        break_up: number(&counts.break_up),
        break_down: number(&counts.break_down),
        ..HeapCounts::default()
    };
    const { assert!(SIZE_CLASSES == rz_format::HISTOGRAM_BUCKETS) };
    for (size, count) in read.sizes.0.iter_mut().zip(&counts.sizes) {
        *size = number(count);
    }
    (read, Lost { dropped: number(&counts.dropped), nested: number(&counts.nested) })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Capture for Nothing {
        fn enable(&mut self) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }
        fn wait(&self, _: BorrowedFd<'_>, _: Duration) {}
        fn fill(&mut self, _: &mut Batch, _: &Learned) {}

        fn learn(&mut self, _: &Learned) {}
        fn disable(&mut self) -> bool {
            true
        }
        fn hand_over(&mut self, _: &mut Batch) -> Handover {
            Handover::default()
        }
        fn finish(&mut self, _: &mut dyn FnMut(Batch) -> bool) {}
    }

    #[test]
    fn a_program_that_is_replaced_is_counted_to_its_end() {
        let memory = Memory::create(0, 1024, true).unwrap();
        let mut rings =
            Rings::new(Box::new(Nothing), Hook { memory, note: None, library: "".into() });
        let mut look = |slot: u32, allocations: u64, reap: bool| {
            let entry = rings.memory.entry(slot);
            // A thread that lives.
            entry.tid.store(std::process::id(), Ordering::Relaxed);
            entry.pid.store(std::process::id(), Ordering::Release);
            let counts = &rings.memory.slot(slot).unwrap().counts;
            counts.allocations.store(allocations, Ordering::Relaxed);
            rings.memory.put(slot, &[rz_alloc_ring::first_word(1, 1), 0x1000]);
            // Threads are looked for now, and counts are not due, or the reverse.
            let never = u64::MAX;
            (rings.reaped_ns, rings.counted_ns) = if reap { (0, never) } else { (never, 0) };
            let mut batch = Batch::default();
            rings.take_all(&mut batch, false);
            let chunks = batch.take_chunks();
            let counted = chunks.iter().map(|chunk| chunk.counts.allocations).sum::<u64>();
            let words = chunks.iter().map(|chunk| chunk.words.len()).sum::<usize>();
            (counted, words, rings.memory.entry(0).tid.load(Ordering::Relaxed) != 0)
        };
        assert_eq!(look(0, 5, false), (5, 2, true));
        assert_eq!(look(0, 7, true), (0, 2, true));
        // It executes another program, which takes another slot.
        assert_eq!(look(1, 1, true), (2, 2, false));
        assert_eq!(look(1, 4, false), (4, 2, false));
    }

    #[test]
    fn who_does_not_work_is_told() {
        let check = |is_started, reason, is_last, expected: Option<&str>| {
            let text = failure(is_started, reason, is_last);
            assert_eq!(text.is_some(), expected.is_some(), "{text:?}");
            assert!(text.unwrap_or_default().contains(expected.unwrap_or("")), "{expected:?}");
        };
        check(true, 0, true, None);
        check(false, 0, false, None);
        check(false, 0, true, Some("has not begun to work"));
        check(false, NOT_FIRST, false, Some("the program has an allocator of its own"));
        check(true, NOT_FIRST, false, Some("a program that was executed has an allocator"));
        check(false, Errno::ENOMEM as u32, false, Some("Cannot allocate memory"));
        check(true, OTHER_NAMESPACE, false, Some("a program that was executed is in a pid"));
        check(true, NO_CLOCK, false, Some("recorded until then"));
        check(true, NO_MEMORY, false, Some("recorded until then"));
        check(false, u32::MAX - 4, false, Some("cannot work in the program"));
    }
}
