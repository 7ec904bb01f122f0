//! What a capture tier is to the rest of the recorder, and the thread that
//! takes what it captured: copies, and does nothing that can wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use nix::sys::eventfd::{EfdFlags, EventFd};
use rustc_hash::FxHashMap;
use rz_format::Tier;

use crate::event::{RawEvent, Source};
use crate::host::now_ns;
use crate::learned::Learned;
use crate::limits::{Governor, Use, Verdict};
use crate::queue::{Batch, Handover, QueueGauge, Room};
use crate::shared::Shared;

/// How often buffers are emptied when nothing asks for it sooner.
const INTERVAL: Duration = Duration::from_millis(100);
/// The same at first, for so long: what a program that has just been started runs has
/// to be known before anything of it can be taken down.
const FIRST_INTERVAL: Duration = Duration::from_millis(5);
const AT_FIRST: Duration = Duration::from_millis(500);
/// An event is in its buffer at most so much later than it takes its time.
const COMMIT_DELAY_NS: u64 = 2_000_000;
/// Largest batch whose memory is kept for the next one.
const KEEP_UP_TO: usize = 8 << 20;
/// Bytes waiting to be unwound above which the end of a recording waits.
const LONG_QUEUE: usize = 24 << 20;
/// How long a file lasts at least, whoever asks for the next one: the one before has to
/// be closed by then.
const SHORTEST_FILE_NS: u64 = 250_000_000;
/// How late the end may be noticed.
const LATE: Duration = Duration::from_millis(500);
/// How long it waits before it looks again.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// A tier that is attached to its targets.
pub(crate) struct Attached {
    /// Where events come from.
    pub(crate) capture: Box<dyn Capture>,
    /// Reads an event that `capture` has put into a batch.
    pub(crate) parse: fn(&[u8]) -> Option<RawEvent<'_>>,
    /// Its name in the trace.
    pub(crate) tier: Tier,
    /// What samples.
    pub(crate) event: rz_format::Event,
    /// What a sample stands for, in the event's unit; 0 if that varies.
    pub(crate) usual_weight: u64,
    /// Whether kernel mode is sampled.
    pub(crate) kernel: bool,
    /// Whether there are reports of others than the targets, and those children
    /// of theirs that are followed.
    pub(crate) reports_others: bool,
    /// The processes, children that are followed included.
    pub(crate) pids: Vec<u32>,
    /// The files whose functions processes allocate with, by pid.
    pub(crate) allocators: Vec<(u32, String)>,
    /// Functions whose calls are recorded.
    pub(crate) functions: Vec<rz_format::Function>,
    /// Whom event numbers belong to, if events are opened on threads.
    pub(crate) sources: FxHashMap<u64, Source>,
    /// Bytes that are copied of each buffer that system calls are given; 0 for none.
    pub(crate) data_bytes: u32,
    /// What was asked for and cannot be recorded, and why, a sentence each.
    pub(crate) missing: Vec<String>,
    /// By which of the kernel's means, where there are several.
    pub(crate) ways: String,
    /// Whether frames of CPython are taken down.
    pub(crate) follows_python: bool,
    /// What the kernel calls its programs by.
    pub(crate) program_tags: Vec<String>,
    /// What the user should know, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// Where events come from.
pub(crate) trait Capture: Send {
    /// Starts samples, waits, calls and allocations. What processes do is reported
    /// already. Returns what the user should know, a sentence each.
    fn enable(&mut self) -> io::Result<Vec<String>>;

    /// Waits until there is something to take, `stop` can be read, or `at_most`
    /// has passed.
    fn wait(&self, stop: BorrowedFd<'_>, at_most: Duration);

    /// Moves what has been captured into `batch`.
    fn fill(&mut self, batch: &mut Batch, learned: &Learned);

    /// Uses what resolving has found out by now; [`Capture::fill`] does so, too.
    fn learn(&mut self, learned: &Learned);

    /// Ends what [`Capture::enable`] has started. What was captured before can
    /// still be taken. Returns whether that is all: if not, there is more than
    /// the buffers hold, and this is to be called again when they are empty.
    fn disable(&mut self) -> bool;

    /// Adds to `batch` what is known of all that was captured until now, when a file ends
    /// and the next one begins; of sums, what came since it was last called.
    fn hand_over(&mut self, batch: &mut Batch) -> Handover;

    /// Gives what is only known in the end to `hand_over`, batch by batch, as
    /// long as that takes them.
    fn finish(&mut self, hand_over: &mut dyn FnMut(Batch) -> bool);
}

/// A time to wait, as `poll` takes it.
pub(crate) fn whole_millis(time: Duration) -> PollTimeout {
    PollTimeout::from(u16::try_from(time.as_millis()).unwrap_or(u16::MAX))
}

/// Ends the recording: when it is told to, and when its time is over, whatever holds
/// up whom.
#[derive(Debug)]
pub(crate) struct Stop {
    is_set: AtomicBool,
    wake: EventFd,
    /// When its time is over, on the trace's clock.
    due_ns: u64,
}

impl Stop {
    /// For a recording that began at this time, on the trace's clock.
    pub(crate) fn new(start_ns: u64, duration: Option<Duration>) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = EventFd::from_value_and_flags(0, flags)?;
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let due_ns = start_ns.saturating_add(duration.map_or(u64::MAX, nanoseconds));
        Ok(Stop { is_set: AtomicBool::new(false), wake, due_ns })
    }

