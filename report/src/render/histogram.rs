//! Reads quantiles off a histogram, and draws it in a line.

use rz_profile::model::{Histogram, Total};

use crate::render::format::duration;

/// Buckets drawn as one character: a factor of four in time.
const STEP: usize = 2;

/// The duration that a share `q`, between nothing and one, of all durations
/// does not exceed. It is an estimate: durations are taken to be spread evenly
/// over each bucket, which covers a factor of two.
pub fn quantile(total: &Total, q: f64) -> u64 {
    let buckets = &total.histogram.0;
    let rank = q * buckets.iter().map(|&count| count as f64).sum::<f64>();
    let mut below = 0.0;
    for (bucket, &count) in buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = count as f64;
        if below + count >= rank {
            let start = if bucket == 0 { 0 } else { 1 << bucket };
            let end = if bucket + 1 == buckets.len() { u64::MAX } else { 2 << bucket };
            // A file can claim a longest that is shorter than the shortest.
            let limit = |ns: u64| ns.min(total.max_ns).max(total.min_ns) as f64;
            let (start, end) = (limit(start), limit(end));
            return (start + (end - start) * ((rank - below) / count)) as u64;
        }
        below += count;
    }
    total.max_ns
}

/// The time that the drawings of several histograms span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// The first step that any of them uses.
    first: usize,
    /// How many steps there are up to the last one.
    length: usize,
}

impl Axis {
    /// The smallest axis for all of these.
    pub fn of<'h>(histograms: impl Iterator<Item = &'h Histogram>) -> Axis {
        let mut used = [false; 64];
        for histogram in histograms {
            for (bucket, _) in histogram.0.iter().enumerate().filter(|(_, count)| **count > 0) {
                used[bucket / STEP] = true;
            }
        }
        match (used.iter().position(|&used| used), used.iter().rposition(|&used| used)) {
            (Some(first), Some(last)) => Axis { first, length: last + 1 - first },
            _ => Axis { first: 0, length: 0 },
        }
    }

    /// From when to when, as in `256 ns…4.19 s`.
    pub fn label(&self) -> String {
        let at = |step: usize| duration(1 << (step * STEP));
        match self.length {
            0 => String::new(),
            length => format!("{}…{}", at(self.first), at(self.first + length)),
        }
    }

    /// One character for each step, as high as the share of durations in it.
    pub fn draw(&self, histogram: &Histogram) -> String {
        let steps = histogram.0.chunks(STEP).skip(self.first).take(self.length);
        let sums: Vec<f64> = steps.map(|step| step.iter().map(|&c| c as f64).sum()).collect();
        draw_levels(&sums)
    }
}

/// One character for each value, as high as its share of the highest one.
pub fn draw_levels(values: &[f64]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().copied().fold(0.0, f64::max);
    let level = |&value: &f64| match value {
        0.0 => ' ',
        value => LEVELS[((value / highest * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    values.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(buckets: &[(usize, u64)], min_ns: u64, max_ns: u64) -> Total {
        let mut histogram = Histogram::default();
        buckets.iter().for_each(|&(bucket, count)| histogram.0[bucket] = count);
        Total { min_ns, max_ns, histogram, ..Total::default() }
    }

    #[test]
    fn quantiles_are_inside_the_bucket_and_the_limits() {
        let check = |buckets: &[(usize, u64)], (min, max), q, expected| {
            assert_eq!(quantile(&total(buckets, min, max), q), expected, "{buckets:?} {q}");
        };
        // 1024 to 2047 ns.
        check(&[(10, 100)], (0, 5000), 0.5, 1536);
        check(&[(10, 100)], (1100, 1200), 0.5, 1150);
        check(&[(10, 1)], (1500, 1500), 0.99, 1500);
        check(&[(10, 50), (20, 50)], (1024, 2_000_000), 0.5, 2048);
        check(&[(10, 99), (20, 1)], (1024, 1_048_576), 0.995, 1_048_576);
        check(&[(0, 5)], (0, 1), 0.5, 0);
        // The last bucket has no end but the longest.
        check(&[(39, 2)], (0, 1 << 41), 1.0, 1 << 41);
        check(&[], (3, 9), 0.5, 9);
        check(&[(39, u64::MAX), (5, u64::MAX)], (9, 0), 0.99, 9);
    }

    #[test]
    fn drawings_share_an_axis() {
        let (a, b) = (total(&[(10, 80), (12, 40), (16, 1)], 0, 0), total(&[(8, 3), (9, 4)], 0, 0));
        let axis = Axis::of([&a.histogram, &b.histogram].into_iter());
        assert_eq!(axis.label(), "256 ns…262 µs");
        assert_eq!(axis.draw(&a.histogram), " █▄ ▁");
        assert_eq!(axis.draw(&b.histogram), "█    ");
        assert_eq!(Axis::of(std::iter::empty()).label(), "");
        let last = total(&[(39, 1)], 0, 0);
        assert_eq!(Axis::of([&last.histogram].into_iter()).draw(&last.histogram), "█");
    }
}
