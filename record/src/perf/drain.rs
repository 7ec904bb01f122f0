//! Empties the buffers of events that belong to threads.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use perf_event_open_sys::bindings::PERF_RECORD_SAMPLE;
use rz_format::{LossClass, LossReason};

use crate::capture::{Capture, whole_millis};
use crate::learned::{Learned, StackEnds};
use crate::perf::attach::Attachment;
use crate::perf::record::{copy_record, time_of};
use crate::perf::ring::Ring;
use crate::queue::{Batch, Handover};

impl Capture for Attachment {
    fn enable(&mut self) -> io::Result<Vec<String>> {
        self.enable_sampling().map(|()| Vec::new())
    }

    fn wait(&self, stop: BorrowedFd<'_>, at_most: Duration) {
        let mut fds: Vec<PollFd<'_>> = self
            .buffers
            .iter()
            .flat_map(|buffers| [&buffers.sample_event, &buffers.sideband_event])
            .map(|event| event.as_fd())
            .chain([stop])
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
        let has_ended =
            |fd: &PollFd<'_>| fd.revents().is_some_and(|events| events.intersects(ended));
        // An interrupted wait is as good as a finished one.
        let _ = poll(&mut fds, whole_millis(at_most));
        if fds.iter().any(has_ended) {
            // The thread that an event was opened on is gone, and poll will
            // return at once from now on, while other threads go on.
            std::thread::sleep(self.safe_pause().min(at_most));
        }
    }

    fn fill(&mut self, batch: &mut Batch, learned: &Learned) {
        for buffers in &mut self.buffers {
            for ring in [&mut buffers.sideband, &mut buffers.samples] {
                drain_ring(ring, batch, &learned.stack_ends);
            }
        }
        // There are none of single threads.
        batch.totals_until_ns = batch.horizon_ns;
    }

    /// Where stacks end is looked up as it is needed.
    fn learn(&mut self, _: &Learned) {}

    fn disable(&mut self) -> bool {
        self.disable_sampling();
        true
    }

    fn hand_over(&mut self, _: &mut Batch) -> Handover {
        Handover { counted: self.count(), ..Handover::default() }
    }

    fn finish(&mut self, hand_over: &mut dyn FnMut(Batch) -> bool) {
        let mut batch = Batch::default();
        batch.counted = self.count();
        hand_over(batch);
    }
}

/// Moves the records of a ring into `batch`.
pub(crate) fn drain_ring(ring: &mut Ring, batch: &mut Batch, stack_ends: &StackEnds) {
    let made_sense = ring.drain(|header, record| {
        let time_ns = time_of(header, record);
        let stack_limit = match header.kind {
            PERF_RECORD_SAMPLE => batch.admit(LossClass::Samples),
            _ => batch.admit_report().then_some(0),
        };
        match stack_limit {
            Some(limit) => batch.push(time_ns, |out| {
                copy_record(header, record, out, limit, |tid| stack_ends.get(tid));
            }),
            None if header.kind == PERF_RECORD_SAMPLE => {
                batch.lose(LossReason::QueueFull, LossClass::Samples, time_ns, time_ns, 1);
            }
            None => {}
        }
    });
    batch.malformed += u64::from(!made_sense);
}
