//! Keeps sums of objects by bucket, and what each bucket held at the peak.
//!
//! A peak is found only when it has passed, so each moment with more bytes
//! than ever before has to be kept. Copying all buckets each time would take
//! far too long; only those that changed since the last time are copied, and
//! each change is copied once at most.

use crate::model::heap::{Peak, Sum, Sums};

/// Index of a bucket.
pub(super) type Bucket = usize;

/// Objects that have something in common.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    sums: Sums,
    /// What is there now.
    live: Sum,
    /// Whether `live` changed since the last peak.
    changed: bool,
}

/// Sums of objects. Each object is in one bucket of each kind.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    /// Buckets that changed since the last peak.
    changed: Vec<u32>,
    /// All that is there now.
    live: Sum,
    peak: Peak,
}

impl Ledger {
    /// Adds an empty bucket.
    pub(super) fn add_bucket(&mut self) -> Bucket {
        self.entries.push(Entry::default());
        self.entries.len() - 1
    }

    /// What became of the objects of a bucket.
    pub(super) fn sums(&self, bucket: Bucket) -> &Sums {
        &self.entries[bucket].sums
    }

    /// All that is there now.
    pub(super) fn live(&self) -> &Sum {
        &self.live
    }

    /// When most was there.
    pub(super) fn peak(&self) -> Peak {
        self.peak
    }

    /// From now on, what happens is counted: nothing has happened yet, and what
    /// is there is the most that ever was.
    pub(super) fn start_over(&mut self, time_ns: u64) {
        for entry in &mut self.entries {
            entry.sums = Sums { at_peak: entry.live, ..Sums::default() };
            entry.changed = false;
        }
        self.changed.clear();
        let empty = self.live.bytes.value <= 0.0;
        self.peak = Peak { time_ns: if empty { 0 } else { time_ns }, live: self.live };
    }

    /// An object was allocated.
    pub(super) fn count(&mut self, buckets: [Bucket; 2], object: &Sum) {
        for bucket in buckets {
            self.entries[bucket].sums.allocated.add(object);
        }
    }

    /// An object that was counted is there from now on.
    pub(super) fn place(&mut self, buckets: [Bucket; 2], object: &Sum, time_ns: u64) {
        for bucket in buckets {
            self.change(bucket).add(object);
        }
        self.live.add(object);
        if self.live.bytes.value > self.peak.live.bytes.value {
            self.peak = Peak { time_ns, live: self.live };
            for bucket in self.changed.drain(..) {
                let entry = &mut self.entries[bucket as usize];
                entry.sums.at_peak = entry.live;
                entry.changed = false;
            }
        }
    }

    /// An object that was there was freed.
    pub(super) fn remove(&mut self, buckets: [Bucket; 2], object: &Sum) {
        for bucket in buckets {
            self.change(bucket).subtract(object);
        }
        self.live.subtract(object);
    }

    /// An object that was freed was temporary.
    pub(super) fn note_temporary(&mut self, buckets: [Bucket; 2], object: &Sum) {
        for bucket in buckets {
            self.entries[bucket].sums.temporary.add(object);
        }
    }

    /// An object was there to the end.
    pub(super) fn note_end(&mut self, buckets: [Bucket; 2], object: &Sum) {
        for bucket in buckets {
            self.entries[bucket].sums.at_end.add(object);
        }
    }

    /// What is in a bucket, which is going to be changed.
    fn change(&mut self, bucket: Bucket) -> &mut Sum {
        let entry = &mut self.entries[bucket];
        if !entry.changed {
            entry.changed = true;
            self.changed.push(bucket as u32);
        }
        &mut entry.live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs signed sizes in buckets and prints what each held at the peak.
    fn check(moves: &[(Bucket, i64)], peak: (u64, f64), held: &[f64]) {
        let mut ledger = Ledger::default();
        let class = ledger.add_bucket();
        for _ in held {
            ledger.add_bucket();
        }
        for (time_ns, &(bucket, size)) in (1..).zip(moves) {
            let object = Sum::of_object(size.unsigned_abs(), 0);
            let buckets = [class, bucket + 1];
            if size > 0 {
                ledger.count(buckets, &object);
                ledger.place(buckets, &object, time_ns);
            } else {
                ledger.remove(buckets, &object);
            }
        }
        assert_eq!((ledger.peak().time_ns, ledger.peak().live.bytes.value), peak);
        let at_peak = |bucket: Bucket| ledger.sums(bucket).at_peak.bytes.value;
        assert_eq!((1..=held.len()).map(at_peak).collect::<Vec<_>>(), held);
        assert_eq!(at_peak(0), peak.1);
    }

    #[test]
    fn the_peak_is_kept_by_bucket() {
        check(&[], (0, 0.0), &[]);
        check(&[(0, 5), (1, 7), (0, -5), (2, 3)], (2, 12.0), &[5.0, 7.0, 0.0]);
        // A later, higher one takes its place.
        check(&[(0, 5), (1, 7), (0, -5), (2, 8)], (4, 15.0), &[0.0, 7.0, 8.0]);
        // The first of two that are equally high stays.
        check(&[(0, 5), (0, -5), (1, 5)], (1, 5.0), &[5.0, 0.0]);
    }
}
