//! Empties the kernel's buffers: copies, and does nothing that can wait.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use perf_event_open_sys::bindings::PERF_RECORD_SAMPLE;

use crate::host::now_ns;
use crate::perf::attach::Attachment;
use crate::perf::record::{copy_record, time_of};
use crate::queue::{Batch, QueueGauge, StackEnds};

/// How often buffers are emptied when nothing asks for it sooner.
const INTERVAL_MS: u8 = 100;
/// An event that takes its time stamp is in the buffer at most so much later.
const COMMIT_DELAY_NS: u64 = 2_000_000;
/// Bytes waiting to be unwound beyond which stacks are shortened.
const SHORTEN_ABOVE: usize = 48 << 20;
/// What they are shortened to.
const SHORT_STACK: u64 = 8 << 10;
/// Bytes waiting to be unwound beyond which samples are dropped.
const DROP_ABOVE: usize = 96 << 20;
/// Bytes waiting to be unwound beyond which even reports of what processes do
/// are dropped; `/proc` has to tell then.
const DROP_ALL_ABOVE: usize = 128 << 20;
/// Largest batch whose memory is kept for the next one.
const KEEP_UP_TO: usize = 8 << 20;

/// Empties the buffers into `batches` until `stop` is set, then once more.
/// Batches that come back through `empty` are used again.
pub(crate) fn drain(
    mut attachment: Attachment,
    stop: &AtomicBool,
    stack_ends: &StackEnds,
    queue: &QueueGauge,
    batches: &Sender<Batch>,
    empty: &Receiver<Batch>,
) {
    loop {
        // Read before emptying: what came before it is emptied below.
        let stopping = stop.load(Ordering::Acquire);
        if stopping {
            attachment.disable();
        } else {
            wait(&attachment);
        }
        let mut batch = reusable(empty);
        batch.horizon_ns =
            if stopping { u64::MAX } else { now_ns().saturating_sub(COMMIT_DELAY_NS) };
        fill(&mut attachment, &mut batch, stack_ends, queue);
        batch.counted = stopping.then(|| attachment.count());
        queue.add(batch.size());
        if batches.send(batch).is_err() || stopping {
            return;
        }
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

fn wait(attachment: &Attachment) {
    let mut fds: Vec<PollFd<'_>> = attachment
        .buffers
        .iter()
        .flat_map(|buffers| [&buffers.sample_event, &buffers.sideband_event])
        .map(|event| PollFd::new(event.as_fd(), PollFlags::POLLIN))
        .collect();
    let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
    let has_ended = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| events.intersects(ended));
    // An interrupted wait is as good as a finished one.
    let _ = poll(&mut fds, PollTimeout::from(INTERVAL_MS));
    if fds.iter().any(has_ended) {
        // The thread that an event was opened on is gone, and poll will return
        // at once from now on, while other threads go on.
        std::thread::sleep(attachment.safe_pause().min(Duration::from_millis(INTERVAL_MS.into())));
    }
}

fn fill(
    attachment: &mut Attachment,
    batch: &mut Batch,
    stack_ends: &StackEnds,
    queue: &QueueGauge,
) {
    let Batch { bytes, entries, dropped, dropped_reports, malformed, .. } = batch;
    let waiting = queue.bytes();
    for buffers in &mut attachment.buffers {
        for ring in [&mut buffers.sideband, &mut buffers.samples] {
            let made_sense = ring.drain(|header, record| {
                let time_ns = time_of(header, record);
                let backlog = waiting + bytes.len();
                let is_sample = header.kind == PERF_RECORD_SAMPLE;
                if is_sample && backlog > DROP_ABOVE {
                    dropped.add(time_ns);
                    return;
                }
                if backlog > DROP_ALL_ABOVE {
                    *dropped_reports += 1;
                    return;
                }
                let limit = if backlog > SHORTEN_ABOVE { SHORT_STACK } else { u64::MAX };
                let start = bytes.len();
                copy_record(header, record, bytes, limit, |tid| stack_ends.get(tid));
                entries.push((time_ns, start, bytes.len() - start));
            });
            *malformed += u64::from(!made_sense);
        }
    }
}