    /// When the recording's time is over, on the trace's clock.
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// How much of its time is left.
    pub(crate) fn left(&self) -> Duration {
        Duration::from_nanos(self.due_ns.saturating_sub(now_ns()))
    }

    fn is_over(&self) -> bool {
        self.is_set.load(Ordering::Acquire) || self.left().is_zero()
    }

    /// Has [`drain`] end at once.
    pub(crate) fn set(&self) {
        // Release pairs with the acquire in `drain`.
        self.is_set.store(true, Ordering::Release);
        // If it cannot be woken, it wakes by itself a moment later.
        let _ = self.wake.write(1);
    }
}

/// When files end that are followed by others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rotation {
    /// After how long, in nanoseconds; `None` for only when it is asked for.
    every_ns: Option<u64>,
    began_ns: u64,
}

impl Rotation {
    /// For a recording whose first file began at `start_ns`.
    pub(crate) fn new(start_ns: u64, every: Option<Duration>) -> Self {
        let every_ns = every.map(|every| u64::try_from(every.as_nanos()).unwrap_or(u64::MAX));
        Rotation { every_ns, began_ns: start_ns }
    }

    /// Whether the file is to end now. If it was asked for, that stays so until it can.
    fn is_due(&mut self, now_ns: u64, shared: &Shared) -> bool {
        let age_ns = now_ns.saturating_sub(self.began_ns);
        if age_ns < SHORTEST_FILE_NS {
            return false;
        }
        let is_old = self.every_ns.is_some_and(|every_ns| age_ns >= every_ns);
        let is_due = shared.take_next_file() || is_old;
        if is_due {
            self.began_ns = match self.every_ns {
                // Not a moment later each time.
                Some(every_ns) if is_old => now_ns - age_ns % every_ns,
                _ => now_ns,
            };
        }
        is_due
    }
}

/// Where batches go, and come back empty.
pub(crate) struct Pipe {
    pub(crate) batches: Sender<Batch>,
    pub(crate) empty: Receiver<Batch>,
}

/// Takes what is captured into `batches` until `stop` says so, then all the rest.
/// Batches that come back through `empty` are used again.
pub(crate) fn drain(
    mut capture: Box<dyn Capture>,
    stop: &Stop,
    mut rotation: Option<Rotation>,
    shared: &Shared,
    learned: &Learned,
    queue: &QueueGauge,
    Pipe { batches, empty }: &Pipe,
) {
    let started = Instant::now();
    let mut governor = Governor::new(shared.limits, now_ns(), Use::now());
    // Whether it is over, and whether that was noticed late.
    let (mut is_over, mut is_late) = (false, false);
    let mut notes = Vec::new();
    loop {
        // What came before it is taken below.
        let is_last = if stop.is_over() {
            if !is_over {
                is_over = true;
                let late = Duration::from_nanos(now_ns().saturating_sub(stop.due_ns));
                is_late = late > LATE;
                if is_late {
                    notes.push(format!(
                        "rec was held up, and noticed {:.1} s late that its time was over: exact \
                         sums and losses are for longer than the recording",
                        late.as_secs_f64()
                    ));
                }
                shared.set_end_ns(now_ns().min(stop.due_ns));
                // From here on there is only what is left.
                governor.look(now_ns(), Use::now());
                notes.extend(governor.sum());
            }
            // Whatever holds up the output, targets are left alone first.
            let is_all = capture.disable();
            if is_all {
                wait_for_queue(queue, batches, shared);
            }
            is_all
        } else {
            let is_first = started.elapsed() < AT_FIRST;
            let interval = if is_first { FIRST_INTERVAL } else { INTERVAL };
            capture.wait(stop.wake.as_fd(), interval.min(stop.left()));
            false
        };
        let memory_was_short = governor.memory_is_short();
        if !is_over && governor.is_due(now_ns()) {
            match governor.look(now_ns(), Use::now()) {
                Verdict::GoOn(note) => notes.extend(note),
                // What is in the queue may never get any further.
                Verdict::End(why) => shared.end_early(&why),
            }
        }
        let mut batch = reusable(empty);
        (batch.room, batch.restraint) = (Room::within(shared.limits.max_rss), governor.restraint());
        batch.memory_is_short = governor.memory_is_short() && !memory_was_short;
        batch.horizon_ns =
            if is_last { u64::MAX } else { now_ns().saturating_sub(COMMIT_DELAY_NS) };
        batch.backlog = queue.bytes();
        batch.notes.append(&mut notes);
        capture.fill(&mut batch, learned);
        if !is_over
            && let Some(rotation) = &mut rotation
            && rotation.is_due(now_ns(), shared)
        {
            let handover = capture.hand_over(&mut batch);
            batch.handover = Some(Handover { time_ns: now_ns(), ..handover });
        }
        let hand_over = |batch: Batch| {
            queue.add(batch.size());
            batches.send(batch).is_ok()
        };
        if !hand_over(batch) {
            return;
        }
        if is_last {
            capture.finish(&mut |mut batch| {
                if is_late {
                    // It says nothing of the time that was recorded.
                    batch.counted = None;
                }
                wait_for_queue(queue, batches, shared);
                hand_over(batch)
            });
            return;
        }
    }
}

