//! Exact sums by file: the kernel's, which are of the whole recording, less what the files
//! before have of them.
//!
//! Nothing is reset, as threads go on adding. So a sum is whole over all files, whatever was
//! just being added when it was read.

use std::fs;

use rustc_hash::FxHashMap;
use rz_format::{HISTOGRAM_BUCKETS, Total};

use super::layout::{TOTAL_KEY_LEN, TOTAL_LEN, total};
use super::maps::Table;
use crate::event::RawTotal;

type Key = [u8; TOTAL_KEY_LEN];
type Value = [u8; TOTAL_LEN];

/// What the files before have of each sum.
#[derive(Debug, Default)]
pub(super) struct HandedOver(FxHashMap<Key, Value>);

impl HandedOver {
    /// What came to a sum since the last file.
    pub(super) fn since(&self, key: &Key, value: &Value) -> Option<RawTotal> {
        let now = total(key, value)?;
        match self.0.get(key) {
            None => Some(now),
            Some(before) if before == value => None,
            Some(before) => {
                let total = since(&now.total, &total(key, before)?.total);
                Some(RawTotal { total, ..now })
            }
        }
    }

    /// What came to all sums since the last file. Those of threads that are gone are
    /// removed from the table, once nothing came to them any more.
    pub(super) fn hand_over(&mut self, table: &Table<TOTAL_KEY_LEN, TOTAL_LEN>) -> Vec<RawTotal> {
        let (mut totals, mut now, mut unchanged) = (Vec::new(), FxHashMap::default(), Vec::new());
        table.for_each(|key, value| {
            match self.since(key, value) {
                Some(total) => totals.push(total),
                None => unchanged.push(*key),
            }
            now.insert(*key, *value);
            true
        });
        // Those from before an exec are over as well.
        let mut epochs: FxHashMap<u32, u64> = FxHashMap::default();
        for (tid, epoch_ns) in now.keys().filter_map(whose) {
            let latest = epochs.entry(tid).or_default();
            *latest = epoch_ns.max(*latest);
        }
        let mut gone = FxHashMap::default();
        for key in unchanged {
            let Some((tid, epoch_ns)) = whose(&key) else { continue };
            let is_gone = *gone
                .entry(tid)
                .or_insert_with(|| fs::symlink_metadata(format!("/proc/{tid}")).is_err());
            if (is_gone || epoch_ns < epochs[&tid]) && table.remove(key).is_ok() {
                now.remove(&key);
            }
        }
        self.0 = now;
        totals
    }
}

/// The thread that a sum is of.
fn whose(key: &Key) -> Option<(u32, u64)> {
    total(key, &[0; TOTAL_LEN]).map(|total| (total.tid, total.epoch_ns))
}

/// What was added to `before`. The shortest and the longest are known exactly if they are
/// so of all that was ever added; if not, up to a factor of two.
fn since(now: &Total, before: &Total) -> Total {
    let mut total = Total {
        count: now.count.wrapping_sub(before.count),
        errors: now.errors.wrapping_sub(before.errors),
        total_ns: now.total_ns.wrapping_sub(before.total_ns),
        queued_ns: now.queued_ns.wrapping_sub(before.queued_ns),
        ..now.clone()
    };
    for (bucket, before) in total.histogram.0.iter_mut().zip(before.histogram.0) {
        // The kernel counts them in 32 bits.
        *bucket = u64::from((*bucket as u32).wrapping_sub(before as u32));
    }
    let used = |bucket: &usize| total.histogram.0[*bucket] > 0;
    let bounds = |bucket: usize| {
        let longest = if bucket + 1 < HISTOGRAM_BUCKETS { (2 << bucket) - 1 } else { u64::MAX };
        (if bucket == 0 { 0 } else { 1 << bucket }, longest)
    };
    let shortest = (0..HISTOGRAM_BUCKETS).find(used).map(|bucket| bounds(bucket).0);
    let longest = (0..HISTOGRAM_BUCKETS).rfind(used).map(|bucket| bounds(bucket).1);
    if now.min_ns == before.min_ns {
        total.min_ns = shortest.unwrap_or(0).max(now.min_ns);
    }
    if now.max_ns == before.max_ns {
        total.max_ns = longest.unwrap_or(0).min(now.max_ns);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sum of calls that took so long, as the kernel adds them up.
    fn sum(durations: &[u64]) -> Total {
        let mut total = Total {
            min_ns: durations.iter().copied().min().unwrap_or(0),
            max_ns: durations.iter().copied().max().unwrap_or(0),
            count: durations.len() as u64,
            total_ns: durations.iter().sum(),
            ..Total::default()
        };
        for duration in durations {
            total.histogram.0[duration.max(&1).ilog2() as usize] += 1;
        }
        total
    }

    #[test]
    fn files_have_their_part_of_each_sum() {
        let check = |before: &[u64], added: &[u64], (min_ns, max_ns): (u64, u64)| {
            let found = since(&sum(&[before, added].concat()), &sum(before));
            assert_eq!(found, Total { min_ns, max_ns, ..sum(added) }, "{before:?} {added:?}");
        };
        // The shortest and the longest of all are new ones.
        check(&[100, 200], &[90, 300], (90, 300));
        // Up to a factor of two, but never beyond what is known of all.
        check(&[100, 1000], &[200, 300], (128, 511));
        check(&[100, 500], &[120, 300], (100, 500));
        check(&[0, 9], &[1], (0, 1));
        check(&[7], &[7], (7, 7));
    }

    #[test]
    fn counters_of_32_bits_may_run_over() {
        let (mut before, mut now) = (sum(&[]), sum(&[]));
        before.histogram.0[3] = u64::from(u32::MAX);
        now.histogram.0[3] = 4;
        assert_eq!(since(&now, &before).histogram.0[3], 5);
    }
}
