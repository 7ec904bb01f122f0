//! Takes what the programs hand over, and tells them when it is too much.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::attach::Attachment;
use super::layout::{LOSSES, NEW_TOTALS, python};
use super::rings::Taken;
use crate::capture::Capture;
use crate::host::now_ns;
use crate::learned::Learned;
use crate::limits::Restraint;
use crate::perf::drain_ring;
use crate::queue::{Batch, Handover};

/// Bytes of calls taken at one time above which fewer are asked for.
const MANY_CALL_BYTES: usize = 6 << 20;
/// Bytes that wait to be dealt with above which fewer calls are asked for.
const LONG_BACKLOG: usize = 24 << 20;
/// Waits per second above which stacks of short ones are taken more rarely.
const MANY_WAITS: u64 = 10_000;
/// The rarest that calls are written, and by what the threshold of waits is
/// multiplied at most.
const MAX_SCALE: u32 = 1 << 12;
/// How long there must be room before more is asked for again.
const CALM_NS: u64 = 2_000_000_000;

/// How hard it is to keep up.
#[derive(Debug)]
pub(super) struct Pressure {
    /// One call in so many is asked for.
    thin: u32,
    /// The threshold of waits is multiplied by so much.
    wait_scale: u32,
    /// The least that both may be, for the recorder's own sake.
    least: u32,
    /// When it was last too much.
    pressed_ns: u64,
    waits: u64,
    waits_since_ns: u64,
}

impl Default for Pressure {
    fn default() -> Self {
        Pressure { thin: 1, wait_scale: 1, least: 1, pressed_ns: 0, waits: 0, waits_since_ns: 0 }
    }
}

impl Pressure {
    /// One call in how many is asked for, and the factor of the waits' threshold.
    pub(super) fn scales(&self) -> [u32; 2] {
        [self.thin.max(self.least), self.wait_scale.max(self.least)]
    }

    /// Takes in how much came at one time. Returns the scales if they have changed.
    fn adjust(
        &mut self,
        now_ns: u64,
        call_bytes: usize,
        waits: u64,
        backlog: usize,
        restraint: Restraint,
    ) -> Option<[u32; 2]> {
        let before = self.scales();
        self.least = restraint.short_ones().min(MAX_SCALE);
        self.waits += waits;
        if call_bytes > MANY_CALL_BYTES || backlog > LONG_BACKLOG {
            self.thin = (self.thin * 2).min(MAX_SCALE);
            self.pressed_ns = now_ns;
        }
        let elapsed_ns = now_ns.saturating_sub(self.waits_since_ns);
        if elapsed_ns >= 1_000_000_000 {
            let many = self.waits.saturating_mul(1_000_000_000) / elapsed_ns > MANY_WAITS;
            if many && self.waits_since_ns > 0 {
                self.wait_scale = (self.wait_scale * 2).min(MAX_SCALE);
                self.pressed_ns = now_ns;
            }
            (self.waits, self.waits_since_ns) = (0, now_ns);
        }
        if now_ns.saturating_sub(self.pressed_ns) > CALM_NS {
            self.thin = (self.thin / 2).max(1);
            self.wait_scale = (self.wait_scale / 2).max(1);
            self.pressed_ns = now_ns;
        }
        let after = self.scales();
        (before != after).then_some(after)
    }
}

impl Capture for Attachment {
    fn enable(&mut self) -> io::Result<Vec<String>> {
        self.start()
    }

    fn wait(&self, stop: BorrowedFd<'_>, at_most: Duration) {
        self.rings.wait(stop, at_most);
    }