/// Waits until there is room for more in the queue, for which there is time in the end
/// unless the output takes too long.
fn wait_for_queue(queue: &QueueGauge, batches: &Sender<Batch>, shared: &Shared) {
    let has_time = || shared.has_time_to_write();
    // If nobody takes batches any more, sending one fails.
    while queue.bytes() > LONG_QUEUE && has_time() && batches.send(Batch::default()).is_ok() {
        thread::sleep(QUEUE_PAUSE);
    }
}

/// A batch that came back, if its memory is worth keeping; else a new one.
fn reusable(empty: &Receiver<Batch>) -> Batch {
    let mut batch = empty.try_iter().last().unwrap_or_default();
    if batch.size() > KEEP_UP_TO {
        return Batch::default();
    }
    batch.reset();
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    /// Captures nothing, and tells how long it may wait. The first wait lasts as long as
    /// what is at first, and the second one ends the recording.
    struct Waits {
        waits: Sender<Duration>,
        has_waited: AtomicBool,
        stop: Arc<Stop>,
    }

    impl Capture for Waits {
        fn enable(&mut self) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }
        fn wait(&self, _: BorrowedFd<'_>, at_most: Duration) {
            self.waits.send(at_most).unwrap();
            if self.has_waited.swap(true, Ordering::Relaxed) {
                self.stop.set();
            } else {
                thread::sleep(AT_FIRST);
            }
        }
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
    fn files_end_in_time_and_when_asked() {
        const SECOND: u64 = 1_000_000_000;
        let shared = Shared::default();
        let mut rotation = Rotation::new(SECOND, Some(Duration::from_secs(60)));
        let mut is_due = |tenths: u64| rotation.is_due(SECOND + tenths * SECOND / 10, &shared);
        assert_eq!([10, 599, 600, 601].map(&mut is_due), [false, false, true, false]);
        // A late one does not delay those that follow.
        assert_eq!([1203, 1799, 1800].map(&mut is_due), [true, false, true]);
        // Nor does a recorder that was held up make up for what it has missed.
        assert_eq!([4803, 4810, 5399, 5400].map(&mut is_due), [true, false, false, true]);
        shared.ask_for_next_file();
        assert_eq!([5401, 5405, 5406].map(&mut is_due), [false, true, false]);
        assert_eq!([6004, 6005].map(&mut is_due), [false, true]);

        let mut rotation = Rotation::new(SECOND, None);
        assert!(!rotation.is_due(SECOND << 20, &shared));
        shared.ask_for_next_file();
        assert!(rotation.is_due(SECOND << 20, &shared));
    }

    #[test]
    fn what_a_program_runs_that_is_started_is_looked_for_sooner() {
        let stop = Arc::new(Stop::new(now_ns(), None).unwrap());
        let (waits, waited) = channel();
        let (batches, taken) = channel();
        let (_back, empty) = channel();
        let has_waited = AtomicBool::new(false);
        let capture = Box::new(Waits { waits, has_waited, stop: Arc::clone(&stop) });
        let gauge = QueueGauge::default();
        let (shared, learned) = (Shared::default(), Learned::default());
        drain(capture, &stop, None, &shared, &learned, &gauge, &Pipe { batches, empty });
        assert_eq!(waited.iter().collect::<Vec<_>>(), [FIRST_INTERVAL, INTERVAL]);
        assert_eq!(taken.iter().count(), 3);
    }
}
