//! Counts what single system calls tell besides their stacks.

use rustc_hash::FxHashMap;
use rz_format::Call;

use super::pass::Sink;
use crate::model::{Calls, FailedCalls, InFlightCalls};
use crate::reason::{UNKNOWN_CALL, checked_number, is_error, never_returns};

/// Kinds of failures that are told apart, at most; further ones are those of
/// an unknown call.
const MAX_FAILURES: usize = 1 << 16;

/// What the calls of a trace add up to.
#[derive(Debug, Default)]
pub(super) struct CallCounts {
    /// Those that are in totals.
    rows: u64,
    counted: u64,
    /// By number and error.
    failed: FxHashMap<(u32, u32), u64>,
    /// By number: at the start and at the end.
    in_flight: FxHashMap<u32, (u64, u64)>,
}

/// The error that a call returned, if it failed.
pub fn errno(call: &Call) -> Option<u32> {
    let failed = !call.seen.unfinished && is_error(call.result);
    failed.then(|| call.result.unsigned_abs() as u32)
}

/// Whether a call began and ended while it was recorded: totals have no others.
pub(super) fn is_in_totals(call: &Call) -> bool {
    !call.seen.late && !call.seen.unfinished
}

impl Sink for CallCounts {
    fn calls(&mut self, rows: &[Call]) {
        for call in rows {
            let number = checked_number(call.number);
            if is_in_totals(call) {
                self.rows += 1;
                self.counted = self.counted.saturating_add(call.count);
            }
            if let Some(errno) = errno(call) {
                let mut key = (number, errno);
                if self.failed.len() >= MAX_FAILURES && !self.failed.contains_key(&key) {
                    key.0 = UNKNOWN_CALL;
                }
                let count = self.failed.entry(key).or_default();
                *count = count.saturating_add(call.count);
            }
            let at_end = call.seen.unfinished && !never_returns(number);
            if call.seen.late || at_end {
                let (start, end) = self.in_flight.entry(number).or_default();
                *start += u64::from(call.seen.late);
                *end += u64::from(at_end);
            }
        }
    }
}

impl CallCounts {
    /// The counts, sorted.
    pub(super) fn finish(&self) -> Calls {
        let failed = self.failed.iter();
        let mut failed: Vec<FailedCalls> =
            failed.map(|(&(number, errno), &count)| FailedCalls { number, errno, count }).collect();
        failed.sort_unstable_by_key(|failed| (failed.number, failed.errno));
        let in_flight = self.in_flight.iter();
        let mut in_flight: Vec<InFlightCalls> = in_flight
            .map(|(&number, &(at_start, at_end))| InFlightCalls { number, at_start, at_end })
            .collect();
        in_flight.sort_unstable_by_key(|calls| calls.number);
        Calls { rows: self.rows, counted: self.counted, failed, in_flight }
    }
}