    fn fill(&mut self, batch: &mut Batch, learned: &Learned) {
        for events in &mut self.events {
            drain_ring(&mut events.ring, batch, &learned.stack_ends);
        }
        let Taken { waits, call_bytes } = self.rings.take(batch);
        if let Some(heap) = &mut self.heap {
            heap.look(batch);
        }
        if let Some(functions) = &mut self.functions {
            functions.look(batch);
        }

        let now_ns = now_ns();
        self.report_losses(batch, now_ns);
        if let Ok(begun) = self.counts.sum(NEW_TOTALS) {
            self.totals.take(begun, now_ns, batch);
        }
        let (backlog, restraint) = (batch.backlog, batch.restraint);
        if let Some(scales) = self.pressure.adjust(now_ns, call_bytes, waits, backlog, restraint) {
            self.set_control(scales, self.records_allocations(), false);
        }
        self.learn(learned);
    }

    fn learn(&mut self, learned: &Learned) {
        for (tid, end) in learned.stack_ends.take_changes() {
            // Failing only makes the next copy longer than it had to be.
            let _ = match end {
                0 => self.stack_ends.remove(tid.to_ne_bytes()),
                end => self.stack_ends.set(tid.to_ne_bytes(), &end.to_ne_bytes()),
            };
        }
        for (pid, (runtime, walk)) in learned.pythons.take_new() {
            if let Err(error) = self.pythons.set(pid.to_ne_bytes(), &python(runtime, &walk)) {
                log::info!("frames of Python in process {pid} are not recorded: {error}");
            }
        }
    }

    fn disable(&mut self) -> bool {
        self.end()
    }

    fn hand_over(&mut self, batch: &mut Batch) -> Handover {
        self.lose_all(batch);
        let begun = self.counts.sum(NEW_TOTALS).unwrap_or_default();
        let totals = self.totals.take_until_now(begun, now_ns());
        Handover { totals, ..Handover::default() }
    }

    fn finish(&mut self, hand_over: &mut dyn FnMut(Batch) -> bool) {
        let mut batch = Batch::default();
        self.lose_all(&mut batch);
        self.totals.take_all(batch, hand_over);
    }
}

impl Attachment {
    /// Notes what is only looked up at the end of a file.
    fn lose_all(&mut self, batch: &mut Batch) {
        if let Some(heap) = &mut self.heap {
            heap.lose(batch);
        }
        if let Some(functions) = &mut self.functions {
            functions.lose(batch);
        }
        self.lose_skipped(batch);
    }

    fn report_losses(&mut self, batch: &mut Batch, now_ns: u64) {
        for (index, (class, reason)) in LOSSES.into_iter().enumerate() {
            let Ok(count) = self.counts.sum(index as u32) else { continue };
            let new = count.saturating_sub(self.lost[index]);
            if new > 0 {
                batch.lose(reason, class, self.looked_ns, now_ns, new);
                self.lost[index] = count;
            }
        }
        self.looked_ns = now_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn calls_are_thinned_under_pressure_and_come_back() {
        let mut pressure = Pressure::default();
        let mut at =
            |second, bytes| pressure.adjust(second * SECOND, bytes, 0, 0, Restraint::default());
        assert_eq!(at(10, MANY_CALL_BYTES), None);
        assert_eq!(at(11, MANY_CALL_BYTES + 1), Some([2, 1]));
        assert_eq!(at(12, MANY_CALL_BYTES + 1), Some([4, 1]));
        assert_eq!(at(13, 0), None);
        assert_eq!(at(15, 0), Some([2, 1]));
        assert_eq!(at(16, 0), None);
        assert_eq!(at(18, 0), Some([1, 1]));
        assert_eq!(at(30, 0), None);
    }

    #[test]
    fn many_waits_are_sampled_more_rarely() {
        let mut pressure = Pressure::default();
        let mut at =
            |second, waits| pressure.adjust(second * SECOND, 0, waits, 0, Restraint::default());
        assert_eq!(at(10, 5), None);
        assert_eq!(at(11, MANY_WAITS), None);
        assert_eq!(at(12, MANY_WAITS + 1), Some([1, 2]));
        assert_eq!(at(15, 0), Some([1, 1]));
    }
}
