//! Cuts sums back into samples.
//!
//! Other formats say that a stack was seen so many times; in a trace each time
//! is a row of its own, and statistics count rows. Equal rows take next to
//! nothing, up to a point: beyond it, a row stands for several samples.

/// Rows that a trace gets of sums, at most, but for one per sum.
const MAX_ROWS: u64 = 1 << 22;

/// How sums are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread {
    /// Samples per row.
    per_row: u64,
}

impl Spread {
    /// Each sum is a row.
    pub(super) const NONE: Spread = Spread { per_row: u64::MAX };

    /// For sums that have `total` samples in all.
    pub(super) fn of(total: u64) -> Self {
        Spread { per_row: total.div_ceil(MAX_ROWS).max(1) }
    }

    /// The weights of the rows for `count` samples, which add up to `weight`.
    pub(super) fn rows(self, count: u64, weight: u64) -> impl Iterator<Item = u64> {
        let rows = count.div_ceil(self.per_row).max(1);
        let (each, left) = (weight / rows, weight % rows);
        (0..rows).map(move |row| each + u64::from(row < left))
    }

    /// A sentence about rows that stand for several samples.
    pub(super) fn note(self) -> Option<String> {
        let Spread { per_row } = self;
        (per_row > 1 && self != Spread::NONE).then(|| {
            format!("these are so many samples that up to {per_row} are one in the trace; what they stand for is exact")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_kept() {
        let check = |total, count, weight, expected: &[u64]| {
            let rows: Vec<u64> = Spread::of(total).rows(count, weight).collect();
            assert_eq!(rows, expected, "{count} of {total}");
        };
        check(10, 3, 3, &[1, 1, 1]);
        check(10, 3, 10, &[4, 3, 3]);
        check(10, 0, 7, &[7]);
        check(MAX_ROWS * 4, 9, 9, &[3, 3, 3]);
        check(u64::MAX, 1 << 40, 1 << 40, &[1 << 40]);
        assert_eq!(Spread::of(MAX_ROWS).note(), None);
        assert!(Spread::of(MAX_ROWS + 1).note().is_some());
    }
}
